package evaluate

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
)

// Labels are the truth about a world: which redemptions are fraud, which only look like it, which break
// an exact rule, and which are neither fraud nor clean. Redemptions, merchants and customers are kept by
// vw.Hash of their ids, so a county's half a million look-alikes take some 20 MB.
type Labels struct {
	Placebo bool // the world holds no fraud
	cases   []labelCase
	fraud   map[uint64]fraudLabel
	broken  map[uint64]uint8 // redemption → index into rules
	rules   []string         // words of violations, in order of appearance
	honest  map[uint64]tags
	shops   map[uint64]tags // merchants
	names   []string        // of the tags, by bit
	fillers map[uint64]bool
	invalid map[uint64]bool // ids of lines that cannot be read
	some    string          // an id that must be among the events, for messages
}

// tags is a set of look-alike tags, bits into Labels.names.
type tags uint32

const maxTags = 32

type fraudLabel struct {
	kase  int32 // index into Labels.cases
	stake vw.Fen
}

// labelCase is one fraud of the labels.
type labelCase struct {
	name, typology, family string
	codes                  []string
	merchants, customers   []uint64
	redemptions            []uint64
	first                  vw.Millis
}

// NoFraud are the labels of a world of which only that much is known: nothing in it is fraud.
func NoFraud() *Labels { return &Labels{Placebo: true} }

// ReadLabels reads a labels file as simulate writes it. Members that it does not know are passed over. A
// fault is a vw.Invalid error with the file's name and line.
func ReadLabels(name string, in io.Reader) (*Labels, error) {
	lines := &newlines{in: in}
	r := &labelReader{
		dec:    jsontext.NewDecoder(lines),
		labels: &Labels{fraud: map[uint64]fraudLabel{}, broken: map[uint64]uint8{}, honest: map[uint64]tags{}, shops: map[uint64]tags{}, fillers: map[uint64]bool{}, invalid: map[uint64]bool{}},
		cases:  map[string]int32{},
	}
	if err := r.read(); err != nil {
		at := r.dec.InputOffset()
		if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			at = e.ByteOffset
			err = e.Err
		}
		if e, ok := errors.AsType[*json.SemanticError](err); ok {
			at = e.ByteOffset
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the file ends before its last bracket")
		}
		return nil, &vw.Error{Op: "evaluate.ReadLabels", Code: vw.Invalid, Hint: "give the labels file that was written with these events (voucherwatch simulate --labels), whole", Err: fmt.Errorf("%s:%d: %w", name, lines.line(at), err)}
	}
	return r.labels, nil
}

// newlines remembers where the lines of a file begin.
type newlines struct {
	in   io.Reader
	read int64
	at   []int64
}

func (n *newlines) Read(p []byte) (int, error) {
	k, err := n.in.Read(p)
	for i, c := range p[:k] {
		if c == '\n' {
			n.at = append(n.at, n.read+int64(i))
		}
	}
	n.read += int64(k)
	return k, err
}

func (n *newlines) line(offset int64) int {
	return 1 + sort.Search(len(n.at), func(i int) bool { return n.at[i] >= offset })
}

type labelReader struct {
	dec    *jsontext.Decoder
	labels *Labels
	cases  map[string]int32
	// waiting are labels whose case has not been read yet, by its name.
	waiting map[uint64]string
}

