package feed_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"voucherwatch/credit"
	"voucherwatch/credit/credittest"
	"voucherwatch/credit/feed"
	"voucherwatch/credit/sqlite"
)

const token = "0123456789-0123456789"

type answer struct {
	Tier  credit.Tier
	AsOf  string `json:"as_of"`
	Full  bool
	Rows  []credit.Row
	Next  string
	Code  string
	Error string
}

func newFeed(t *testing.T, s credit.Store, change func(o *feed.Options)) *feed.Handler {
	t.Helper()
	o := feed.Options{Store: s, Now: func() time.Time { return credittest.Now }, Clients: []feed.Client{
		{Name: "jincheng", Token: token, Tiers: []credit.Tier{credit.Record, credit.Exclusion}, PerMinute: 1_000_000},
		{Name: "unionpay", Token: "unionpay-0123456789-x", Tiers: []credit.Tier{credit.Exclusion}},
	}}
	if change != nil {
		change(&o)
	}
	h, err := feed.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h http.Handler, query string, header ...string) (*httptest.ResponseRecorder, answer) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/v1/blacklist?"+query, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var a answer
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
	}
	return w, a
}

// pull follows the pages of a pull, and calls between after each page.
func pull(t *testing.T, h http.Handler, query string, between func(page int)) (rows []credit.Row, asOf string) {
	t.Helper()
	cursor := ""
	for page := 0; ; page++ {
		w, a := get(t, h, query+"&cursor="+cursor)
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, a.Error)
		}
		if asOf != "" && a.AsOf != asOf {
			t.Fatal("a pull is of two moments")
		}
		rows, asOf, cursor = append(rows, a.Rows...), a.AsOf, a.Next
		if cursor == "" {
			return rows, asOf
		}
		if between != nil {
			between(page)
		}
	}
}

func put(t *testing.T, s credit.Store, e credit.Entry) {
	t.Helper()
	if _, err := s.Put(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
}

// moving pulls n entries page by page while entries change, and then what has changed.
func moving(t *testing.T, s credit.Store, n, limit int) {
	example := credittest.Entry(credit.Record, 1)
	entry := func(i int) credit.Entry {
		e := example
		e.Case, e.Instrument.Number = "case", "号"+string(rune('0'+i%10))
		e.ID = "cred-" + strings.Repeat("0", 7-len(itoa(i))) + itoa(i)
		return e
	}
	for i := range n {
		put(t, s, entry(i))
		if i%100 == 0 { // the other list is there too
			x := entry(i)
			x.Tier, x.ID = credit.Exclusion, "excl-"+itoa(i)
			put(t, s, x)
		}
	}
	revise := func(i int, state credit.State) {
		e, err := s.Entry(t.Context(), entry(i).ID)
		if err != nil {
			t.Fatal(err)
		}
		e.Revision++
		e.State = state
		if state != credit.InForce {
			e.Ended = &credit.Ending{Kind: state, At: credittest.Now}
		}
		put(t, s, e)
	}
	h := newFeed(t, s, nil)
	added := n
	rows, asOf := pull(t, h, "tier=credit_record&limit="+itoa(limit), func(page int) {
		// Behind the reader, before it, and at the end.
		revise((page*7)%n, credit.InForce)
		revise(n-1-(page*3)%(n/2), credit.Revoked)
		put(t, s, entry(added))
		added++
	})
	seen := map[string]int{}
	for _, r := range rows {
		seen[r.ID]++
		if r.State != credit.InForce || r.Revision != 1 || r.Tier != credit.Record {
			t.Fatalf("%s is not as it was at the beginning of the pull: %+v", r.ID, r)
		}
	}
	if len(rows) != n || len(seen) != n {
		t.Fatalf("%d rows of %d entries, want %d: gaps or repeats", len(rows), len(seen), n)
	}
	// What has changed since, pulled in small pages while more changes.
	has := map[string]credit.Row{}
	for _, r := range rows {
		has[r.ID] = r
	}
	for round := range 3 {
		changed, next := pull(t, h, "tier=credit_record&limit=37&since="+asOf, func(page int) {
			if round == 0 && page < 20 {
				revise(page, credit.InForce)
			}
		})
		once := map[string]bool{}
		for _, r := range changed {
			if once[r.ID] {
				t.Fatalf("%s comes twice in a delta", r.ID)
			}
			once[r.ID] = true
			if old := has[r.ID]; r.Revision <= old.Revision {
				t.Fatalf("%s goes back from revision %d to %d", r.ID, old.Revision, r.Revision)
			}
			if has[r.ID] = r; r.State != credit.InForce {
				delete(has, r.ID)
			}
		}
		asOf = next
	}
	whole, _ := pull(t, h, "tier=credit_record&limit=1000", nil)
	want := map[string]credit.Row{}
	for _, r := range whole {
		want[r.ID] = r
	}
	if diff := cmp.Diff(want, has); diff != "" {
		t.Errorf("full list against full and deltas (-full +deltas):\n%.2000s", diff)
	}
	t.Logf("%d entries in force after %d writes", len(want), added)
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }

func TestAHundredThousandEntriesArePulledWhileTheyChange(t *testing.T) {
	moving(t, credit.NewMemory(), 100_000, 500)
}

func TestTheSameFromAFile(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "credit.db"))
	if err != nil {
		t.Fatal(err)
	}
	moving(t, s, 400, 7)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func small(t *testing.T) *credit.Memory {
	t.Helper()
	s := credit.NewMemory()
	for n := range 3 {
		put(t, s, credittest.Entry(credit.Record, n))
		put(t, s, credittest.Entry(credit.Exclusion, n))
	}
	return s
}

