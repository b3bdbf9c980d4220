package channels

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	vw "voucherwatch"
	"voucherwatch/alerts"
)

var update = flag.Bool("update", false, "write the recorded exchanges anew")

var now = time.Date(2022, 9, 20, 10, 0, 0, 0, time.FixedZone("", 8*3600))

// message is what the recorded exchanges say.
func message() alerts.Message {
	return alerts.Message{
		Key: "msg-0123456789abcdef", Kind: alerts.News, Case: "case-7f3a", At: now, Severity: "critical",
		Title: "[紧急] 新立线索 case-7f3a", Sentence: "新立线索：疑似套现返现，涉及核销 46 笔。", Link: "https://console.example/cases/case-7f3a",
		Items: []alerts.Item{{Case: "case-7f3a", Merchant: "老王面馆", SubsidyFen: 1_840_000, Severity: "critical", Sentence: "新立线索：疑似套现返现，涉及核销 46 笔。", Link: "https://console.example/cases/case-7f3a"}},
	}
}

func several() alerts.Message {
	m := message()
	m.Case, m.Link, m.Title, m.Sentence, m.More = "", "", "[紧急] 摘要：2 个案件，7 条消息", "共 2 个案件，涉及补贴 ¥18,500。", 5
	m.Items = append(m.Items, alerts.Item{Case: "case-88aa", SubsidyFen: 10_000, Severity: "low", Sentence: "情节加重。"})
	return m
}

// vendor is what the contract suite knows of a vendor.
type vendor struct {
	settings string // {URL} is the fake's, {CA} its certificate
	yes      string // an answer that means that the message was taken
	// Answers with HTTP status 200 that mean that it was not: for now, and for good.
	busy, no string
	noCode   string // how the log shows no
	noBody   bool   // an answer without the vendor's JSON is good enough
}

var vendors = map[string]vendor{
	"slack": {settings: `{token: env:TOKEN, channel: C0123, base_url: "{URL}/", line: {ca_file: "{CA}"}}`,
		yes: `{"ok":true,"channel":"C0123","ts":"1663639200.000100"}`, busy: `{"ok":false,"error":"internal_error"}`, no: `{"ok":false,"error":"invalid_auth"}`, noCode: "invalid_auth"},
	"wecom-robot": {settings: `{key: env:TOKEN, base_url: "{URL}", line: {ca_file: "{CA}"}}`,
		yes: `{"errcode":0,"errmsg":"ok"}`, busy: `{"errcode":45009,"errmsg":"api freq out of limit"}`, no: `{"errcode":93000,"errmsg":"invalid webhook url"}`, noCode: "93000"},
	"wecom-app": {settings: `{corp: ww1, agent: 1000002, secret: env:SECRET, users: "zhang|li", base_url: "{URL}", line: {ca_file: "{CA}"}}`,
		yes: `{"errcode":0,"errmsg":"ok","msgid":"m-1"}`, busy: `{"errcode":-1,"errmsg":"system busy"}`, no: `{"errcode":81013,"errmsg":"all invalid"}`, noCode: "81013"},
	"dingtalk": {settings: `{token: env:TOKEN, secret: env:SECRET, base_url: "{URL}", line: {ca_file: "{CA}"}}`,
		yes: `{"errcode":0,"errmsg":"ok"}`, busy: `{"errcode":130101,"errmsg":"send too fast"}`, no: `{"errcode":310000,"errmsg":"sign not match"}`, noCode: "310000"},
	"feishu": {settings: `{hook: env:TOKEN, secret: env:SECRET, base_url: "{URL}", line: {ca_file: "{CA}"}}`,
		yes: `{"code":0,"msg":"success","data":{}}`, busy: `{"code":11232,"msg":"frequency limited"}`, no: `{"code":19021,"msg":"sign match fail"}`, noCode: "19021"},
	"webhook": {settings: `{url: env:URL, secret: env:SECRET, allow_private: true, line: {ca_file: "{CA}"}}`,
		yes: `{"ok":true}`, busy: `{"code":500,"msg":"later"}`, noBody: true},
	"alertmanager": {settings: `{base_url: "{URL}", token: env:TOKEN, line: {ca_file: "{CA}"}}`, yes: ``, noBody: true},
}

