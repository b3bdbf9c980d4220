package evaluate

import (
	"errors"
	"fmt"
	"slices"

	vw "voucherwatch"
)

// Options say how a world is evaluated.
type Options struct {
	Campaign *vw.Campaign // required
	// Review and High are the scores from which the bands begin.
	Review, High int
	// Exact are the typologies of exact rules; the others are statistical.
	Exact map[string]bool
	// Weights are the policy's, by detector: the prior means of what verdicts teach. Prior is its
	// prior log-odds.
	Weights map[string]float64
	Prior   float64
	// Settle is how long after a redemption the money is paid out; what is found later is lost. 0: a day.
	Settle vw.Millis
}

func (o *Options) complete() error {
	var errs []error
	if o.Campaign == nil {
		errs = append(errs, errors.New("campaign: is required"))
	}
	if !(0 < o.Review && o.Review < o.High && o.High <= 1000) {
		errs = append(errs, fmt.Errorf("review %d, high %d: must be 0 < review < high <= 1000", o.Review, o.High))
	}
	if o.Settle < 0 {
		errs = append(errs, errors.New("settle: must not be negative"))
	}
	if o.Settle == 0 {
		o.Settle = vw.Day
	}
	if err := errors.Join(errs...); err != nil {
		return &vw.Error{Op: "evaluate.New", Code: vw.Invalid, Err: err}
	}
	return nil
}

// World is one world on its way to a report: Events in, then Scores and Findings, then Report. It keeps
// 64 bytes of a redemption and some 20 to find it by, and nothing else of an event; the report needs about
// twice that again for a while. It is not safe for concurrent use.
type World struct {
	name      string
	o         Options
	labels    *Labels
	rows      []row
	index     map[uint64]int32 // redemption → rows
	merchants []merchant
	merchant  map[uint64]int32
	customers map[uint64]int32
	customer  []uint64
	shelf     map[shelfKey]*shelfPrice
	findings  []finding
	against   map[int32]map[string]float64 // what speaks against merchants, by detector
	scored    int
	policy    string // version
	unread    int    // lines that are no events
	duplicate int
}

// row is a distinct redemption.
type row struct {
	at       vw.Millis
	stake    vw.Fen    // state money that the fraud took
	found    vw.Millis // when a finding at review that lists it was raised first; 0: none
	merchant int32
	customer int32
	kase     int32 // index into Labels.cases, -1: no fraud
	day      int32
	tags     tags
	over     float32 // (amount − threshold)/threshold
	score    int16   // at the time; -1: not scored
	after    int16   // the larger of it and of the findings that list it
	voucher  uint8
	broken   uint8 // index into Labels.rules + 1; 0: none
	filler   bool
	near     bool    // at most 1 % above the threshold
	pair     float32 // log-odds that its reasons about the pair add
	pairP    bool    // one of them has p < .001
}

// honest tells whether a redemption is neither fraud nor a breach nor left out.
func (r *row) honest() bool { return r.kase < 0 && r.broken == 0 && !r.filler }

type merchant struct {
	id       string
	category vw.Category
	tags     tags
	rows     int32
	near     int32
	broken   uint64 // labelled breaches, bits into Labels.rules
	dear     int32  // items at 15 % or more over their 7-day minimum, before or during the campaign
}

// NewWorld begins a world of that name. Labels are kept, not copied.
func NewWorld(name string, labels *Labels, o Options) (*World, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	return &World{name: name, o: o, labels: labels, index: map[uint64]int32{}, merchant: map[uint64]int32{}, customers: map[uint64]int32{}, shelf: map[shelfKey]*shelfPrice{}, against: map[int32]map[string]float64{}}, nil
}

