package simulate

import (
	"cmp"
	"math"
	"slices"

	vw "voucherwatch"
)

// The gate of detection.md §3: a world in which the naive rules find nothing, or everything, tells
// nothing about better ones.
const (
	atLeastAP, atMostAP       = .10, .65
	atLeastAtTop, atMostAtTop = .15, .60

	fewestTrue = 8  // with fewer true entities a rule cannot be judged
	topOf      = 50 // precision is taken at so many entities, at as many as are true where those are fewer
	attempts   = 16 // to redraw fraud before the nearest miss is kept
)

// Difficulty is how the naive rules fare in a world, known from the labels.
type Difficulty struct {
	// Attempt is how often the fraud was redrawn; the honest world is the same in all of them.
	Attempt int `json:"attempt"`
	// Judged tells whether any rule had enough true entities; Passed whether all that had are in the gate.
	Judged bool `json:"judged"`
	Passed bool `json:"passed"`
	// Interesting are the redemptions that any naive rule marks.
	Interesting Interesting `json:"interesting"`
	Rules       []NaiveRule `json:"rules"`
}

// Interesting counts the redemptions that a naive rule marks: those a detector has to tell apart.
type Interesting struct {
	Redemptions int     `json:"redemptions"`
	Fraud       int     `json:"fraud"`
	LookAlikes  int     `json:"look_alikes"` // honest, with a tag that explains one of the marks
	Share       float64 `json:"look_alike_share"`
}

// NaiveRule is one classic rule: what it ranks, and how well.
type NaiveRule struct {
	Rule   string  `json:"rule"`
	Family string  `json:"family"`
	Entity string  `json:"entity"`
	Of     int     `json:"of"`   // entities
	True   int     `json:"true"` // fraudulent ones
	AP     float64 `json:"ap"`
	K      int     `json:"k"`
	AtK    float64 `json:"precision_at_k"`
	Judged bool    `json:"judged"`
	Passed bool    `json:"passed"`
}

// marks are the rules that mark a redemption, by bit.
type marks uint8

const (
	byGap = iota // same pair within 30 minutes
	byAmount
	byCount  // four of a pair
	byPrice  // at a shop where three goods cost 15 % more
	byCrowd  // eight payments in ten minutes
	byDevice // three accounts on a device
)

// excuses are the honest reasons for each mark. What has a tag for another reason does not count.
var excuses = [...]tag{
	byGap:    h1 | h2 | h3 | h5 | h10 | h13 | h14 | h15,
	byAmount: h2 | h3 | h4 | h5 | h8 | h13 | h15,
	byCount:  h3 | h5 | h10 | h13 | h14 | h16,
	byPrice:  h9 | h17,
	byCrowd:  h3 | h6 | h7 | h8 | h10 | h15,
	byDevice: h1 | h16,
}

func (m marks) excusedBy(t tag) bool {
	for rule, why := range excuses {
		if m>>rule&1 == 1 && t&why != 0 {
			return true
		}
	}
	return false
}

// glimpse is what a naive rule sees of a redemption, and the truth about it.
type glimpse struct {
	key                uint64
	at                 vw.Millis
	customer, merchant int32
	device             uint32
	day                int32
	tags               tag
	near               bool // within 1 % above the threshold
	unseen             bool // by the rule of its family: many accounts, each doing little
	family             family
}

// family is a Label's family in a byte; 0 is honest.
type family uint8

const (
	honest family = iota
	splitting
	cashingOut
	pairing
	pricing
)

func familyNamed(s string) family {
	return family(1 + slices.Index([]string{"split", "cashout", "pair_ring", "price"}, s))
}

// glance is the glimpse of an act.
func (w *world) glance(a *act) glimpse {
	v := &w.Vouchers[a.voucher]
	g := glimpse{key: a.key, at: a.at, customer: a.customer, merchant: a.merchant, day: int32(a.day), tags: a.tags,
		near: !v.Balance && a.order >= v.Threshold && a.order*100 <= v.Threshold*101}
	device := a.face.device
	if device == "" {
		device = w.deviceOf(a.customer)
	}
	g.device = uint32(vw.HashString(device))
	if f := a.label.fraud; f != nil {
		g.family, g.unseen = familyNamed(f.family), f.typology == "split-accounts" || f.typology == "device-farm"
	}
	return g
}

// rehearse plays the world without writing it. The honest part, which every attempt shares, is played
// when there is none yet.
func (g *generator) rehearse(honest []glimpse) (seen []glimpse, n int) {
	w := g.w
	look := func(a *act) {
		if a.used && a.mangle.reason == "" && !w.Vouchers[a.voucher].Balance {
			seen = append(seen, w.glance(a))
		}
	}
	seen = honest
	if honest == nil {
		for day := w.Start; day <= w.last; day++ {
			g.trade(day, look)
		}
		clear(g.spent)
	}
	n = len(seen)
	for day := w.Start; day <= w.last; day++ {
		for _, a := range g.planned[day] {
			look(a)
		}
	}
	return seen, n
}

