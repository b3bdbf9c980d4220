package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	vw "voucherwatch"
)

// Options are the policy of a Desk.
type Options struct {
	Store    Store
	Campaign string
	// OpenAt is the finding score, 1–1000, that opens a case.
	OpenAt int
	// HighAt is the score at which a case's band is high; 0 means 800. At least OpenAt.
	HighAt int
	// DueHours is how long after its opening a case of each severity is due, in hours of the wall
	// clock; working-day clocks come with the workflow. Nil means 24 critical, 72 high, 168 medium,
	// 336 low.
	DueHours map[vw.Severity]int
	// ReopenDays is how long after closing fresh evidence that makes a case worse reopens it; after
	// that, and at once when 0, fresh evidence begins a new case. See Apply.
	ReopenDays int
	// AskToReopen: a case that people closed is not reopened by the Desk; its time line says that graver evidence has come,
	// whose alerts wait in the queue, and two people decide.
	AskToReopen bool
	// Agencies are who must be told of a typology, besides GX, which always is; nil: nobody.
	Agencies func(typology string) []string
	// Severity weighs a typology by the whole subsidy of a case; nil: the findings' own decide. The
	// severity of a case is the worst of its findings' and of this.
	Severity func(typology string, subsidy vw.Fen) vw.Severity
}

// Desk groups findings into cases. It has no state of its own: everything is decided from the Store,
// so that any number of desks may work on one Store, and one that died is continued by any other.
type Desk struct{ Options }

// NewDesk checks the policy; every fault is named at once, with code vw.Invalid.
func NewDesk(o Options) (*Desk, error) {
	o.HighAt = cmp.Or(o.HighAt, max(800, o.OpenAt))
	if o.DueHours == nil {
		o.DueHours = map[vw.Severity]int{"critical": 24, "high": 72, "medium": 168, "low": 336}
	}
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(o.Store != nil, "store", "is required")
	need(o.Campaign != "", "campaign", "is required")
	need(o.OpenAt >= 1 && o.OpenAt <= 1000, "open_at", "must be 1 to 1000")
	need(o.HighAt >= o.OpenAt && o.HighAt <= 1000, "high_at", "must be open_at to 1000")
	need(o.ReopenDays >= 0, "reopen_days", "must not be negative")
	for _, s := range severities() {
		need(o.DueHours[s] > 0, "due_hours."+string(s), "must be above 0")
	}
	need(len(o.DueHours) == len(severities()), "due_hours", "must name low, medium, high and critical, nothing else")
	if err := invalid("cases.NewDesk", errs); err != nil {
		return nil, err
	}
	o.DueHours = maps.Clone(o.DueHours)
	return &Desk{o}, nil
}

