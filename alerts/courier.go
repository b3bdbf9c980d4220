package alerts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	vw "voucherwatch"
)

// Channel takes messages to one place.
//
// Send gives the message to the vendor and blocks until it has answered or ctx ends. It returns no error
// only when the vendor said that it took the message: an answer with HTTP status 200 and an error code is
// an error. Errors are *vw.Error: Unavailable when a retry can help, else Invalid (the address, the
// secret or the message will never be accepted). They hold no secret and no body of a message. The
// Receipt is filled in as far as it is known, with an error too. Safe for concurrent use.
type Channel interface {
	Send(ctx context.Context, m Message) (Receipt, error)
}

// Receipt is what a vendor answered.
type Receipt struct {
	Status int    // of HTTP or SMTP, 0: there was no answer
	Code   string // the vendor's own: "0", "errcode 310000", "invalid_auth"
	ID     string // the vendor's name for the message
	Thread string // of the conversation that it began, to be given to the next message of the case
	// RetryAfter is how long the vendor asks to be left alone; the whole channel then waits.
	RetryAfter time.Duration
}

// Options are those of a Courier.
type Options struct {
	Policy   *Policy
	Ledger   Ledger
	Channels map[string]Channel // by the name in the policy
	// Now is the clock; it measures latencies too.
	Now func() time.Time
	// Seed makes the jitter. Two couriers over one ledger are not allowed, so it only spreads couriers of
	// different sites that share a vendor.
	Seed uint64
	// Parallel is how many messages are under way in a channel at a time, of different cases; 0: 4.
	Parallel int
	// Timeout of one attempt; 0: 15 s.
	Timeout time.Duration
	// Attach fetches the files of a pack, for channels that take files; nil: nothing is attached.
	Attach func(ctx context.Context, pack string) ([]Attachment, error)
}

// Courier takes deliveries to their channels. One Courier at a time works on a Ledger. Drain has one
// owner; the other methods are safe beside it.
type Courier struct {
	Options
	mu    sync.Mutex
	lanes map[string]*lane
}

// lane is what a courier knows of a channel since it began: nothing is lost with it.
type lane struct {
	resume time.Time   // not before
	sent   []time.Time // of the last minute, for the vendor's limit
	failed int         // in a row
	known  bool        // sent holds what a courier before this one sent
}

// NewCourier checks the options; a channel of the policy that is missing is vw.Invalid.
func NewCourier(o Options) (*Courier, error) {
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(o.Policy != nil, "policy", "is required")
	need(o.Ledger != nil, "ledger", "is required")
	need(o.Now != nil, "now", "is required")
	if o.Policy != nil {
		for name := range o.Policy.Channels {
			need(o.Channels[name] != nil, "channels."+name, "is missing")
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return slices.Compare([]byte(a.Error()), []byte(b.Error())) })
	if err := invalid("alerts.NewCourier", errs); err != nil {
		return nil, err
	}
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	c := &Courier{Options: o, lanes: map[string]*lane{}}
	for name := range o.Channels {
		c.lanes[name] = &lane{}
	}
	return c, nil
}

