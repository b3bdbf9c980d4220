package cases

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	vw "voucherwatch"
)

// The kinds of rows.
const (
	CaseRow  = "case"
	AlertRow = "alert"
)

// Row is a line of a queue, at most about a kilobyte: enough to choose by, the rest is looked up.
type Row struct {
	Kind       string      `json:"kind"`
	ID         string      `json:"id"`
	Subject    vw.Subject  `json:"subject"`
	State      State       `json:"state"`
	Typologies []string    `json:"typologies"`
	Severity   vw.Severity `json:"severity"`
	Score      int         `json:"score"`
	SubsidyFen vw.Fen      `json:"subsidy_fen"`
	Assignee   string      `json:"assignee,omitempty"`
	Track      Track       `json:"track,omitempty"`
	CaseID     string      `json:"case_id,omitempty"` // of an alert
	Group      string      `json:"group,omitempty"`   // of an alert
	Findings   int         `json:"findings,omitempty"`
	At         string      `json:"at"` // opened, or detected
	DueAt      string      `json:"due_at,omitempty"`
	Objected   bool        `json:"objected,omitempty"` // 异议中
	Waiting    bool        `json:"waiting,omitempty"`  // for an approval
	Pending    int         `json:"pending,omitempty"`  // messages in the outbox
	Version    int         `json:"version,omitempty"`  // what a command may give as Seen
	Revision   int         `json:"revision"`
}

// RowOf is the row of a case.
func RowOf(d *Document) Row {
	c, w := &d.Case, &d.Work
	return Row{Kind: CaseRow, ID: c.CaseID, Subject: c.Subject, State: w.stage(), Typologies: c.Typologies, Severity: c.Severity, Score: c.Score,
		SubsidyFen: c.SubsidyFen, Assignee: c.Assignee, Track: w.track(), Findings: len(c.FindingIDs), At: c.OpenedAt, DueAt: d.Due(),
		Objected: w.Objected(), Waiting: slices.ContainsFunc(w.Approvals, func(a Approval) bool { return a.Open() }), Pending: w.Pending(), Version: w.Version, Revision: c.Revision}
}

// Row is the row of an alert.
func (a *Alert) Row() Row {
	return Row{Kind: AlertRow, ID: a.AlertID, Subject: a.Subject, State: a.State, Typologies: []string{a.Typology}, Severity: a.Severity, Score: a.Score,
		SubsidyFen: a.SubsidyFen, Assignee: a.By, CaseID: a.CaseID, Group: a.Group, At: a.At, DueAt: a.Until, Version: a.Revision, Revision: a.Revision}
}

// Query chooses rows of one kind; a zero field does not choose.
type Query struct {
	Kind      string // CaseRow or AlertRow
	States    []State
	SubjectID string
	Typology  string
	Severity  vw.Severity
	Assignee  string
	CaseID    string // alerts of a case
	MinScore  int
	DueBefore string // RFC 3339
	// Pending: only cases with messages still to leave.
	Pending bool
	// Text finds cases by what people and the Desk wrote: every word, separated by spaces, must occur. A run of
	// Chinese characters occurs wherever it stands, a word of other scripts as a whole word, in any case.
	Text string
	// Sort is score (the default), subsidy and at, greatest first, or due, soonest first and none last. Equal
	// rows stand by id in byte order.
	Sort   string
	Limit  int    // rows, at most 1000; 0 means 100, below 0 none
	Cursor string // Result.Next of the page before
	// Count names what is counted over all rows that match: state, typology, severity, assignee, track.
	Count []string
}

// Result is a page. Total and Counts are over all rows that match, on every page.
type Result struct {
	Rows   []Row
	Total  int
	Counts map[string]map[string]int
	Next   string
}

// Place is where a page begins: after the row with this key and id.
type Place struct {
	Key int64
	ID  string
}

var (
	sorts  = []string{"score", "subsidy", "at", "due"}
	counts = []string{"state", "typology", "severity", "assignee", "track"}
)

// Check fills in defaults and decodes the cursor; nil is the beginning.
func (q *Query) Check() (after *Place, err error) {
	var errs []error
	need := func(ok bool, what, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", what, rule))
		}
	}
	q.Limit, q.Sort = cmp.Or(q.Limit, 100), cmp.Or(q.Sort, "score")
	need(q.Kind == CaseRow || q.Kind == AlertRow, "kind", "must be case or alert")
	need(q.Limit <= 1000, "limit", "must be at most 1000")
	need(q.MinScore >= 0 && q.MinScore <= 1000, "min_score", "must be 0 to 1000")
	need(slices.Contains(sorts, q.Sort), "sort", "must be one of "+strings.Join(sorts, ", "))
	need(q.Text == "" || q.Kind == CaseRow, "text", "is of cases only")
	need(utf8.RuneCountInString(q.Text) <= 200, "text", "must have at most 200 characters")
	need(q.Text == "" || len(Phrases(q.Text)) > 0, "text", "has no letter or digit")
	need(len(q.States) <= 20, "states", "must be at most 20")
	for _, c := range q.Count {
		need(slices.Contains(counts, c), "count", "must be of "+strings.Join(counts, ", "))
	}
	if q.DueBefore != "" {
		_, err := time.Parse(time.RFC3339, q.DueBefore)
		need(err == nil, "due_before", "must be RFC 3339")
	}
	if q.Cursor != "" {
		after, err = parsePlace(q.Cursor)
		need(err == nil, "cursor", "was not made by this list; start again from the first page")
	}
	return after, invalid("cases.Search", errs)
}