func (r *labelReader) read() error {
	l := r.labels
	seen := map[string]bool{}
	r.waiting = map[uint64]string{}
	err := r.members(func(name string) error {
		seen[name] = true
		switch name {
		case "cases":
			return r.readCases()
		case "redemptions":
			return r.members(r.redemption)
		case "violations":
			return r.members(func(id string) error {
				var rule string
				if err := json.UnmarshalDecode(r.dec, &rule); err != nil {
					return err
				}
				i := slices.Index(l.rules, rule)
				if i < 0 {
					if i = len(l.rules); i > 63 || rule == "" {
						return fmt.Errorf("violations: %q: no rule, or more than 64 different ones", rule)
					}
					l.rules = append(l.rules, rule)
				}
				l.broken[r.key(id)] = uint8(i)
				return nil
			})
		case "hard_negatives":
			return r.members(func(id string) error { return r.tagged(l.honest, id) })
		case "hard_negative_merchants":
			return r.members(func(id string) error { return r.tagged(l.shops, id) })
		case "fillers":
			var ids []string
			if err := json.UnmarshalDecode(r.dec, &ids); err != nil {
				return err
			}
			for _, id := range ids {
				l.fillers[r.key(id)] = true
			}
		case "malformed":
			var bad []struct {
				ID string `json:"id"`
			}
			if err := json.UnmarshalDecode(r.dec, &bad); err != nil {
				return err
			}
			for _, b := range bad {
				l.invalid[vw.HashString(b.ID)] = true
			}
		case "placebo":
			return json.UnmarshalDecode(r.dec, &l.Placebo)
		default:
			return r.dec.SkipValue()
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"cases", "redemptions"} {
		if !seen[name] {
			return fmt.Errorf("there is no member %q: this is no labels file", name)
		}
	}
	for id, name := range r.waiting {
		i, ok := r.cases[name]
		if !ok {
			return fmt.Errorf("redemptions: the case %q is not among the cases", name)
		}
		f := l.fraud[id]
		f.kase = i
		l.fraud[id] = f
	}
	for i := range l.cases {
		c := &l.cases[i]
		for _, id := range c.redemptions {
			if _, ok := l.fraud[id]; !ok {
				return fmt.Errorf("cases: %q lists a redemption that redemptions does not label", c.name)
			}
		}
	}
	if l.Placebo && len(l.fraud) > 0 {
		return errors.New("placebo is true, but redemptions are labelled as fraud")
	}
	return nil
}

// members reads an object and calls take for every name; take reads the value.
func (r *labelReader) members(take func(name string) error) error {
	t, err := r.dec.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() != '{' {
		return fmt.Errorf("an object is expected, not %s", t.Kind())
	}
	for r.dec.PeekKind() == '"' {
		if t, err = r.dec.ReadToken(); err != nil {
			return err
		}
		if err := take(t.String()); err != nil {
			return err
		}
	}
	_, err = r.dec.ReadToken()
	return err
}

func (r *labelReader) key(id string) uint64 {
	if r.labels.some == "" {
		r.labels.some = id
	}
	return vw.HashString(id)
}

func (r *labelReader) redemption(id string) error {
	var f struct {
		Case  string `json:"case"`
		Stake int64  `json:"stake_fen"`
	}
	if err := json.UnmarshalDecode(r.dec, &f); err != nil {
		return err
	}
	if f.Case == "" || f.Stake < 0 {
		return fmt.Errorf("redemptions: %q: case is required, stake_fen must not be negative", id)
	}
	k := r.key(id)
	r.labels.fraud[k] = fraudLabel{-1, vw.Fen(f.Stake)}
	r.waiting[k] = f.Case
	return nil
}

func (r *labelReader) readCases() error {
	t, err := r.dec.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() != '[' {
		return fmt.Errorf("cases: an array is expected, not %s", t.Kind())
	}
	for r.dec.PeekKind() == '{' {
		var in struct {
			Case          string   `json:"case"`
			Typology      string   `json:"typology"`
			Family        string   `json:"family"`
			Codes         []string `json:"codes"`
			Customers     []string `json:"customers"`
			Merchants     []string `json:"merchants"`
			RedemptionIDs []string `json:"redemption_ids"`
			First         string   `json:"first_fraud_at"`
		}
		if err := json.UnmarshalDecode(r.dec, &in); err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339Nano, in.First)
		_, twice := r.cases[in.Case]
		switch {
		case in.Case == "" || in.Typology == "" || in.Family == "":
			return errors.New("cases: case, typology and family are required")
		case twice:
			return fmt.Errorf("cases: %q is given twice", in.Case)
		case err != nil:
			return fmt.Errorf("cases: %q: first_fraud_at %q is no RFC 3339 time", in.Case, in.First)
		}
		c := labelCase{name: in.Case, typology: in.Typology, family: in.Family, codes: in.Codes, merchants: hashes(in.Merchants), customers: hashes(in.Customers),
			redemptions: hashes(in.RedemptionIDs), first: vw.Millis(at.UnixMilli())}
		r.cases[in.Case] = int32(len(r.labels.cases))
		r.labels.cases = append(r.labels.cases, c)
	}
	_, err = r.dec.ReadToken()
	return err
}

func (r *labelReader) tagged(into map[uint64]tags, id string) error {
	var names []string
	if err := json.UnmarshalDecode(r.dec, &names); err != nil {
		return err
	}
	var t tags
	for _, name := range names {
		i := slices.Index(r.labels.names, name)
		if i < 0 {
			if i = len(r.labels.names); i == maxTags {
				return fmt.Errorf("more than %d different look-alike tags", maxTags)
			}
			r.labels.names = append(r.labels.names, name)
		}
		t |= 1 << i
	}
	into[vw.HashString(id)] |= t
	return nil
}

func hashes(ids []string) []uint64 {
	out := make([]uint64, len(ids))
	for i, id := range ids {
		out[i] = vw.HashString(id)
	}
	return out
}