// Drain sends what is ready, all channels at the same time, until nothing is, and says when to come
// again; zero: not before there is news. A failing channel holds up no other. What ctx cuts off is sent
// again. The error is the ledger's; that a message failed is in the ledger.
func (c *Courier) Drain(ctx context.Context) (next time.Time, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for name := range c.Channels {
		group.Go(func() error {
			at, err := c.drain(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
			return err
		})
	}
	return next, group.Wait()
}

func (c *Courier) drain(ctx context.Context, name string) (time.Time, error) {
	if err := c.recall(ctx, name); err != nil {
		return time.Time{}, err
	}
	for ctx.Err() == nil {
		now := c.Now()
		room, resume := c.room(name, now)
		if room == 0 {
			if err := c.gather(ctx, name, now); err != nil {
				return time.Time{}, err
			}
			return resume, nil
		}
		batch, next, err := c.Ledger.Ready(ctx, name, now, min(room, 8*c.Parallel))
		if err != nil || len(batch) == 0 {
			return next, err
		}
		var group errgroup.Group
		group.SetLimit(c.Parallel)
		for i := range batch {
			group.Go(func() error {
				c.attempt(ctx, &batch[i], "")
				return nil
			})
		}
		_ = group.Wait()
		// What was sent is written down even when ctx has ended meanwhile.
		if err := c.Ledger.Record(context.WithoutCancel(ctx), batch); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// recall counts what was sent in the minute before this courier began: the vendor does.
func (c *Courier) recall(ctx context.Context, name string) error {
	limit := c.Policy.Channels[name].PerMinute
	l := c.lanes[name]
	if limit == 0 || l.known {
		return nil
	}
	last, err := c.Ledger.Deliveries(ctx, Filter{Channel: name, Limit: 10 * limit})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range last {
		for _, a := range last[i].Attempts {
			if a.Who == "" && a.At.After(c.Now().Add(-time.Minute)) {
				l.sent = append(l.sent, a.At)
			}
		}
	}
	slices.SortFunc(l.sent, time.Time.Compare)
	l.known = true
	return nil
}

// room is how many messages the channel takes now, and when it takes more.
func (c *Courier) room(name string, now time.Time) (int, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[name]
	if l.resume.After(now) {
		return 0, l.resume
	}
	limit := c.Policy.Channels[name].PerMinute
	if limit == 0 {
		return 1 << 20, time.Time{}
	}
	l.sent = slices.DeleteFunc(l.sent, func(t time.Time) bool { return !t.After(now.Add(-time.Minute)) })
	if n := limit - len(l.sent); n > 0 {
		return n, time.Time{}
	}
	return 0, l.sent[len(l.sent)-limit].Add(time.Minute)
}

// attempt sends one delivery and writes into it how that went.
func (c *Courier) attempt(ctx context.Context, d *Delivery, who string) {
	start := c.Now()
	receipt, err := c.send(ctx, d)
	end := c.Now()
	a := Attempt{At: start, LatencyMS: end.Sub(start).Milliseconds(), Status: receipt.Status, Code: receipt.Code, OK: err == nil, ID: receipt.ID, Thread: receipt.Thread, Who: who}
	switch {
	case err == nil:
		d.State = Sent
	case ctx.Err() != nil:
		a.Code, a.Error = "interrupted", "the program was stopped while it waited for the answer"
		d.NextAt = end
	default:
		a.Error = reason(err)
		if a.Code == "" {
			a.Code = string(vw.CodeOf(err))
		}
		if vw.CodeOf(err) != vw.Unavailable || tries(d)+1 >= c.Policy.Retry.Attempts {
			d.State = Dead
		} else {
			d.NextAt = end.Add(c.pause(d.ID, tries(d)))
		}
	}
	d.Attempts = append(d.Attempts, a)
	c.note(d.Channel, a, receipt.RetryAfter, end)
}

// tries are the attempts since a person last asked for it.
func tries(d *Delivery) (n int) {
	for _, a := range slices.Backward(d.Attempts) {
		if a.Who != "" {
			break
		}
		if a.Code != "interrupted" {
			n++
		}
	}
	return n
}

func (c *Courier) send(ctx context.Context, d *Delivery) (Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if d.Message.Pack != "" && c.Attach != nil {
		files, err := c.Attach(ctx, d.Message.Pack)
		if err != nil {
			return Receipt{Code: "attachment"}, &vw.Error{Op: "alerts.Send", Code: vw.Unavailable, Err: fmt.Errorf("fetch pack: %w", err)}
		}
		d.Message.Attachments = files
	}
	return c.Channels[d.Channel].Send(ctx, d.Message)
}

// reason is an error as the log shows it.
func reason(err error) string {
	if e, ok := errors.AsType[*vw.Error](err); ok {
		return Cut(e.Err.Error(), 300)
	}
	return Cut(err.Error(), 300)
}

// pause is how long to wait after the n-th failure (from 0): doubling from Base to Longest, times 0.5 to
// 1.5 by the delivery and the seed, so that what failed together does not come back together.
func (c *Courier) pause(id string, n int) time.Duration {
	d := c.Policy.Retry.Longest
	if n < 40 && c.Policy.Retry.Base<<n > 0 {
		d = min(d, c.Policy.Retry.Base<<n)
	}
	part := xxh3.HashStringSeed(id+strconv.Itoa(n), c.Seed) % 1000
	return d/2 + d*time.Duration(part)/1000
}

// streak is how many failures in a row, of any cases, make a channel rest.
const streak = 8

// note keeps what the channel's limit and health need.
func (c *Courier) note(name string, a Attempt, retryAfter time.Duration, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[name]
	if c.Policy.Channels[name].PerMinute > 0 {
		l.sent = append(l.sent, a.At)
	}
	if retryAfter > 0 {
		l.rest(now.Add(min(retryAfter, time.Hour)))
	}
	if a.OK {
		l.failed = 0
		return
	}
	// A vendor that is down is not asked about each of ten thousand messages.
	if l.failed++; l.failed%streak == 0 {
		l.rest(now.Add(c.pause(name, min(l.failed/streak, 20))))
	}
}

func (l *lane) rest(until time.Time) {
	if until.After(l.resume) {
		l.resume = until
	}
}

// gather puts what waits for a full channel into one digest, when it is much. Cases whose first message
// was tried already stay apart: it may have arrived, and would be told twice.
func (c *Courier) gather(ctx context.Context, name string, now time.Time) error {
	limit := c.Policy.Channels[name].DigestOver
	if limit == 0 {
		return nil
	}
	// The oldest of all, so that no case has an older message that is left behind.
	waiting, err := c.Ledger.Deliveries(ctx, Filter{Channel: name, State: Queued, Limit: mostDigested, Oldest: true})
	if err != nil {
		return err
	}
	tried := map[string]bool{}
	for i := range waiting {
		if d := &waiting[i]; len(d.Attempts) > 0 || d.Message.Kind == Digest || d.Message.Kind == Trial || d.Message.Kind == Exercise || d.Message.Pack != "" {
			tried[d.Line] = true
		}
	}
	waiting = slices.DeleteFunc(waiting, func(d Delivery) bool { return tried[d.Line] })
	if len(waiting) <= limit {
		return nil
	}
	sum := Delivery{Channel: name, Receiver: waiting[0].Receiver, State: Queued, NextAt: now, Made: now}
	m := Message{Kind: Digest, At: now, Severity: severities[0]}
	parts := []string{name}
	for i := range waiting {
		d := &waiting[i]
		m.Items = append(m.Items, d.Message.Items...)
		m.More += d.Message.More
		if rank(d.Message.Severity) > rank(m.Severity) {
			m.Severity = d.Message.Severity
		}
		sum.Alerts = append(sum.Alerts, d.Alerts...)
		parts = append(parts, d.ID)
	}
	m.gather("")
	m.cut()
	sum.ID = "digest-" + digest(parts...)
	sum.Line, m.Key = sum.ID, sum.ID
	m.Link = c.Policy.link("")
	sum.Message = m
	for i := range waiting {
		waiting[i].State, waiting[i].Into = InDigest, sum.ID
	}
	return c.Ledger.Record(ctx, append(waiting, sum))
}

// mostDigested is how many messages one digest takes in.
const mostDigested = 500

// Resend puts a dead letter back into the queue, at a person's wish.
func (c *Courier) Resend(ctx context.Context, id, who string) error {
	if who == "" {
		return invalid("alerts.Resend", []error{errors.New("who: is required")})
	}
	for before := int64(0); ; {
		page, err := c.Ledger.Deliveries(ctx, Filter{State: Dead, Limit: 500, Before: before})
		if err != nil {
			return err
		}
		for _, d := range page {
			before = d.Seq
			if d.ID != id {
				continue
			}
			if c.Channels[d.Channel] == nil {
				return &vw.Error{Op: "alerts.Resend", Code: vw.Invalid, Hint: "correct what made the alert; it has no channel", Err: fmt.Errorf("delivery %s cannot be sent", id)}
			}
			d.State, d.NextAt = Queued, c.Now()
			d.Attempts = append(d.Attempts, Attempt{At: c.Now(), Code: "resend", Who: who})
			return c.Ledger.Record(ctx, []Delivery{d})
		}
		if len(page) == 0 {
			return notFound("alerts.Resend", "there is no dead letter "+id)
		}
	}
}

// Test sends a message marked 【测试】 over one channel at once and returns the delivery with its one
// attempt, as it is then in the log. It says that it was delivered only when the vendor did.
func (c *Courier) Test(ctx context.Context, channel, who string) (Delivery, error) {
	if c.Channels[channel] == nil {
		return Delivery{}, notFound("alerts.Test", "there is no channel "+channel)
	}
	now := c.Now()
	id := "test-" + digest(channel, who, now.UTC().Format(time.RFC3339Nano))
	// Dead until the vendor says yes: a test is not tried again.
	d := Delivery{ID: id, Channel: channel, Line: id, State: Dead, NextAt: now, Made: now, Batch: id}
	d.Message = Message{Key: id, Kind: Trial, At: now, Severity: severities[0], Title: kindWords[Trial] + "通知通道测试 " + channel, Sentence: "这是一条测试消息，无需处置。This is a test message."}
	c.attempt(ctx, &d, "")
	return d, c.Ledger.Record(context.WithoutCancel(ctx), []Delivery{d})
}