// Apply takes findings in and returns the cases that changed, by id, as they are now stored. Now is the
// event time of the call, RFC 3339: it becomes the time of whatever happens to a case.
//
// A finding goes to the docket of its subject (SubjectOf), and stays in every docket that one of its
// revisions put it in. A case opens once any revision that went to its docket reaches OpenAt, and
// holds the whole docket, weaker findings too, each at its last revision. So neither the order of the
// findings nor their partition into calls matters to what a case holds, and repeating them changes
// nothing.
//
// A closed case is frozen. A finding is fresh when no earlier case of the subject lists it, or when its
// last_at is after the last closing. A fresh finding that reaches OpenAt
//   - reopens the case while last_at is at most ReopenDays after the closing, and only if the case is
//     the worse for it: a higher band, severity or subsidy step, or a new typology. Otherwise nothing
//     happens: the decision stands. (Approval by two people is the workflow's; 0 days never reopens.)
//   - begins a new case of the next generation when last_at is later. It holds the fresh findings only,
//     so that no subsidy is in two generations for one reading of the evidence.
//
// Apply is not atomic over cases: on an error, the cases returned are those changed before it, and
// applying the same findings again, at any later time, completes what is missing. A finding that lacks
// what Write.Check asks for, or a subject or a readable last_at, is vw.Invalid, and then nothing is
// written. Safe for concurrent use.
func (d *Desk) Apply(ctx context.Context, findings []vw.Finding, now string) ([]vw.Case, error) {
	if err := d.check(findings, now); err != nil {
		return nil, err
	}
	type docket struct {
		subject  vw.Subject
		findings []vw.Finding
	}
	dockets := map[string]*docket{}
	for _, f := range findings {
		s := SubjectOf(&f)
		id := CaseID(d.Campaign, s, 1)
		if dockets[id] == nil {
			dockets[id] = &docket{subject: s}
		}
		dockets[id].findings = append(dockets[id].findings, f)
	}
	changed := map[string]vw.Case{}
	result := func(err error) ([]vw.Case, error) {
		var out []vw.Case
		for _, id := range slices.Sorted(maps.Keys(changed)) {
			out = append(out, changed[id])
		}
		return out, err
	}
	for _, id := range slices.Sorted(maps.Keys(dockets)) {
		c, ok, err := d.settle(ctx, dockets[id].subject, dockets[id].findings, now)
		if ok {
			changed[c.CaseID] = c
		}
		if err != nil {
			return result(err)
		}
	}
	others, err := d.shared(ctx, findings)
	if err != nil {
		return result(err)
	}
	for _, s := range others {
		c, ok, err := d.settle(ctx, s, nil, now)
		if ok {
			changed[c.CaseID] = c
		}
		if err != nil {
			return result(err)
		}
	}
	return result(nil)
}

