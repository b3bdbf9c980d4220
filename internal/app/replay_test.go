package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"voucherwatch/campaign"
	"voucherwatch/simulate"

	vw "voucherwatch"
)

// world writes a small labelled campaign and gives the path of its events.
func world(t *testing.T, seed uint64, days int) string {
	t.Helper()
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	events := filepath.Join(dir, "events.ndjson")
	if _, err := SimulateFiles(t.Context(), simulate.Options{Campaign: c, Seed: seed, Scale: .05, Days: days}, events, filepath.Join(dir, "labels.json")); err != nil {
		t.Fatal(err)
	}
	return events
}

// today is the present of all tests.
func today() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func replayOptions(out string, events ...string) ReplayOptions {
	return ReplayOptions{Campaign: "gaoping-2022-2", Events: events, Out: out, Slots: 2, Now: today}
}

// resultNames are the files that the contract promises.
func resultNames() []string {
	return []string{"cases.ndjson", "dead_letters.ndjson", "findings.ndjson", "scores.ndjson", "summary.json"}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range names(t, dir) {
		all[name] = read(t, filepath.Join(dir, name))
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestReplayGivesTheSameBytesForAnyNumberOfSlots(t *testing.T) {
	events, out := world(t, 3, 12), t.TempDir()
	var want map[string]string
	for _, slots := range []int{1, 2, 3, 8} {
		o := replayOptions(out, events)
		o.Slots = slots
		s, err := Replay(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if s.Redemptions == 0 || s.Findings == 0 || s.Cases == 0 || len(s.DeadLetters) == 0 {
			t.Fatalf("the world has nothing in it: %+v", s)
		}
		got := contents(t, out)
		if diff := cmp.Diff(resultNames(), names(t, out)); diff != "" {
			t.Fatalf("files (-want +got):\n%s", diff)
		}
		// How much memory was held is measured, like the time that it took, and differs.
		s.State = nil
		summary, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got["summary.json"] = string(summary)
		if want == nil {
			want = got
		}
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%d slots: %s differs from that of 1", slots, name)
			}
		}
	}
}

func TestEveryRedemptionIsScoredOnce(t *testing.T) {
	out := t.TempDir()
	s, err := Replay(t.Context(), replayOptions(out, world(t, 4, 12)))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(read(t, filepath.Join(out, "scores.ndjson"))) {
		id, _, _ := strings.Cut(strings.TrimPrefix(line, `{"redemption_id":"`), `"`)
		seen[id]++
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was scored %d times", id, n)
		}
	}
	if int64(len(seen)) != s.Redemptions || s.Duplicates == 0 {
		t.Errorf("%d redemptions have a score, the summary says %d; %d duplicates", len(seen), s.Redemptions, s.Duplicates)
	}
	if n := s.Bands[vw.Low] + s.Bands[vw.Review] + s.Bands[vw.High]; n != s.Redemptions {
		t.Errorf("the bands hold %d of %d", n, s.Redemptions)
	}
}