// fake answers as it is told and notes what it was asked.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	answer func(w http.ResponseWriter, r *http.Request, body []byte)
}

func newFake(t *testing.T) (*fake, string) {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.asked = append(f.asked, record(r, body))
		answer := f.answer
		f.mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "/gettoken") {
			_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","access_token":"access-1","expires_in":7200}`)
			return
		}
		answer(w, r, body)
	}))
	f.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(f.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return f, ca
}

// record is a request as the golden files show it.
func record(r *http.Request, body []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL.RequestURI())
	for _, k := range []string{"Authorization", "Content-Type", "Idempotency-Key", SignatureHeader} {
		if v := r.Header.Get(k); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", k, v)
		}
	}
	b.WriteString("\n")
	if form, err := url.ParseQuery(string(body)); err == nil && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		for _, k := range slices.Sorted(keys(form)) {
			v := jsontext.Value(form.Get(k))
			if v.Kind() == '[' && v.Indent() == nil {
				fmt.Fprintf(&b, "%s=%s\n", k, v)
			} else {
				fmt.Fprintf(&b, "%s=%s\n", k, form.Get(k))
			}
		}
		return b.String()
	}
	if v := jsontext.Value(body); len(body) > 0 && v.Indent() == nil {
		body = v
	}
	b.Write(body)
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func keys(m url.Values) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func say(status int, body string) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

var secrets = map[string]string{"TOKEN": "tok-SECRETSECRET", "SECRET": "SEC-SECRETSECRET", "OLD": "OLD-SECRETSECRET"}

func open(t *testing.T, kind, settings string, f *fake, ca string, o Options) (alerts.Channel, error) {
	t.Helper()
	address := ""
	if f != nil {
		address = f.URL
	}
	text := `{name: test, zone: "+08:00", channels: {x: {type: ` + kind + `, settings: ` + strings.NewReplacer("{URL}", address, "{CA}", ca).Replace(settings) + `}}, receivers: {gx: {title: 局, channels: [x]}}, route: {receivers: [gx]}}`
	p, err := alerts.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o.Logger, o.Now = slog.New(slog.DiscardHandler), func() time.Time { return now }
	if o.Env == nil {
		o.Env = func(name string) (string, bool) {
			if name == "URL" {
				return address + "/hook/SECRETSECRET", true
			}
			s, ok := secrets[name]
			return s, ok
		}
	}
	all, err := Build(p, o)
	return all["x"], err
}

