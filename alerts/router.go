package alerts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	vw "voucherwatch"
)

// Router puts alerts through the tree. It has one owner: its methods are not safe for concurrent use.
// Everything that it remembers is in the Board before it acts on it, so another Router over the same
// Board goes on where one died, escalations included. One Router at a time works on a Board.
type Router struct {
	policy   *Policy
	board    Board
	groups   map[string]Group
	open     map[string]Alert // of cases that are not closed, by id
	silences map[string]Silence
	sources  map[string][]Alert // open alerts that hold others back, by rule and shared labels
}

// NewRouter goes on from what the board remembers.
func NewRouter(ctx context.Context, p *Policy, b Board, now time.Time) (*Router, error) {
	s, err := b.Load(ctx, now)
	if err != nil {
		return nil, err
	}
	r := &Router{policy: p, board: b, groups: map[string]Group{}, open: map[string]Alert{}, silences: map[string]Silence{}, sources: map[string][]Alert{}}
	for _, g := range s.Groups {
		r.groups[g.Key] = g
	}
	for _, a := range s.Alerts {
		r.remember(a)
	}
	for _, x := range s.Silences {
		r.silences[x.ID] = x
	}
	return r, nil
}

// intake is how many alerts are taken from an outbox at a time.
const intake = 200

// Drain takes in what waits in an outbox. An alert that cannot be routed becomes a dead letter, so that
// it is seen and holds nothing up.
func (r *Router) Drain(ctx context.Context, from Outbox, now time.Time) (n int, err error) {
	for {
		waiting, err := from.Pending(ctx, intake)
		if err != nil || len(waiting) == 0 {
			return n, err
		}
		if err := r.Take(ctx, waiting, now); err != nil {
			return n, err
		}
		ids := make([]string, len(waiting))
		for i := range waiting {
			ids[i] = waiting[i].ID
		}
		if err := from.Done(ctx, ids); err != nil {
			return n, err
		}
		n += len(waiting)
	}
}

// Take takes alerts in. Those that were taken in before change nothing.
func (r *Router) Take(ctx context.Context, alerts []Alert, now time.Time) error {
	ids := make([]string, len(alerts))
	for i := range alerts {
		ids[i] = alerts[i].ID
	}
	known, err := r.board.Known(ctx, ids)
	if err != nil {
		return err
	}
	change, groups := Change{}, map[string]Group{}
	for _, a := range alerts {
		if known[a.ID] {
			continue
		}
		known[a.ID] = true
		if err := a.Check(); err != nil {
			change.Deliveries = append(change.Deliveries, unroutable(&a, err, now))
			continue
		}
		change.Alerts = append(change.Alerts, a)
		for _, hit := range r.policy.Match(&a) {
			g := r.group(groups, hit.Route, &a)
			r.add(&g, hit.Route, a, now)
			groups[g.Key] = g
		}
	}
	return r.commit(ctx, change, groups)
}

// commit writes a change and then remembers it.
func (r *Router) commit(ctx context.Context, c Change, groups map[string]Group) error {
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		c.Groups = append(c.Groups, groups[k])
	}
	if len(c.Alerts)+len(c.Groups)+len(c.Deliveries)+len(c.Silences)+len(c.Closed) == 0 {
		return nil
	}
	if err := r.board.Commit(ctx, c); err != nil {
		return err
	}
	for _, a := range c.Alerts {
		r.remember(a)
	}
	for _, id := range c.Closed {
		maps.DeleteFunc(r.open, func(_ string, a Alert) bool { return a.Case == id })
		for key, sources := range r.sources {
			r.sources[key] = slices.DeleteFunc(sources, func(a Alert) bool { return a.Case == id })
		}
	}
	for _, g := range c.Groups {
		if r.groups[g.Key] = g; g.Closed {
			delete(r.groups, g.Key)
		}
	}
	for _, s := range c.Silences {
		r.silences[s.ID] = s
	}
	return nil
}

func (r *Router) remember(a Alert) {
	r.open[a.ID] = a
	for i := range r.policy.Inhibit {
		if rule := &r.policy.Inhibit[i]; rule.Source.Holds(&a) {
			if key := rule.key(i, &a); key != "" {
				r.sources[key] = append(r.sources[key], a)
			}
		}
	}
}

