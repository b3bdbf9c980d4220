package evaluate_test

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"voucherwatch/evaluate"
	"voucherwatch/internal/app"
	"voucherwatch/simulate"
)

var update = flag.Bool("update", false, "write testdata/quality.golden anew")

// TestQuality keeps what the product finds, misses and gets wrong on six small worlds in a file, so that a
// change of detection shows in a diff. make evaluate renews it.
func TestQuality(t *testing.T) {
	const golden = "testdata/quality.golden"
	now := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	worlds, err := app.SimulateWorlds(t.Context(), app.SeedOptions{
		Campaign: "gaoping-2022-2", Seeds: []uint64{1, 2, 3, 4, 5, 6}, World: simulate.Options{Scale: .3}, Dir: t.TempDir(), Slots: 2, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	result, err := app.Evaluate(t.Context(), app.EvaluateOptions{Worlds: worlds, Settle: 24 * time.Hour, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := evaluate.WriteText(&text, result); err != nil {
		t.Fatal(err)
	}
	// The first line names the policy's version, which is no quality.
	_, got, _ := bytes.Cut(text.Bytes(), []byte("\n"))
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the quality of detection changed; if it is meant, renew %s with make evaluate (-want +got):\n%s", golden, diff)
	}
}