// measure runs the naive rules over a world.
func (w *world) measure(seen []glimpse) Difficulty {
	seen = slices.Clone(seen)
	sortGlimpses(seen)
	marked := make([]marks, len(seen))
	goods := w.rises(seen, marked)
	rules := []NaiveRule{
		NaiveRule{Rule: "same pair within 30 minutes", Family: "split", Entity: "customer, merchant and day"}.of(baskets30(seen, marked), splitting),
		NaiveRule{Rule: "within 1 % above the threshold", Family: "cashout", Entity: "merchant"}.of(huggers(seen, marked), cashingOut),
		NaiveRule{Rule: "pair count", Family: "pair_ring", Entity: "customer and merchant"}.of(pairCounts(seen, marked), pairing),
		NaiveRule{Rule: "15 % over the minimum of 7 days", Family: "price", Entity: "merchant and good"}.of(goods, pricing),
	}
	crowds(seen, marked)
	d := Difficulty{Rules: rules, Passed: true}
	for i := range rules {
		d.Judged = d.Judged || rules[i].Judged
		d.Passed = d.Passed && (rules[i].Passed || !rules[i].Judged)
	}
	d.Passed = d.Passed && d.Judged
	for i := range seen {
		if marked[i] == 0 {
			continue
		}
		d.Interesting.Redemptions++
		switch {
		case seen[i].family != honest:
			d.Interesting.Fraud++
		case marked[i].excusedBy(seen[i].tags):
			d.Interesting.LookAlikes++
		}
	}
	if d.Interesting.Redemptions > 0 {
		d.Interesting.Share = float64(d.Interesting.LookAlikes) / float64(d.Interesting.Redemptions)
	}
	return d
}

// miss is how far a world lies outside the gate.
func (d *Difficulty) miss() (sum float64) {
	for i := range d.Rules {
		sum += d.Rules[i].miss()
	}
	return sum
}

// sortGlimpses puts pairs together and their payments in order of time.
func sortGlimpses(seen []glimpse) {
	slices.SortFunc(seen, func(a, b glimpse) int {
		return cmp.Or(cmp.Compare(a.merchant, b.merchant), cmp.Compare(a.customer, b.customer), cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key))
	})
}

// ranked is an entity under a rule. What is fraud of another family is left out.
type ranked struct {
	score  float64
	family family
}

// of fills in how well the scores tell a family.
func (r NaiveRule) of(all []ranked, f family) NaiveRule {
	all = slices.DeleteFunc(all, func(x ranked) bool { return x.family != honest && x.family != f })
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Compare(b.score, a.score) })
	for _, x := range all {
		if x.family == f {
			r.True++
		}
	}
	r.Of, r.K, r.Judged = len(all), min(topOf, r.True), r.True >= fewestTrue
	found, top := 0.0, 0.0
	for i := 0; i < len(all) && r.True > 0; {
		j, hits := i, 0.0
		for ; j < len(all) && all[j].score == all[i].score; j++ { // ties cannot flatter: they come in together
			if all[j].family == f {
				hits++
			}
		}
		found += hits
		r.AP += hits / float64(r.True) * found / float64(j)
		top += hits * float64(min(j, r.K)-min(i, r.K)) / float64(j-i)
		i = j
	}
	if r.K > 0 {
		r.AtK = top / float64(r.K)
	}
	r.Passed = r.Judged && r.miss() == 0
	return r
}

// miss is how far a rule that can be judged lies outside the gate.
func (r *NaiveRule) miss() float64 {
	if !r.Judged {
		return 0
	}
	outside := func(v, low, high float64) float64 { return max(0, low-v, v-high) }
	return outside(r.AP, atLeastAP, atMostAP) + outside(r.AtK, atLeastAtTop, atMostAtTop)
}

// runs calls f for each run of neighbours that belong together.
func runs(seen []glimpse, together func(a, b *glimpse) bool, f func(from, to int)) {
	for i := 0; i < len(seen); {
		j := i + 1
		for j < len(seen) && together(&seen[i], &seen[j]) {
			j++
		}
		f(i, j)
		i = j
	}
}

func samePair(a, b *glimpse) bool { return a.merchant == b.merchant && a.customer == b.customer }

func unseen(seen []glimpse) bool {
	return slices.ContainsFunc(seen, func(g glimpse) bool { return g.unseen })
}

// worst is the fraud in a run, if there is any; a family that is looked for goes first.
func worst(seen []glimpse, first family) family {
	f := honest
	for i := range seen {
		if seen[i].family == first {
			return first
		}
		f = max(f, seen[i].family)
	}
	return f
}

