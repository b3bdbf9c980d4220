package ingest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	vw "voucherwatch"
)

const (
	testToken = "0123456789abcdef-new"
	oldToken  = "0123456789abcdef-old"
)

func handler(t *testing.T, o HandlerOptions) *Handler {
	t.Helper()
	o.Tokens = []string{oldToken, testToken}
	h, err := NewHandler(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func post(h http.Handler, body io.Reader, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/events", body)
	r.Header.Set("Authorization", "Bearer "+testToken)
	for i := 0; i < len(header); i += 2 {
		if r.Header.Del(header[i]); header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func gzipped(s string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

func zstded(s string) string {
	z, _ := zstd.NewWriter(nil)
	return string(z.EncodeAll([]byte(s), nil))
}

func TestWhatIsAcceptedAndWhatIsNot(t *testing.T) {
	long := strings.Repeat("x", 1000) + "\n"
	for _, tt := range []struct {
		name   string
		body   string
		header []string
		status int
		reason string // of a refusal
		lines  int
		stored string
	}{
		{"one line", "{}\n", nil, 202, "", 1, "{}\n"},
		{"the last newline is added", "{}\n{}", nil, 202, "", 2, "{}\n{}\n"},
		{"blank lines are stored and not counted", "\n{}\r\n \n{}\n", nil, 202, "", 2, "\n{}\r\n \n{}\n"},
		{"NUL bytes are the decoder's affair", "\x00\xff\x00", nil, 202, "", 1, "\x00\xff\x00\n"},
		{"as NDJSON", "{}", []string{"Content-Type", "application/x-ndjson; charset=utf-8"}, 202, "", 1, "{}\n"},
		{"as JSON", "{}", []string{"Content-Type", "application/json"}, 202, "", 1, "{}\n"},
		{"as text", "{}", []string{"Content-Type", "text/plain"}, 202, "", 1, "{}\n"},
		{"as a form", "{}", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "media_type", 0, ""},
		{"with a content type that does not parse", "{}", []string{"Content-Type", ";"}, 415, "media_type", 0, ""},
		{"gzip", gzipped("{}\n{}"), []string{"Content-Encoding", "gzip"}, 202, "", 2, "{}\n{}\n"},
		{"zstd", zstded("{}\n{}"), []string{"Content-Encoding", "zstd"}, 202, "", 2, "{}\n{}\n"},
		{"brotli", "x", []string{"Content-Encoding", "br"}, 415, "encoding", 0, ""},
		{"gzip cut off", gzipped("{}\n{}")[:20], []string{"Content-Encoding", "gzip"}, 400, "truncated", 0, ""},
		{"zstd cut off", zstded(long[:500])[:12], []string{"Content-Encoding", "zstd"}, 400, "truncated", 0, ""},
		{"called gzip and is not", "{}{}{}{}{}{}{}\n", []string{"Content-Encoding", "gzip"}, 400, "malformed", 0, ""},
		{"called zstd and is not", "{}{}{}{}{}{}{}\n", []string{"Content-Encoding", "zstd"}, 400, "malformed", 0, ""},
		{"nothing", "", nil, 400, "empty", 0, ""},
		{"only blank lines", "\n \r\n", nil, 400, "empty", 0, ""},
		{"gzip of nothing", gzipped(""), []string{"Content-Encoding", "gzip"}, 400, "empty", 0, ""},
		{"exactly the limit", long[:999], nil, 202, "", 1, long[:999] + "\n"},
		{"one over the limit", long[:1000], nil, 413, "too_large", 0, ""},
		{"gzip within the limit that unpacks over it", gzipped(long), []string{"Content-Encoding", "gzip"}, 413, "too_large", 0, ""},
		{"zstd within the limit that unpacks over it", zstded(long), []string{"Content-Encoding", "zstd"}, 413, "too_large", 0, ""},
		{"no token", "{}", []string{"Authorization", ""}, 401, "no_token", 0, ""},
		{"another scheme", "{}", []string{"Authorization", "Basic " + testToken}, 401, "no_token", 0, ""},
		{"a wrong token", "{}", []string{"Authorization", "Bearer " + testToken + "x"}, 401, "wrong_token", 0, ""},
		{"the start of a token", "{}", []string{"Authorization", "Bearer " + testToken[:16]}, 401, "wrong_token", 0, ""},
		{"the token that is rotated out", "{}", []string{"Authorization", "bearer " + oldToken}, 202, "", 1, "{}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var logged strings.Builder
			l := open(t, Options{Dir: t.TempDir(), Sync: noSync, Logger: testLogger(&logged)})
			h := handler(t, HandlerOptions{Log: l, MaxBody: 999, Logger: testLogger(&logged)})
			for _, chunked := range []bool{false, true} { // a chunked body has no length to check first
				body := io.Reader(strings.NewReader(tt.body))
				if chunked {
					body = io.MultiReader(body)
				}
				from := l.End()
				w := post(h, body, tt.header...)
				check(t, w, tt.status, tt.reason)
				if w.Code == 202 {
					want := fmt.Sprintf(`{"accepted_lines":%d,"position":"%v"}`, tt.lines, from)
					if got := strings.TrimSpace(w.Body.String()); got != want {
						t.Errorf("answered %s, want %s", got, want)
					}
				}
				if got := strings.Join(readAll(t, l, from), ""); got != tt.stored {
					t.Errorf("stored %q, want %q", got, tt.stored)
				}
			}
			if logged.Len() > 0 {
				t.Errorf("logged %q", logged.String())
			}
		})
	}
}

// check compares a status and, for a refusal, the problem and the headers that belong to it.
func check(t *testing.T, w *httptest.ResponseRecorder, status int, reason string) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if status == 202 {
		return
	}
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("not a problem: %v, %v", err, w.Header())
	}
	if p.Type != "urn:voucherwatch:ingest:"+reason || p.Status != status || p.Title == "" || p.Detail == "" || p.Hint == "" {
		t.Errorf("problem %+v, want %s", p, reason)
	}
	for status, header := range map[int]string{401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After", 507: "Retry-After"} {
		if (w.Code == status) != (w.Header().Get(header) != "") && !(header == "Retry-After" && w.Code >= 429) {
			t.Errorf("status %d has %s %q", w.Code, header, w.Header().Get(header))
		}
	}
	if w.Code == 429 || w.Code >= 500 {
		if w.Header().Get("Retry-After") == "" {
			t.Errorf("status %d without Retry-After", w.Code)
		}
	}
}

func TestOnlyPostIsAllowed(t *testing.T) {
	h := handler(t, HandlerOptions{Log: open(t, Options{Dir: t.TempDir(), Sync: noSync})})
	for _, m := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(m, "/v1/events", strings.NewReader("{}")))
		check(t, w, 405, "method")
	}
}

