// Package push sends credit records to a credit platform and keeps what it answered, row by row.
// Exclusions are never sent: they are the campaign's own.
//
// In: the versions of a credit.Store. Out: batches of rows over HTTPS, each with an idempotency key, in
// canonical JSON, signed with Ed25519 and with SM2/SM3; and in the credit.Outbox, for each entry, what the platform
// should have, what is under way and what it has confirmed. A batch whose answer is lost is sent again,
// byte for byte, under the same key. Removals go first. Reconcile compares with what the platform says it has.
//
// Pusher waits for nothing: Push does what is due and says when to come again.
package push

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/credit"
)

// Options are those of a Pusher.
type Options struct {
	// Platform is its name here, such as jincheng.
	Platform string
	Base     string // https://credit.example/api
	Token    string // bearer
	Resource string // code of the catalogue of the platform
	Client   *http.Client
	Signer   *credit.Signer
	Store    credit.Store
	Outbox   credit.Outbox
	Now      func() time.Time
	// Rows is how many go in a batch; 0: 100.
	Rows int
	// Longest is the longest pause between two attempts; 0: an hour. The first is a minute.
	Longest time.Duration
}

// Pusher sends to one platform. It has one owner.
type Pusher struct {
	Options
	down bool // the platform failed in this Push: what is left waits for the next
}

// New checks the options; faults are vw.Invalid, without secrets.
func New(o Options) (*Pusher, error) {
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	u, err := url.Parse(o.Base)
	need(o.Platform != "", "platform", "is required")
	need(err == nil && u.Scheme == "https" && u.Host != "", "base", "must be an https address")
	need(o.Token != "", "token", "is required")
	need(o.Resource != "", "resource", "is required")
	need(o.Client != nil, "client", "is required")
	need(o.Signer != nil, "signer", "is required")
	need(o.Store != nil, "store", "is required")
	need(o.Outbox != nil, "outbox", "is required")
	need(o.Now != nil, "now", "is required")
	need(o.Rows >= 0 && o.Rows <= 1000, "rows", "must be 1 to 1000")
	if err := errors.Join(errs...); err != nil {
		return nil, &vw.Error{Op: "push.New", Code: vw.Invalid, Err: err}
	}
	o.Base, o.Rows, o.Longest = strings.TrimRight(o.Base, "/"), cmp.Or(o.Rows, 100), cmp.Or(o.Longest, time.Hour)
	return &Pusher{Options: o}, nil
}

// Batch is what is sent, in canonical JSON.
type Batch struct {
	ID       string    `json:"batch_id"`
	Resource string    `json:"resource_code"`
	SentAt   time.Time `json:"sent_at"`
	Rows     []Row     `json:"rows"`
}

// Row is one entry of a batch.
type Row struct {
	Seq      int        `json:"seq"` // in the batch, from 1
	Op       credit.Op  `json:"op"`
	Entry    string     `json:"entry_id"`
	Revision int        `json:"revision"`
	Record   credit.Row `json:"record"`
	Hash     string     `json:"row_hash"` // SM3 of the record in canonical JSON
	// Proposal is the hash of what two people approved; Approvers are how many, never who.
	Proposal  string `json:"approved_hash"`
	Approvers int    `json:"approvers"`
}

// Receipts is the platform's answer to a batch.
type Receipts struct {
	Batch string    `json:"batch_id"`
	Rows  []Receipt `json:"rows"`
}

