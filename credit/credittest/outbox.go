package credittest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"voucherwatch/credit"
)

// RunOutbox tests what open gives; see Run.
func RunOutbox(t *testing.T, open func(t *testing.T) credit.Outbox) {
	times := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	transmission := func(entry string, op credit.Op, state credit.Sending, after, tell time.Duration) credit.Transmission {
		x := credit.Transmission{Platform: "jincheng", Entry: entry, Want: 1, Op: op, State: state, NextAt: Now.Add(after)}
		if op == credit.Delete {
			x.TellBy = Now.Add(tell)
		}
		return x
	}
	s := open(t)
	all := []credit.Transmission{
		transmission("a", credit.Insert, credit.Ready, 0, 0), transmission("b", credit.Delete, credit.Ready, 0, 2*time.Hour),
		transmission("c", credit.Delete, credit.Ready, 0, time.Hour), transmission("d", credit.Insert, credit.Ready, time.Minute, 0), transmission("e", credit.Update, credit.Under, 0, 0),
	}
	other := transmission("a", credit.Insert, credit.Ready, 0, 0)
	other.Platform = "shanxi"
	for _, step := range []error{s.Plan(t.Context(), "jincheng", all, 7), s.Save(t.Context(), []credit.Transmission{other})} {
		if step != nil {
			t.Fatal(step)
		}
	}
	s = open(t)
	for platform, want := range map[string]int64{"jincheng": 7, "shanxi": 0, "none": 0} {
		if got, err := s.Cursor(t.Context(), platform); err != nil || got != want {
			t.Errorf("cursor of %s: %d, %v", platform, got, err)
		}
	}
	due := func(state credit.Sending, now time.Time, limit int) (ids []string) {
		t.Helper()
		ts, err := s.Due(t.Context(), "jincheng", state, now, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range ts {
			ids = append(ids, x.Entry)
		}
		return ids
	}
	for _, tt := range []struct {
		name string
		got  []string
		want []string
	}{
		{"removals first, the most urgent before", due(credit.Ready, Now, 10), []string{"c", "b", "a"}},
		{"with a limit", due(credit.Ready, Now, 1), []string{"c"}},
		{"later", due(credit.Ready, Now.Add(time.Minute), 10), []string{"c", "b", "a", "d"}},
		{"under way", due(credit.Under, Now, 10), []string{"e"}},
		{"another state", due(credit.Rejected, Now, 10), nil},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	all[0].State, all[0].Has, all[0].HasOp, all[0].Receipt = credit.Accepted, 1, credit.Insert, "R1"
	if err := s.Save(t.Context(), all[:1]); err != nil {
		t.Fatal(err)
	}
	got, err := s.Transmissions(t.Context(), "jincheng")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, got, cmpopts.EquateEmpty(), times); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if got, err := s.Transmissions(t.Context(), "jincheng", "d", "a", "none"); err != nil || len(got) != 2 || got[0].Entry != "a" {
		t.Errorf("two of them: %+v, %v", got, err)
	}
}
