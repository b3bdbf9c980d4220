// Package alerts tells the agencies: which of them hears of what, when, over which channel, and with
// what receipt. It also keeps the register of the evidence packs that go with a referral.
//
// In: an Alert, from the Outbox of whoever decides about cases. Router puts it through the routing tree
// of a Policy, groups, holds back (silence, inhibition, working hours), repeats and escalates; what it
// decides to send becomes a Delivery in the Store. Courier takes deliveries to their Channel, again and
// again until the vendor says yes, and writes down every attempt. Out: messages at the agencies, and
// the delivery log.
//
// Every id is a pure function of what it is about, so an alert that comes twice, or a process that died
// between any two writes, gives one delivery; the receiver sees one message where it honours the
// idempotency key. Nothing here reads a clock or waits: Router.Tick and Courier.Drain do what is due and
// say when to come again. It does not judge cases, and no message holds personal data: a case number, a
// merchant, an amount, one sentence and a link.
package alerts

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	vw "voucherwatch"
)

// Alert is one thing about a case that others must hear.
type Alert struct {
	// ID is NewID of the case and of what happened: the same thing always has the same id.
	ID   string `json:"alert_id"`
	Case string `json:"case_id"`
	// Sequence is the alert's place among those of its case, from 1; they are told in this order.
	Sequence   int         `json:"sequence"`
	What       What        `json:"what"`
	At         time.Time   `json:"at"` // when it was decided
	Typologies []string    `json:"typologies"`
	Agencies   []string    `json:"agencies"` // codes of those who must be told
	Severity   vw.Severity `json:"severity"`
	District   string      `json:"district,omitempty"`
	MerchantID string      `json:"merchant_id,omitempty"`
	// Merchant is a trading name. It is the only free text of a message: see Alert.Clean.
	Merchant    string    `json:"merchant,omitempty"`
	SubsidyFen  vw.Fen    `json:"subsidy_fen"`
	Redemptions int       `json:"redemptions,omitempty"`
	DueAt       time.Time `json:"due_at,omitzero"`
	// Pack is the number of the evidence pack that goes with a referral.
	Pack string `json:"pack,omitempty"`
	// Drill marks an exercise: it goes the whole way and says so.
	Drill bool `json:"drill,omitempty"`
}

// What is the kind of news.
type What string

const (
	Opened    What = "opened"    // a case was opened
	Worsened  What = "worsened"  // more money, a graver severity, another typology
	Overdue   What = "overdue"   // the clock of a case has run out
	Referred  What = "referred"  // a case goes to another authority, with its evidence pack
	Excluded  What = "excluded"  // a merchant lost its eligibility
	Listed    What = "listed"    // a credit record was made
	Withdrawn What = "withdrawn" // an exclusion or record was revoked, repaired or has expired
	Appealed  What = "appealed"  // the merchant objects
	Audit     What = "audit"     // for the audit digest
	Drill     What = "drill"     // an exercise
)

var whats = []What{Opened, Worsened, Overdue, Referred, Excluded, Listed, Withdrawn, Appealed, Audit, Drill}

// agencies are the codes of the catalogue of typologies.
var agencies = []string{"GX", "GA", "SJ", "CZ", "SJJ", "FG", "YL", "MZ"}

var severities = []vw.Severity{"low", "medium", "high", "critical"}

func rank(s vw.Severity) int { return slices.Index(severities, s) }

// NewID is the id of an alert: of the case, what happened and what tells two such happenings apart (a
// revision, a measure's number, a date).
func NewID(caseID string, what What, which string) string {
	return "alert-" + digest(caseID, string(what), which)
}

// digest is the first 16 hex digits of the SHA-256 of the parts, each with its length before it.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Check is vw.Invalid, with every fault, for an alert that cannot be routed.
func (a *Alert) Check() error {
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(a.ID != "" && len(a.ID) <= 100, "alert_id", "must have 1 to 100 bytes")
	need(a.Case != "" && len(a.Case) <= 100, "case_id", "must have 1 to 100 bytes")
	need(a.Sequence >= 1, "sequence", "must be at least 1")
	need(slices.Contains(whats, a.What), "what", "must be one of "+list(whats))
	need(!a.At.IsZero(), "at", "is required")
	need(rank(a.Severity) >= 0, "severity", "must be one of "+list(severities))
	for i, code := range a.Agencies {
		need(slices.Contains(agencies, code), fmt.Sprintf("agencies[%d]", i), "must be one of "+list(agencies))
	}
	need(a.SubsidyFen >= 0, "subsidy_fen", "must not be negative")
	need(utf8.ValidString(a.Merchant) && utf8.RuneCountInString(a.Merchant) <= 100, "merchant", "must be at most 100 characters of UTF-8")
	return invalid("alerts.Check", errs)
}

func list[T ~string](words []T) string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = string(w)
	}
	return strings.Join(s, ", ")
}

// personal finds runs of digits that are long enough for a phone, an identity card or a bank card, as
// small traders have them in their trading names.
var personal = regexp.MustCompile(`[0-9０-９][0-9０-９\s-]{9,}[0-9０-９Xx]`)

// Clean is a name without numbers that could be a person's, and without what a chat could take for
// markup, a mention or a new line.
func Clean(name string) string {
	name = personal.ReplaceAllString(name, "○○○")
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069':
			return ' '
		case strings.ContainsRune("<>@*_`~[]|#\\", r):
			return '·'
		}
		return r
	}, name)
}

// Outbox is where alerts wait that were decided in the same write as the change of a case.
//
// Pending is the next at most limit alerts that are not done, those of one case in the order of their
// Sequence. Done says that they were taken in durably; alerts that are unknown or done already change
// nothing. An alert may come again until it is done. Errors carry vw.Unavailable when a retry can help.
type Outbox interface {
	Pending(ctx context.Context, limit int) ([]Alert, error)
	Done(ctx context.Context, ids []string) error
}

func invalid(op string, errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return &vw.Error{Op: op, Code: vw.Invalid, Err: errors.Join(errs...)}
}

// Waiting is an Outbox in memory, for tests and for programs without a store of cases.
type Waiting struct{ alerts []Alert }

var _ Outbox = (*Waiting)(nil)

// Put adds alerts. Not safe for concurrent use with the other methods.
func (w *Waiting) Put(alerts ...Alert) { w.alerts = append(w.alerts, alerts...) }

// Pending is the next alerts, by case and sequence.
func (w *Waiting) Pending(_ context.Context, limit int) ([]Alert, error) {
	slices.SortStableFunc(w.alerts, func(a, b Alert) int {
		if a.Case == b.Case {
			return a.Sequence - b.Sequence
		}
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Case, b.Case))
	})
	return slices.Clone(w.alerts[:min(limit, len(w.alerts))]), nil
}

// Done takes alerts out.
func (w *Waiting) Done(_ context.Context, ids []string) error {
	w.alerts = slices.DeleteFunc(w.alerts, func(a Alert) bool { return slices.Contains(ids, a.ID) })
	return nil
}