// Receipt is its answer to one row: accepted, rejected or pending.
type Receipt struct {
	Entry    string `json:"entry_id"`
	Revision int    `json:"revision"`
	Status   string `json:"status"`
	Number   string `json:"receipt_no,omitempty"`
	Code     string `json:"code,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Push plans what is new, asks for receipts that are pending, sends what is due, and says when to come
// again; zero: not before an entry changes. The error is the store's or the outbox's; that the platform failed is in
// the outbox.
func (p *Pusher) Push(ctx context.Context) (next time.Time, err error) {
	p.down = false
	if err := p.plan(ctx); err != nil {
		return time.Time{}, err
	}
	if err := p.again(ctx); err != nil {
		return time.Time{}, err
	}
	for ctx.Err() == nil && !p.down {
		ready, err := p.Outbox.Due(ctx, p.Platform, credit.Ready, p.Now(), p.Rows)
		if err != nil {
			return time.Time{}, err
		}
		if len(ready) == 0 {
			break
		}
		for i := range ready {
			t := &ready[i]
			t.BatchRevision, t.BatchOp, t.SentAt, t.State = t.Want, t.Op, p.Now().UTC(), credit.Under
		}
		id := batchID(p.Platform, ready)
		for i := range ready {
			ready[i].Batch = id
		}
		// Written before it is sent: whoever comes after a crash sends the same batch again.
		if err := p.Outbox.Save(ctx, ready); err != nil {
			return time.Time{}, err
		}
		if err := p.send(ctx, ready); err != nil {
			return time.Time{}, err
		}
	}
	all, err := p.Outbox.Transmissions(ctx, p.Platform)
	if err != nil {
		return time.Time{}, err
	}
	for i := range all {
		if t := &all[i]; (t.State == credit.Ready || t.State == credit.Under) && (next.IsZero() || t.NextAt.Before(next)) {
			next = t.NextAt
		}
	}
	if soon := p.Now().Add(p.pause(1)); p.down && next.Before(soon) {
		next = soon
	}
	return next, nil
}

// plan notes, for each entry that has changed, what the platform should have.
func (p *Pusher) plan(ctx context.Context) error {
	cursor, err := p.Outbox.Cursor(ctx, p.Platform)
	if err != nil {
		return err
	}
	head, err := p.Store.Head(ctx)
	if err != nil {
		return err
	}
	for cursor < head {
		page, err := p.Store.Page(ctx, credit.Query{Tier: credit.Record, AsOf: head, After: cursor, Limit: 500})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return p.Outbox.Plan(ctx, p.Platform, nil, head)
		}
		var ids []string
		for i := range page {
			ids = append(ids, page[i].Entry.ID)
		}
		known, err := p.Outbox.Transmissions(ctx, p.Platform, ids...)
		if err != nil {
			return err
		}
		var ts []credit.Transmission
		for i := range page {
			e := &page[i].Entry
			t := credit.Transmission{Platform: p.Platform, Entry: e.ID}
			if i := slices.IndexFunc(known, func(t credit.Transmission) bool { return t.Entry == e.ID }); i >= 0 {
				t = known[i]
			}
			p.want(&t, e)
			ts = append(ts, t)
		}
		cursor = page[len(page)-1].Seq
		if err := p.Outbox.Plan(ctx, p.Platform, ts, cursor); err != nil {
			return err
		}
	}
	return nil
}

// want says what the platform should have of an entry.
func (p *Pusher) want(t *credit.Transmission, e *credit.Entry) {
	if e.Revision <= t.Want {
		return
	}
	t.Want, t.TellBy = e.Revision, time.Time{}
	onThere := t.Has > 0 && t.HasOp != credit.Delete || t.Batch != "" && t.BatchOp != credit.Delete
	switch {
	case e.State == credit.InForce && onThere:
		t.Op = credit.Update
	case e.State == credit.InForce:
		t.Op = credit.Insert
	default:
		t.Op = credit.Delete
		if e.Ended != nil {
			t.TellBy = e.Ended.TellBy
		}
	}
	if t.Batch != "" {
		return // what is under way is answered first
	}
	t.State, t.NextAt, t.Attempts, t.Reason = credit.Ready, p.Now().UTC(), 0, ""
	if t.Op == credit.Delete && !onThere {
		t.State = credit.Needless
	}
}

// batchID is made of what a batch holds and of when it was made: what is rejected and sent again later is
// another batch.
func batchID(platform string, rows []credit.Transmission) string {
	rows = byEntry(rows)
	h := sha256.New()
	for _, t := range rows {
		fmt.Fprintf(h, "%s %s %d %s %d\n", platform, t.Entry, t.BatchRevision, t.BatchOp, t.SentAt.UnixNano())
	}
	return "batch-" + hex.EncodeToString(h.Sum(nil))[:24]
}

func byEntry(rows []credit.Transmission) []credit.Transmission {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b credit.Transmission) int { return cmp.Compare(a.Entry, b.Entry) })
	return rows
}

// again takes up batches that are under way and due: it asks for their receipts, and sends them again
// when the platform does not know them.
func (p *Pusher) again(ctx context.Context) error {
	due, err := p.Outbox.Due(ctx, p.Platform, credit.Under, p.Now(), 1<<20)
	if err != nil {
		return err
	}
	batches := map[string][]credit.Transmission{}
	var order []string
	for _, t := range due {
		if batches[t.Batch] == nil {
			order = append(order, t.Batch)
		}
		batches[t.Batch] = append(batches[t.Batch], t)
	}
	for _, id := range order {
		if p.down {
			return nil
		}
		rows := batches[id]
		var got Receipts
		status, err := p.call(ctx, http.MethodGet, "/v1/batches/"+url.PathEscape(id), "", nil, &got)
		switch {
		case err == nil && status == http.StatusOK:
			err = p.settle(ctx, rows, got)
		case status == http.StatusNotFound:
			err = p.sendAgain(ctx, id)
		default:
			err = p.failed(ctx, rows, say(status, err))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sendAgain sends the very same batch. Where some of its rows were answered before the platform lost it,
// the others go into a new one.
func (p *Pusher) sendAgain(ctx context.Context, id string) error {
	all, err := p.Outbox.Transmissions(ctx, p.Platform)
	if err != nil {
		return err
	}
	rows := slices.DeleteFunc(all, func(t credit.Transmission) bool { return t.Batch != id })
	if batchID(p.Platform, rows) == id {
		return p.send(ctx, rows)
	}
	for i := range rows {
		t := &rows[i]
		t.Batch, t.BatchRevision, t.BatchOp, t.SentAt, t.State, t.NextAt = "", 0, "", time.Time{}, credit.Ready, p.Now().UTC()
	}
	return p.Outbox.Save(ctx, rows)
}

// body is the batch as it is sent: a function of the rows, their revisions and SentAt.
func (p *Pusher) body(ctx context.Context, rows []credit.Transmission) ([]byte, error) {
	b := Batch{ID: rows[0].Batch, Resource: p.Resource, SentAt: rows[0].SentAt.UTC()}
	for i, t := range byEntry(rows) {
		e, err := p.Store.Version(ctx, t.Entry, t.BatchRevision)
		if err != nil {
			return nil, err
		}
		record := credit.RowOf(&e)
		hash, err := hashOf(&record)
		if err != nil {
			return nil, err
		}
		b.Rows = append(b.Rows, Row{Seq: i + 1, Op: t.BatchOp, Entry: t.Entry, Revision: t.BatchRevision, Record: record, Hash: hash, Proposal: e.Hash(), Approvers: len(e.Grounds.Approvals)})
	}
	return credit.Canonical(&b)
}

// hashOf is the SM3 of a record in canonical JSON, in hex.
func hashOf(r *credit.Row) (string, error) {
	text, err := credit.Canonical(r)
	if err != nil {
		return "", err
	}
	sum := sm3.Sum(text)
	return hex.EncodeToString(sum[:]), nil
}

// send posts a batch and takes in its receipts.
func (p *Pusher) send(ctx context.Context, rows []credit.Transmission) error {
	body, err := p.body(ctx, rows)
	if err != nil {
		return err
	}
	var got Receipts
	status, err := p.call(ctx, http.MethodPost, "/v1/batches", rows[0].Batch, body, &got)
	if err != nil || status != http.StatusOK && status != http.StatusAccepted {
		return p.failed(ctx, rows, say(status, err))
	}
	return p.settle(ctx, rows, got)
}

// settle takes in the receipts of a batch; rows without one, or pending, are asked for later. Receipts of
// rows that were not asked about are of no use here and change nothing.
func (p *Pusher) settle(ctx context.Context, rows []credit.Transmission, got Receipts) error {
	if got.Batch != rows[0].Batch {
		return p.failed(ctx, rows, "the answer is about another batch")
	}
	now := p.Now().UTC()
	for i := range rows {
		t := &rows[i]
		j := slices.IndexFunc(got.Rows, func(r Receipt) bool { return r.Entry == t.Entry && r.Revision == t.BatchRevision })
		if j < 0 || got.Rows[j].Status != "accepted" && got.Rows[j].Status != "rejected" {
			t.Attempts++
			t.NextAt = now.Add(p.pause(t.Attempts))
			continue
		}
		r := got.Rows[j]
		t.Receipt, t.Attempts = r.Number, 0
		if r.Status == "accepted" {
			t.Has, t.HasOp, t.State, t.Reason = t.BatchRevision, t.BatchOp, credit.Accepted, ""
		} else {
			t.State, t.Reason = credit.Rejected, strings.TrimSpace(r.Code+" "+r.Reason)
		}
		was := t.BatchRevision
		t.Batch, t.BatchRevision, t.BatchOp, t.SentAt = "", 0, "", time.Time{}
		if t.Want > was { // it changed meanwhile
			e, err := p.Store.Version(ctx, t.Entry, t.Want)
			if err != nil {
				return err
			}
			t.Want = was
			p.want(t, &e)
		}
	}
	return p.Outbox.Save(ctx, rows)
}

func (p *Pusher) failed(ctx context.Context, rows []credit.Transmission, why string) error {
	p.down = true
	now := p.Now().UTC()
	for i := range rows {
		rows[i].Attempts++
		rows[i].Reason, rows[i].NextAt = why, now.Add(p.pause(rows[i].Attempts))
	}
	return p.Outbox.Save(context.WithoutCancel(ctx), rows)
}

func (p *Pusher) pause(attempts int) time.Duration {
	return min(p.Longest, time.Minute<<min(attempts-1, 20))
}

// Retry lets a rejected entry be sent again, after a person has looked.
func (p *Pusher) Retry(ctx context.Context, entry string) error {
	ts, err := p.Outbox.Transmissions(ctx, p.Platform, entry)
	if err != nil {
		return err
	}
	if len(ts) == 0 || ts[0].State != credit.Rejected {
		return &vw.Error{Op: "push.Retry", Code: vw.NotFound, Err: errors.New("there is no rejected transmission of this entry")}
	}
	ts[0].State, ts[0].NextAt, ts[0].Attempts = credit.Ready, p.Now().UTC(), 0
	return p.Outbox.Save(ctx, ts)
}

// Late lists removals that the platform has not confirmed though their time is over.
func (p *Pusher) Late(ctx context.Context) (late []credit.Transmission, err error) {
	all, err := p.Outbox.Transmissions(ctx, p.Platform)
	for _, t := range all {
		if t.Op == credit.Delete && t.State != credit.Accepted && t.State != credit.Needless && t.TellBy.Before(p.Now()) {
			late = append(late, t)
		}
	}
	return late, err
}

func say(status int, err error) string {
	if err != nil {
		return err.Error()
	}
	return "HTTP status " + strconv.Itoa(status)
}

// call makes one signed request. The error is of the way there or of the answer; a status is the caller's.
func (p *Pusher) call(ctx context.Context, method, path, key string, body []byte, into any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.Base+path, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the address cannot be used")
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		sig, err := p.Signer.Sign(body)
		if err != nil {
			return 0, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Voucherwatch-Key-Id", sig.KeyID)
		req.Header.Set("Voucherwatch-Signature-Ed25519", sig.Ed25519)
		req.Header.Set("Voucherwatch-Signature-SM2", sig.SM2)
	}
	resp, err := p.Client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return 0, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return resp.StatusCode, errors.New("the answer was cut off")
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return resp.StatusCode, errors.New("the answer is not the platform's")
	}
	return resp.StatusCode, nil
}