// Events takes in a batch in the order of arrival. Of a redemption that comes twice the first counts.
func (w *World) Events(b *vw.Batch) error {
	w.unread += len(b.Dead)
	for i := range b.Events {
		e := &b.Events[i]
		switch e.Type {
		case vw.MerchantEvent:
			i := w.shop(b, e.Merchant)
			if d, ok := e.Detail.(*vw.Merchant); ok {
				if c, ok := vw.ParseCategory(d.Category); ok {
					w.merchants[i].category = c
				}
			}
		case vw.PriceEvent:
			w.price(b, e)
		case vw.RedemptionEvent:
			if err := w.redemption(b, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *World) shop(b *vw.Batch, ref vw.Ref) int32 {
	i, ok := w.merchant[ref.Key]
	if !ok {
		i = int32(len(w.merchants))
		w.merchant[ref.Key] = i
		w.merchants = append(w.merchants, merchant{id: b.String(ref.Text), tags: w.labels.shops[ref.Key]})
	}
	return i
}

func (w *World) redemption(b *vw.Batch, e *vw.Event) error {
	if _, ok := w.index[e.ID.Key]; ok {
		w.duplicate++
		return nil
	}
	c, ok := w.customers[e.Customer.Key]
	if !ok {
		c = int32(len(w.customer))
		w.customers[e.Customer.Key] = c
		w.customer = append(w.customer, e.Customer.Key)
	}
	l := w.labels
	r := row{at: e.At, merchant: w.shop(b, e.Merchant), customer: c, kase: -1, day: int32(vw.DayOf(e.At, w.o.Campaign.Offset())),
		score: -1, after: -1, voucher: e.VoucherType, tags: l.honest[e.ID.Key], filler: l.fillers[e.ID.Key]}
	if f, ok := l.fraud[e.ID.Key]; ok {
		r.kase, r.stake = f.kase, f.stake
	}
	if v, ok := l.broken[e.ID.Key]; ok {
		r.broken = v + 1
	}
	if t := w.o.Campaign.Vouchers[e.VoucherType].Threshold; t > 0 {
		over := e.OrderFen - t
		r.near = over >= 0 && over*100 <= t
		r.over = float32(float64(over) / float64(t))
	}
	w.index[e.ID.Key] = int32(len(w.rows))
	m := &w.merchants[r.merchant]
	m.rows++
	if r.near {
		m.near++
	}
	if r.broken > 0 {
		m.broken |= 1 << (r.broken - 1)
	}
	w.rows = append(w.rows, r)
	return nil
}

// known checks that what is labelled is among the events: labels of another world say nothing here.
func (w *World) known() error {
	l := w.labels
	labelled, missing := 0, 0
	count := func(id uint64) {
		if labelled++; !l.invalid[id] {
			if _, ok := w.index[id]; !ok {
				missing++
			}
		}
	}
	for id := range l.fraud {
		count(id)
	}
	for id := range l.broken {
		count(id)
	}
	for id := range l.honest {
		count(id)
	}
	for id := range l.fillers {
		count(id)
	}
	if missing == 0 {
		return nil
	}
	what, hint := fmt.Errorf("%d of the %d labelled redemptions are not among the %d of the events (%s is an id of the labels)", missing, labelled, len(w.rows), l.some), "the events are cut short, or others than the labels are for; give both files of one world"
	if missing == labelled {
		what, hint = fmt.Errorf("none of the %d labelled redemptions (%s is one) is among the %d of the events: the labels are another world's", labelled, l.some, len(w.rows)), "give the labels that were written with these events"
	}
	return &vw.Error{Op: "evaluate.World", Code: vw.Invalid, Hint: hint, Err: fmt.Errorf("%s: %w", w.name, what)}
}

// byVisit are the scored rows that baskets are made of, by customer, merchant, time and arrival.
func (w *World) byVisit() []int32 {
	list := make([]int32, 0, len(w.rows))
	for i := range w.rows {
		if r := &w.rows[i]; r.score >= 0 && r.broken == 0 && !r.filler {
			list = append(list, int32(i))
		}
	}
	slices.SortFunc(list, func(a, b int32) int {
		x, y := &w.rows[a], &w.rows[b]
		switch {
		case x.customer != y.customer:
			return int(x.customer) - int(y.customer)
		case x.merchant != y.merchant:
			return int(x.merchant) - int(y.merchant)
		case x.at != y.at:
			return int(max(-1, min(1, x.at-y.at)))
		}
		return int(a) - int(b)
	})
	return list
}

type shelfKey struct{ merchant, sku uint64 }

// shelfPrice is the price of an item now and its minimum of each of the last seven days.
type shelfPrice struct {
	day  int32
	now  int32
	low  [7]int32 // ring by day: minimum of that day
	dear bool
}

// price is the naive price rule: 15 % over the minimum of the seven days before, from a week before the
// campaign on.
func (w *World) price(b *vw.Batch, e *vw.Event) {
	switch e.Kind {
	case vw.Shelf, vw.Online, vw.Inspection:
	default:
		return
	}
	if e.Amount <= 0 || e.Amount > 1<<30 {
		return
	}
	k := shelfKey{e.Merchant.Key, e.SKU.Key}
	day, p := int32(vw.DayOf(e.At, w.o.Campaign.Offset())), int32(e.Amount)
	s := w.shelf[k]
	if s == nil {
		s = &shelfPrice{day: day, now: p}
		for i := range s.low {
			s.low[i] = p
		}
		w.shelf[k] = s
		return
	}
	if day < s.day {
		return // late: not worth a history
	}
	for d := max(s.day+1, day-6); d <= day; d++ {
		s.low[d%7] = s.now // the price in force when the day began
	}
	lowest := slices.Min(s.low[:])
	if !s.dear && int64(p)*100 >= int64(lowest)*115 && int(day) >= w.o.Campaign.Start-7 && int(day) <= w.o.Campaign.End {
		s.dear = true
		i := w.shop(b, e.Merchant)
		w.merchants[i].dear++
	}
	s.low[day%7] = min(s.low[day%7], p)
	s.day, s.now = day, p
}