// key is the rule with the labels that both alerts must share, empty where one is unknown: what is
// unknown is like nothing.
func (rule *Inhibition) key(i int, a *Alert) string {
	parts := []string{fmt.Sprint(i)}
	for _, name := range rule.Equal {
		value := label(name, a)
		if value == "" {
			return ""
		}
		parts = append(parts, value)
	}
	return digest(parts...)
}

func unroutable(a *Alert, err error, now time.Time) Delivery {
	return Delivery{
		ID: "unroutable-" + digest(a.ID, a.Case), Channel: "none", Line: a.Case, Alerts: []string{a.ID}, State: Dead, NextAt: now, Made: now,
		Message:  Message{Kind: News, Case: a.Case, At: a.At, Title: "不能分派的告警 " + a.ID},
		Attempts: []Attempt{{At: now, Code: string(vw.Invalid), Error: err.Error()}},
	}
}

// group finds the group of an alert on a branch, or begins it.
func (r *Router) group(changed map[string]Group, route *Route, a *Alert) Group {
	g := Group{Route: route.path, Labels: map[string]string{}}
	parts := []string{route.path}
	for _, name := range route.GroupBy {
		g.Labels[name] = label(name, a)
		parts = append(parts, name, g.Labels[name])
	}
	g.Key = "group-" + digest(parts...)
	if known, ok := changed[g.Key]; ok {
		return known
	}
	if known, ok := r.groups[g.Key]; ok {
		known.Pending = slices.Clone(known.Pending)
		return known
	}
	return g
}

func (r *Router) add(g *Group, route *Route, a Alert, now time.Time) {
	worst := -1
	for _, told := range g.Last {
		worst = max(worst, rank(told.Severity))
	}
	if g.Taken != "" && rank(a.Severity) > worst {
		g.Taken, g.TakenAt, g.Step, g.Round = "", time.Time{}, 0, 0 // graver than what was taken up
	}
	g.Pending = append(g.Pending, a)
	slices.SortStableFunc(g.Pending, func(x, y Alert) int {
		if x.Case == y.Case {
			return x.Sequence - y.Sequence
		}
		return 0
	})
	g.gather()
	first := now.Add(route.Wait)
	if !g.Told.IsZero() {
		first = now
		if next := g.Told.Add(route.Interval); next.After(now) {
			first = next
		}
	}
	first = r.policy.calendar(route.Hours).Next(first)
	if g.Due.IsZero() || first.Before(g.Due) {
		g.Due = first
	}
}

// gather notes which cases the group is about.
func (g *Group) gather() {
	seen := map[string]bool{}
	g.Cases = nil
	for _, a := range slices.Concat(g.Last, g.Pending) {
		if !seen[a.Case] {
			seen[a.Case] = true
			g.Cases = append(g.Cases, a.Case)
		}
	}
}

func (g *Group) about(caseID string) bool { return len(g.Cases) == 1 && g.Cases[0] == caseID }

// together is how many groups are written at a time.
const together = 100

