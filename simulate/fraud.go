package simulate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	vw "voucherwatch"
)

// scheme is one typology of fraud.
type scheme struct {
	name   string
	form   string // as detection.md §6 numbers it, "" for those beyond it
	family string
	codes  []string
	cases  float64 // in a world of scale 1
	text   vw.Bilingual
	// commit plans one case; it reports false when the world has no room for it.
	commit func(f *fraud) bool
}

// schemes is the table of typologies; a new one is a row and a function.
func schemes() []scheme {
	cash := []string{"T04", "T05", "T06", "T02", "T16"}
	prices := []string{"T19", "T20", "T21"}
	return []scheme{
		{"split", "s1", "split", []string{"T01"}, 10, vw.Bilingual{Zh: "分单：同一账户，金额正好", En: "one bill cut at exact thresholds, same account"}, splitExact},
		{"split-jittered", "s2", "split", []string{"T01"}, 10, vw.Bilingual{Zh: "分单：金额与间隔打散、梯度用券", En: "cut with jittered amounts and gaps, or a ladder of tiers"}, splitJittered},
		{"split-accounts", "", "split", []string{"T01"}, 3, vw.Bilingual{Zh: "分单：一单拆给共用设备、卡或收银台的多个账户", En: "one bill cut over accounts that share a device, card or till"}, splitAccounts},
		{"cashout-burst", "s5", "cashout", cash, 3, vw.Bilingual{Zh: "套现：晚间集中、满档、金额正好", En: "cash-out in evening bursts, top tier, exact amounts"}, cashoutBurst},
		{"cashout-mixed", "s6", "cashout", cash, 3, vw.Bilingual{Zh: "套现：金额打散、正常时段", En: "cash-out with jittered amounts at normal hours"}, cashoutMixed},
		{"cashout-owner", "", "cashout", cash, 2, vw.Bilingual{Zh: "商户自刷：店主、店员与熟客，强度低", En: "owner, staff and returning friends, at low intensity"}, cashoutOwner},
		{"refund-loop", "", "cashout", []string{"T16", "T04", "T06"}, 2, vw.Bilingual{Zh: "退款套利：核销后退款，券值留存", En: "redeem, refund later, keep the voucher's value"}, refundLoop},
		{"pair", "", "pair_ring", []string{"P01"}, 9, vw.Bilingual{Zh: "固定搭档：同一顾客的券都在同一商户核销", En: "a fixed partner redeems everything at one merchant"}, pairUp},
		{"ring", "s9", "pair_ring", []string{"P01", "T10"}, 2, vw.Bilingual{Zh: "团伙：四家商户与一批账户轮转", En: "four merchants and a crowd of accounts take turns"}, ring},
		{"device-farm", "", "pair_ring", []string{"T10", "P01"}, 2, vw.Bilingual{Zh: "设备聚集：少数设备、许多账户、一两家店", En: "few devices, many accounts, one or two shops"}, deviceFarm},
		{"price-raise", "s12", "price", prices, 3, vw.Bilingual{Zh: "先提后用：开券前数日提价", En: "prices raised in the days before the start"}, priceRaise},
		{"raise-then-discount", "", "price", []string{"T20", "T19"}, 1, vw.Bilingual{Zh: "先提后降：虚构原价", En: "an inflated reference price is struck through"}, raiseThenDiscount},
		{"surcharge", "", "price", []string{"T21", "T19"}, 1, vw.Bilingual{Zh: "用券加价：用券者价高", En: "dearer for those who show a voucher"}, surcharge},
		{"fuel-cap", "", "price", []string{"T22"}, 1, vw.Bilingual{Zh: "油价超限：高于最高零售价", En: "fuel sold above the ceiling"}, fuelCap},
	}
}

