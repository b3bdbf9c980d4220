// Package feed serves the lists to those who pull them: GET /v1/blacklist.
//
//	tier    activity_exclusion or credit_record; required: the two are never mixed
//	since   the as_of of an earlier pull: only what has changed since, ended entries included
//	        (a full pull, without since, has the entries in force)
//	cursor  next of the page before
//	limit   rows of a page, 1 to 1000; 500
//	format  json or csv; or by Accept
//
// A pull is of one moment, as_of, however long it takes and whatever is written meanwhile: following next
// gives each entry once. JSON answers {tier, as_of, full, rows, next}; CSV has as_of and next in the
// headers Voucherwatch-As-Of and Voucherwatch-Next. With If-None-Match an unchanged answer is 304.
//
// In: a credit.Store. Out: credit.Row, nothing else of an entry. Clients come with a bearer token or a
// certificate, see their own lists only, and are held to a rate.
package feed

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/credit"
)

// Client may pull.
type Client struct {
	Name string
	// Token is a bearer token of at least 20 bytes, Subject the common name of a certificate that the
	// server has verified; one of them or both.
	Token, Subject string
	Tiers          []credit.Tier
	PerMinute      int // requests; 0: 60
}

// Options are those of a Handler.
type Options struct {
	Store   credit.Store
	Clients []Client
	Now     func() time.Time
	// Pulled, if set, is told of every pull that came to its last page: the receipt of a pull. Its error is
	// the client's, who then asks again.
	Pulled func(ctx context.Context, p credit.Pull) error
}

// Handler serves the feed. It is safe for concurrent use.
type Handler struct {
	Options
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// New checks the options; faults are vw.Invalid, without tokens.
func New(o Options) (*Handler, error) {
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(o.Store != nil, "store", "is required")
	need(o.Now != nil, "now", "is required")
	need(len(o.Clients) > 0, "clients", "nobody could pull")
	seen := map[string]bool{}
	for i, c := range o.Clients {
		at := fmt.Sprintf("clients[%d]", i)
		need(c.Name != "" && !seen[c.Name], at+".name", "is required and must be its own")
		seen[c.Name] = true
		need(c.Token != "" || c.Subject != "", at, "has neither token nor subject")
		need(c.Token == "" || len(c.Token) >= 20, at+".token", "must have at least 20 bytes")
		need(len(c.Tiers) > 0 && !slices.ContainsFunc(c.Tiers, func(t credit.Tier) bool { return t != credit.Exclusion && t != credit.Record }), at+".tiers", "must be of activity_exclusion, credit_record")
		need(c.PerMinute >= 0, at+".per_minute", "must not be negative")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &vw.Error{Op: "feed.New", Code: vw.Invalid, Err: err}
	}
	return &Handler{Options: o, buckets: map[string]*bucket{}}, nil
}

// client is who asks, nil for nobody known.
func (h *Handler) client(r *http.Request) *Client {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	given := sha256.Sum256([]byte(token))
	var found *Client
	for i := range h.Clients {
		c := &h.Clients[i]
		want := sha256.Sum256([]byte(c.Token))
		if bearer && c.Token != "" && subtle.ConstantTimeCompare(given[:], want[:]) == 1 {
			found = c
		}
		if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && c.Subject != "" && r.TLS.VerifiedChains[0][0].Subject.CommonName == c.Subject {
			found = c
		}
	}
	return found
}

// wait is how long the client has to wait, 0 when it may go on.
func (h *Handler) wait(c *Client) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := float64(cmp.Or(c.PerMinute, 60))
	now := h.Now()
	b := h.buckets[c.Name]
	if b == nil {
		b = &bucket{most, now}
		h.buckets[c.Name] = b
	}
	b.tokens = min(most, b.tokens+now.Sub(b.at).Minutes()*most)
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / most * float64(time.Minute))
	}
	b.tokens--
	return 0
}

// place is where a pull stands.
type place struct {
	tier                credit.Tier
	asOf, after, origin int64 // origin: of a delta, where it began; -1: full
}

func (p place) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "1/%s/%d/%d/%d", p.tier, p.asOf, p.after, p.origin))
}

func parsePlace(s string) (p place, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.Split(string(b), "/")
	if err != nil || len(parts) != 5 || parts[0] != "1" {
		return p, errors.New("is not a cursor or as_of of this feed")
	}
	p.tier = credit.Tier(parts[1])
	for i, to := range []*int64{&p.asOf, &p.after, &p.origin} {
		if *to, err = strconv.ParseInt(parts[i+2], 10, 64); err != nil {
			return p, errors.New("is not a cursor or as_of of this feed")
		}
	}
	if p.asOf < 0 || p.after < 0 || p.after > p.asOf || p.origin < -1 || p.String() != s {
		return p, errors.New("is not a cursor or as_of of this feed")
	}
	return p, nil
}

