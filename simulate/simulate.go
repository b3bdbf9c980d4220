// Package simulate makes a labelled campaign: the events of the contract in order of arrival, and
// beside them, in a file of their own, which redemptions are fraud, which only look like it and which
// break a rule of the campaign.
//
// It is a test bench for detectors and a source of demonstrations, not a forecast: figures measured
// on it compare methods. Voucher types, rounds, hours, zone and district come from the campaign; what
// people do comes from detection.md §6; docs/simulate.md says what there is. Data in: Options. Data out: NDJSON events, one JSON object of
// labels, a Summary.
//
// Every actor and day draws from a stream of its own that is derived by hashing (seed, purpose, who,
// when). Fraud is added beside the honest events and never takes part in their draws: with the same
// seed the honest lines are the same bytes in the same order with any choice of fraud, or none.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	vw "voucherwatch"
)

// What a full-length campaign of Scale 1 has.
const (
	redemptionsAtOne = 37_000
	merchantsAtOne   = 440
	customersAtOne   = 11_500
)

// Options choose a world. Zero values are defaults.
type Options struct {
	Campaign *vw.Campaign // required
	Seed     uint64
	// Scale sets the volume: 1 is some 37,000 redemptions and 46,000 claims over the whole campaign,
	// 440 merchants, 11,500 customers. 40 with Merchants 3000 and Customers 200000 is a county at full
	// budget: 1.4 million redemptions. Default 1.
	Scale float64
	// Days cuts the campaign after so many days; 0 is all of it.
	Days int
	// Merchants and Customers override what Scale implies; at least 20 and 100.
	Merchants, Customers int
	// Typologies are names of Typologies() or of HeldOutTypologies(); HeldOut stands for all of the latter.
	// Nil is all of the former.
	Typologies []string
	// Adversary adds gangs that change amounts, pace, accounts, devices and shops day by day with what
	// they learn.
	Adversary bool
	// Feedback tells a gang whether the money of one of its redemptions was withheld. It is asked once for
	// each, 1 to 3 days after, at the beginning of a day, when everything that arrived before that day has
	// been written to events. It must depend on nothing else. Nil: the gangs believe that the office knows
	// the naive rules.
	Feedback func(redemptionID string) (blocked bool)
	// fixed overrides nuisance parameters, for tests.
	fixed map[parameter]float64
	// NoFraud makes a placebo: rule violations and look-alikes stay, fraud does not.
	NoFraud bool
}

func (o *Options) complete() error {
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.Merchants == 0 {
		o.Merchants = max(20, int(merchantsAtOne*o.Scale))
	}
	if o.Customers == 0 {
		o.Customers = max(100, int(customersAtOne*o.Scale))
	}
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(o.Scale > 0 && o.Scale <= 1000, "scale", "must be above 0 and at most 1000")
	need(!o.Adversary || !o.NoFraud, "adversary", "is fraud: leave it out or allow fraud")
	need(o.Feedback == nil || o.Adversary, "feedback", "needs adversary")
	need(o.Days >= 0, "days", "must not be negative")
	need(o.Merchants >= 20, "merchants", "must be 20 or more")
	need(o.Customers >= 100, "customers", "must be 100 or more")
	o.Typologies = expanded(o.Typologies)
	for _, name := range o.Typologies {
		need(schemeNamed(name) != nil, "typologies", "unknown name "+name)
	}
	c := o.Campaign
	if c == nil {
		need(false, "campaign", "is required")
		return errors.Join(errs...)
	}
	need(c.Zone != nil, "campaign.zone", "is required")
	need(len(c.Rounds) > 0, "campaign.rounds", "must not be empty")
	need(c.ClaimLimit >= 1 && c.ClaimLimit <= 100, "campaign.claim_limit", "must be 1 to 100")
	need(len(c.Vouchers) > 0 && len(c.Vouchers) < 256, "campaign.vouchers", "must be 1 to 255")
	return errors.Join(errs...)
}