// baskets30 ranks customer-merchant-days by whether two payments lie within 30 minutes. Bills cut over
// several accounts are out of the rule's sight.
func baskets30(seen []glimpse, marked []marks) (all []ranked) {
	runs(seen, func(a, b *glimpse) bool { return samePair(a, b) && a.day == b.day }, func(from, to int) {
		x := ranked{0, worst(seen[from:to], splitting)}
		for i := from + 1; i < to; i++ {
			if seen[i].at-seen[i-1].at <= 30*vw.Minute {
				x.score = 1
				marked[i-1] |= 1 << byGap
				marked[i] |= 1 << byGap
			}
		}
		if !unseen(seen[from:to]) {
			all = append(all, x)
		}
	})
	return all
}

// huggers ranks merchants with ten redemptions or more by how many lie just above the threshold, as a
// z-score against the pooled share.
func huggers(seen []glimpse, marked []marks) (all []ranked) {
	pooled := 0.0
	for i := range seen {
		if seen[i].near {
			pooled++
			marked[i] |= 1 << byAmount
		}
	}
	pooled /= float64(max(1, len(seen)))
	runs(seen, func(a, b *glimpse) bool { return a.merchant == b.merchant }, func(from, to int) {
		n, near := float64(to-from), 0.0
		for i := from; i < to; i++ {
			if seen[i].near {
				near++
			}
		}
		if n >= 10 {
			all = append(all, ranked{(near/n - pooled) / math.Sqrt(pooled*(1-pooled)/n), worst(seen[from:to], cashingOut)})
		}
	})
	return all
}

// pairCounts ranks pairs by their redemptions; four mark them. Farms of devices are out of its sight.
func pairCounts(seen []glimpse, marked []marks) (all []ranked) {
	runs(seen, samePair, func(from, to int) {
		if !unseen(seen[from:to]) {
			all = append(all, ranked{float64(to - from), worst(seen[from:to], pairing)})
		}
		for i := from; i < to && to-from >= 4; i++ {
			marked[i] |= 1 << byCount
		}
	})
	return all
}

// rises ranks the goods of shops whose shelves are read by the most they cost above their least price
// in the week before the start. It marks what is bought where three goods are 15 % dearer. Shops that are
// dearer at the till only are out of the rule's sight.
func (w *world) rises(seen []glimpse, marked []marks) (all []ranked) {
	dear := map[[2]int32]bool{}
	for i := range w.merchants {
		m := &w.merchants[i]
		if m.kind != supermarket || !m.posts || m.openDay > w.Start || m.barDay > 0 || m.raise != nil && m.raise.hidden {
			continue
		}
		over := make([]int, w.last-w.Start+1)
		for _, k := range w.watchedBy(m) {
			least := vw.Fen(math.MaxInt64)
			for day := w.Start - 7; day < w.Start; day++ {
				_, shown := w.price(m, k, day)
				least = min(least, shown)
			}
			x := ranked{}
			for d := range over {
				_, shown := w.price(m, k, w.Start+d)
				rise := float64(shown)/float64(least) - 1
				x.score = max(x.score, rise)
				if rise > .15 {
					over[d]++
				}
			}
			if m.raise != nil && m.raise.factor[k] > 0 {
				x.family = pricing
			}
			all = append(all, x)
		}
		for d, n := range over {
			if n >= 3 {
				dear[[2]int32{m.index, int32(w.Start + d)}] = true
			}
		}
	}
	for i := range seen {
		if dear[[2]int32{seen[i].merchant, seen[i].day}] {
			marked[i] |= 1 << byPrice
		}
	}
	return all
}

// crowds marks what is bought in a rush, eight payments at one merchant within ten minutes, and with a
// device of three accounts. It ranks nothing.
func crowds(seen []glimpse, marked []marks) []ranked {
	accounts := map[uint32][]int32{}
	order := make([]int, len(seen))
	for i := range seen {
		order[i] = i
		if a := accounts[seen[i].device]; len(a) < 3 && !slices.Contains(a, seen[i].customer) {
			accounts[seen[i].device] = append(a, seen[i].customer)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(seen[a].merchant, seen[b].merchant), cmp.Compare(seen[a].at, seen[b].at), a-b)
	})
	const crowd = 8
	for i := crowd - 1; i < len(order); i++ {
		first, last := &seen[order[i-crowd+1]], &seen[order[i]]
		if first.merchant == last.merchant && last.at-first.at <= 10*vw.Minute {
			for _, j := range order[i-crowd+1 : i+1] {
				marked[j] |= 1 << byCrowd
			}
		}
	}
	for i := range seen {
		if len(accounts[seen[i].device]) >= 3 {
			marked[i] |= 1 << byDevice
		}
	}
	return nil
}