func TestBackPressureEndsWithTheCommit(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), MaxBacklog: 1000, Sync: noSync})
	h := handler(t, HandlerOptions{Log: l, MaxBody: 600})
	body := strings.Repeat("x", 500)
	check(t, post(h, strings.NewReader(body)), 202, "")
	check(t, post(h, strings.NewReader(body)), 429, "backlog")                 // refused by its length
	check(t, post(h, io.MultiReader(strings.NewReader(body))), 429, "backlog") // refused by the log
	if err := l.Commit(l.End()); err != nil {
		t.Fatal(err)
	}
	check(t, post(h, strings.NewReader(body)), 202, "")
}

func TestRequestsBeyondThePlacesAreRefused(t *testing.T) {
	h := handler(t, HandlerOptions{Log: open(t, Options{Dir: t.TempDir(), Sync: noSync}), MaxConcurrent: 2})
	var wg sync.WaitGroup
	var pipes []*io.PipeWriter
	for range 2 {
		r, w := io.Pipe()
		pipes = append(pipes, w)
		wg.Go(func() { check(t, post(h, r), 202, "") })
		_, _ = w.Write([]byte("{}")) // returns when the handler has read it: it holds a place
	}
	check(t, post(h, strings.NewReader("{}")), 429, "busy")
	for _, w := range pipes {
		_ = w.Close()
	}
	wg.Wait()
	check(t, post(h, strings.NewReader("{}")), 202, "")
}

func TestASickDiskIsAnsweredWithAHintAndTheServiceRecovers(t *testing.T) {
	var s sick
	var logged strings.Builder
	l := open(t, s.options(t.TempDir()))
	h := handler(t, HandlerOptions{Log: l, Logger: testLogger(&logged)})
	check(t, post(h, strings.NewReader("a")), 202, "")
	s.full.Store(true)
	w := post(h, strings.NewReader("secret"))
	check(t, w, 507, "disk_full")
	if strings.Contains(w.Body.String(), "segment") {
		t.Errorf("the client learns of files: %s", w.Body)
	}
	s.full.Store(false)
	s.sync.Store(true)
	check(t, post(h, strings.NewReader("secret")), 503, "unavailable")
	s.sync.Store(false)
	check(t, post(h, strings.NewReader("b")), 202, "")
	if got := readAll(t, l, Position{}); !cmp.Equal(got, []string{"a\n", "b\n"}) {
		t.Errorf("stored %q", got)
	}
	if g := logged.String(); strings.Count(g, "batch not stored") != 2 || strings.Contains(g, "secret") || strings.Contains(g, testToken) {
		t.Errorf("logged %s", g)
	}
}

