package cases

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emmansun/gmsm/sm3"
	"github.com/go-json-experiment/json"

	vw "voucherwatch"
)

// Entered is what is entered into the audit log: who did or saw what, when. It holds no token of a
// person and no text that somebody wrote.
type Entered struct {
	At       string `json:"at,omitempty"`
	Actor    string `json:"actor"`
	Action   string `json:"action"` // case.take, evidence.view, person.reveal, user.login …
	CaseID   string `json:"case_id,omitempty"`
	Ref      string `json:"ref,omitempty"`
	Revision int    `json:"revision,omitempty"`
	Purpose  string `json:"purpose,omitempty"` // of a read of personal data, from a closed list
	Hash     string `json:"hash,omitempty"`    // SHA-256 of what was asked
	Result   string `json:"result,omitempty"`  // "" done, or the reason it was refused
	ID       string `json:"id,omitempty"`      // of the message that it came by: a repeated delivery repeats it
}

// Line is a line of the audit log: what was entered, its number from 1 without gaps, and the hashes that chain it to
// the line before. SHA256 and SM3 are over the line's canonical JSON without themselves, Prev and PrevSM3 in it.
type Line struct {
	Entered `json:",inline"`
	Seq     int64  `json:"seq"`
	Prev    string `json:"prev"`
	PrevSM3 string `json:"prev_sm3"`
	SHA256  string `json:"sha256,omitempty"`
	SM3     string `json:"sm3,omitempty"`
}

// Chain makes the line after another; the zero Line is before the first.
func Chain(last Line, e Entered) (Line, error) {
	l := Line{Entered: e, Seq: last.Seq + 1, Prev: last.SHA256, PrevSM3: last.SM3}
	var err error
	l.SHA256, l.SM3, err = l.hashes()
	return l, err
}

func (l Line) hashes() (string, string, error) {
	l.SHA256, l.SM3 = "", ""
	b, err := Canonical(l)
	if err != nil {
		return "", "", err
	}
	a, z := sha256.Sum256(b), sm3.Sum(b)
	return hex.EncodeToString(a[:]), hex.EncodeToString(z[:]), nil
}

// Text is the line as it is stored: one canonical spelling, so that a changed byte is a changed line.
func (l Line) Text() (string, error) {
	b, err := Canonical(l)
	return string(b), err
}

// Damage is what is wrong with an audit log, and where.
type Damage struct {
	Position int64  // 1-based place in the log; 0: at its end
	Seq      int64  // number of the line meant, 0 when it cannot be read
	Kind     string // altered, missing, reordered, repeated, unreadable, truncated
	Text     vw.Bilingual
}

func (d Damage) Error() string { return d.Text.Zh + " " + d.Text.En }

// Verify checks a log, as its lines stand from the first on, and names everything that is wrong: lines
// that were altered (by one byte or more), are missing, stand elsewhere or twice. Last is what the log must end
// with, if known from elsewhere ("42:sha256"): without it a cut-off end cannot be seen. First is the line before the first one, in
// the same form, for a log whose beginning was taken away lawfully; empty: the log begins with number 1.
func Verify(texts []string, first, last string) (end Line, found []Damage) {
	say := func(position, seq int64, kind, zh, en string, args ...any) {
		found = append(found, Damage{position, seq, kind, vw.Bilingual{Zh: fmt.Sprintf(zh, args...), En: fmt.Sprintf(en, args...)}})
	}
	before, trusted := int64(0), ""
	if n, hash, ok := strings.Cut(first, ":"); ok {
		before, _ = strconv.ParseInt(n, 10, 64)
		trusted = hash
	}
	lines := make([]Line, len(texts))
	at := map[int64]int64{} // seq → position
	sound := make([]bool, len(texts))
	for i, text := range texts {
		position := int64(i) + 1
		l, err := ReadLine(text)
		if err != nil {
			say(position, 0, "altered", "第 %d 行已被改动：不是审计行", "line %d was altered: it is no line of an audit log", position)
			continue
		}
		lines[i] = l
		a, z, err := l.hashes()
		if sound[i] = err == nil && a == l.SHA256 && z == l.SM3; !sound[i] {
			say(position, l.Seq, "altered", "第 %d 行（序号 %d）已被改动", "line %d (number %d) was altered", position, l.Seq)
			continue
		}
		if first, ok := at[l.Seq]; ok {
			say(position, l.Seq, "repeated", "第 %d 行重复第 %d 行", "line %d repeats line %d", position, first)
			continue
		}
		at[l.Seq] = position
	}
	// An altered line is taken to have its neighbours' number: so one changed byte is told once.
	highest := int64(0)
	for seq := range at {
		highest = max(highest, seq)
	}
	for seq := before + 1; seq <= highest; seq++ {
		_, ok := at[seq]
		if !ok && !(seq-before <= int64(len(texts)) && !sound[seq-before-1]) && !shifted(at, sound, seq) {
			say(0, seq, "missing", "缺第 %d 号行", "number %d is missing", seq)
		}
	}
	order := make([]int64, 0, len(lines))
	for i := range lines {
		if sound[i] && at[lines[i].Seq] == int64(i)+1 {
			order = append(order, lines[i].Seq)
		}
	}
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			say(at[order[i]], order[i], "reordered", "序号 %d 的行位置不对（在第 %d 行）", "number %d stands in the wrong place (line %d)", order[i], at[order[i]])
		}
	}
	for i := range lines {
		l := &lines[i]
		if !sound[i] || l.Seq == before+1 && l.Prev == trusted && (before > 0 || l.PrevSM3 == "") {
			continue
		}
		previous, ok := at[l.Seq-1]
		if !ok && l.Seq != before+1 {
			continue // told as missing or altered
		}
		if !ok {
			say(int64(i)+1, l.Seq, "altered", "首行与已知起点不衔接", "the first line does not follow from the known beginning")
			continue
		}
		if p := &lines[previous-1]; p.SHA256 != l.Prev || p.SM3 != l.PrevSM3 {
			say(int64(i)+1, l.Seq, "altered", "序号 %d 与前一行不衔接", "number %d does not follow from the line before", l.Seq)
		}
	}
	if n := len(lines); n > 0 {
		end = lines[n-1]
	}
	if want, ok := strings.CutPrefix(last, fmt.Sprintf("%d:", end.Seq)); last != "" && (!ok || want != end.SHA256) {
		known := slices.ContainsFunc(lines, func(l Line) bool { return fmt.Sprintf("%d:%s", l.Seq, l.SHA256) == last })
		if !known {
			say(0, end.Seq, "truncated", "末尾应为 %s，实为 %d", "the log should hold %s and ends with number %d", last, end.Seq)
		}
	}
	return end, found
}

// shifted: an altered line stands where the number would be, counted from a neighbour.
func shifted(at map[int64]int64, sound []bool, seq int64) bool {
	before, ok1 := at[seq-1]
	after, ok2 := at[seq+1]
	return ok1 && int(before) < len(sound) && !sound[before] || ok2 && after >= 2 && !sound[after-2]
}

// ReadLine reads a line's text, strictly: unknown fields, and any spelling but the canonical one, are errors.
func ReadLine(text string) (Line, error) {
	var l Line
	if err := json.Unmarshal([]byte(text), &l, json.RejectUnknownMembers(true)); err != nil {
		return l, fmt.Errorf("read audit line: %w", err)
	}
	again, err := l.Text()
	if err == nil && again != text {
		err = errors.New("the line is not in its canonical spelling")
	}
	return l, err
}
