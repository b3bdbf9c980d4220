package push

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	vw "voucherwatch"
	"voucherwatch/credit"
)

// Holding is an entry that the platform says it has.
type Holding struct {
	Entry    string `json:"entry_id"`
	Revision int    `json:"revision"`
	Hash     string `json:"row_hash"`
}

// Difference is an entry about which we and the platform do not agree.
type Difference struct {
	Entry string
	// Kind is missing (it should have it), extra (it should not: revoked, expired, or never ours), stale
	// (another revision), changed (the same revision with another content).
	Kind string
	// Ours and Theirs are the revisions, 0: none.
	Ours, Theirs int
	State        credit.Sending // of our transmission
	// Late says that the time to pass a removal on is over.
	Late bool
}

// Reconcile compares what the platform should have, by what is in the store now, with what it says it has. It
// changes nothing. Something under way shows as a difference too, with its state: it may be settled by
// tomorrow. Entries are in the order of their ids.
func (p *Pusher) Reconcile(ctx context.Context) ([]Difference, error) {
	const op = "push.Reconcile"
	theirs := map[string]Holding{}
	for cursor := ""; ; {
		var page struct {
			Rows []Holding `json:"rows"`
			Next string    `json:"next"`
		}
		status, err := p.call(ctx, http.MethodGet, "/v1/holdings?"+url.Values{"resource_code": {p.Resource}, "cursor": {cursor}}.Encode(), "", nil, &page)
		if err != nil || status != http.StatusOK {
			return nil, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "nothing was compared; try again", Err: fmt.Errorf("ask the platform what it has: %s", say(status, err))}
		}
		for _, h := range page.Rows {
			theirs[h.Entry] = h
		}
		if page.Next == "" {
			break
		}
		if page.Next == cursor {
			return nil, &vw.Error{Op: op, Code: vw.Unavailable, Err: fmt.Errorf("the platform's list does not end")}
		}
		cursor = page.Next
	}
	sent, err := p.Outbox.Transmissions(ctx, p.Platform)
	if err != nil {
		return nil, err
	}
	known := map[string]credit.Transmission{}
	for _, t := range sent {
		known[t.Entry] = t
	}
	head, err := p.Store.Head(ctx)
	if err != nil {
		return nil, err
	}
	var all []Difference
	add := func(id, kind string, ours, hers int) {
		t := known[id]
		all = append(all, Difference{Entry: id, Kind: kind, Ours: ours, Theirs: hers, State: t.State, Late: t.Op == credit.Delete && !t.TellBy.IsZero() && t.TellBy.Before(p.Now())})
	}
	for after := int64(0); ; {
		page, err := p.Store.Page(ctx, credit.Query{Tier: credit.Record, AsOf: head, After: after, Live: true, Limit: 1000})
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			e := &page[i].Entry
			after = page[i].Seq
			h, ok := theirs[e.ID]
			delete(theirs, e.ID)
			row := credit.RowOf(e)
			hash, err := hashOf(&row)
			if err != nil {
				return nil, err
			}
			switch {
			case !ok:
				add(e.ID, "missing", e.Revision, 0)
			case h.Revision != e.Revision:
				add(e.ID, "stale", e.Revision, h.Revision)
			case h.Hash != hash:
				add(e.ID, "changed", e.Revision, h.Revision)
			}
		}
	}
	for id, h := range theirs {
		add(id, "extra", 0, h.Revision)
	}
	slices.SortFunc(all, func(a, b Difference) int { return strings.Compare(a.Entry, b.Entry) })
	return all, nil
}
