package simulate

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	vw "voucherwatch"
)

// watcher is a run whose gangs hear from an office that reads what was written so far.
type watcher struct {
	events bytes.Buffer
	read   int
	orders map[string]event // by redemption
	asked  map[string]int
	early  int // asked about what had not come in
}

// against runs a world with gangs and gives the moves of each.
func against(t *testing.T, o Options, blocks func(e event) bool) (*watcher, [][]Move) {
	t.Helper()
	w := &watcher{orders: map[string]event{}, asked: map[string]int{}}
	o.Campaign, o.Adversary = gaoping(), true
	if blocks != nil {
		o.Feedback = func(id string) bool {
			all := w.events.Bytes()
			fresh := all[w.read:]
			end := bytes.LastIndexByte(fresh, '\n') + 1
			for line := range bytes.Lines(fresh[:end]) {
				var e event
				if bytes.HasPrefix(line, []byte(`{"type":"redemption"`)) && json.Unmarshal(line, &e) == nil {
					w.orders[e.ID] = e
				}
			}
			w.read += end
			w.asked[id]++
			e, ok := w.orders[id]
			if !ok {
				w.early++
			}
			return ok && blocks(e)
		}
	}
	var labels bytes.Buffer
	if _, err := Run(t.Context(), o, &w.events, &labels); err != nil {
		t.Fatal(err)
	}
	var l struct{ Cases []Case }
	if err := json.Unmarshal(bytes.ReplaceAll(labels.Bytes(), []byte(`"pairs":`), []byte(`"-":`)), &l); err != nil {
		t.Fatal(err)
	}
	var moves [][]Move
	for _, c := range l.Cases {
		if len(c.Moves) > 0 {
			moves = append(moves, c.Moves)
		}
	}
	return w, moves
}

func nearThreshold(e event) bool {
	t := thresholdOf(e.VoucherType)
	return e.Order*100 <= t*101
}

func TestGangsLeaveHonestLinesAloneAndAreTheSameForTheSameSeed(t *testing.T) {
	honest, _, _ := run(t, Options{Seed: 6, Scale: .2, NoFraud: true})
	plain, _, _ := run(t, Options{Seed: 6, Scale: .2})
	for name, office := range map[string]func(event) bool{"open loop": nil, "closed loop": nearThreshold} {
		w, moves := against(t, Options{Seed: 6, Scale: .2}, office)
		if n, line := missing(honest, w.events.Bytes()); n > 0 {
			t.Errorf("%s: honest lines are gone or out of order, first:\n%s", name, line)
		}
		if len(w.events.Bytes()) <= len(plain) || len(moves) < 3 {
			t.Errorf("%s: %d gangs added nothing to the planned fraud", name, len(moves))
		}
		again, _ := against(t, Options{Seed: 6, Scale: .2}, office)
		if !bytes.Equal(w.events.Bytes(), again.events.Bytes()) {
			t.Errorf("%s: two runs differ", name)
		}
	}
}

func TestAGangAsksOnceAndOnlyAboutThePast(t *testing.T) {
	w, moves := against(t, Options{Seed: 7, Scale: .3}, nearThreshold)
	tried, heard := 0, 0
	patient := 0
	for _, gang := range moves {
		did, knows := 0, 0
		for _, m := range gang {
			if knows += m.Paid + m.Blocked; knows > did {
				t.Errorf("%s: a gang that did %d redemptions before heard of %d", m.Day, did, knows)
			} else if knows < did {
				patient++ // yesterday's are still open
			}
			did += m.Tried
		}
		tried, heard = tried+did, heard+knows
	}
	if patient < 20 {
		t.Errorf("on %d mornings a gang waited for an answer", patient)
	}
	for id, n := range w.asked {
		if n != 1 {
			t.Errorf("%s: asked %d times", id, n)
		}
	}
	if len(w.asked) != heard || heard == 0 || heard > tried {
		t.Errorf("asked about %d, heard of %d, tried %d", len(w.asked), heard, tried)
	}
	if w.early*50 > len(w.asked) { // payments that are late arrive after midnight
		t.Errorf("asked about %d of %d that had not come in", w.early, len(w.asked))
	}
}

// Money comes where sums are not near the threshold: the gangs find out, and those who are never blocked
// have no reason to.
func TestGangsLearnWhatIsPaid(t *testing.T) {
	care := func(blocks func(event) bool) (amounts, paidFirst, paidLast float64) {
		days, first, last := 0., [2]float64{}, [2]float64{}
		for seed := uint64(1); seed <= 3; seed++ {
			_, moves := against(t, Options{Seed: seed, Scale: .5, Typologies: []string{"pair"}}, blocks)
			for _, gang := range moves {
				for i, m := range gang {
					switch {
					case i < 6:
						first[0] += float64(m.Paid)
						first[1] += float64(m.Paid + m.Blocked)
					case i >= len(gang)-15:
						amounts += float64(m.Amounts)
						days++
						last[0] += float64(m.Paid)
						last[1] += float64(m.Paid + m.Blocked)
					}
				}
			}
		}
		return amounts / days, first[0] / first[1], last[0] / last[1]
	}
	free, _, _ := care(func(event) bool { return false })
	hunted, first, last := care(nearThreshold)
	t.Logf("care with amounts %.2f, hunted %.2f; paid %.2f, later %.2f", free, hunted, first, last)
	if hunted < free+.4 || free > .8 {
		t.Errorf("care with amounts is %.2f where it is needed and %.2f where it is not", hunted, free)
	}
	if last < first+.1 {
		t.Errorf("%.2f of the money comes at first, %.2f later", first, last)
	}
}

func TestGangsThatHearNothingExpectTheNaiveRules(t *testing.T) {
	_, moves := against(t, Options{Seed: 2, Scale: .5}, nil)
	first, last := [2]int{}, [2]int{}
	for _, gang := range moves {
		for i, m := range gang {
			if i < 7 {
				first[0] += m.Blocked
				first[1] += m.Paid + m.Blocked
			} else if i >= len(gang)-10 {
				last[0] += m.Blocked
				last[1] += m.Paid + m.Blocked
			}
		}
	}
	if a, b := float64(first[0])/float64(first[1]), float64(last[0])/float64(last[1]); b > .85*a || a < .2 {
		t.Errorf("a naive office would block %.2f of the first week and %.2f of the last days", a, b)
	}
}

func TestOptionsOfTheAdversaryThatCannotBeAreRefused(t *testing.T) {
	_, err := Run(t.Context(), Options{Campaign: gaoping(), NoFraud: true, Adversary: true}, &bytes.Buffer{}, &bytes.Buffer{})
	if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "adversary") {
		t.Errorf("no fraud and an adversary: %v", err)
	}
	_, err = Run(t.Context(), Options{Campaign: gaoping(), Feedback: func(string) bool { return false }}, &bytes.Buffer{}, &bytes.Buffer{})
	if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "feedback") {
		t.Errorf("feedback to nobody: %v", err)
	}
}
