package credit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	vw "voucherwatch"
)

// Desk lets entries in and out. It has no state of its own; any number of desks may work on one Store.
type Desk struct {
	Rules *Rules
	Store Store
	Gate  Gate
}

// NewDesk checks what it is given; faults are vw.Invalid.
func NewDesk(d Desk) (*Desk, error) {
	var errs []error
	for name, ok := range map[string]bool{"rules": d.Rules != nil, "store": d.Store != nil, "gate": d.Gate != nil} {
		if !ok {
			errs = append(errs, errors.New(name+": is required"))
		}
	}
	return &d, invalid("credit.NewDesk", errs...)
}

// Enter lists a party, if every gate is passed; else the error is a *Refusal, vw.Invalid, that names
// every one that is not. The same proposal again gives the entry that is there; another proposal about the same
// instrument is vw.Conflict.
func (d *Desk) Enter(ctx context.Context, p Proposal, now time.Time) (Entry, error) {
	const op = "credit.Enter"
	g, err := d.Gate.Grounds(ctx, p.Case, p.Tier)
	if err != nil {
		return Entry{}, err
	}
	missing, warnings := d.Rules.Check(&p, &g, now)
	if len(missing) > 0 {
		return Entry{}, &vw.Error{Op: op, Code: vw.Invalid, Hint: "complete what is missing and propose it again", Err: &Refusal{missing}}
	}
	e := Entry{ID: NewID(&p), Proposal: p, Grounds: g, State: InForce, Warnings: warnings, Entered: now, Revision: 1}
	switch there, err := d.Store.Entry(ctx, e.ID); {
	case err == nil && there.Proposal.Hash() == p.Hash():
		return there, nil
	case err == nil:
		return Entry{}, &vw.Error{Op: op, Code: vw.Conflict, Hint: "end the entry first, or change it by an objection", Err: fmt.Errorf("entry %s rests on the same instrument with another content", e.ID)}
	case vw.CodeOf(err) != vw.NotFound:
		return Entry{}, err
	}
	_, err = d.Store.Put(ctx, &e)
	return e, err
}

// change writes the next version of an entry.
func (d *Desk) change(ctx context.Context, op, id string, do func(e *Entry) error) (Entry, error) {
	e, err := d.Store.Entry(ctx, id)
	if err != nil {
		return Entry{}, err
	}
	e.Objections, e.Repairs = slices.Clone(e.Objections), slices.Clone(e.Repairs)
	before := e.Revision
	e.Revision++
	if err := do(&e); err != nil {
		if _, coded := errors.AsType[*vw.Error](err); coded {
			return Entry{}, err
		}
		return Entry{}, invalid(op, err)
	}
	if e.Revision == before { // there was nothing to do
		return e, nil
	}
	_, err = d.Store.Put(ctx, &e)
	return e, err
}

func ended(e *Entry) error {
	return &vw.Error{Op: "credit.change", Code: vw.Conflict, Err: fmt.Errorf("entry %s is %s", e.ID, e.State)}
}

// Revocation ends an entry because it should not be, or be no longer.
type Revocation struct {
	Reason  string
	Number  string // of the instrument that revokes (撤销决定, 判决)
	Decided time.Time
	By      string
	Second  string // another person
}

