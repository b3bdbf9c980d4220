package detectors

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestArenaGivesBackWhatItKept(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var a Arena
	type kept struct {
		ref IDRef
		id  string
		day int
	}
	var all []kept
	seen := map[IDRef]bool{}
	for i := range 60_000 {
		day := i / 5000
		id := fmt.Sprintf("r-%d-%s", i, strings.Repeat("x", r.IntN(60)))
		ref := a.Keep([]byte(id), day)
		if ref == 0 || seen[ref] {
			t.Fatalf("identifier %d has reference %d, which is none or another's", i, ref)
		}
		seen[ref] = true
		all = append(all, kept{ref, id, day})
		if i%5000 == 4999 && day >= 3 {
			a.Drop(day - 3)
		}
	}
	dropped, held := 0, 0
	for _, k := range all {
		switch b := a.Bytes(k.ref); {
		case b == nil:
			if dropped++; k.day >= 11-3 {
				t.Fatalf("an identifier of day %d is gone although days from %d on are kept", k.day, 11-3)
			}
		case string(b) != k.id:
			t.Fatalf("reference %d reads %q, want %q", k.ref, b, k.id)
		default:
			held++
		}
	}
	if dropped == 0 || held == 0 {
		t.Errorf("%d dropped, %d held: the test shows nothing", dropped, held)
	}
	if want := 8 * segmentBytes; a.Size() > want {
		t.Errorf("%d bytes held after drops, want at most %d", a.Size(), want)
	}
}

func TestArenaOfNothing(t *testing.T) {
	var a Arena
	if a.Bytes(0) != nil || a.Bytes(12345) != nil || a.Size() != 0 {
		t.Error("an empty arena holds something")
	}
	a.Drop(100)
	ref := a.Keep(nil, 1)
	if b := a.Bytes(ref); b == nil || len(b) != 0 {
		t.Errorf("the empty identifier reads %v", b)
	}
	long := bytes.Repeat([]byte("九"), 20_000)
	if got := a.Bytes(a.Keep(long, 1)); !bytes.Equal(got, long) {
		t.Errorf("a long identifier reads back with %d bytes, want %d", len(got), len(long))
	}
}

// A late redemption is kept among today's; dropping its own day must not take today's with it, and a
// segment that began on an old day lives as long as the youngest that is in it.
func TestArenaDropsBySegmentsInOrderOfDays(t *testing.T) {
	var a Arena
	pad := make([]byte, 60_000) // four fill a segment
	today := a.Keep([]byte("today"), 10)
	late := a.Keep([]byte("late"), 2)
	for range 5 {
		a.Keep(pad, 3) // also late: the segment that the fifth begins still counts as day 10
	}
	more := a.Keep([]byte("more"), 4)
	a.Keep(pad, 12)
	a.Drop(10)
	for name, ref := range map[string]IDRef{"today": today, "late": late, "more": more} {
		if got := string(a.Bytes(ref)); got != name {
			t.Errorf("%s reads %q after days before 10 were dropped", name, got)
		}
	}
	a.Drop(11)
	if a.Bytes(today) != nil || a.Bytes(late) != nil {
		t.Error("a segment last filled on day 10 survives the drop of days before 11")
	}
	if got := string(a.Bytes(more)); got != "more" {
		t.Errorf("what shares a segment with day 12 reads %q", got)
	}
	if len(a.segments) == 0 {
		t.Error("the segment being filled was dropped")
	}
	for range 4 {
		a.Keep(pad, 13)
	}
	a.Drop(1000)
	if a.Size() != segmentBytes {
		t.Errorf("%d bytes held, want the one segment that is being filled", a.Size())
	}
}