// shared are the subjects with a case whose docket shares one of the findings with another docket: the
// revision may have been filed under one only, or after the other was settled.
func (d *Desk) shared(ctx context.Context, findings []vw.Finding) ([]vw.Subject, error) {
	ids := map[string]struct{}{}
	for i := range findings {
		ids[findings[i].FindingID] = struct{}{}
	}
	dockets := map[string]struct{}{}
	for id := range ids {
		of, err := d.Store.Dockets(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, docket := range of {
			if len(of) > 1 {
				dockets[docket] = struct{}{}
			}
		}
	}
	var out []vw.Subject
	for _, docket := range slices.Sorted(maps.Keys(dockets)) {
		switch c, err := d.Store.Case(ctx, docket); {
		case err == nil && c.Campaign == d.Campaign:
			out = append(out, c.Subject)
		case err != nil && vw.CodeOf(err) != vw.NotFound:
			return nil, err
		}
	}
	return out, nil
}

func (d *Desk) check(findings []vw.Finding, now string) error {
	var errs []error
	if _, err := time.Parse(time.RFC3339, now); err != nil {
		errs = append(errs, fmt.Errorf("now: %w", err))
	}
	for i := range findings {
		f := &findings[i]
		if f.Subject.Kind == "" || f.Subject.ID == "" {
			errs = append(errs, fmt.Errorf("findings[%d].subject: is required", i))
		}
		if _, err := time.Parse(time.RFC3339, f.LastAt); err != nil {
			errs = append(errs, fmt.Errorf("findings[%d].last_at: is not RFC 3339", i))
		}
	}
	w := Write{Docket: "-", Findings: findings}
	return cmp.Or(invalid("cases.Apply", errs), w.Check())
}

// attempts bounds the rounds of settle. Each lost round is another writer's progress on the same case.
const attempts = 1000

// settle files findings of one subject and brings its case up to them.
//
// It goes on until a round finds nothing to do. That is what makes two desks safe without a lock: one
// that files a weak finding, sees no case and leaves, and one that opens the case without having seen
// that finding, cannot both have read after they wrote.
func (d *Desk) settle(ctx context.Context, s vw.Subject, in []vw.Finding, now string) (last vw.Case, changed bool, err error) {
	docket := CaseID(d.Campaign, s, 1)
	opens := slices.ContainsFunc(in, func(f vw.Finding) bool { return f.Score >= d.OpenAt })
	for range attempts {
		stored, err := d.Store.Docket(ctx, docket)
		if err != nil {
			return last, changed, err
		}
		all, news := merge(stored, in)
		chain, err := d.generations(ctx, s)
		if err != nil {
			return last, changed, err
		}
		w := Write{Docket: docket, Findings: news, Case: d.judge(s, chain, all, opens, now)}
		if len(w.Findings) == 0 && w.Case == nil {
			return last, changed, nil
		}
		switch err := d.Store.Put(ctx, w); {
		case vw.CodeOf(err) == vw.Conflict:
		case err != nil:
			return last, changed, err
		case w.Case != nil:
			last, changed = *w.Case, true
		}
	}
	return last, changed, &vw.Error{Op: "cases.Apply", Code: vw.Unavailable, Hint: "too many writers on one case; try again",
		Err: errors.New("the case kept changing")}
}

// merge is the docket with the findings that came in, by id, and those of them that are news to it.
func merge(stored, in []vw.Finding) (all, news []vw.Finding) {
	best := map[string]vw.Finding{}
	for _, f := range in {
		if f.Revision > best[f.FindingID].Revision {
			best[f.FindingID] = f
		}
	}
	for _, f := range stored {
		if f.Revision >= best[f.FindingID].Revision {
			delete(best, f.FindingID)
			all = append(all, f)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(best)) {
		news = append(news, best[id])
	}
	all = append(all, news...)
	slices.SortFunc(all, func(a, b vw.Finding) int { return cmp.Compare(a.FindingID, b.FindingID) })
	return all, news
}

// generations are the cases of a subject, the first one first.
func (d *Desk) generations(ctx context.Context, s vw.Subject) ([]vw.Case, error) {
	var chain []vw.Case
	for {
		c, err := d.Store.Case(ctx, CaseID(d.Campaign, s, len(chain)+1))
		switch {
		case vw.CodeOf(err) == vw.NotFound:
			return chain, nil
		case err != nil:
			return nil, err
		case c.Subject != s || c.Campaign != d.Campaign:
			return nil, &vw.Error{Op: "cases.Apply", Code: vw.Internal, Err: fmt.Errorf("%s is the case of another subject", c.CaseID),
				Hint: "two subjects share a case id, or the store was made for another campaign; report it"}
		}
		chain = append(chain, c)
	}
}

// judge is the case to write, or nil when the docket asks for no change.
func (d *Desk) judge(s vw.Subject, chain []vw.Case, all []vw.Finding, opens bool, now string) *vw.Case {
	n := len(chain)
	if n == 0 {
		if opens {
			return d.open(s, nil, all, now)
		}
		return nil
	}
	last := &chain[n-1]
	members := fresh(all, chain[:n-1])
	if last.Status != Closed {
		return d.revise(last, members, now)
	}
	news := fresh(all, chain)
	end := closing(last).AddDate(0, 0, d.ReopenDays)
	inside := func(f vw.Finding) bool { return d.ReopenDays > 0 && !moment(f.LastAt).After(end) }
	late := slices.DeleteFunc(slices.Clone(news), inside)
	switch {
	case d.strong(late):
		return d.open(s, chain, news, now)
	case d.strong(news):
		return d.reopen(last, members, now)
	}
	return nil
}

func (d *Desk) strong(fs []vw.Finding) bool {
	return slices.ContainsFunc(fs, func(f vw.Finding) bool { return f.Score >= d.OpenAt })
}

// fresh are the findings that the closed cases before did not decide on.
func fresh(all []vw.Finding, closed []vw.Case) []vw.Finding {
	if len(closed) == 0 {
		return all
	}
	end := closing(&closed[len(closed)-1])
	var out []vw.Finding
	for _, f := range all {
		known := slices.ContainsFunc(closed, func(c vw.Case) bool { return slices.Contains(c.FindingIDs, f.FindingID) })
		if !known || moment(f.LastAt).After(end) {
			out = append(out, f)
		}
	}
	return out
}

// moment reads a time that check has let pass, or that the Desk wrote.
func moment(at string) time.Time {
	t, _ := time.Parse(time.RFC3339, at)
	return t
}