// Revoke ends an entry. Everybody who was told must know within the working days of the rules, counted
// from the decision: Ending.TellBy.
func (d *Desk) Revoke(ctx context.Context, id string, r Revocation, now time.Time) (Entry, error) {
	const op = "credit.Revoke"
	var errs []error
	for field, bad := range map[string]bool{
		"reason: is required": strings.TrimSpace(r.Reason) == "", "number: the instrument that revokes is required": r.Number == "",
		"by, second: two different people are required": r.By == "" || r.Second == "" || r.By == r.Second,
		"decided: must be a time that has passed":       r.Decided.IsZero() || r.Decided.After(now),
	} {
		if bad {
			errs = append(errs, errors.New(field))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if err := invalid(op, errs...); err != nil {
		return Entry{}, err
	}
	return d.change(ctx, op, id, func(e *Entry) error {
		switch {
		case e.State == Revoked && e.Ended.Number == r.Number:
			e.Revision--
			return nil
		case e.State != InForce:
			return ended(e)
		}
		d.end(e, Revoked, r, now)
		return nil
	})
}

func (d *Desk) end(e *Entry, kind State, r Revocation, now time.Time) {
	e.State = kind
	e.Ended = &Ending{Kind: kind, At: now, Reason: r.Reason, Number: r.Number, By: r.By, Second: r.Second, Decided: r.Decided, TellBy: d.Rules.tellBy(r.Decided)}
	for i := range e.Objections {
		if o := &e.Objections[i]; o.Outcome == "" {
			o.Outcome, o.Decided = "moot", now
		}
	}
}

// Expire ends the entries whose last day is over, and says which. It is run every day, and may be at any
// time.
func (d *Desk) Expire(ctx context.Context, now time.Time) (ids []string, err error) {
	today := DayOf(now, d.Rules.zone())
	head, err := d.Store.Head(ctx)
	if err != nil {
		return nil, err
	}
	for after := int64(0); ; {
		page, err := d.Store.Page(ctx, Query{AsOf: head, After: after, Live: true, Limit: 1000})
		if err != nil || len(page) == 0 {
			return ids, err
		}
		for i := range page {
			after = page[i].Seq
			if page[i].Entry.End >= today {
				continue
			}
			e, err := d.change(ctx, "credit.Expire", page[i].Entry.ID, func(e *Entry) error {
				if e.State != InForce || e.End >= today {
					e.Revision--
					return nil
				}
				d.end(e, Expired, Revocation{Reason: "期满 · its term is over", By: "system", Decided: now}, now)
				return nil
			})
			if err != nil {
				return ids, err
			}
			ids = append(ids, e.ID)
		}
	}
}

// Objection is a party's objection (异议) to its entry. From the moment that it is made, consumers see the
// entry as disputed.
type Objection struct {
	ID       string    `json:"id"`
	By       string    `json:"by"` // who objects
	Text     string    `json:"text"`
	Made     time.Time `json:"made"`
	Entered  string    `json:"entered_by"`
	Reviewer string    `json:"reviewer,omitempty"`
	Outcome  string    `json:"outcome,omitempty"` // upheld, partly, rejected, moot
	Reason   string    `json:"reason,omitempty"`
	Decided  time.Time `json:"decided,omitzero"`
}

// Object records an objection.
func (d *Desk) Object(ctx context.Context, id string, o Objection, now time.Time) (Entry, error) {
	const op = "credit.Object"
	if o.By == "" || strings.TrimSpace(o.Text) == "" || o.Entered == "" {
		return Entry{}, invalid(op, errors.New("by, text and entered_by are required"))
	}
	return d.change(ctx, op, id, func(e *Entry) error {
		if e.State != InForce {
			return ended(e)
		}
		o.ID, o.Made, o.Reviewer, o.Outcome = fmt.Sprintf("%s-o%d", id, len(e.Objections)+1), now, "", ""
		e.Objections = append(e.Objections, o)
		return nil
	})
}

// involved are those who had a part in an entry; none of them may review it.
func involved(e *Entry) []string {
	all := []string{e.Proposer, e.Grounds.Legal.By, e.Grounds.Reply.Reviewed.By, e.Grounds.City.By}
	for _, a := range e.Grounds.Approvals {
		all = append(all, a.By)
	}
	return all
}

func fresh(e *Entry, reviewer string) error {
	if reviewer == "" || slices.Contains(involved(e), reviewer) {
		return fmt.Errorf("reviewer: must be somebody who had no part in the entry; %q had, or is nobody", reviewer)
	}
	return nil
}

// Decide ends an objection by a new reviewer's decision: upheld revokes the entry, and then a number and
// a second person are needed as for Revoke; partly and rejected leave it, without the mark.
func (d *Desk) Decide(ctx context.Context, id, objection, outcome string, r Revocation, now time.Time) (Entry, error) {
	const op = "credit.Decide"
	if !slices.Contains([]string{"upheld", "partly", "rejected"}, outcome) {
		return Entry{}, invalid(op, errors.New("outcome: must be upheld, partly or rejected"))
	}
	return d.change(ctx, op, id, func(e *Entry) error {
		i := slices.IndexFunc(e.Objections, func(o Objection) bool { return o.ID == objection })
		if i < 0 {
			return &vw.Error{Op: op, Code: vw.NotFound, Err: errors.New("there is no such objection")}
		}
		o := &e.Objections[i]
		if o.Outcome != "" {
			return &vw.Error{Op: op, Code: vw.Conflict, Err: errors.New("the objection has been decided")}
		}
		if err := fresh(e, r.By); err != nil {
			return err
		}
		if strings.TrimSpace(r.Reason) == "" {
			return errors.New("reason: is required")
		}
		if outcome == "upheld" && (r.Number == "" || r.Second == "" || r.Second == r.By || r.Decided.IsZero() || r.Decided.After(now)) {
			return errors.New("number, second and decided: are required when the objection is upheld")
		}
		o.Reviewer, o.Outcome, o.Reason, o.Decided = r.By, outcome, r.Reason, now
		if outcome == "upheld" {
			d.end(e, Revoked, r, now)
		}
		return nil
	})
}

// Repair is an application to be taken off before the end (信用修复), with what was looked at.
type Repair struct {
	Applied   time.Time `json:"applied"`
	Performed bool      `json:"performed"` // the decision has been obeyed, fines and overcharges paid
	Removed   bool      `json:"harm_removed"`
	NoRepeat  bool      `json:"no_repeat"`
	Reviewer  string    `json:"reviewer"`
	Second    string    `json:"second"`
	Approved  bool      `json:"approved"`
	Reason    string    `json:"reason"`
	Number    string    `json:"number,omitempty"` // of the repair decision
	Decided   time.Time `json:"decided"`
}

// Restore decides on a repair, by a new reviewer and a second person. It can be approved when everything
// was looked at and holds, and the entry has stood for the months of the rules.
func (d *Desk) Restore(ctx context.Context, id string, r Repair, now time.Time) (Entry, error) {
	const op = "credit.Restore"
	return d.change(ctx, op, id, func(e *Entry) error {
		if e.State != InForce {
			return ended(e)
		}
		errs := []error{fresh(e, r.Reviewer)}
		need := func(ok bool, text string) {
			if !ok {
				errs = append(errs, errors.New(text))
			}
		}
		need(strings.TrimSpace(r.Reason) != "", "reason: is required")
		need(!r.Applied.IsZero() && !r.Decided.IsZero() && !r.Decided.Before(r.Applied) && !r.Decided.After(now), "applied, decided: are required, in this order")
		if r.Approved {
			months := on(d.Rules.Repair, DayOf(now, d.Rules.zone()))
			need(r.Performed && r.Removed && r.NoRepeat, "performed, harm_removed, no_repeat: all must hold")
			need(DayOf(now, d.Rules.zone()) >= addMonths(e.Start, months), fmt.Sprintf("start: it has stood for less than %d months", months))
			need(r.Second != "" && r.Second != r.Reviewer, "second: another person is required")
			need(r.Number != "", "number: of the repair decision is required")
			need(!e.Disputed(), "an objection is open: decide it first")
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		e.Repairs = append(e.Repairs, r)
		if r.Approved {
			d.end(e, Repaired, Revocation{Reason: r.Reason, Number: r.Number, Decided: r.Decided, By: r.Reviewer, Second: r.Second}, now)
		}
		return nil
	})
}

// SetAppeal notes how far the instrument is fought. Overturned does not end the entry by itself: Revoke does,
// with the judgment's number, and Overdue shows when that is late.
func (d *Desk) SetAppeal(ctx context.Context, id string, a Appeal) (Entry, error) {
	const op = "credit.SetAppeal"
	if !slices.Contains(appeals, a.State) || a.State != "none" && (!a.Since.valid() || a.Number == "") {
		return Entry{}, invalid(op, errors.New("state must be one of "+strings.Join(appeals, ", ")+", with since and number"))
	}
	return d.change(ctx, op, id, func(e *Entry) error {
		if e.Grounds.Appeal == a {
			e.Revision--
		}
		e.Grounds.Appeal = a
		return nil
	})
}

// Excluded says whether a merchant is excluded on a day, and by which entry.
func (e *Entry) Excluded(merchant string, day Day) bool {
	return e.Tier == Exclusion && e.State == InForce && e.Party.MerchantID == merchant && e.Start <= day && day <= e.End
}