// TestContract holds every HTTP vendor to the same rules, against a fake that misbehaves.
func TestContract(t *testing.T) {
	for kind, v := range vendors {
		t.Run(kind, func(t *testing.T) {
			f, ca := newFake(t)
			c, err := open(t, kind, v.settings, f, ca, Options{})
			if err != nil {
				t.Fatal(err)
			}
			hang := make(chan struct{})
			defer close(hang)
			for _, tt := range []struct {
				name   string
				answer func(http.ResponseWriter, *http.Request, []byte)
				want   vw.Code // "" is success
				code   string  // Receipt.Code, "" is any
				after  time.Duration
				skip   bool
			}{
				{name: "taken", answer: say(200, v.yes)},
				{name: "status 200 with a code that passes with time", answer: say(200, v.busy), want: vw.Unavailable, skip: v.busy == ""},
				{name: "status 200 with a code that does not", answer: say(200, v.no), want: vw.Invalid, code: v.noCode, skip: v.no == ""},
				{name: "status 200 with a page that is not the vendor's", answer: say(200, "<html>Please log in</html>"), want: vw.Unavailable, skip: v.noBody},
				{name: "status 200 without a body", answer: say(200, ""), want: vw.Unavailable, skip: v.noBody},
				{name: "status 500", answer: say(500, "oops"), want: vw.Unavailable},
				{name: "status 503 in the vendor's words", answer: say(503, v.yes), want: vw.Unavailable},
				{name: "status 403", answer: say(403, "no"), want: vw.Invalid},
				{name: "status 429 with Retry-After", answer: func(w http.ResponseWriter, r *http.Request, b []byte) {
					w.Header().Set("Retry-After", "7")
					say(429, "")(w, r, b)
				}, want: vw.Unavailable, after: 7 * time.Second},
				{name: "a redirect", answer: func(w http.ResponseWriter, r *http.Request, b []byte) {
					w.Header().Set("Location", "https://elsewhere.example/")
					say(302, "")(w, r, b)
				}, want: vw.Invalid},
				{name: "a cut connection", answer: func(http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) }, want: vw.Unavailable},
				{name: "an answer cut in the middle", answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) {
					w.Header().Set("Content-Length", "1000")
					_, _ = io.WriteString(w, `{"ok":true,"errcode":0,"code":0`)
				}, want: vw.Unavailable},
				{name: "no answer in time", answer: func(_ http.ResponseWriter, r *http.Request, _ []byte) {
					select {
					case <-hang:
					case <-r.Context().Done():
					}
				}, want: vw.Unavailable},
			} {
				t.Run(tt.name, func(t *testing.T) {
					if tt.skip {
						return // the vendor has no such answer
					}
					f.mu.Lock()
					f.answer = tt.answer
					f.mu.Unlock()
					ctx := t.Context()
					if tt.name == "no answer in time" {
						var cancel func()
						ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
						defer cancel()
					}
					r, err := c.Send(ctx, message())
					if vw.CodeOf(err) != tt.want || tt.code != "" && r.Code != tt.code || r.RetryAfter < tt.after {
						t.Errorf("receipt %+v, error %v (%s); want %q, code %q, retry after %v", r, err, vw.CodeOf(err), tt.want, tt.code, tt.after)
					}
					if text := fmt.Sprint(r, err); strings.Contains(text, "SECRETSECRET") || strings.Contains(text, "老王") {
						t.Errorf("a secret or the message is in %s", text)
					}
				})
			}
			t.Run("a certificate that is not trusted", func(t *testing.T) {
				other, _ := newFake(t)
				other.answer = say(200, v.yes)
				other.TLS.Certificates = []tls.Certificate{selfSigned(t)}
				c, err := open(t, kind, v.settings, other, ca, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Send(t.Context(), message()); vw.CodeOf(err) != vw.Unavailable {
					t.Errorf("error %v, want unavailable", err)
				}
				if len(other.asked) > 0 {
					t.Error("the message went to somebody whom nobody trusts")
				}
			})
			t.Run("a secret that is not there", func(t *testing.T) {
				c, err := open(t, kind, v.settings, f, ca, Options{Env: func(string) (string, bool) { return "", false }})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Send(t.Context(), message()); vw.CodeOf(err) != vw.Unavailable || !strings.Contains(err.Error(), "there is no secret in env:") {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

var form = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// TestRecordedExchanges shows what goes over the line: testdata/*.txtar has a message's request and the
// answer, in the vendor's own form.
func TestRecordedExchanges(t *testing.T) {
	for kind, v := range vendors {
		t.Run(kind, func(t *testing.T) {
			f, ca := newFake(t)
			f.answer = say(200, v.yes)
			c, err := open(t, kind, v.settings, f, ca, Options{})
			if err != nil {
				t.Fatal(err)
			}
			second := message()
			second.Thread, second.Kind, second.Title = "1663639200.000100", alerts.Repeat, "【未签收·再次提醒】[紧急] 新立线索 case-7f3a"
			a := &txtar.Archive{Comment: []byte("What is sent to " + kind + ", and its answer: news of a case, the same case again, a digest.\n")}
			for i, m := range []alerts.Message{message(), second, several()} {
				f.asked = nil
				r, err := c.Send(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				for _, asked := range f.asked {
					a.Files = append(a.Files, txtar.File{Name: fmt.Sprintf("%d request", i+1), Data: []byte(form.ReplaceAllString(asked, "HOST"))})
				}
				a.Files = append(a.Files, txtar.File{Name: fmt.Sprintf("%d answer", i+1), Data: []byte(v.yes + "\n")},
					txtar.File{Name: fmt.Sprintf("%d receipt", i+1), Data: fmt.Appendf(nil, "status %d, code %q, id %q, thread %q\n", r.Status, r.Code, r.ID, r.Thread)})
			}
			file := filepath.Join("testdata", kind+".txtar")
			got := txtar.Format(a)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

func TestAWrongSettingIsToldWithItsLine(t *testing.T) {
	for _, tt := range []struct{ name, kind, settings, want string }{
		{"an unknown type", "telegram", "{}", `channels.x.type: is "telegram": use alertmanager, dingtalk, feishu`},
		{"a secret in the file", "dingtalk", "{token: abcdef, secret: env:S}", "test.yaml:1: channels.x.settings.token: is not a place: a secret never stands in the file"},
		{"a missing field", "slack", "{token: env:T}", "test.yaml:1: channels.x.settings.channel: is missing"},
		{"nothing at all", "dingtalk", "{}", "test.yaml:1: channels.x.settings.secret: is missing"},
		{"an unknown field", "feishu", "{hook: env:H, secret: env:S, colour: red}", "channels.x.settings.colour: is not a field here"},
		{"an app that reaches nobody", "wecom-app", "{corp: c, agent: 1, secret: env:S}", "reaches nobody"},
		{"a mail to nobody", "mail", "{host: h, from: a@b.cn, to: []}", "channels.x.settings.to: is empty"},
		{"not an address", "mail", "{host: h, from: a@b.cn, to: [nobody]}", `channels.x.settings.to[0]: is "nobody": want a mail address`},
		{"a certificate that is not there", "slack", "{token: env:T, channel: C, line: {ca_file: /nowhere}}", "channels.x.settings.ca_file: open /nowhere"},
		{"settings of the log", "log", "{level: debug}", "channels.x.settings.level: is not a field here: there are none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := open(t, tt.kind, tt.settings, nil, "", Options{}); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestAChannelWithoutSettingsIsTold(t *testing.T) {
	p, err := alerts.Parse("test.yaml", []byte("name: test\nzone: \"+08:00\"\nchannels:\n  x: {type: dingtalk}\n  y: {type: log}\nreceivers: {gx: {title: 局, channels: [x, y]}}\nroute: {receivers: [gx]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Build(p, Options{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if want := "test.yaml:4: channels.x: has no settings: secret is required"; vw.CodeOf(err) != vw.Invalid || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestTheLogTakesEveryMessage(t *testing.T) {
	var b bytes.Buffer
	c := &logChannel{slog.New(slog.NewTextHandler(&b, nil)), "gx-log"}
	if r, err := c.Send(t.Context(), message()); err != nil || r.Code != "ok" {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := b.String(); !strings.Contains(got, "channel=gx-log case=case-7f3a") || !strings.Contains(got, "老王面馆") {
		t.Errorf("log: %s", got)
	}
}

func TestWeComAppFetchesATokenOnceAndAgainWhenItIsStale(t *testing.T) {
	f, ca := newFake(t)
	v := vendors["wecom-app"]
	c, err := open(t, "wecom-app", v.settings, f, ca, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f.answer = say(200, v.yes)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := c.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	tokens := func() (n int) {
		for _, a := range f.asked {
			if strings.Contains(a, "/gettoken") {
				n++
			}
		}
		return n
	}
	if tokens() != 1 {
		t.Errorf("%d tokens fetched for 8 messages", tokens())
	}
	stale := true
	f.answer = func(w http.ResponseWriter, r *http.Request, b []byte) {
		if stale {
			stale = false
			say(200, `{"errcode":42001,"errmsg":"access_token expired"}`)(w, r, b)
			return
		}
		say(200, v.yes)(w, r, b)
	}
	if r, err := c.Send(t.Context(), message()); err != nil || tokens() != 2 {
		t.Errorf("with a stale token: %+v, %v, %d tokens", r, err, tokens())
	}
	f.answer = say(200, `{"errcode":42001,"errmsg":"access_token expired"}`)
	if _, err := c.Send(t.Context(), message()); vw.CodeOf(err) != vw.Invalid || tokens() != 3 {
		t.Errorf("with a token that is always stale: %v, %d tokens", err, tokens())
	}
	f.answer = say(200, `{"errcode":0,"errmsg":"ok","invaliduser":"li"}`)
	if r, err := c.Send(t.Context(), message()); vw.CodeOf(err) != vw.Invalid || r.Code != "0, invaliduser 2" {
		t.Errorf("when one person is not there: %+v, %v", r, err)
	}
}

func TestAWebhookStaysOutOfPrivateNetworks(t *testing.T) {
	f, ca := newFake(t)
	f.answer = say(200, "")
	c, err := open(t, "webhook", strings.Replace(vendors["webhook"].settings, "allow_private: true, ", "", 1), f, ca, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), message()); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "private network (set allow_private") || len(f.asked) > 0 {
		t.Errorf("%v, %d requests", err, len(f.asked))
	}
	for _, address := range []string{"127.0.0.1:80", "10.1.2.3:443", "172.16.0.1:1", "192.168.1.1:1", "169.254.169.254:80", "100.64.0.1:1", "0.0.0.0:1", "[::1]:1", "[fe80::1]:1", "[fd00::1]:1", "[::ffff:10.0.0.1]:1", "[64:ff9b::a00:1]:1", "224.0.0.1:1", "255.255.255.255:1"} {
		if publicOnly("tcp", address, nil) == nil {
			t.Errorf("%s counts as public", address)
		}
	}
	for _, address := range []string{"8.8.8.8:443", "[2400:3200::1]:443"} {
		if err := publicOnly("tcp", address, nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAWebhookIsVerified(t *testing.T) {
	f, ca := newFake(t)
	var header string
	var body []byte
	f.answer = func(w http.ResponseWriter, r *http.Request, b []byte) {
		header, body = r.Header.Get(SignatureHeader), b
	}
	c, err := open(t, "webhook", `{url: env:URL, secret: env:SECRET, old_secret: env:OLD, allow_private: true, line: {ca_file: "{CA}"}}`, f, ca, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	const window = 5 * time.Minute
	for _, tt := range []struct {
		name   string
		header string
		body   string
		at     time.Time
		secret []string
		want   string
	}{
		{"by the new secret", header, string(body), now, []string{secrets["SECRET"]}, ""},
		{"by the old one, while it is changed", header, string(body), now, []string{secrets["OLD"]}, ""},
		{"by another", header, string(body), now, []string{"another", ""}, "no signature is by a secret that is known here"},
		{"changed on the way", header, string(body) + " ", now, []string{secrets["SECRET"]}, "no signature"},
		{"just inside the window", header, string(body), now.Add(window), []string{secrets["SECRET"]}, ""},
		{"replayed", header, string(body), now.Add(window + time.Second), []string{secrets["SECRET"]}, "5m1s old"},
		{"from the future", header, string(body), now.Add(-window - time.Second), []string{secrets["SECRET"]}, "-5m1s old"},
		{"with another time", strings.Replace(header, "t=16", "t=15", 1), string(body), now, []string{secrets["SECRET"]}, "old"},
		{"without a time", "v1=00", string(body), now, []string{secrets["SECRET"]}, "has no time"},
		{"of an empty secret", "t=" + fmt.Sprint(now.Unix()) + ",v1=" + signWebhook(fmt.Sprint(now.Unix()), body, ""), string(body), now, []string{""}, "no signature"},
	} {
		if err := Verify(tt.header, []byte(tt.body), tt.at, window, tt.secret...); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if strings.Count(header, "v1=") != 2 {
		t.Errorf("while the secret is changed both sign: %s", header)
	}
}

// The vectors were computed by: printf '%s\n%s' TS SECRET | openssl dgst -sha256 -hmac KEY -binary | base64
func TestSignaturesAreThoseOfTheVendors(t *testing.T) {
	if got, want := signDingTalk("1663639200000", "SECabc"), "Alla+3lff7+ktC2MtDVf22tvAqmrYjBdUPJ2qDrSZSo="; got != want {
		t.Errorf("DingTalk: %s, want %s", got, want)
	}
	if got, want := signFeishu("1663639200", "SECabc"), "YgbOGFv1f2pzbqhgiaLe1PmCr8iWADCWGyeoxueZxDQ="; got != want {
		t.Errorf("Feishu: %s, want %s", got, want)
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	return selfSignedFor(t, net.IPv4(127, 0, 0, 1))
}