func TestWrongRequestsAreToldWhatIsWrong(t *testing.T) {
	h := newFeed(t, small(t), nil)
	_, a := get(t, h, "tier=credit_record&limit=1")
	for _, tt := range []struct {
		name, query string
		header      []string
		status      int
		want        string
	}{
		{"no list", "", nil, 400, "tier: must be activity_exclusion or credit_record: the two lists are never mixed"},
		{"both lists", "tier=all", nil, 400, "tier: must be"},
		{"a list twice", "tier=credit_record&tier=activity_exclusion", nil, 400, "tier: is given twice"},
		{"an unknown parameter", "tier=credit_record&page=2", nil, 400, "page: is not a parameter here"},
		{"too much at once", "tier=credit_record&limit=5000", nil, 400, "limit: must be 1 to 1000"},
		{"an unknown format", "tier=credit_record&format=xml", nil, 400, "format: must be json or csv"},
		{"a made-up cursor", "tier=credit_record&cursor=abc", nil, 400, "cursor: is not a cursor"},
		{"a cursor of the other list", "tier=activity_exclusion&cursor=" + a.Next, nil, 400, "cursor: is of another list"},
		{"a since of the other list", "tier=activity_exclusion&since=" + a.AsOf, nil, 400, "since: is of another list"},
		{"a since of the future", "tier=credit_record&since=MS9jcmVkaXRfcmVjb3JkLzk5OTkvOTk5OS8tMQ", nil, 400, "pull the whole list again"},
		{"nobody", "tier=credit_record", []string{"Authorization", ""}, 401, "send Authorization: Bearer TOKEN"},
		{"a wrong token", "tier=credit_record", []string{"Authorization", "Bearer " + token + "x"}, 401, "send Authorization"},
		{"a list that is not for them", "tier=credit_record", []string{"Authorization", "Bearer unionpay-0123456789-x"}, 403, "may not see credit_record"},
	} {
		if w, a := get(t, h, tt.query, tt.header...); w.Code != tt.status || !strings.Contains(a.Error, tt.want) {
			t.Errorf("%s: %d %q, want %d %q", tt.name, w.Code, a.Error, tt.status, tt.want)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/blacklist", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestWhatHasNotChangedIsNotSentAgain(t *testing.T) {
	s := small(t)
	h := newFeed(t, s, nil)
	w, a := get(t, h, "tier=credit_record")
	tag := w.Header().Get("ETag")
	if w, _ := get(t, h, "tier=credit_record", "If-None-Match", `"x", W/`+tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("the same again: %d", w.Code)
	}
	for _, other := range []string{"tier=activity_exclusion", "tier=credit_record&limit=2", "tier=credit_record&format=csv", "tier=credit_record&since=" + a.AsOf} {
		if w, _ := get(t, h, other, "If-None-Match", tag); w.Code != http.StatusOK {
			t.Errorf("%s: %d", other, w.Code)
		}
	}
	put(t, s, credittest.Entry(credit.Record, 9))
	if w, a := get(t, h, "tier=credit_record", "If-None-Match", tag); w.Code != http.StatusOK || len(a.Rows) != 4 {
		t.Errorf("after a change: %d, %d rows", w.Code, len(a.Rows))
	}
}

func TestARowSaysNothingOfPeople(t *testing.T) {
	h := newFeed(t, small(t), nil)
	for _, tier := range []string{"credit_record", "activity_exclusion"} {
		w, _ := get(t, h, "tier="+tier)
		for _, word := range []string{"张三", "李四", "王五", "赵六", "钱七", "虚构交易", "approv", "失信"} {
			if strings.Contains(w.Body.String(), word) {
				t.Errorf("%s: the feed says %s", tier, word)
			}
		}
	}
}

func TestCSVIsReadBySpreadsheets(t *testing.T) {
	s := credit.NewMemory()
	e := credittest.Entry(credit.Record, 1)
	e.Party.Name = "=HYPERLINK(\"http://x\"),\"面馆\""
	put(t, s, e)
	put(t, s, credittest.Entry(credit.Record, 2))
	h := newFeed(t, s, nil)
	w, _ := get(t, h, "tier=credit_record&limit=1", "Accept", "text/csv")
	text, ok := strings.CutPrefix(w.Body.String(), "\ufeff")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if !ok || err != nil || len(rows) != 2 || len(rows[1]) != 18 || rows[0][5] != "name" || rows[1][5] != "'"+e.Party.Name {
		t.Errorf("%v, %v", rows, err)
	}
	next := w.Header().Get("Voucherwatch-Next")
	w, _ = get(t, h, "tier=credit_record&limit=1&format=csv&cursor="+url.QueryEscape(next))
	if next == "" || w.Header().Get("Voucherwatch-Next") != "" || strings.Count(w.Body.String(), "\n") != 2 {
		t.Errorf("the second page: %q", w.Body.String())
	}
}

func TestARateIsHeldByClient(t *testing.T) {
	now := credittest.Now
	var pulled []credit.Pull
	h := newFeed(t, small(t), func(o *feed.Options) {
		o.Clients[0].PerMinute = 2
		o.Now = func() time.Time { return now }
		o.Pulled = func(_ context.Context, p credit.Pull) error {
			pulled = append(pulled, p)
			return nil
		}
	})
	codes := func(n int) (all []int) {
		for range n {
			w, _ := get(t, h, "tier=credit_record")
			all = append(all, w.Code)
			if w.Code == 429 && w.Header().Get("Retry-After") != "31" {
				t.Errorf("Retry-After: %s", w.Header().Get("Retry-After"))
			}
		}
		return all
	}
	if diff := cmp.Diff([]int{200, 200, 429}, codes(3)); diff != "" {
		t.Error(diff)
	}
	if w, _ := get(t, h, "tier=activity_exclusion", "Authorization", "Bearer unionpay-0123456789-x"); w.Code != 200 {
		t.Errorf("another client: %d", w.Code)
	}
	now = now.Add(30 * time.Second)
	if diff := cmp.Diff([]int{200, 429}, codes(2)); diff != "" {
		t.Error(diff)
	}
	if len(pulled) != 4 || pulled[2] != (credit.Pull{Client: "unionpay", Tier: credit.Exclusion, AsOf: 6, At: credittest.Now.UTC()}) {
		t.Errorf("on record as pulled: %+v", pulled)
	}
	if _, a := get(t, newFeed(t, small(t), func(o *feed.Options) {
		o.Pulled = func(context.Context, credit.Pull) error {
			t.Error("a pull is on record before its last page")
			return nil
		}
	}), "tier=credit_record&limit=1"); a.Next == "" {
		t.Error("one page")
	}
	w, _ := get(t, newFeed(t, small(t), func(o *feed.Options) {
		o.Pulled = func(context.Context, credit.Pull) error { return errors.New("disk full") }
	}), "tier=credit_record")
	if w.Code != 503 || strings.Contains(w.Body.String(), "disk") || strings.Contains(w.Body.String(), "rows") {
		t.Errorf("a pull that cannot be recorded: %d %s", w.Code, w.Body)
	}
}

func TestACertificateIsAsGoodAsAToken(t *testing.T) {
	authority, authorityKey := certificate(t, "test authority", nil, nil)
	client, clientKey := certificate(t, "credit.jincheng.example", authority, authorityKey)
	stranger, strangerKey := certificate(t, "somebody else", authority, authorityKey)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	h := newFeed(t, small(t), func(o *feed.Options) { o.Clients[0].Token, o.Clients[0].Subject = "", "credit.jincheng.example" })
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	srv.StartTLS()
	defer srv.Close()
	for _, tt := range []struct {
		name string
		cert []tls.Certificate
		want int
	}{
		{"known", []tls.Certificate{{Certificate: [][]byte{client.Raw}, PrivateKey: clientKey}}, 200},
		{"of somebody else", []tls.Certificate{{Certificate: [][]byte{stranger.Raw}, PrivateKey: strangerKey}}, 401},
		{"none", nil, 401},
	} {
		c := srv.Client()
		c.Transport.(*http.Transport).TLSClientConfig.Certificates = tt.cert
		c.Transport.(*http.Transport).CloseIdleConnections()
		resp, err := c.Get(srv.URL + "/v1/blacklist?tier=credit_record")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("certificate %s: %d, want %d", tt.name, resp.StatusCode, tt.want)
		}
	}
}

func certificate(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, NotBefore: credittest.Now.AddDate(-1, 0, 0), NotAfter: credittest.Now.AddDate(90, 0, 0),
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func TestAFeedForNobodyIsRefused(t *testing.T) {
	for name, o := range map[string]feed.Options{
		"nobody":        {Store: credit.NewMemory(), Now: func() time.Time { return credittest.Now }},
		"a short token": {Store: credit.NewMemory(), Now: func() time.Time { return credittest.Now }, Clients: []feed.Client{{Name: "a", Token: "short", Tiers: []credit.Tier{credit.Record}}}},
		"no list":       {Store: credit.NewMemory(), Now: func() time.Time { return credittest.Now }, Clients: []feed.Client{{Name: "a", Token: token}}},
		"two of a name": {Store: credit.NewMemory(), Now: func() time.Time { return credittest.Now }, Clients: []feed.Client{{Name: "a", Token: token, Tiers: []credit.Tier{credit.Record}}, {Name: "a", Token: token, Tiers: []credit.Tier{credit.Record}}}},
		"an anyone":     {Store: credit.NewMemory(), Now: func() time.Time { return credittest.Now }, Clients: []feed.Client{{Name: "a", Tiers: []credit.Tier{credit.Record}}}},
	} {
		if _, err := feed.New(o); err == nil || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"tier=credit_record", "tier=credit_record&cursor=MS9jcmVkaXRfcmVjb3JkLzYvMi8tMQ", "tier=activity_exclusion&since=x&limit=1", "%zz", "tier=credit_record&limit=-1"} {
		f.Add(s)
	}
	s := credit.NewMemory()
	for n := range 3 {
		e := credittest.Entry(credit.Record, n)
		if _, err := s.Put(f.Context(), &e); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, query string) {
		h := newFeed(t, s, nil)
		r := httptest.NewRequest(http.MethodGet, "/v1/blacklist", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	})
}
