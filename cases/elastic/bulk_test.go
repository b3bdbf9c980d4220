package elastic

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	vw "voucherwatch"
)

// answers is a cluster that answers what it is told to, one answer a request.
type answers struct {
	t    *testing.T
	give []func(r *http.Request, body string) (int, string)
	asks []string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
	}
	a.asks = append(a.asks, r.Method+" "+r.URL.Path+"\n"+body)
	if len(a.give) == 0 {
		a.t.Errorf("one request too many: %s", a.asks[len(a.asks)-1])
		return nil, io.ErrUnexpectedEOF
	}
	status, answer := a.give[0](r, body)
	a.give = a.give[1:]
	if status == 0 {
		return nil, io.ErrUnexpectedEOF // the connection broke
	}
	return &http.Response{StatusCode: status, Header: http.Header{"X-Elastic-Product": {"Elasticsearch"}, "Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(answer)))}, nil
}

func say(status int, answer string) func(*http.Request, string) (int, string) {
	return func(*http.Request, string) (int, string) { return status, answer }
}

// statuses is the answer to a bulk request.
func statuses(of ...int) func(*http.Request, string) (int, string) {
	var items []string
	for _, n := range of {
		items = append(items, fmt.Sprintf(`{"index":{"status":%d,"error":{"type":"x"}}}`, n))
	}
	return say(200, `{"items":[`+strings.Join(items, ",")+`]}`)
}

func fake(t *testing.T, give ...func(*http.Request, string) (int, string)) (*Store, *answers, *time.Duration) {
	t.Helper()
	a, waited := &answers{t: t, give: give}, new(time.Duration)
	s, err := Open(Options{URLs: []string{"http://127.0.0.1:1"}, Transport: a, Patience: time.Second, Wait: func(_ context.Context, d time.Duration) error { *waited += d; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if len(a.give) > 0 {
			t.Errorf("%d answers were not asked for", len(a.give))
		}
	})
	return s, a, waited
}

func three() []item {
	var out []item
	for i := range 3 {
		out = append(out, item{index: "vw-cases", id: fmt.Sprint("id", i), create: true, body: []byte(fmt.Sprintf(`{"n":%d}`, i)), hash: fmt.Sprint("h", i)})
	}
	return out
}

func codes(errs []error) string {
	var out []string
	for _, err := range errs {
		out = append(out, string(vw.CodeOf(err)))
	}
	return strings.Join(out, ",")
}

// A bulk request that succeeds may hold items that did not: those that the cluster was too busy for are sent again, alone and in order.
func TestItemsThatTheClusterWasTooBusyForAreSentAgain(t *testing.T) {
	s, a, waited := fake(t, statuses(201, 429, 429), statuses(429, 201), statuses(201))
	if got := codes(s.bulk(t.Context(), "test", three())); got != ",," {
		t.Errorf("codes %q", got)
	}
	if strings.Contains(a.asks[1], `{"n":0}`) || !strings.Contains(a.asks[1], `{"n":1}`) || strings.Contains(a.asks[2], `{"n":2}`) || *waited == 0 {
		t.Errorf("sent again after %v:\n%s", *waited, strings.Join(a.asks[1:], "\n"))
	}
}

func TestAConflictIsNotRepeatedAndOneBadItemDoesNotStopTheOthers(t *testing.T) {
	s, _, _ := fake(t, statuses(409, 400, 201))
	if got := codes(s.bulk(t.Context(), "test", three())); got != "conflict,invalid," {
		t.Errorf("codes %q", got)
	}
}

// A write of which nobody knows whether it was done: the connection broke, the repetition meets a document. If it is ours, it was done.
func TestAWriteThatWasTakenInBeforeTheConnectionBrokeIsNoConflict(t *testing.T) {
	stored := func(hash string) func(*http.Request, string) (int, string) {
		return say(200, `{"_index":"vw-cases-v1","_id":"id0","found":true,"_seq_no":1,"_primary_term":1,"_source":{"hash":"`+hash+`"}}`)
	}
	s, _, _ := fake(t, say(0, ""), statuses(409), stored("h0"))
	if err := s.write(t.Context(), "test", three()[0]); err != nil {
		t.Errorf("our own write is called %v", err)
	}
	s, _, _ = fake(t, say(503, `{}`), statuses(409), stored("another"))
	if err := s.write(t.Context(), "test", three()[0]); vw.CodeOf(err) != vw.Conflict {
		t.Errorf("another's write is called %v", err)
	}
}

// A shard that is starting is told inside a successful answer, document by document.
func TestADocumentWhoseShardIsStartingIsReadAgain(t *testing.T) {
	s, _, _ := fake(t, say(200, `{"docs":[{"_id":"a","error":{"type":"no_shard_available_action_exception"}}]}`), say(200, `{"docs":[{"_id":"a","found":true,"_seq_no":4,"_source":{"revision":3}}]}`))
	got, err := s.mget(t.Context(), "test", []place{{"vw-alerts", "a"}}, nil)
	if err != nil || len(got) != 1 || got[0] == nil || got[0].Revision != 3 || got[0].Seq != 4 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPatienceEndsAndNothingIsCalledWritten(t *testing.T) {
	down := []func(*http.Request, string) (int, string){}
	for range 7 { // 20, 40, … 640 ms: more than a second in all
		down = append(down, say(503, `{}`))
	}
	s, _, waited := fake(t, down...)
	if got := codes(s.bulk(t.Context(), "test", three())); got != "unavailable,unavailable,unavailable" {
		t.Errorf("codes %q", got)
	}
	if *waited < time.Second {
		t.Errorf("waited %v", *waited)
	}
}

func TestABlockedIndexIsReadAgainBeforeItIsWritten(t *testing.T) {
	tries := 0
	s, _, _ := fake(t)
	err := s.unblocked(t.Context(), "test", func() error {
		if tries++; tries < 4 {
			return classified("test", 403, "cluster_block_exception")
		}
		return nil
	})
	if err != nil || tries != 4 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestAnswersHaveTheirCodesAndShowNoDocument(t *testing.T) {
	for _, tt := range []struct {
		status int
		answer string
		want   vw.Code
	}{
		{400, `{"error":{"type":"strict_dynamic_mapping_exception","reason":"张三 138****5678"}}`, vw.Invalid},
		{401, `{"error":{"type":"security_exception"}}`, vw.Invalid}, {403, `{"error":{"type":"security_exception"}}`, vw.Invalid},
		{403, `{"error":{"type":"cluster_block_exception"}}`, vw.Unavailable}, {404, `{"error":{"type":"index_not_found_exception"}}`, vw.Invalid},
		{404, `{}`, vw.NotFound}, {409, `{}`, vw.Conflict}, {413, `{}`, vw.Invalid}, {429, `{}`, vw.Unavailable}, {500, `{}`, vw.Unavailable},
		{502, `<html>`, vw.Unavailable}, {418, `{}`, vw.Internal},
	} {
		err := refusal("test", tt.status, []byte(tt.answer))
		if vw.CodeOf(err) != tt.want || strings.Contains(err.Error(), "138") {
			t.Errorf("%d %s: %v", tt.status, tt.answer, err)
		}
	}
}

func TestOpenNamesEveryFault(t *testing.T) {
	_, err := Open(Options{URLs: []string{"ftp://x", "http://u:p@x"}, APIKey: "k", Username: "u", Prefix: "A", Replicas: 9, Patience: 1})
	for _, want := range []string{"urls: must be http", "urls: must not hold a password", "prefix", "replicas", "api_key", "wait", "https:// when a key"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "u:p") {
		t.Errorf("the password is shown: %v", err)
	}
}

func TestTheConnectionIsSafeAndSaysWhoWeAre(t *testing.T) {
	asked := ""
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Authorization")
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"found":false}`)
	}))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	defer srv.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	for _, tt := range []struct {
		name   string
		o      Options
		want   vw.Code
		header string
	}{
		{"with a key", Options{CACert: authority, APIKey: "a2V5"}, vw.NotFound, "APIKey a2V5"},
		{"with a user", Options{CACert: authority, Username: "u", Password: "p"}, vw.NotFound, "Basic dTpw"},
		{"without the authority", Options{APIKey: "a2V5"}, vw.Unavailable, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked = ""
			tt.o.URLs = []string{srv.URL}
			s, err := Open(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Case(t.Context(), "c")
			if vw.CodeOf(err) != tt.want || !strings.EqualFold(asked, tt.header) {
				t.Errorf("%v, asked as %q", err, asked)
			}
		})
	}
}

func TestMappingsAreStrictAndMapNoDocument(t *testing.T) {
	for _, kind := range append(append([]string{}, single...), monthly...) {
		m := mapping(kind)
		if m["dynamic"] != "strict" {
			t.Errorf("%s is not strict", kind)
		}
		for name, f := range m["properties"].(object) {
			if f.(object)["type"] == "object" && f.(object)["enabled"] != false {
				t.Errorf("%s.%s is an object that is mapped", kind, name)
			}
		}
	}
}