func TestAReplayThatFailsLeavesTheLastResults(t *testing.T) {
	out := t.TempDir()
	if _, err := Replay(t.Context(), replayOptions(out, world(t, 3, 3))); err != nil {
		t.Fatal(err)
	}
	want := contents(t, out)
	more := world(t, 5, 12)
	for _, tt := range []struct {
		name string
		stop func(ctx context.Context, o *ReplayOptions) context.Context
		want error
	}{
		{"interrupted between two batches", func(ctx context.Context, o *ReplayOptions) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			o.Progress = func(p Progress) {
				if p.Redemptions > 0 {
					cancel()
				}
			}
			return ctx
		}, context.Canceled},
		{"interrupted before it began", func(ctx context.Context, _ *ReplayOptions) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx
		}, context.Canceled},
		{"a file that is not there", func(ctx context.Context, o *ReplayOptions) context.Context {
			o.Events = append(o.Events, "nowhere.ndjson")
			return ctx
		}, os.ErrNotExist},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := replayOptions(out, more)
			ctx := tt.stop(t.Context(), &o)
			if _, err := Replay(ctx, o); !errors.Is(err, tt.want) {
				t.Fatalf("error is %v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(want, contents(t, out)); diff != "" {
				t.Errorf("results changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTwoReplaysIntoOneDirectoryDoNotMix(t *testing.T) {
	out, first, second := t.TempDir(), world(t, 3, 4), world(t, 5, 6)
	alone := t.TempDir()
	if _, err := Replay(t.Context(), replayOptions(alone, second)); err != nil {
		t.Fatal(err)
	}
	o, began := replayOptions(out, first), false
	o.Progress = func(Progress) {
		if !began {
			began = true
			if _, err := Replay(t.Context(), replayOptions(out, second)); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := Replay(t.Context(), o)
	if vw.CodeOf(err) != vw.Conflict {
		t.Errorf("error is %v, want a conflict", err)
	}
	for _, name := range []string{"scores.ndjson", "dead_letters.ndjson"} {
		if read(t, filepath.Join(out, name)) != strings.ReplaceAll(read(t, filepath.Join(alone, name)), alone, out) {
			t.Errorf("%s is not that of the replay that came through", name)
		}
	}
}

// TestAFullDisk needs a disk of its own, which only root can make; without, /dev/full stands in.
func TestAFullDisk(t *testing.T) {
	events := world(t, 5, 12)
	t.Run("while scores are written", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "small")
		if err := os.Mkdir(out, 0o755); err != nil {
			t.Fatal(err)
		}
		unmount, err := mountSmall(out)
		if err != nil {
			t.Skipf("no small disk can be made here: %v", err)
		}
		t.Cleanup(unmount)
		if _, err := Replay(t.Context(), replayOptions(out, world(t, 3, 3))); err != nil {
			t.Fatal(err)
		}
		want := contents(t, out)
		_, err = Replay(t.Context(), replayOptions(out, events))
		full(t, err)
		if diff := cmp.Diff(want, contents(t, out)); diff != "" {
			t.Errorf("results changed (-want +got):\n%s", diff)
		}
	})
	t.Run("the disk that is always full", func(t *testing.T) {
		if _, err := os.Stat("/dev/full"); err != nil {
			t.Skip("there is no /dev/full here")
		}
		for _, name := range resultNames() {
			out := t.TempDir()
			if err := os.Symlink("/dev/full", filepath.Join(out, name)); err != nil {
				t.Fatal(err)
			}
			_, err := Replay(t.Context(), replayOptions(out, events))
			full(t, err)
			if got := names(t, out); !slices.Equal(got, []string{name}) {
				t.Errorf("full at %s: left behind %v", name, got)
			}
		}
	})
}

// full checks that the error says what happened and what to do.
func full(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*vw.Error](err)
	if !ok || !errors.Is(err, syscall.ENOSPC) || e.Code != vw.Unavailable || !strings.Contains(e.Hint, "make room on the disk") {
		t.Errorf("error is %v, want one that says to make room", err)
	}
}

func TestSimulateLeavesTheLastFilesWhenItCannot(t *testing.T) {
	events := world(t, 3, 3)
	labels := filepath.Join(filepath.Dir(events), "labels.json")
	want := contents(t, filepath.Dir(events))
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := SimulateFiles(ctx, simulate.Options{Campaign: c, Scale: .05}, events, labels); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := SimulateFiles(t.Context(), simulate.Options{Campaign: c, Scale: 5000}, events, labels); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("wrong options: %v", err)
	}
	if diff := cmp.Diff(want, contents(t, filepath.Dir(events))); diff != "" {
		t.Errorf("files changed (-want +got):\n%s", diff)
	}
}

func TestTheDemoPlaysACampaignThatIsStillToCome(t *testing.T) {
	var said bytes.Buffer
	o := DemoOptions{Campaign: "gaoping-2022-2", Seed: 7, Scale: .05, Dir: t.TempDir(), Say: &said,
		Now: func() time.Time { return time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC) }}
	if err := Demo(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var n int
	if _, account, ok := strings.Cut(said.String(), "caught and missed ("); !ok {
		t.Fatalf("no account:\n%s", &said)
	} else if _, err := fmt.Sscanf(account, "%d redemptions", &n); err != nil || n < 1000 {
		t.Errorf("the demo scored %d redemptions, %v", n, err)
	}
}
