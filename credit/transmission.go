package credit

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Transmission is how an entry stands with one platform: what it should have, what is under way, and
// what it has confirmed.
type Transmission struct {
	Platform string `json:"platform"`
	Entry    string `json:"entry_id"`
	// Want is the revision that the platform should have, Op what it should do with it.
	Want int `json:"want"`
	Op   Op  `json:"op"`
	// Batch, BatchRevision and BatchOp are what is under way, since SentAt; empty: nothing.
	Batch         string    `json:"batch,omitempty"`
	BatchRevision int       `json:"batch_revision,omitempty"`
	BatchOp       Op        `json:"batch_op,omitempty"`
	SentAt        time.Time `json:"sent_at,omitzero"`
	// Has is the revision that the platform has confirmed, HasOp what it did with it.
	Has      int       `json:"has,omitempty"`
	HasOp    Op        `json:"has_op,omitempty"`
	State    Sending   `json:"state"`
	Receipt  string    `json:"receipt,omitempty"` // number of the last one
	Reason   string    `json:"reason,omitempty"`  // of a rejection or failure
	Attempts int       `json:"attempts"`          // since something was last confirmed
	NextAt   time.Time `json:"next_at"`
	// TellBy is the end of the time to pass a removal on; zero for others.
	TellBy time.Time `json:"tell_by,omitzero"`
}

// Op is what a platform does with a row.
type Op string

const (
	Insert Op = "I"
	Update Op = "U"
	Delete Op = "D"
)

// Sending is the state of a transmission.
type Sending string

const (
	Ready    Sending = "ready"    // to be sent
	Under    Sending = "sent"     // sent, no receipt yet
	Accepted Sending = "accepted" // the platform has what it should have
	Rejected Sending = "rejected" // the platform will not have it: a person must look
	Needless Sending = "needless" // it ended before it was ever sent
)

// Outbox keeps transmissions. Plan writes transmissions and moves the platform's cursor in one write; Save
// writes transmissions only. Due lists those in a state whose NextAt has come, removals first, then by
// entry. Errors are *vw.Error; safe for concurrent use. One Pusher works on a platform at a time.
type Outbox interface {
	Cursor(ctx context.Context, platform string) (int64, error)
	Plan(ctx context.Context, platform string, ts []Transmission, cursor int64) error
	Save(ctx context.Context, ts []Transmission) error
	// Transmissions finds those of the entries, or all of the platform's for none; unknown ones are left out.
	Transmissions(ctx context.Context, platform string, entries ...string) ([]Transmission, error)
	Due(ctx context.Context, platform string, state Sending, now time.Time, limit int) ([]Transmission, error)
}

// Pull is the receipt of a pull: a client has a list as it stood after write AsOf.
type Pull struct {
	Client string
	Tier   Tier
	AsOf   int64
	At     time.Time
}

// Before orders transmissions: removals first, by their deadline, then by entry.
func (t *Transmission) Before(o *Transmission) int {
	rank := func(t *Transmission) int {
		if t.Op == Delete {
			return 0
		}
		return 1
	}
	return cmp.Or(rank(t)-rank(o), t.TellBy.Compare(o.TellBy), cmp.Compare(t.Entry, o.Entry))
}

// Sent is an Outbox in memory.
type Sent struct {
	mu      sync.Mutex
	all     map[[2]string]Transmission
	cursors map[string]int64
}

var _ Outbox = (*Sent)(nil)

// NewSent is an empty outbox.
func NewSent() *Sent { return &Sent{all: map[[2]string]Transmission{}, cursors: map[string]int64{}} }

func (s *Sent) Cursor(_ context.Context, platform string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursors[platform], nil
}

func (s *Sent) Plan(ctx context.Context, platform string, ts []Transmission, cursor int64) error {
	if err := s.Save(ctx, ts); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors[platform] = cursor
	return nil
}

func (s *Sent) Save(_ context.Context, ts []Transmission) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range ts {
		s.all[[2]string{t.Platform, t.Entry}] = t
	}
	return nil
}

func (s *Sent) Transmissions(_ context.Context, platform string, entries ...string) (found []Transmission, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, t := range s.all {
		if k[0] == platform && (len(entries) == 0 || slices.Contains(entries, t.Entry)) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b Transmission) int { return cmp.Compare(a.Entry, b.Entry) })
	return found, nil
}

func (s *Sent) Due(_ context.Context, platform string, state Sending, now time.Time, limit int) (due []Transmission, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, t := range s.all {
		if k[0] == platform && t.State == state && !t.NextAt.After(now) {
			due = append(due, t)
		}
	}
	slices.SortFunc(due, func(a, b Transmission) int { return a.Before(&b) })
	return due[:min(limit, len(due))], nil
}