func TestABodyThatDoesNotArriveWholeIsNotStored(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		hangUp        bool
		status        int
	}{
		{"less than its length", "Content-Length: 100\r\n\r\n{}\n", true, 400},
		{"chunks without an end", "Transfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n", true, 400},
		{"a client that stalls", "Content-Length: 100\r\n\r\n{}\n", false, 408},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := open(t, Options{Dir: t.TempDir(), Sync: noSync})
			timeout := time.Minute
			if !tt.hangUp {
				timeout = time.Nanosecond
			}
			srv := httptest.NewServer(handler(t, HandlerOptions{Log: l, ReadTimeout: timeout}))
			defer srv.Close()
			c, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s", testToken, tt.request)
			if tt.hangUp {
				_ = c.(*net.TCPConn).CloseWrite()
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.status || l.End() != l.Committed() {
				t.Errorf("status %d, log ends at %v", resp.StatusCode, l.End())
			}
		})
	}
}

func TestTheAnswerWaitsForTheSync(t *testing.T) {
	var h *Handler
	answered := make(chan struct{})
	var early, on bool
	l := open(t, Options{Dir: t.TempDir(), Sync: func(*os.File) error {
		if on {
			select {
			case <-answered:
				early = true
			default:
			}
			return errors.New("not durable")
		}
		return nil
	}})
	h, on = handler(t, HandlerOptions{Log: l}), true
	w := post(h, strings.NewReader("{}"))
	close(answered)
	on = false
	if w.Code != 503 || early {
		t.Errorf("answered %d although the sync failed", w.Code)
	}
}

func TestMetricsInTextForm(t *testing.T) {
	reg := prometheus.NewRegistry()
	now := time.Unix(0, 0)
	l := open(t, Options{Dir: t.TempDir(), Sync: noSync, Metrics: reg, MaxBacklog: 200,
		Now: func() time.Time { now = now.Add(2 * time.Millisecond); return now }})
	h := handler(t, HandlerOptions{Log: l, Metrics: reg, MaxBody: 100})
	post(h, strings.NewReader(strings.Repeat("x", 99)))
	post(h, strings.NewReader("{}\n{}\n"))
	post(h, strings.NewReader(""))
	post(h, strings.NewReader(strings.Repeat("x", 99)))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	var got []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "vw_") && !strings.Contains(line, "_bucket") || strings.Contains(line, `le="0.0025"`) {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		"vw_ingest_backlog_bytes 146",
		"vw_ingest_batches_total 2",
		"vw_ingest_bytes_total 106",
		`vw_ingest_rejected_total{reason="backlog"} 1`,
		`vw_ingest_rejected_total{reason="empty"} 1`,
		`vw_ingest_sync_seconds_bucket{le="0.0025"} 2`,
		"vw_ingest_sync_seconds_sum 0.004",
		"vw_ingest_sync_seconds_count 2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestHandlerOptionsNameEveryFault(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), MaxBacklog: 1000, Sync: noSync})
	for _, tt := range []struct {
		name   string
		o      HandlerOptions
		fields []string
	}{
		{"nothing set", HandlerOptions{}, []string{"log:", "tokens: at least"}},
		{"a short token and a body larger than the backlog", HandlerOptions{Log: l, Tokens: []string{"short"}}, []string{"tokens: must", "max_body"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewHandler(tt.o)
			if vw.CodeOf(err) != vw.Invalid {
				t.Fatal(err)
			}
			for _, f := range tt.fields {
				if !strings.Contains(err.Error(), f) {
					t.Errorf("%v does not name %s", err, f)
				}
			}
		})
	}
}

// FuzzBody: no body of any encoding panics or grows beyond the limit.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "{}\n", "a\nb", gzipped("{}\n"), zstded("{}\n"), gzipped(strings.Repeat("x", 9000))} {
		for e := range uint8(3) {
			f.Add([]byte(s), e)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, encoding uint8) {
		r := httptest.NewRequestWithContext(context.Background(), "POST", "/", io.MultiReader(bytes.NewReader(b)))
		r.Header.Set("Content-Encoding", []string{"", "gzip", "zstd"}[encoding%3])
		var buf bytes.Buffer
		lines, err := readBody(&buf, httptest.NewRecorder(), r, 4096)
		if _, ok := errors.AsType[reject](err); err != nil && !ok {
			t.Fatal(err)
		}
		if err == nil && (lines < 1 || buf.Len() > 4097 || buf.Bytes()[buf.Len()-1] != '\n') {
			t.Errorf("%d lines in %d bytes", lines, buf.Len())
		}
	})
}