// Run writes a campaign's events, then its labels. The same options give the same bytes. Memory is
// bounded by customers, merchants, planned fraud and the events of one day, not by the length of the
// campaign, but for 16 bytes per look-alike, and 90 bytes a redemption while the gate is judged. Errors
// carry vw.Invalid for options that cannot be.
func Run(ctx context.Context, o Options, events, labels io.Writer) (Summary, error) {
	const op = "simulate.Run"
	if err := o.complete(); err != nil {
		return Summary{}, &vw.Error{Op: op, Code: vw.Invalid, Hint: "see the options of simulate", Err: err}
	}
	g := chooseGenerator(&o, events)
	first, last := g.w.shelf.from, g.w.last+14 // a fortnight for the last refunds and complaints
	for day := first; day <= last; day++ {
		if err := ctx.Err(); err != nil {
			return Summary{}, err
		}
		g.day(day)
		if err := g.stage.flush(g.w.midnight(day + 1)); err != nil {
			return Summary{}, &vw.Error{Op: op, Code: vw.Unavailable, Err: fmt.Errorf("write events: %w", err)}
		}
		if o.Feedback == nil {
			continue
		}
		if err := g.stage.out.Flush(); err != nil {
			return Summary{}, &vw.Error{Op: op, Code: vw.Unavailable, Err: fmt.Errorf("write events: %w", err)}
		}
	}
	err := g.stage.flush(1 << 62)
	if err == nil {
		err = g.stage.out.Flush()
	}
	if err != nil {
		return Summary{}, &vw.Error{Op: op, Code: vw.Unavailable, Err: fmt.Errorf("write events: %w", err)}
	}
	s, err := g.book.write(labels, g)
	if err != nil {
		return Summary{}, &vw.Error{Op: op, Code: vw.Unavailable, Err: fmt.Errorf("write labels: %w", err)}
	}
	return s, nil
}

// generator plays the world day by day.
type generator struct {
	w       *world
	o       *Options
	stage   *stage
	book    *book
	planned map[int][]*act // by day: 爱心, violations, malformed lines, fraud
	taken   map[uint64]int // claims of the limit taken by planned acts: customer<<8 | cycle
	spent   [][vw.Categories]vw.Fen
	listed  map[int32]bool // 爱心 beneficiaries
	notes   map[int][]note // registry changes, complaints, lists by day

	diary      diary
	gangs      []*gang
	cases      int
	busy       map[int32]bool // merchants in a case
	attempt    int            // of drawing the fraud
	difficulty Difficulty
}

// note is an event that is neither claim, redemption nor price.
type note struct {
	at    vw.Millis
	event any
	gone  absence
}

// chooseGenerator redraws the fraud until the naive rules neither fail nor suffice, or keeps the nearest
// miss. The honest world is the same in every attempt.
func chooseGenerator(o *Options, events io.Writer) *generator {
	var best *generator
	var honest []glimpse
	tries := max(4, min(attempts, int(attempts/o.Scale))) // large worlds hardly differ by chance
	if slices.ContainsFunc(heldOut(), func(s scheme) bool { return slices.Contains(o.Typologies, s.name) }) {
		tries = 1 // forms nobody may tune to are as hard as they are
	}
	for attempt := range tries {
		g := newGenerator(o, attempt, events)
		seen, n := g.rehearse(honest)
		honest = seen[:n:n]
		g.difficulty = g.w.measure(seen)
		g.difficulty.Attempt = attempt
		if best == nil || g.difficulty.miss() < best.difficulty.miss() {
			best = g
		}
		if best.difficulty.miss() == 0 {
			break
		}
	}
	return best
}

func newGenerator(o *Options, attempt int, events io.Writer) *generator {
	w := newWorld(o)
	g := &generator{w: w, o: o, attempt: attempt, stage: newStage(w, events), book: newBook(),
		planned: map[int][]*act{}, taken: map[uint64]int{}, listed: map[int32]bool{}, notes: map[int][]note{}, busy: map[int32]bool{},
		spent: make([][vw.Categories]vw.Fen, len(w.Rounds))}
	g.register(w.merchants[:w.honest])
	g.list()
	g.love()
	g.violate()
	g.mangle()
	if !o.NoFraud {
		g.commit(o.Typologies)
	}
	return g
}

func (g *generator) plan(a *act) {
	if a.voucherKey == 0 {
		a.voucherKey = a.key
	}
	g.planned[a.day] = append(g.planned[a.day], a)
}

func (g *generator) day(day int) {
	g.post(day)
	g.conspire(day)
	for _, n := range g.notes[day] {
		g.note(n)
	}
	delete(g.notes, day)
	g.trade(day, g.perform)
	for _, a := range g.planned[day] {
		g.perform(a)
	}
	delete(g.planned, day)
}