// Tick makes deliveries of what is due, and says when to come again; zero: not before there is news.
func (r *Router) Tick(ctx context.Context, now time.Time) (next time.Time, err error) {
	var change Change
	groups := map[string]Group{}
	write := func() error {
		err := r.commit(ctx, change, groups)
		change, groups = Change{}, map[string]Group{}
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(r.groups)) {
		g := r.groups[key]
		if !due(g.Due, now) && !due(g.StepDue, now) {
			continue
		}
		if due(g.Due, now) {
			change.Deliveries = append(change.Deliveries, r.flush(&g, now)...)
		}
		if due(g.StepDue, now) {
			change.Deliveries = append(change.Deliveries, r.climb(&g, now)...)
		}
		if groups[key] = g; len(groups) == together {
			if err := write(); err != nil {
				return time.Time{}, err
			}
		}
	}
	if err := write(); err != nil {
		return time.Time{}, err
	}
	for _, g := range r.groups {
		for _, t := range []time.Time{g.Due, g.StepDue} {
			if !t.IsZero() && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return next, nil
}

func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// route is the group's branch, or the root when the policy has it no more.
func (r *Router) route(g *Group) *Route {
	if route := r.policy.find(g.Route); route != nil {
		return route
	}
	return &r.policy.Route
}

// flush tells what is pending, or repeats what nobody took up.
func (r *Router) flush(g *Group, now time.Time) []Delivery {
	route := r.route(g)
	hours := r.policy.calendar(route.Hours)
	if opening := hours.Next(now); opening.After(now) { // the process was down when the office was open
		g.Due = opening
		return nil
	}
	var tell, held []Alert
	var until time.Time
	for _, a := range g.Pending {
		if s := r.silencedBy(&a, now); s != nil {
			held = append(held, a)
			if until.IsZero() || s.Until.Before(until) {
				until = s.Until
			}
		} else if r.inhibitedBy(&a) != "" {
			g.Inhibits = append(slices.Clone(g.Inhibits), a.ID)
		} else {
			tell = append(tell, a)
		}
	}
	g.Pending, g.Due = held, until
	var out []Delivery
	switch {
	case len(tell) > 0:
		g.Last, g.Told = tell, now
		out = r.deliver(g, route.path, News, tell, route.Receivers, now)
		if l, ok := r.policy.Escalations[route.Escalate]; ok && g.StepDue.IsZero() && g.Step == 0 && g.Round == 0 && g.Taken == "" {
			g.StepDue = r.policy.calendar(l.Steps[0].Hours).Next(now.Add(l.Steps[0].After))
		}
	case len(held) == 0 && g.Taken == "" && len(g.Last) > 0:
		if s := r.silencedBy(&g.Last[len(g.Last)-1], now); s != nil {
			g.Due = s.Until
			return nil
		}
		out = r.deliver(g, route.path, Repeat, g.Last, route.Receivers, now)
	}
	g.gather()
	if g.Taken == "" && route.Repeat > 0 && len(g.Last) > 0 {
		if again := hours.Next(now.Add(route.Repeat)); g.Due.IsZero() || again.Before(g.Due) {
			g.Due = again
		}
	}
	g.Closed = g.Taken == caseClosed && len(g.Pending) == 0
	return out
}

// climb tells the next step of the ladder.
func (r *Router) climb(g *Group, now time.Time) []Delivery {
	g.StepDue = time.Time{}
	l, ok := r.policy.Escalations[r.route(g).Escalate]
	if !ok || g.Taken != "" || len(g.Last) == 0 || g.Step >= len(l.Steps) {
		return nil
	}
	step := l.Steps[g.Step]
	if opening := r.policy.calendar(step.Hours).Next(now); opening.After(now) {
		g.StepDue = opening
		return nil
	}
	if s := r.silencedBy(&g.Last[len(g.Last)-1], now); s != nil {
		g.StepDue = s.Until
		return nil
	}
	out := r.deliver(g, "", Escalation, g.Last, step.Notify, now)
	if g.Step++; g.Step == len(l.Steps) && g.Round < l.Repeat {
		g.Step, g.Round = 0, g.Round+1
	}
	if g.Step < len(l.Steps) {
		next := l.Steps[g.Step]
		g.StepDue = r.policy.calendar(next.Hours).Next(now.Add(next.After))
	}
	return out
}

// deliver makes one delivery for each channel of the receivers. A channel that an alert already reaches
// over an earlier branch does not get it again over this one.
func (r *Router) deliver(g *Group, path string, kind Kind, alerts []Alert, receivers []string, now time.Time) (out []Delivery) {
	g.Sent++
	for _, contact := range r.policy.contacts(receivers, now) {
		mine := alerts
		if path != "" {
			mine = slices.DeleteFunc(slices.Clone(alerts), func(a Alert) bool { return r.firstFor(&a, contact.Channel, now) != path })
		}
		if len(mine) == 0 {
			continue
		}
		out = append(out, r.policy.delivery(g.Key, fmt.Sprint(g.Sent), kind, contact, mine, now))
	}
	return out
}

func (p *Policy) delivery(group, which string, kind Kind, to Contact, alerts []Alert, now time.Time) Delivery {
	d := Delivery{Receiver: to.Receiver, Channel: to.Channel, State: Queued, NextAt: now, Made: now, Message: p.compose(kind, alerts, now)}
	parts := []string{group, which, string(kind), to.Channel}
	for i := range alerts {
		d.Alerts = append(d.Alerts, alerts[i].ID)
		parts = append(parts, alerts[i].ID)
	}
	d.ID = "msg-" + digest(parts...)
	d.Message.Key = d.ID
	if d.Line = d.Message.Case; d.Line == "" {
		d.Line = group
	}
	return d
}

// firstFor is the first branch over which an alert reaches a channel.
func (r *Router) firstFor(a *Alert, channel string, now time.Time) string {
	for _, hit := range r.policy.Match(a) {
		if slices.ContainsFunc(r.policy.contacts(hit.Route.Receivers, now), func(c Contact) bool { return c.Channel == channel }) {
			return hit.Route.path
		}
	}
	return ""
}

// inhibitedBy is the open alert that holds this one back.
func (r *Router) inhibitedBy(a *Alert) string {
	for i := range r.policy.Inhibit {
		rule := &r.policy.Inhibit[i]
		if !rule.Target.Holds(a) {
			continue
		}
		for _, s := range r.sources[rule.key(i, a)] {
			if age := a.At.Sub(s.At); s.ID != a.ID && age >= 0 && age <= rule.For {
				return s.ID
			}
		}
	}
	return ""
}

// caseClosed is who took up the groups of a closed case.
const caseClosed = "system: case closed"

// TakeUp says that somebody works on a case: no repeats, no further steps. Graver news begins anew.
func (r *Router) TakeUp(ctx context.Context, caseID, who string, now time.Time) error {
	if who == "" || strings.HasPrefix(who, "system") {
		return invalid("alerts.TakeUp", []error{errors.New("who: a person is required")})
	}
	return r.commit(ctx, Change{}, r.taken(caseID, who, now))
}

// Close says that a case is closed. News that is pending is still told.
func (r *Router) Close(ctx context.Context, caseID string, now time.Time) error {
	return r.commit(ctx, Change{Closed: []string{caseID}}, r.taken(caseID, caseClosed, now))
}

func (r *Router) taken(caseID, who string, now time.Time) map[string]Group {
	groups := map[string]Group{}
	for key, g := range r.groups {
		if g.about(caseID) {
			g.Taken, g.TakenAt, g.StepDue = who, now, time.Time{}
			if len(g.Pending) == 0 {
				g.Due, g.Closed = time.Time{}, who == caseClosed
			}
			groups[key] = g
		}
	}
	return groups
}

// Exercise makes a drill: one message marked 【演练】 to every channel of every receiver and every
// person on a roster. It returns the batch, by which the deliveries are found.
func (r *Router) Exercise(ctx context.Context, who string, now time.Time) (batch string, n int, err error) {
	if who == "" {
		return "", 0, invalid("alerts.Exercise", []error{errors.New("who: is required")})
	}
	batch = "drill-" + digest(who, now.UTC().Format(time.RFC3339Nano))
	a := Alert{ID: batch, Case: "DRILL-" + now.In(r.policy.zone()).Format("20060102-1504"), Sequence: 1, What: Drill, At: now, Severity: "low", Merchant: "演练商户", Drill: true}
	var c Change
	for _, to := range r.policy.everybody() {
		d := r.policy.delivery(batch, to.Channel, Exercise, to, []Alert{a}, now)
		d.Batch, d.Line = batch, batch
		d.Message.Sentence = "这是一次通知演练，请确认收到，无需处置。This is a drill; nothing has happened."
		c.Deliveries = append(c.Deliveries, d)
	}
	return batch, len(c.Deliveries), r.commit(ctx, c, nil)
}

// everybody is every channel that is anybody's.
func (p *Policy) everybody() (all []Contact) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(p.Receivers)) {
		rc := p.Receivers[name]
		channels := slices.Clone(rc.Channels)
		if roster, ok := p.Rosters[rc.Duty]; ok {
			channels = append(channels, roster.People...)
			for _, s := range roster.Swaps {
				channels = append(channels, s.Who)
			}
		}
		for _, ch := range channels {
			if !seen[ch] {
				seen[ch] = true
				all = append(all, Contact{Receiver: name, Channel: ch})
			}
		}
	}
	return all
}
