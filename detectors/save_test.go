package detectors_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
	"voucherwatch/detectors"
	"voucherwatch/simulate"
)

// An engine that goes on from saved state gives what the one that saved would have given, wherever the
// stream is cut, and saving changes nothing.
func TestAnEngineGoesOnFromSavedState(t *testing.T) {
	c := gaoping(t)
	all := worldOf(t, simulate.Options{Campaign: c, Seed: 12, Scale: .1})
	settings := everyDetector()
	for _, slots := range []int{1, 3} {
		want := runAll(t, c, all, settings, slots, 100)
		for _, cut := range cuts(t, all, settings, slots) {
			first := newEngine(t, c, settings, slots)
			got := &ran{}
			got.reset()
			head, tail := all, all
			head.Events, tail.Events = all.Events[:cut], all.Events[cut:]
			got.feedAhead(first, head, tail.Events, 100)
			var saved, again bytes.Buffer
			if err := first.Save(&saved); err != nil {
				t.Fatal(err)
			}
			second := newEngine(t, c, settings, slots)
			if err := second.Load(bytes.NewReader(saved.Bytes())); err != nil {
				t.Fatal(err)
			}
			if err := second.Save(&again); err != nil {
				t.Fatal(err)
			}
			got.feed(second, tail, 100)
			var out detectors.Outcome
			second.Finish(&out)
			got.take(&out)
			got.stats = second.Stats()
			if !bytes.Equal(got.scores, want.scores) {
				t.Errorf("%d slots, cut at %d of %d: other scores", slots, cut, len(all.Events))
			}
			if diff := cmp.Diff(want.findings, got.findings); diff != "" {
				t.Errorf("%d slots, cut at %d: other findings (-want +got):\n%s", slots, cut, diff)
			}
			if got.stats != want.stats {
				t.Errorf("counts %+v, want %+v", got.stats, want.stats)
			}
			first.Close()
			second.Close()
		}
	}
}

// cuts are places in the stream, in steps of 100 events: some evenly, others between a change of a finding
// and the hour in which it is given out.
func cuts(t *testing.T, all vw.Batch, s detectors.Settings, slots int) (at []int) {
	e := newEngine(t, gaoping(t), s, slots)
	defer e.Close()
	var out detectors.Outcome
	revised := 0
	for start := 0; start < len(all.Events); start += 100 {
		b := all
		b.Events = all.Events[start:min(start+100, len(all.Events))]
		e.Process(&b, all.Events[start+len(b.Events):], &out)
		if start > 0 && revised < 12 && slices.ContainsFunc(out.Findings, func(f vw.Finding) bool { return f.Revision > 2 }) {
			revised++
			at = append(at, start)
		}
		if len(at) == 0 || start-at[len(at)-1] > len(all.Events)/6 {
			at = append(at, start)
		}
	}
	if revised == 0 {
		t.Fatal("no finding is ever revised")
	}
	return at
}

func TestStateThatIsNotThisEnginesIsRefused(t *testing.T) {
	c := gaoping(t)
	settings := everyDetector()
	all := worldOf(t, simulate.Options{Campaign: c, Seed: 12, Scale: .05})
	e := newEngine(t, c, settings, 2)
	defer e.Close()
	r := &ran{}
	r.reset()
	r.feed(e, all, 1000)
	var buf bytes.Buffer
	if err := e.Save(&buf); err != nil {
		t.Fatal(err)
	}
	saved := buf.Bytes()
	load := func(slots int, s detectors.Settings, b []byte) error {
		to := newEngine(t, c, s, slots)
		defer to.Close()
		return to.Load(bytes.NewReader(b))
	}
	if err := load(2, settings, saved); err != nil {
		t.Fatal(err)
	}
	other := everyDetector()
	other.Version = "changed"
	fewer := everyDetector()
	fewer.Detectors["ring"] = detectors.Setting{}
	flipped := bytes.Clone(saved)
	flipped[len(flipped)/2] ^= 1
	for _, tt := range []struct {
		name  string
		err   error
		wants string
	}{
		{"other slots", load(3, settings, saved), "the state has 2 slots, this engine 3"},
		{"other policy", load(2, other, saved), "the state was made under policy engine, this is changed"},
		{"other detectors", load(2, fewer, saved), "detectors"},
		{"a flipped bit", load(2, settings, flipped), "hash of a frame"},
		{"cut short", load(2, settings, saved[:len(saved)/3]), "cut short"},
		{"no end", load(2, settings, saved[:len(saved)-12]), "a frame is missing"},
		{"nothing", load(2, settings, nil), "a frame is missing"},
		{"something else", load(2, settings, []byte("these are not the bytes of an engine's state at all")), "corrupt"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.wants) {
			t.Errorf("%s: %v, want %q", tt.name, tt.err, tt.wants)
		}
	}
}
