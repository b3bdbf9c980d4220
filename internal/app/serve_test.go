package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"voucherwatch/cases"
	"voucherwatch/cases/sqlite"
	"voucherwatch/stream/ingest"

	vw "voucherwatch"
)

const (
	token = "a token of sixteen or more"
	// childDir in the environment makes the test binary a server on that directory, to be killed.
	childDir = "VOUCHERWATCH_TEST_SERVE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		o := serveOptions(dir)
		o.Listening = func(a net.Addr) { fmt.Println(a) }
		fmt.Println(Serve(context.Background(), o))
		os.Exit(1)
	}
	os.Exit(around(m))
}

// around is what else the tests need: those with a broker start it here.
var around = (*testing.M).Run

func serveOptions(dir string) ServeOptions {
	return ServeOptions{Campaign: "gaoping-2022-2", Listen: "127.0.0.1:0", Dir: dir, Tokens: []string{token}, Slots: 2, Logger: slog.New(slog.DiscardHandler), Now: today, saveEvery: 200 << 10}
}

// await asks again and again until the answer is yes, and gives up after half a minute.
func await(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !yes() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// serving is a server in this process.
type serving struct {
	url  string
	stop func() error
}

func start(t *testing.T, o ServeOptions) serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	address, ended := make(chan net.Addr, 1), make(chan error, 1)
	o.Listening = func(a net.Addr) { address <- a }
	go func() { ended <- Serve(ctx, o) }()
	t.Cleanup(cancel)
	select {
	case a := <-address:
		return serving{"http://" + a.String(), func() error {
			cancel()
			select {
			case err := <-ended:
				return err
			case <-time.After(10 * time.Second):
				return fmt.Errorf("the server did not stop within 10 s")
			}
		}}
	case err := <-ended:
		t.Fatalf("the server did not start: %v", err)
		return serving{}
	}
}

// post sends a batch and gives the status, 0 when there was no answer.
func post(url, token string, batch []byte) int {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/events", bytes.NewReader(batch))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-ndjson")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func get(url string) (status int, body string) {
	res, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

func ready(url string) func() bool {
	return func() bool { status, _ := get(url + "/readyz"); return status == http.StatusOK }
}

// metric waits until /metrics says a value.
func metric(t *testing.T, url, line string) {
	t.Helper()
	var last string
	await(t, line, func() bool {
		_, last = get(url + "/metrics")
		return strings.Contains(last, "\n"+line+"\n")
	})
}

// batches cuts a file of events into pieces of some lines, and puts a day of claims behind it: their
// hours close those of the redemptions, as the end of a file does.
func batches(t *testing.T, events string, lines int) (cut [][]byte, whole string) {
	t.Helper()
	text := read(t, events)
	for i := range 40 {
		text += fmt.Sprintf(`{"type":"claim","id":"last%d","at":"2022-11-28T%02d:00:00+08:00","voucher_id":"last%d","voucher_type":"retail-50-10","customer_id":"last%d"}`+"\n", i, i/2, i, i)
	}
	whole = filepath.Join(t.TempDir(), "whole.ndjson")
	if err := os.WriteFile(whole, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	all := slices.Collect(strings.Lines(text))
	for c := range slices.Chunk(all, lines) {
		cut = append(cut, []byte(strings.Join(c, "")))
	}
	return cut, whole
}

// sameAsReplay compares a stopped server's results with those of a replay of the same events. When
// a case was opened and by which revisions it went depends on how the events were cut into batches.
func sameAsReplay(t *testing.T, dir, whole string) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(dir, "cases.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	sameIn(t, store, dir, whole)
}

// sameIn is sameAsReplay for cases that are kept elsewhere.
func sameIn(t *testing.T, store cases.Store, dir, whole string) {
	t.Helper()
	out := t.TempDir()
	if _, err := Replay(t.Context(), replayOptions(out, whole)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read(t, filepath.Join(out, "scores.ndjson")), read(t, filepath.Join(dir, "scores.ndjson"))); diff != "" {
		t.Errorf("scores (-replay +serve):\n%.4000s", diff)
	}
	var wantFindings []vw.Finding
	var wantCases []vw.Case
	lines(t, filepath.Join(out, "findings.ndjson"), &wantFindings)
	lines(t, filepath.Join(out, "cases.ndjson"), &wantCases)
	page, err := store.List(t.Context(), cases.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(wantFindings) == 0 || len(wantCases) == 0 {
		t.Fatal("there is nothing to compare")
	}
	for i := range wantFindings {
		got, err := store.Findings(t.Context(), wantFindings[i].FindingID)
		if err != nil {
			t.Errorf("finding %s: %v", wantFindings[i].FindingID, err)
			continue
		}
		want := wantFindings[i]
		want.Revision, got[0].Revision = 0, 0
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Errorf("finding (-replay +serve):\n%s", diff)
		}
	}
	byID := func(a, b vw.Case) int { return strings.Compare(a.CaseID, b.CaseID) }
	slices.SortFunc(page.Cases, byID)
	for _, list := range [][]vw.Case{wantCases, page.Cases} {
		for i := range list {
			c := &list[i]
			c.OpenedAt, c.UpdatedAt, c.DueAt, c.Timeline, c.Revision = "", "", "", nil, 0
		}
	}
	if diff := cmp.Diff(wantCases, page.Cases); diff != "" {
		t.Errorf("cases (-replay +serve):\n%.6000s", diff)
	}
}

func lines[T any](t *testing.T, name string, into *[]T) {
	t.Helper()
	for line := range strings.Lines(read(t, name)) {
		var x T
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err)
		}
		*into = append(*into, x)
	}
}

