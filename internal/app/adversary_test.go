package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"voucherwatch/campaign"
	"voucherwatch/detectors"
	"voucherwatch/simulate"

	vw "voucherwatch"
)

// against simulates with gangs that hear from the engine, and reads both files.
func against(t *testing.T, o simulate.Options) (events, labels []byte) {
	t.Helper()
	dir := t.TempDir()
	e, l := filepath.Join(dir, "events.ndjson"), filepath.Join(dir, "labels.json")
	if _, err := SimulateAgainst(t.Context(), o, "", e, l); err != nil {
		t.Fatal(err)
	}
	for name, into := range map[string]*[]byte{e: &events, l: &labels} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		*into = data
	}
	return events, labels
}

func TestGangsHearWhatTheEngineBlocks(t *testing.T) {
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	o := simulate.Options{Campaign: c, Seed: 3, Scale: .3, Days: 25}
	events, labels := against(t, o)
	again, labels2 := against(t, o)
	if !bytes.Equal(events, again) || !bytes.Equal(labels, labels2) {
		t.Error("two runs of one seed differ")
	}
	var l struct {
		Cases []struct{ Moves []simulate.Move }
	}
	if err := json.Unmarshal(labels, &l); err != nil {
		t.Fatal(err)
	}
	paid, blocked := 0, 0
	for _, c := range l.Cases {
		for _, m := range c.Moves {
			paid += m.Paid
			blocked += m.Blocked
		}
	}
	if blocked < 10 || paid < 10 {
		t.Errorf("%d redemptions of gangs were blocked, %d paid: the engine and the gangs do not meet", blocked, paid)
	}
	// The open loop is another world from the day on which the first answer differs.
	dir := t.TempDir()
	o.Adversary = true
	if _, err := SimulateFiles(t.Context(), o, filepath.Join(dir, "e"), filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	if open, _ := os.ReadFile(filepath.Join(dir, "e")); bytes.Equal(open, events) {
		t.Error("the answers make no difference")
	}
}

func TestTheOfficeWithholdsByScoreFindingAndMerchant(t *testing.T) {
	c, p, err := plan("gaoping-2022-2", "")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{campaign: c, policy: p}
	f := newBlocker(t.Context(), r)
	f.excluded["m2"] = true
	line := func(id, merchant string, score int) []byte {
		return fmt.Appendf(nil, `{"redemption_id":%q,"merchant_id":%q,"score":%d}`+"\n", id, merchant, score)
	}
	out := &detectors.Outcome{Scores: [][]byte{append(line("low", "m1", p.Score.Review-1), line("review", "m1", p.Score.Review)...), line("excluded", "m2", 0)}}
	if err := r.scored(nil, out); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"low": false, "review": true, "excluded": true, "unknown": false} {
		if got := f.withholds(id); got != want {
			t.Errorf("%s: withheld %v", id, got)
		}
	}
	if err := f.scored(nil, &detectors.Outcome{Scores: [][]byte{[]byte("{")}}); vw.CodeOf(err) != vw.Internal {
		t.Errorf("scores that nobody can read: %v", err)
	}
}

func TestASimulationInLockstepFailsLikeTheOther(t *testing.T) {
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e, l := filepath.Join(dir, "e"), filepath.Join(dir, "l")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := SimulateAgainst(ctx, simulate.Options{Campaign: c, Scale: .05}, "", e, l); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	if _, err := SimulateAgainst(t.Context(), simulate.Options{Campaign: c, Scale: .05, NoFraud: true}, "", e, l); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("gangs without fraud: %v", err)
	}
	if _, err := SimulateAgainst(t.Context(), simulate.Options{Campaign: c, Scale: .05}, filepath.Join(dir, "none.yaml"), e, l); err == nil {
		t.Error("a policy that is not there went unnoticed")
	}
}
