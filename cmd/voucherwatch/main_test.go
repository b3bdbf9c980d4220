package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"voucherwatch/internal/app"
)

func TestFlagsStandAnywhere(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  []string
		rest  []string
		out   string
		wrong bool
	}{
		{"before the arguments", []string{"--out", "x", "a", "b"}, []string{"a", "b"}, "x", false},
		{"between and behind them", []string{"a", "-out=x", "b", "--quick"}, []string{"a", "b"}, "x", false},
		{"standard input is an argument", []string{"-", "--out", "x"}, []string{"-"}, "x", false},
		{"what follows -- is arguments", []string{"--out", "x", "--", "--odd", "--names", "-"}, []string{"--odd", "--names", "-"}, "x", false},
		{"-- behind an argument", []string{"a", "--", "--out", "x"}, []string{"a", "--out", "x"}, "", false},
		{"an unknown one is wrong behind an argument too", []string{"a", "--odd"}, nil, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := flag.NewFlagSet("", flag.ContinueOnError)
			f.SetOutput(io.Discard)
			out := f.String("out", "", "")
			f.Bool("quick", false, "")
			rest, err := parse(f, tt.args)
			if (err != nil) != tt.wrong {
				t.Fatalf("error is %v", err)
			}
			if diff := cmp.Diff(tt.rest, rest); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			if *out != tt.out {
				t.Errorf("--out is %q, want %q", *out, tt.out)
			}
		})
	}
}

// waiting is a terminal at which nobody types: it tells when it is read, and never gives anything.
type waiting chan struct{}

func (w waiting) Read([]byte) (int, error) {
	close(w)
	select {}
}

func TestAReplayThatWaitsForStandardInputCanBeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in := make(waiting)
	go func() {
		<-in
		cancel()
	}()
	var stderr bytes.Buffer
	dir := filepath.Join(t.TempDir(), "results")
	if code := run(ctx, []string{"replay", "--out", dir, "-"}, streams{in, io.Discard, &stderr}); code != exitFail {
		t.Errorf("exit code %d, want %d", code, exitFail)
	}
	if !strings.Contains(stderr.String(), "interrupted before it was done\n  → run it again") {
		t.Errorf("said %q", &stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

// spoken gives every write to whoever listens.
type spoken chan string

func (s spoken) Write(p []byte) (int, error) {
	s <- string(p)
	return len(p), nil
}

func TestServeTakesTheTokensOfAFileAndStopsWhenAsked(t *testing.T) {
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte("\n0123456789abcdef\r\n\n   fedcba9876543210  \n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	log, ended := make(spoken, 100), make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--dir", filepath.Join(dir, "served"), "--token-file", tokens, "--listen", "127.0.0.1:0"}, streams{nil, io.Discard, log})
	}()
	address := ""
	for address == "" {
		select {
		case line := <-log:
			if m := regexp.MustCompile(`"msg":"listening","address":"([^"]+)"`).FindStringSubmatch(line); m != nil {
				address = m[1]
			}
		case code := <-ended:
			t.Fatalf("ended with %d", code)
		}
	}
	for token, want := range map[string]int{"0123456789abcdef": 202, "fedcba9876543210": 202, "": 401} {
		req, err := http.NewRequest(http.MethodPost, "http://"+address+"/v1/events", strings.NewReader("{}\n"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("token %q: status %d, want %d", token, res.StatusCode, want)
		}
	}
	cancel()
	select {
	case code := <-ended:
		if code != exitOK {
			t.Errorf("exit code %d, want 0", code)
		}
	case <-time.After(10 * time.Second):
		t.Error("it did not stop within 10 s")
	}
}

func TestProgress(t *testing.T) {
	morning := time.Date(2022, 9, 20, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{"a terminal has one line that is wiped in the end", true,
			"\r\x1b[K09-20 12:00          4 events         3 redemptions     1 findings    0 cases" +
				"\r\x1b[K09-20 14:00          6 events         5 redemptions     1 findings    0 cases" +
				"\r\x1b[K09-21 10:00          8 events         7 redemptions     1 findings    0 cases\r\x1b[K"},
		{"a pipe has a line per second and day", false, "2022-09-20  6 events, 5 redemptions, 1 findings, 0 cases\n2022-09-21  8 events, 7 redemptions, 1 findings, 0 cases\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(0, 0)
			var out bytes.Buffer
			report, done := bar(&out, tt.terminal, func() time.Time { return now })
			at := func(after time.Duration, clock time.Time, n int64) {
				now = now.Add(after)
				report(app.Progress{Events: n + 1, Redemptions: n, Findings: 1, Clock: clock})
			}
			at(2*time.Second, time.Unix(0, 0), 1) // only a registry so far: the clock has not begun
			now = time.Unix(0, 0)
			at(50*time.Millisecond, morning.Add(time.Hour), 2)
			at(60*time.Millisecond, morning.Add(2*time.Hour), 3)
			at(50*time.Millisecond, morning.Add(3*time.Hour), 4)
			at(time.Second, morning.Add(4*time.Hour), 5)
			at(time.Millisecond, morning.Add(5*time.Hour), 6)
			at(time.Second, morning.Add(24*time.Hour), 7)
			done()
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}
