package alerts

import (
	"context"
	"time"

	vw "voucherwatch"
)

// Board keeps what Router remembers. Commit writes all of a Change or nothing, and blocks until it is
// durable; an alert that is there already stays as it is, a delivery too, a group or silence is
// replaced. Errors are *vw.Error. Safe for concurrent use.
type Board interface {
	// Load is everything that is not finished: open groups, the alerts of open cases, silences that have not ended
	// by now.
	Load(ctx context.Context, now time.Time) (State, error)
	Commit(ctx context.Context, c Change) error
	// Known are those of the ids whose alerts were taken in.
	Known(ctx context.Context, ids []string) (map[string]bool, error)
}

// Ledger keeps deliveries with all their attempts. Safe for concurrent use; errors are *vw.Error.
type Ledger interface {
	// Ready is at most limit deliveries of a channel that may be sent at a moment, oldest first, and when
	// to look again, zero for never. A line is the deliveries of one case over one channel: only the
	// oldest that is not final is ever ready, so that a case is told in order. While a digest waits, it
	// alone is ready.
	Ready(ctx context.Context, channel string, now time.Time, limit int) ([]Delivery, time.Time, error)
	// Record writes deliveries, new or changed, all or none.
	Record(ctx context.Context, ds []Delivery) error
	// Deliveries lists, newest first.
	Deliveries(ctx context.Context, f Filter) ([]Delivery, error)
	// Health sums up every channel that has deliveries, by name.
	Health(ctx context.Context) ([]Health, error)
}

// State is what Router remembers of what is not finished.
type State struct {
	Groups   []Group
	Alerts   []Alert
	Silences []Silence
}

// Change is one write of Router.
type Change struct {
	Alerts     []Alert // taken in
	Groups     []Group // as they are now
	Silences   []Silence
	Deliveries []Delivery
	// Closed are cases that are finished: their alerts are no longer open.
	Closed []string
}

// Group is alerts that are told together, on one branch of the tree.
type Group struct {
	Key     string            `json:"key"` // of branch and labels
	Route   string            `json:"route"`
	Labels  map[string]string `json:"labels"`
	Cases   []string          `json:"cases"`
	Pending []Alert           `json:"pending"` // not told yet
	Last    []Alert           `json:"last"`    // told with the last message, for repeats
	// Due is when it is next looked at; zero: not before something new comes.
	Due      time.Time `json:"due,omitzero"`
	Told     time.Time `json:"told,omitzero"`  // the last message with news
	Sent     int       `json:"sent"`           // messages so far
	Taken    string    `json:"taken,omitzero"` // who took it up
	TakenAt  time.Time `json:"taken_at,omitzero"`
	Step     int       `json:"step"` // of the ladder, next
	Round    int       `json:"round"`
	StepDue  time.Time `json:"step_due,omitzero"`
	Closed   bool      `json:"closed"`
	Inhibits []string  `json:"inhibited,omitempty"` // alerts held back for good by a greater one
}

// Silence holds alerts back for a while. They are told when it ends.
type Silence struct {
	ID       string    `json:"id"`
	Match    Match     `json:"match"`
	Who      string    `json:"who"`
	Second   string    `json:"second,omitempty"` // the other person, where one may not alone
	Why      string    `json:"why"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	EndedBy  string    `json:"ended_by,omitempty"`
	Matching int       `json:"-"` // open alerts that it matches now: see Router.Silences
}

// Progress is how far a delivery is.
type Progress string

const (
	Queued   Progress = "queued"
	Sent     Progress = "sent"   // the vendor said yes
	Dead     Progress = "dead"   // given up; Courier.Resend
	InDigest Progress = "digest" // sent as part of the digest Into
)

// Delivery is one message to one channel.
type Delivery struct {
	ID       string    `json:"id"`  // the idempotency key
	Seq      int64     `json:"seq"` // given by the Store, in the order of writing; 0 before
	Receiver string    `json:"receiver"`
	Channel  string    `json:"channel"`
	Line     string    `json:"line"` // deliveries with the same channel and line are sent in order
	Message  Message   `json:"message"`
	Alerts   []string  `json:"alerts"` // ids
	State    Progress  `json:"state"`
	NextAt   time.Time `json:"next_at"`
	Attempts []Attempt `json:"attempts"`
	Into     string    `json:"into,omitempty"`
	Made     time.Time `json:"made"`
	// Batch names the drill or the test that it belongs to.
	Batch string `json:"batch,omitempty"`
}

// Attempt is one try, as it went.
type Attempt struct {
	At        time.Time `json:"at"`
	LatencyMS int64     `json:"latency_ms"`
	Status    int       `json:"status,omitempty"` // of HTTP or SMTP
	Code      string    `json:"code"`             // the vendor's: "0", "errcode 310000", "invalid_auth"
	OK        bool      `json:"ok"`
	Error     string    `json:"error,omitempty"`
	ID        string    `json:"id,omitempty"`     // the vendor's name for the message
	Thread    string    `json:"thread,omitempty"` // of the conversation that it began
	Who       string    `json:"who,omitempty"`    // who asked for it, when a person did
}

// Filter chooses deliveries; a zero field does not choose.
type Filter struct {
	Channel string
	State   Progress
	Case    string
	Batch   string
	Kind    Kind
	Limit   int   // 0: 100
	Before  int64 // Seq of the last one seen
	// Oldest lists the oldest first; Before is not looked at then.
	Oldest bool
}

// Health is how a channel does.
type Health struct {
	Channel       string    `json:"channel"`
	Queued        int       `json:"queued"`
	Dead          int       `json:"dead"`
	Sent          int       `json:"sent"`
	Oldest        time.Time `json:"oldest,omitzero"` // the oldest that waits
	LastSent      time.Time `json:"last_sent,omitzero"`
	LastFailed    time.Time `json:"last_failed,omitzero"`
	LastCode      string    `json:"last_code,omitempty"` // of the last attempt
	LastLatencyMS int64     `json:"last_latency_ms"`
	LastDrill     time.Time `json:"last_drill,omitzero"` // the last drill that arrived
}

// Word sums it up: untested, ok, failing (the last attempt failed), down (so did all since the last
// hour's success, and something waits).
func (h *Health) Word() string {
	switch {
	case h.LastSent.IsZero() && h.LastFailed.IsZero():
		return "untested"
	case !h.LastFailed.After(h.LastSent):
		return "ok"
	case h.LastFailed.Sub(h.LastSent) > time.Hour && h.Queued > 0:
		return "down"
	}
	return "failing"
}

func notFound(op, what string) error {
	return &vw.Error{Op: op, Code: vw.NotFound, Err: errorText(what)}
}

type errorText string

func (e errorText) Error() string { return string(e) }