func schemeNamed(name string) *scheme {
	all := slices.Concat(schemes(), heldOut())
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// Typology describes a form of fraud that Options.Typologies may name.
type Typology struct {
	Name, Family string
	Codes        []string // of the contract
	Text         vw.Bilingual
}

// HeldOut names the set of HeldOutTypologies.
const HeldOut = "held-out"

// Typologies are the forms of fraud of a world where nothing else is asked for, in fixed order.
func Typologies() []Typology { return described(schemes()) }

// HeldOutTypologies are further forms, kept out of every tuning: in no world unless they are named.
func HeldOutTypologies() []Typology { return described(heldOut()) }

// AdaptiveTypologies are the forms of Options.Adversary.
func AdaptiveTypologies() []Typology { return described(gangSchemes()) }

func described(all []scheme) []Typology {
	var out []Typology
	for _, s := range all {
		out = append(out, Typology{s.name, s.family, s.codes, s.text})
	}
	return out
}

// fraud is one case being planned, and afterwards the ledger of what it did.
type fraud struct {
	g                      *generator
	r                      chance
	name, typology, family string
	codes                  []string
	key                    uint64 // scheme and ordinal
	acts                   []*act
	heldOut                bool
	gang                   *gang // of those that learn
	coached, atTheTill     bool
	raisedOn               int
	skus                   []string
	first, last            int     // days of activity: where it starts, and its stop rule
	intensity              float64 // .6–1.4
	lazy                   float64 // share of sums that nobody cared to disguise
	busy                   map[int32]bool
}

// commit plans fraud of the named typologies. Cases compete only for merchants and for the claims that
// honest plans left over.
func (g *generator) commit(names []string) {
	for i, s := range schemes() {
		if names == nil || slices.Contains(names, s.name) {
			g.repeat(uint64(i), s)
		}
	}
	for i, s := range heldOut() {
		if slices.Contains(names, s.name) {
			g.repeat(heldOutFrom+uint64(i), s)
		}
	}
	if !g.o.Adversary {
		return
	}
	for i, s := range gangSchemes() {
		g.repeat(gangsFrom+uint64(i), s)
	}
}

// Streams of the schemes are numbered by set, so that a new scheme in one moves none of another.
const heldOutFrom, gangsFrom = 100, 200

// repeat plans the cases of a scheme. Each has a stream of its own.
func (g *generator) repeat(stream uint64, s scheme) {
	for n := range max(1, int(math.Round(s.cases*float64(g.o.Merchants)/merchantsAtOne))) {
		g.cases++
		f := &fraud{g: g, r: g.w.chance(forFraud, stream, uint64(g.attempt)<<32|uint64(n)), typology: s.name, family: s.family, codes: s.codes, key: stream<<16 | uint64(n),
			name: fmt.Sprintf("%s-%d", s.name, g.cases), busy: g.busy, heldOut: stream >= heldOutFrom && stream < gangsFrom}
		days := g.w.last - g.w.Start + 1
		f.first = g.w.Start + f.r.below(max(1, days/2))
		f.last = min(g.w.last, f.first+f.r.among(min(max(3, days/4), days), days))
		f.intensity = f.r.between(.6, 1.4)
		if s.commit(f) && (len(f.acts) > 0 || f.gang != nil) {
			g.book.cases = append(g.book.cases, f)
		}
	}
}

// size tells how much smaller a case is in a small world, which has one case of everything, so that fraud
// keeps its share, and how much larger where merchants are busier.
func (f *fraud) size(n int) int {
	s := math.Min(1, math.Max(.25, math.Sqrt(f.g.o.Scale))) * f.busier() * f.intensity
	return max(2, int(math.Round(float64(n)*s)))
}

// busier is how many times more trade a merchant has than in a world of scale 1.
func (f *fraud) busier() float64 {
	return math.Max(1, f.g.o.Scale*merchantsAtOne/float64(f.g.o.Merchants))
}

// day draws a day of activity that lies in a round.
func (f *fraud) day() int {
	for range 50 {
		if d := f.first + f.r.below(f.last-f.first+1); f.g.w.RoundOn(d) >= 0 {
			return d
		}
	}
	return f.first
}

// shop takes an honest merchant for the case that is in business all the time and not in another case.
func (f *fraud) shop(kinds ...kind) *merchant {
	w := f.g.w
	for range 300 {
		all := w.kindOf[kinds[f.r.below(len(kinds))]]
		if len(all) == 0 {
			continue
		}
		m := &w.merchants[all[f.r.below(len(all))]]
		if m.barDay == 0 && m.openDay == 0 && !m.giant && !f.busy[m.index] && len(w.tiers[m.category]) > 0 {
			f.busy[m.index] = true
			return m
		}
	}
	return nil
}

// person finds somebody with n claims left in the cycle of a day.
func (f *fraud) person(day, n int) (int32, bool) {
	cycle := f.g.w.cycleOn(day)
	if cycle < 0 {
		return 0, false
	}
	for range 300 {
		if c := int32(f.r.below(len(f.g.w.customers))); f.g.spareOf(c, cycle) >= n {
			return c, true
		}
	}
	return 0, false
}

// buy plans one voucher at a shop: the shop's own hours and habits, then what the fraud changes.
func (f *fraud) buy(c int32, m *merchant, day int, change func(a *act)) *act {
	w := f.g.w
	if w.RoundOn(day) < 0 || f.g.spareOf(c, w.cycleOn(day)) < 1 {
		return nil
	}
	a := f.compose(c, m, day, change)
	if a != nil {
		f.g.take(c, day)
		f.enter(a)
	}
	return a
}

// compose draws a purchase, changes it and checks that it can be; it takes no claim.
func (f *fraud) compose(c int32, m *merchant, day int, change func(a *act)) *act {
	w := f.g.w
	a, ok := w.purchase(&f.r, c, m.index, day)
	if !ok {
		return nil
	}
	a.key = hash(w.seed, forFraud, f.key<<24|uint64(len(f.acts)), uint64(f.r))
	a.voucherKey, a.tags = a.key, 0
	if change != nil {
		change(&a)
	}
	if a.at-minClaim < a.claimed {
		a.claimed = max(w.release(day)+vw.Second, a.at-minClaim-vw.Millis(f.r.exp(10)*float64(vw.Minute)))
	}
	if a.at <= a.claimed || a.at >= w.closing(m.index, day) {
		return nil
	}
	a.discount = w.Vouchers[a.voucher].Face
	a.label.fraud = f
	if a.label.stake == 0 {
		a.label.stake = a.discount
	}
	return &a
}

// enter puts an act on the ledger and in the plan.
func (f *fraud) enter(a *act) {
	f.acts = append(f.acts, a)
	f.g.plan(a)
}

// busyHour is a moment of the day by the shop's peaks.
func (f *fraud) busyHour(m *merchant, day int) vw.Millis {
	_, at := f.g.w.moments(&f.r, m, day)
	return at
}

// top is a voucher of the shop's category by rank from the dearest, 0.
func (f *fraud) top(m *merchant, down int) uint8 {
	t := f.g.w.tiers[m.category]
	return t[max(0, len(t)-1-down)]
}

// over is a sum just above a voucher's threshold; exact for a mean of 0.
func (f *fraud) over(v uint8, mean float64) vw.Fen {
	t := f.g.w.Vouchers[v].Threshold
	if f.r.hit(f.lazy) {
		return t
	}
	sum := vw.Fen(float64(t) * (1 + f.r.exp(mean)))
	switch u := f.r.float(); {
	case mean > 0 && u < .5:
		sum = (sum + 99) / 100 * 100
	case mean > 0 && u < .8:
		sum = (sum + 9) / 10 * 10
	}
	return sum
}

// sum is the case as the labels show it.
func (f *fraud) sum(w *world) Case {
	slices.SortFunc(f.acts, func(a, b *act) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) })
	c := Case{Case: f.name, Typology: f.typology, Family: f.family, Codes: f.codes, Coached: f.coached, AtTheTill: f.atTheTill, HeldOut: f.heldOut, SKUs: f.skus}
	pairs := map[[2]string]int{}
	for _, a := range f.acts {
		if a.label.fraud == nil {
			continue // a filler
		}
		if c.FirstFraudAt == "" {
			c.FirstFraudAt = w.text(a.at + w.merchants[a.merchant].skew)
		}
		c.RedemptionIDs = append(c.RedemptionIDs, redemptionID(a.key))
		c.StakeFen += a.label.stake
		pairs[[2]string{w.merchants[a.merchant].id, w.customerID(a.customer)}]++
	}
	if f.gang != nil {
		c.Moves = f.gang.moves
	}
	if f.raisedOn != 0 {
		c.RaisedOn = w.text(w.midnight(f.raisedOn))
	}
	for p, n := range pairs {
		c.Merchants = append(c.Merchants, p[0])
		c.Customers = append(c.Customers, p[1])
		c.Pairs = append(c.Pairs, Pair{p[0], p[1], n})
	}
	slices.SortFunc(c.Pairs, func(a, b Pair) int {
		return cmp.Or(cmpText(a.Merchant, b.Merchant), cmpText(a.Customer, b.Customer))
	})
	slices.Sort(c.Merchants)
	slices.Sort(c.Customers)
	c.Merchants, c.Customers = slices.Compact(c.Merchants), slices.Compact(c.Customers)
	return c
}

func cmpText(a, b string) int { return cmp.Compare(a, b) }