type answer struct {
	Tier credit.Tier  `json:"tier"`
	AsOf string       `json:"as_of"`
	Full bool         `json:"full"`
	Rows []credit.Row `json:"rows"`
	Next string       `json:"next,omitempty"`
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "invalid", "only GET is answered here")
		return
	}
	c := h.client(r)
	if c == nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="voucherwatch"`)
		refuse(w, http.StatusUnauthorized, "unauthorized", "send Authorization: Bearer TOKEN, or come with a certificate that is known here")
		return
	}
	if wait := h.wait(c); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		refuse(w, http.StatusTooManyRequests, "unavailable", "too many requests; wait as long as Retry-After says")
		return
	}
	p, limit, asCSV, err := h.ask(r)
	switch {
	case vw.CodeOf(err) == vw.Invalid:
		refuse(w, http.StatusBadRequest, "invalid", errors.Unwrap(err).Error())
		return
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, "unavailable", "the store cannot be read; try again")
		return
	case !slices.Contains(c.Tiers, p.tier):
		refuse(w, http.StatusForbidden, "forbidden", "this client may not see "+string(p.tier))
		return
	}
	// What is given out is a function of these, so they are its tag.
	tag := sha256.Sum256(fmt.Appendf(nil, "%s %d %v", p, limit, asCSV))
	etag := fmt.Sprintf(`"%x"`, tag[:12])
	w.Header().Set("ETag", etag)
	w.Header().Set("Vary", "Accept, Authorization")
	if slices.ContainsFunc(strings.Split(r.Header.Get("If-None-Match"), ","), func(s string) bool { s = strings.TrimSpace(s); return s == "*" || strings.TrimPrefix(s, "W/") == etag }) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	page, err := h.Store.Page(r.Context(), credit.Query{Tier: p.tier, AsOf: p.asOf, After: p.after, Live: p.origin < 0, Limit: limit + 1})
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "unavailable", "the store cannot be read; try again")
		return
	}
	a := answer{Tier: p.tier, AsOf: place{p.tier, p.asOf, p.asOf, -1}.String(), Full: p.origin < 0, Rows: []credit.Row{}}
	if len(page) > limit {
		page = page[:limit]
		a.Next = place{p.tier, p.asOf, page[limit-1].Seq, p.origin}.String()
	}
	for i := range page {
		a.Rows = append(a.Rows, credit.RowOf(&page[i].Entry))
	}
	if h.Pulled != nil && a.Next == "" {
		if err := h.Pulled(r.Context(), credit.Pull{Client: c.Name, Tier: p.tier, AsOf: p.asOf, At: h.Now().UTC()}); err != nil {
			refuse(w, http.StatusServiceUnavailable, "unavailable", "the pull cannot be recorded; try again")
			return
		}
	}
	if asCSV {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
		w.Header().Set("Voucherwatch-As-Of", a.AsOf)
		w.Header().Set("Voucherwatch-Next", a.Next)
		_ = writeCSV(w, a.Rows) // the connection is gone: nobody to tell
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.MarshalWrite(w, &a)
}

// ask reads what is asked for.
func (h *Handler) ask(r *http.Request) (p place, limit int, asCSV bool, err error) {
	q := r.URL.Query()
	bad := func(field, rule string) (place, int, bool, error) {
		return place{}, 0, false, &vw.Error{Op: "feed.ask", Code: vw.Invalid, Err: fmt.Errorf("%s: %s", field, rule)}
	}
	for k, v := range q {
		if !slices.Contains([]string{"tier", "since", "cursor", "limit", "format"}, k) {
			return bad(k, "is not a parameter here: use tier, since, cursor, limit, format")
		}
		if len(v) > 1 {
			return bad(k, "is given twice")
		}
	}
	tier := credit.Tier(q.Get("tier"))
	if tier != credit.Exclusion && tier != credit.Record {
		return bad("tier", "must be activity_exclusion or credit_record: the two lists are never mixed")
	}
	limit = 500
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > 1000 {
			return bad("limit", "must be 1 to 1000")
		}
	}
	switch format := q.Get("format"); format {
	case "", "json":
		asCSV = format == "" && strings.HasPrefix(r.Header.Get("Accept"), "text/csv")
	case "csv":
		asCSV = true
	default:
		return bad("format", "must be json or csv")
	}
	head, err := h.Store.Head(r.Context())
	if err != nil {
		return place{}, 0, false, err
	}
	p = place{tier: tier, asOf: head, origin: -1}
	if s := q.Get("since"); s != "" {
		since, err := parsePlace(s)
		if err != nil {
			return bad("since", err.Error())
		}
		if since.tier != tier || since.asOf > head {
			return bad("since", "is of another list or another feed: pull the whole list again, without since")
		}
		p.after, p.origin = since.asOf, since.asOf
	}
	if s := q.Get("cursor"); s != "" {
		at, err := parsePlace(s)
		if err != nil {
			return bad("cursor", err.Error())
		}
		if at.tier != tier || at.asOf > head {
			return bad("cursor", "is of another list or another feed: begin again, without cursor")
		}
		p = at
	}
	return p, limit, asCSV, nil
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Del("ETag")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, map[string]string{"code": code, "error": text}, json.Deterministic(true))
}

// columns of the CSV, in this order; they are only ever added to.
var columns = []string{"entry_id", "revision", "tier", "label", "state", "name", "uscc", "reg_no", "merchant_id", "basis", "instrument_kind", "instrument_number", "authority", "decided_on", "start", "end", "disputed", "ended_on"}

func writeCSV(w io.Writer, rows []credit.Row) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil { // so that spreadsheets see UTF-8
		return err
	}
	c := csv.NewWriter(w)
	if err := c.Write(columns); err != nil {
		return err
	}
	for _, r := range rows {
		line := []string{r.ID, strconv.Itoa(r.Revision), string(r.Tier), r.Label, string(r.State), r.Name, r.USCC, r.RegNo, r.Merchant, r.Basis, r.Kind, r.Number, r.Authority, string(r.Date), string(r.Start), string(r.End), strconv.FormatBool(r.Disputed), string(r.EndedOn)}
		for i, s := range line {
			if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) { // a spreadsheet would take it for a formula
				line[i] = "'" + s
			}
		}
		if err := c.Write(line); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}