func TestServeTakesEventsAndScoresThem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	cut, whole := batches(t, world(t, 3, 12), 700)
	s := start(t, serveOptions(dir))
	await(t, "a server without events is ready", ready(s.url))
	if status, body := get(s.url + "/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("healthz answers %d %q", status, body)
	}
	for wrong, want := range map[string]int{"": 401, "another token of 16 or more": 401} {
		if got := post(s.url, wrong, cut[0]); got != want {
			t.Errorf("token %q: status %d, want %d", wrong, got, want)
		}
	}
	for _, b := range cut {
		if got := post(s.url, token, b); got != http.StatusAccepted {
			t.Fatalf("status %d", got)
		}
	}
	metric(t, s.url, `vw_engine_events{type="merchant"} 29`)
	metric(t, s.url, `vw_ingest_backlog_bytes 0`)
	_, text := get(s.url + "/metrics")
	for _, want := range []string{"vw_engine_redemptions ", `vw_engine_scores{band="high"} `, "vw_engine_findings ", "vw_cases_opened ", `vw_stream_dead_letters{code="bad_json"} `, `vw_engine_state_keys{detector="seen"} `, `vw_ingest_rejected_total{reason="wrong_token"} 1`} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("metrics have no %q", want)
		}
	}
	serving := read(t, filepath.Join(dir, "scores.ndjson"))
	if err := s.stop(); err != nil {
		t.Fatalf("stopped with %v", err)
	}
	if stopped := read(t, filepath.Join(dir, "scores.ndjson")); serving != stopped {
		t.Errorf("while it served %d of %d bytes of scores were in the file", len(serving), len(stopped))
	}
	sameAsReplay(t, dir, whole)

	// What came back after a restart is the same, counted once.
	var scored, opened string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "vw_engine_redemptions ") {
			scored = strings.TrimSpace(line)
		}
		if strings.HasPrefix(line, "vw_cases_opened ") {
			opened = strings.TrimSpace(line)
		}
	}
	s = start(t, serveOptions(dir))
	await(t, "ready after a restart", ready(s.url))
	metric(t, s.url, scored)
	metric(t, s.url, opened)
	if err := s.stop(); err != nil {
		t.Fatalf("stopped with %v", err)
	}
	sameAsReplay(t, dir, whole)
}

