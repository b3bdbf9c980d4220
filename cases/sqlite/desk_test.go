package sqlite_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	vw "voucherwatch"
	"voucherwatch/cases"
)

const (
	now   = "2022-09-21T10:00:00+08:00"
	child = "CASES_SQLITE_TEST_FILE" // set: this process is the one to be killed
)

func desk(t testing.TB, s cases.Store) *cases.Desk {
	t.Helper()
	d, err := cases.NewDesk(cases.Options{Store: s, Campaign: "gaoping-2022-2", OpenAt: 600})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// numbered is the i-th of a run of findings about seven merchants.
func numbered(i int) vw.Finding {
	m := fmt.Sprint("m", i%7)
	return vw.Finding{FindingID: fmt.Sprint("f", i), Typology: "T01", Subject: vw.Subject{Kind: "merchant", ID: m}, MerchantIDs: []string{m},
		LastAt: now, Score: 500 + i%300, Severity: "high", RedemptionIDs: []string{fmt.Sprint("r", i)}, SubsidyFen: vw.Fen(i), Revision: 1}
}

// TestChildIsKilled is the process that TestWhatWasAcknowledgedSurvivesAKill starts: it applies findings
// and says so, one line each, until it is killed.
func TestChildIsKilled(t *testing.T) {
	path := os.Getenv(child)
	if path == "" {
		return // only the child has work to do
	}
	d := desk(t, open(t, path))
	for i := 0; ; i++ {
		if _, err := d.Apply(t.Context(), []vw.Finding{numbered(i)}, now); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("applied %d\n", i)
	}
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	for _, n := range []int{1, 40, 155} {
		path := filepath.Join(t.TempDir(), "cases.db")
		cmd := exec.Command(os.Args[0], "-test.run=^TestChildIsKilled$")
		cmd.Env = append(os.Environ(), child+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := -1
		lines := bufio.NewScanner(out)
		for lines.Scan() { // what was said before the kill is read to the end
			if _, err := fmt.Sscanf(lines.Text(), "applied %d", &last); err != nil {
				t.Errorf("child: %s", lines.Text())
			}
			if last == n {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || last < n {
			t.Fatalf("the child was to be killed: %v after %d", err, last)
		}
		s := open(t, path)
		var ids []string
		var fs []vw.Finding
		for i := range last + 1 {
			ids, fs = append(ids, numbered(i).FindingID), append(fs, numbered(i))
		}
		got, err := s.Findings(t.Context(), ids...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fs, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("findings (-acknowledged +stored):\n%s", diff)
		}
		// The one Apply that was cut off may have been written or not: applying it on both sides levels that.
		fs = append(fs, numbered(last+1))
		if _, err := desk(t, s).Apply(t.Context(), fs[last+1:], now); err != nil {
			t.Fatal(err)
		}
		memory := cases.NewMemory()
		d := desk(t, memory)
		for _, f := range fs {
			if _, err := d.Apply(t.Context(), []vw.Finding{f}, now); err != nil {
				t.Fatal(err)
			}
		}
		want, err1 := memory.List(t.Context(), cases.Filter{})
		have, err2 := s.List(t.Context(), cases.Filter{})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if diff := cmp.Diff(want, have, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("after %d: cases (-never killed +killed):\n%s", last, diff)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "cases.db"))
	defer s.Close()
	d := desk(b, s)
	in := make([]vw.Finding, 64)
	for i := range in {
		in[i] = numbered(i)
	}
	n := 0
	for b.Loop() { // every round is a new revision of every finding
		n++
		for i := range in {
			in[i].Revision, in[i].Score = n, 600+n%100
		}
		if _, err := d.Apply(b.Context(), in, now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*len(in))/b.Elapsed().Seconds(), "findings/s")
}
