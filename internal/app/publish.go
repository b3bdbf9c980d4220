package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"

	"voucherwatch/cases"
	"voucherwatch/stream/kafka"

	vw "voucherwatch"
)

// delivery is what one cut came to.
type delivery struct {
	messages []kafka.Message
	order    *os.File // journal that says how; durable before the messages leave
	done     chan<- struct{}
}

// publisher sends deliveries in their order while the next cuts are scored. A few may wait: then add blocks,
// and so does all that comes before it.
type publisher struct {
	queue  chan delivery
	failed chan struct{}
	once   sync.Once
	err    error
}

const deliveriesWaiting = 8

func newPublisher() *publisher {
	return &publisher{queue: make(chan delivery, deliveriesWaiting), failed: make(chan struct{})}
}

// run sends until the queue is closed or a delivery fails for good.
func (p *publisher) run(ctx context.Context, w *kafka.Writer) error {
	var all []kafka.Message
	for d := range p.queue {
		all = append(all[:0], d.messages...)
		done := []chan<- struct{}{d.done}
		journals := []*os.File{d.order}
		for more := true; more && len(all) < 8000; {
			select {
			case d, open := <-p.queue:
				if more = open; open {
					all = append(all, d.messages...)
					done = append(done, d.done)
					if d.order != journals[len(journals)-1] {
						journals = append(journals, d.order)
					}
				}
			default:
				more = false
			}
		}
		var err error
		for _, j := range journals {
			if j != nil {
				err = errors.Join(err, j.Sync())
			}
		}
		if err == nil {
			err = w.Write(ctx, all)
		}
		if err != nil {
			p.once.Do(func() { p.err = err; close(p.failed) })
			return err
		}
		for _, c := range done {
			if c != nil {
				close(c)
			}
		}
	}
	return nil
}

func (p *publisher) add(ctx context.Context, d delivery) error {
	select {
	case p.queue <- d:
		return nil
	case <-p.failed:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain waits until all that was added is acknowledged.
func (p *publisher) drain(ctx context.Context) error {
	done := make(chan struct{})
	if err := p.add(ctx, delivery{done: done}); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-p.failed:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// results gathers the messages of a cut from what a run says.
type results struct {
	messages []kafka.Message
	dead     bytes.Buffer
}

// scores takes up lines, each beginning with the redemption's id, which becomes the key.
func (o *results) scores(pieces [][]byte) {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	all := make([]byte, 0, size) // the engine uses its memory again
	for _, p := range pieces {
		all = append(all, p...)
	}
	const begin = `{"redemption_id":"`
	for len(all) > 0 {
		line := all
		if end := bytes.IndexByte(all, '\n'); end >= 0 {
			line, all = all[:end], all[end+1:]
		} else {
			all = nil
		}
		var key []byte
		if rest, ok := bytes.CutPrefix(line, []byte(begin)); ok {
			if end := bytes.IndexByte(rest, '"'); end >= 0 {
				key = rest[:end]
			}
		}
		o.messages = append(o.messages, kafka.Message{Topic: kafka.Scores, Key: key, Value: line})
	}
}

func (o *results) told(findings []vw.Finding, changed []vw.Case) error {
	for i := range findings {
		if err := o.document(kafka.Findings, findings[i].FindingID, &findings[i]); err != nil {
			return err
		}
	}
	for i := range changed {
		if err := o.document(kafka.Cases, changed[i].CaseID, &changed[i]); err != nil {
			return err
		}
	}
	return nil
}

func (o *results) document(topic, key string, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	o.messages = append(o.messages, kafka.Message{Topic: topic, Key: []byte(key), Value: bytes.TrimRight(b.Bytes(), "\n")})
	return nil
}

// take is all of it, and leaves nothing.
func (o *results) take() []kafka.Message {
	for line := range bytes.Lines(bytes.Clone(o.dead.Bytes())) {
		o.messages = append(o.messages, kafka.Message{Topic: kafka.DeadLetters, Value: bytes.TrimRight(line, "\n")})
	}
	o.dead.Reset()
	all := o.messages
	o.messages = nil
	return all
}

// allCases gathers every case of a store: which of them were published before a kill is not known.
func (o *results) allCases(ctx context.Context, store cases.Store) error {
	f := cases.Filter{Limit: 1000}
	for {
		page, err := store.List(ctx, f)
		if err != nil {
			return err
		}
		if err := o.told(nil, page.Cases); err != nil {
			return err
		}
		if page.Next == "" {
			return nil
		}
		f.Cursor = page.Next
	}
}