// trade is what customers do of themselves on a day.
func (g *generator) trade(day int, do func(*act)) {
	w := g.w
	cycle, round := w.cycleOn(day), w.RoundOn(day)
	if cycle < 0 || round < 0 {
		return
	}
	for _, e := range g.diary.of(w, cycle, day) {
		a, _ := w.visit(e.customer, cycle, int(e.slot))
		a.voucherKey = a.key
		if a.used {
			category := w.Vouchers[a.voucher].Category
			spent := &g.spent[round][category]
			// 2 % of the pool are left to what is planned beside.
			if *spent+a.discount > w.Rounds[round].Budget[category]*98/100 {
				continue
			}
			*spent += a.discount
		}
		do(&a)
	}
}

// diary says who has a visit on which day of a cycle, so that a day need not ask everybody.
type diary struct {
	cycle int // 1-based, 0 for none
	days  [][]entry
}

type entry struct {
	customer int32
	slot     uint8
}

// of lists the visits of a day by customer and slot.
func (d *diary) of(w *world, cycle, day int) []entry {
	c := &w.cycles[cycle]
	if d.cycle != cycle+1 {
		*d = diary{cycle: cycle + 1, days: make([][]entry, c.to-c.from+1)}
		for who := range w.customers {
			for s := range w.ClaimLimit {
				if a, ok := w.visit(int32(who), cycle, s); ok && a.day >= c.from && a.day <= c.to {
					d.days[a.day-c.from] = append(d.days[a.day-c.from], entry{int32(who), uint8(s)})
				}
			}
		}
	}
	return d.days[day-c.from]
}

// perform writes an act's claim, redemption and refund.
func (g *generator) perform(a *act) {
	w, s := g.w, g.stage
	if !a.unclaimed {
		from := len(s.lines)
		c, gone := w.claim(a)
		s.lines = appendClaim(s.lines, gone, &c)
		s.put(vw.ClaimEvent, a.voucherKey, a.claimed, from, 0)
	}
	if !a.used {
		return
	}
	m := &w.merchants[a.merchant]
	e := w.record(a)
	if a.spoil != nil {
		a.spoil(&e)
	}
	from := len(s.lines)
	s.lines = appendRedemption(s.lines, e.gone, &e.Redemption)
	if a.mangle.reason != "" {
		g.putMangled(a, from)
		return
	}
	// What is paid before its claim is posted after it, or it would look unclaimed.
	if s.put(vw.RedemptionEvent, a.key, max(a.at, a.claimed+vw.Minute), from, m.provider) {
		a.tags |= h12
	}
	g.book.enter(a, m)
	g.refund(a, m, &e)
	g.complain(a, m)
}

// refund gives money back: 1.5 % of honest orders by chance, others by plan.
func (g *generator) refund(a *act, m *merchant, e *record) {
	w, s := g.w, g.stage
	r := w.chance(forRefund, a.key, 0)
	byChance := r.hit(w.p[refunds])
	at, sum := a.refund, a.order
	if a.returns > 0 {
		sum = vw.Fen(float64(sum) * a.returns)
	}
	if at == 0 {
		if !byChance || a.spoil != nil || a.discount == a.order {
			return
		}
		at = a.at + vw.Millis((.3+r.exp(w.p[refundHours]))*float64(vw.Hour))
		if m.kind == appliances && r.hit(.3) { // found wanting at home
			at += vw.Millis(r.exp(4) * float64(vw.Day))
		}
		if r.hit(.35) {
			sum = max(1, vw.Fen(float64(a.order)*r.between(.1, .8)))
		}
		if h := vw.MinuteOf(at, w.offset); h < 9*60 || h > 21*60 {
			at = w.midnight(vw.DayOf(at, w.offset)+1) + vw.Millis(r.among(9*60, 20*60))*vw.Minute
		}
	}
	returned := sum == a.order && vw.DayOf(at, w.offset) == a.day &&
		(w.RefundPolicy == vw.FullReturnInValidity || w.RefundPolicy == vw.RefundPolicyUnrecorded) && a.refund == 0
	if a.returned {
		returned = true
	}
	from := len(s.lines)
	s.lines = appendRefund(s.lines, &vw.Refund{Type: "refund", ID: token('f', mix(a.key+4)), At: w.text(at + m.skew),
		RedemptionID: e.ID, MerchantID: e.MerchantID, CustomerID: e.CustomerID, RefundFen: int64(sum), VoucherReturned: returned})
	s.put(vw.RefundEvent, a.key, at, from, m.provider)
}