// A start goes on from the state that was saved, if it is of use; if not, it reads the whole log again. The
// results are the same, and those of a replay.
func TestAStartGoesOnFromTheSavedState(t *testing.T) {
	dir := t.TempDir()
	cut, whole := batches(t, world(t, 3, 12), 700)
	begin := func() (serving, *atomic.Int64) {
		o := serveOptions(dir)
		n := new(atomic.Int64)
		o.consuming = func() { n.Add(1) }
		s := start(t, o)
		await(t, "ready", ready(s.url))
		return s, n
	}
	stop := func(s serving) {
		t.Helper()
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := begin()
	for _, b := range cut[:len(cut)/2] {
		if got := post(s.url, token, b); got != http.StatusAccepted {
			t.Fatalf("status %d", got)
		}
	}
	metric(t, s.url, `vw_ingest_backlog_bytes 0`)
	stop(s)
	state := read(t, stateFile(dir))
	s, n := begin()
	if n.Load() != 0 {
		t.Errorf("%d batches were read again, want none", n.Load())
	}
	for _, b := range cut[len(cut)/2:] {
		if got := post(s.url, token, b); got != http.StatusAccepted {
			t.Fatalf("status %d", got)
		}
	}
	metric(t, s.url, `vw_ingest_backlog_bytes 0`)
	stop(s)
	sameAsReplay(t, dir, whole)

	last := read(t, stateFile(dir))
	for _, tt := range []struct {
		name  string
		spoil func() error
		again int // batches
	}{
		{"an older state", func() error { return os.WriteFile(stateFile(dir), []byte(state), 0o644) }, len(cut) - len(cut)/2},
		{"no state", func() error { return os.Remove(stateFile(dir)) }, len(cut)},
		{"a torn state", func() error { return os.Truncate(stateFile(dir), int64(len(last)/2)) }, len(cut)},
		{"a flipped byte", func() error {
			b := []byte(last)
			b[len(b)/2] ^= 1
			return os.WriteFile(stateFile(dir), b, 0o644)
		}, len(cut)},
		{"lost results", func() error { return os.Truncate(filepath.Join(dir, "scores.ndjson"), 100) }, len(cut)},
		{"lost cases", func() error { return os.Remove(filepath.Join(dir, "cases.db")) }, len(cut)},
	} {
		if err := tt.spoil(); err != nil {
			t.Fatal(err)
		}
		s, n := begin()
		if int(n.Load()) != tt.again {
			t.Errorf("%s: %d batches were read again, want %d", tt.name, n.Load(), tt.again)
		}
		stop(s)
		sameAsReplay(t, dir, whole)
	}
}

func TestTwoServersDoNotShareADirectory(t *testing.T) {
	dir := t.TempDir()
	s := start(t, serveOptions(dir))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // it must not begin to serve
	defer cancel()
	if err := Serve(ctx, serveOptions(dir)); vw.CodeOf(err) != vw.Conflict || !strings.Contains(err.Error(), "stop the other process") {
		t.Errorf("error is %v, want a conflict that says what to do", err)
	}
	await(t, "the first is not disturbed", ready(s.url))
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestAKilledServerLosesNothingAndCountsNothingTwice(t *testing.T) {
	dir := t.TempDir()
	cut, whole := batches(t, world(t, 3, 12), 100)
	next := 0
	for _, kill := range []int{len(cut) / 5, len(cut) / 2, len(cut) - 1} {
		c := child(t, dir)
		for status := http.StatusAccepted; status != 0; {
			if next == kill { // while this batch is on its way and those before are being scored
				go func() { _ = c.cmd.Process.Kill() }()
			}
			// Without an answer the same batch goes again, to the next server.
			switch status = post(c.url, token, cut[next]); {
			case status == http.StatusAccepted && next < len(cut)-1:
				next++
			case status != http.StatusAccepted && status != 0:
				t.Fatalf("status %d", status)
			}
		}
		_ = c.cmd.Wait()
	}
	s := start(t, serveOptions(dir))
	for ; next < len(cut); next++ {
		if status := post(s.url, token, cut[next]); status != http.StatusAccepted {
			t.Fatalf("status %d", status)
		}
	}
	await(t, "ready after the last kill", ready(s.url))
	metric(t, s.url, "vw_ingest_backlog_bytes 0")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	sameAsReplay(t, dir, whole)
}

func TestAServerThatCannotFollowSaysSoAndRecovers(t *testing.T) {
	o := serveOptions(t.TempDir())
	release := make(chan struct{})
	o.maxBacklog, o.consuming = 9<<20, func() { <-release }
	s := start(t, o)
	batch := []byte("x" + strings.Repeat(" ", 3<<20) + "\n")
	for i := range 2 {
		if got := post(s.url, token, batch); got != http.StatusAccepted {
			t.Fatalf("batch %d: status %d", i, got)
		}
	}
	if got := post(s.url, token, bytes.Repeat(batch, 2)); got != http.StatusTooManyRequests {
		t.Errorf("status %d, want 429", got)
	}
	close(release)
	await(t, "it takes events again", func() bool { return post(s.url, token, batch) == http.StatusAccepted })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

type process struct {
	cmd *exec.Cmd
	url string
}

// child is a server in a process of its own.
func child(t *testing.T, dir string) process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil || !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatalf("the server said %q, %v", address, err)
	}
	return process{cmd, "http://" + address}
}

func TestServeRefusesALogThatLostItsBeginning(t *testing.T) {
	dir := t.TempDir()
	l, err := ingest.OpenLog(ingest.Options{Dir: filepath.Join(dir, "log"), SegmentBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := l.Append(fmt.Appendf(nil, "%d%s\n", i, strings.Repeat(" ", 3000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Commit(l.End()); err != nil { // without RetainBytes it drops what was consumed
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // it must not begin to serve
	defer cancel()
	err = Serve(ctx, serveOptions(dir))
	if vw.CodeOf(err) != vw.Internal || !strings.Contains(err.Error(), "restore the oldest files of the log") {
		t.Errorf("error is %v, want one that says to restore the log", err)
	}
}

func TestSalvageGivesBackWhatWasConsumedToo(t *testing.T) {
	dir := t.TempDir()
	l, err := ingest.OpenLog(ingest.Options{Dir: filepath.Join(dir, "log"), RetainBytes: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"one\n", "two\n", "three\n"} {
		if _, err := l.Append([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Commit(l.End()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(dir, "log", "000000000001.segment")
	data := []byte(read(t, segment))
	data[bytes.Index(data, []byte("two"))]++
	if err := os.WriteFile(segment, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{dir, filepath.Join(dir, "log")} {
		var out bytes.Buffer
		damage, err := Salvage(of, &out)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != "one\nthree\n" {
			t.Errorf("salvaged %q", &out)
		}
		if len(damage) != 1 || damage[0].File != segment {
			t.Errorf("damage is %v, want one in %s", damage, segment)
		}
	}
	if _, err := Salvage(t.TempDir(), io.Discard); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("an empty folder: %v", err)
	}
}