// Cursor is the place as opaque text.
func (p Place) Cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.Key, 10) + ":" + p.ID))
}

func parsePlace(s string) (*Place, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	key, id, ok := strings.Cut(string(b), ":")
	n, err2 := strconv.ParseInt(key, 10, 64)
	p := &Place{n, id}
	if err != nil || err2 != nil || !ok || id == "" || !utf8.ValidString(id) || p.Cursor() != s {
		return nil, errors.New("bad cursor")
	}
	return p, nil
}

// Never is the key of what has no due date.
const Never = math.MaxInt64

// DueKey, AtKey are moments as sort keys: Unix milliseconds.
func (r *Row) DueKey() int64 {
	if r.DueAt == "" {
		return Never
	}
	return moment(r.DueAt).UnixMilli()
}

// AtKey is when the row began.
func (r *Row) AtKey() int64 { return moment(r.At).UnixMilli() }

// Key is what the query sorts by, and whether the greatest comes first.
func (q *Query) Key(r *Row) (key int64, descending bool) {
	switch q.Sort {
	case "subsidy":
		return int64(r.SubsidyFen), true
	case "at":
		return r.AtKey(), true
	case "due":
		return r.DueKey(), false
	}
	return int64(r.Score), true
}

// Cut makes a page of rows that were read one beyond the limit.
func (q *Query) Cut(found []Row) (rows []Row, next string) {
	if q.Limit < 0 {
		return nil, ""
	}
	if len(found) <= q.Limit {
		return found, ""
	}
	last := &found[q.Limit-1]
	key, _ := q.Key(last)
	return found[:q.Limit], Place{key, last.ID}.Cursor()
}

// maxWords is how much of a case can be searched, in words.
const maxWords = 20_000

// seam stands between two texts, so that no phrase reaches over it.
const seam = "0seam0"

// Words are what can be searched in a text: each Chinese character and kana by itself, runs of other letters and digits in lower
// case. Archives index them as they are, so that all find the same.
func Words(text string) (out []string) {
	var run []rune
	flush := func() {
		if len(run) > 0 {
			out = append(out, string(run[:min(len(run), 100)]))
			run = run[:0]
		}
	}
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana):
			flush()
			out = append(out, string(r))
		case r < unicode.MaxLatin1 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			run = append(run, unicode.ToLower(r))
		default:
			flush()
		}
	}
	flush()
	return out
}

// Phrases are the words of a query, each as the run of Words that must occur.
func Phrases(text string) (out [][]string) {
	for _, f := range strings.Fields(text) {
		if w := Words(f); len(w) > 0 {
			out = append(out, w)
		}
	}
	return out
}

// SearchText is what can be searched of a case, as Words joined by spaces.
func (d *Document) SearchText() string {
	var words []string
	add := func(texts ...string) {
		for _, s := range texts {
			if len(words) < maxWords {
				words = append(words, Words(s)...)
				words = append(words, seam)
			}
		}
	}
	c, w := &d.Case, &d.Work
	add(c.CaseID, c.Subject.ID, c.Assignee, w.Source)
	add(c.Typologies...)
	for _, n := range w.Notes {
		add(n.Versions[len(n.Versions)-1].Text)
	}
	for _, a := range w.Assessments {
		add(a.Text)
	}
	for _, e := range w.Evidence {
		add(e.Title)
	}
	for _, t := range w.Tasks {
		add(t.Text.Zh, t.Result)
	}
	for i := len(c.Timeline) - 1; i >= 0; i-- { // the newest first, should it be too much
		add(c.Timeline[i].Text.Zh, c.Timeline[i].Text.En)
	}
	return strings.Join(words[:min(len(words), maxWords)], " ")
}

// matches says whether a row is chosen, text and cursor apart.
func (q *Query) matches(r *Row) bool {
	return r.Kind == q.Kind && (len(q.States) == 0 || slices.Contains(q.States, r.State)) &&
		(q.SubjectID == "" || r.Subject.ID == q.SubjectID) && (q.Typology == "" || slices.Contains(r.Typologies, q.Typology)) &&
		(q.Severity == "" || r.Severity == q.Severity) && (q.Assignee == "" || r.Assignee == q.Assignee) && (q.CaseID == "" || r.CaseID == q.CaseID) &&
		r.Score >= q.MinScore && (q.DueBefore == "" || r.DueKey() < moment(q.DueBefore).UnixMilli()) && (!q.Pending || r.Pending > 0)
}

// field is what a count counts a row under.
func (r *Row) field(name string) []string {
	switch name {
	case "state":
		return []string{string(r.State)}
	case "typology":
		return r.Typologies
	case "severity":
		return []string{string(r.Severity)}
	case "assignee":
		return []string{r.Assignee}
	}
	return []string{string(r.Track)}
}
