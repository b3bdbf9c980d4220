package detectors

import (
	"math"
	"math/bits"

	vw "voucherwatch"
)

// split looks for one purchase cut into several to use several vouchers (分单交易, T01): a session is
// one customer at one merchant on one day, and its evidence is a likelihood ratio of
//
//   - how soon the customer came again, against how often customers of this merchant do, the second time
//     and, where they came twice, a further time: the null is the probability of a repeat in that gap, so
//     it holds base rate and shape together;
//   - how far each amount lies above its threshold, against what the category, the tier and the merchant
//     itself usually show (a fixed-price shop is at the threshold every time), as far as splits are cut to
//     the threshold at all, which is learned;
//   - how many others were at the shop within the hour: honest repeats happen where the customers are;
//   - the sessions of the merchant before: one who coaches customers sees many splits;
//   - whether the tiers form a ladder, whether the till was the same, whether receipt numbers follow.
//
// Repeats teach the null with the probability that they are honest, which a further part revises, first
// visits as long as their session is more likely honest than not.
//
//	Key:   merchant.  State: 40 B a customer's day at a merchant and 300 B where it has a second visit,
//	       dropped after the next day; 104 B a merchant, 45 days.
//	Late:  not looked at beyond the allowed lateness.
//	Basis: T01 of the catalogue in regulation.md §9; detection.md D1. docs/detectors/split.md has the formula.
type split struct {
	splitParams
	env      *Env
	days     [2]splitDay // by parity of the day
	day      int         // the newest one
	shops    Table[splitShop]
	null     *splitNull // the same in all slots, replaced by Learn
	count    splitCount // since the last Learn
	evidence []IDRef
}

type splitParams struct {
	// Prior is the log-odds that a customer's day at a merchant is a split before any evidence.
	Prior float64 `yaml:"prior"`
	// FindAt is the log-odds from which a finding is raised: 0.41 is a score of 600.
	FindAt float64 `yaml:"find_at"`
	// Shrink is how many first visits the category counts for in a merchant's null.
	Shrink float64 `yaml:"shrink"`
	// Fixed is the share of shops whose single price is the threshold.
	Fixed float64 `yaml:"fixed"`
	// Cut is the share of splits whose parts are cut to the threshold.
	Cut float64 `yaml:"cut"`
	// Many is how many splits of three parts or more are not cut to the threshold, in shares of all splits: who
	// makes orders up need not cut anything.
	Many float64 `yaml:"many"`
	// Doubt is taken off the log-odds of two parts: who comes twice may always have forgotten something.
	Doubt float64 `yaml:"doubt"`
	// Days is how long a shop without custom is remembered.
	Days int `yaml:"days"`
	// Coached is how many sessions of the usual share of splits a merchant has on account.
	Coached float64 `yaml:"coached"`
}

func init() {
	register(Spec{
		Name: "split", Lane: MerchantLane, Daily: true, Typologies: []string{"T01"},
		Title: vw.Bilingual{Zh: "分单交易：同一顾客同店同日拆成多笔用券", En: "split orders: one customer, one merchant, one day, several vouchers"},
		New: func(env *Env) (Detector, error) {
			d := &split{splitParams: splitParams{Prior: -5.3, FindAt: 0.41, Shrink: 500, Fixed: .05, Cut: .8, Many: 1.5, Doubt: 1.2, Coached: 60, Days: 45}, env: env}
			d.null, d.count.over = newSplitNull(len(env.Campaign.Vouchers)), make([][overBins]int64, len(env.Campaign.Vouchers))
			return d, env.Params(&d.splitParams)
		},
		Learn: learnSplit,
	})
}

// splitDay holds the customers of a day: all with their first visit, those who came again in full.
type splitDay struct {
	first Table[firstVisit]
	again Table[session]
}

// firstVisit is a customer's first visit of the day at a merchant: 32 bytes, since most never come again.
type firstVisit struct {
	id      IDRef
	at      uint32 // as in part
	fen     uint32
	receipt receipt
	till    uint32 // of its key
	voucher uint8
	bin     uint8
	again   bool // look in splitDay.again
}

// part is one payment.
type part struct {
	id      IDRef
	at      uint32 // milliseconds into the day
	fen     uint32
	voucher uint8
	bin     uint8 // how far above the threshold
	gap     uint8 // bin of the time since the part before
}

// session is a customer who came again.
type session struct {
	came      float64 // ln likelihood ratio of the second visit
	cut       float64 // log-odds that a second visit so soon belongs to a split cut to the threshold
	llr       float64 // of all else but these
	gain      float64 // whether more was saved than by one payment
	amounts   float64 // of the parts: ln of F1/F0, summed up
	context   float64 // how many others were there
	orders    vw.Fen
	discounts vw.Fen
	first     uint32 // milliseconds into the day
	last      uint32
	receipt   receipt
	till      uint32
	tiers     uint32
	others    uint16
	n         uint8 // parts
	near      uint8 // parts within 0.5 % of the threshold
	honest    uint8 // what the parts have taught, in sixteenths
	gains     bool  // the first two parts saved more than one payment
	learned   bool  // its first visit is among the counts
	parts     [8]part
}

// receipt is the number at the end of an order id, and a hash of what stands before; 0 when there is none.
type receipt struct{ number, head uint32 }

func (d *split) Touch(v *Visit) uint64 {
	return d.days[v.Day&1].first.Touch(pairKey(v.Event.Customer.Key, v.Event.Merchant.Key)) + d.shops.Touch(v.Event.Merchant.Key)
}

func (d *split) Visit(v *Visit) {
	if v.Voucher.Balance {
		return // a balance is meant to be used in pieces
	}
	if v.Day > d.day {
		d.turn(v.Day)
	}
	e := v.Event
	key := pairKey(e.Customer.Key, e.Merchant.Key)
	day := &d.days[v.Day&1]
	shop, isNew := d.shops.Get(e.Merchant.Key)
	if isNew {
		shop.eighth = int32(v.T / eighth)
	}
	others := shop.others(v.T)
	shop.tiers |= 1 << (e.VoucherType & 31)
	f, isNew := day.first.Get(key)
	if isNew {
		p := d.partOf(v)
		*f = firstVisit{id: p.id, at: p.at, fen: p.fen, voucher: p.voucher, bin: p.bin, receipt: receiptOf(v.Batch.Bytes(e.Order.Text)), till: tillOf(e)}
		d.came(v, shop, int(p.bin), others)
		return
	}
	if !f.again {
		f.again = true
		s, _ := day.again.Get(key)
		d.open(s, f, shop)
	}
	s := day.again.Find(key)
	if millisOfDay(v, d.env.Offset)-min(s.first, millisOfDay(v, d.env.Offset)) < uint32(vw.Hour) {
		others = max(0, others-1) // the customer's own first visit
	}
	c := v.Category()
	d.judge(v, s, shop, c, others)
	if s.gain = d.null.noGain[c]; d.stake(s, v) > 0 {
		s.gain = d.null.gain[c]
	}
	if s.n == 2 {
		s.gains = d.stake(s, v) > 0
	}
	d.teach(s, shop, c)
	d.tell(v, s, shop, c)
}

// turn begins a new day in the place of the day before yesterday.
func (d *split) turn(day int) {
	if day > d.day+1 {
		d.days[(day+1)&1].clear()
	}
	d.days[day&1].clear()
	d.day = day
}

func (s *splitDay) clear() {
	s.first.Clear()
	s.again.Clear()
}

func millisOfDay(v *Visit, offset int) uint32 {
	return uint32(v.T + vw.Millis(offset)*vw.Minute - vw.Millis(v.Day)*vw.Day)
}

func (d *split) partOf(v *Visit) part {
	return part{id: v.Keep(d.env), at: millisOfDay(v, d.env.Offset), fen: uint32(clip(float64(v.Event.OrderFen), 0, math.MaxUint32)), voucher: v.Event.VoucherType, bin: uint8(overBin(v.Over))}
}

func tillOf(e *vw.Event) uint32 { return uint32(e.Terminal.Key) }

// came counts a first visit.
func (d *split) came(v *Visit, shop *splitShop, bin, others int) {
	shop.first++
	shop.over[bin]++
	shop.come()
	d.count.over[v.Event.VoucherType][bin]++
	d.count.days++
	k := &d.count.category[v.Category()]
	k.first += shop.share()
	o := trafficBin(others)
	k.visits[o]++
	k.shops[o] += shopWeight / int64(shop.first)
}

// open makes a session of a first visit.
func (d *split) open(s *session, f *firstVisit, shop *splitShop) {
	s.n, s.parts[0], s.learned = 1, part{id: f.id, at: f.at, fen: f.fen, voucher: f.voucher, bin: f.bin}, true
	s.first, s.last, s.receipt, s.till = f.at, f.at, f.receipt, f.till
	s.tiers = 1 << (f.voucher & 31)
	s.orders, s.discounts = vw.Fen(f.fen), d.env.Campaign.Vouchers[f.voucher].Face
	if f.bin <= 1 {
		s.near = 1
	}
	s.honest = whole
	s.llr = d.coached(shop)
	bin := int(f.bin)
	near := float64(shop.over[0]+shop.over[1]) - float64(s.near)
	s.amounts = amountRatio(bin, d.null.amount(int(f.voucher), bin, float64(shop.over[bin]-1), near, float64(shop.first-1), d.Fixed))
}

func amountRatio(bin int, null float64) float64 {
	return clip(math.Log(overSplit[bin]/max(null, 1e-4)), -1.5, 2.5)
}

// total is the session's log likelihood ratio. Its amounts bear on that share of splits only that is cut to
// the threshold; and while it has two parts, no more of repeats are taken for splits than the excess of
// repeats near the threshold allows.
func (d *split) total(s *session) float64 {
	came, uncut := min(s.came, s.cut-d.Prior-math.Log(d.Cut)), 1-d.Cut
	if s.n > 2 {
		came, uncut = s.came, d.Many
	}
	cut := math.Log(d.Cut) + min(s.amounts, 20) + s.gain
	if s.n == 2 {
		came += s.gain - d.Doubt
		cut -= s.gain
	}
	return s.llr + s.context + came + logAddExp(cut, math.Log(uncut))
}

// judge adds the evidence of a further part.
func (d *split) judge(v *Visit, s *session, shop *splitShop, c vw.Category, others int) {
	e := v.Event
	p := d.partOf(v)
	gap := vw.Millis(p.at) - vw.Millis(s.last)
	if gap < 0 {
		gap = -gap // out of order by seconds
	}
	p.gap = uint8(gapBin(gap))
	g := int(p.gap)
	again := clip(math.Log(gapSplit[g]/d.repeatRate(shop, c, g, int(s.n))), -2, 5)
	if s.n == 1 {
		s.came = again
		s.cut = d.null.cut + math.Log(gapSplit[g]/d.null.again[c][g]*d.null.repeat[c])
	} else {
		s.llr += again
	}
	s.context, s.others = d.null.context[c][trafficBin(others)], uint16(min(others, math.MaxUint16))
	// The amounts of this session count for the shop's habit as well: a ticket bought twice is two tickets.
	bin := int(p.bin)
	own := float64(shop.over[bin])
	for i := 1; i < min(int(s.n), len(s.parts)); i++ {
		if int(s.parts[i].bin) == bin {
			own++
		}
	}
	further := float64(s.n - 1)
	d.count.repeats++
	d.count.expected += int64(d.null.within5[e.VoucherType] * shopWeight)
	if bin <= 4 {
		d.count.close++
	}
	s.amounts += amountRatio(bin, d.null.amount(int(e.VoucherType), bin, own, float64(shop.over[0]+shop.over[1])+float64(s.near)-nearOf(s.parts[0].bin), float64(shop.first)+further, d.Fixed))

	if shop.tiers&(shop.tiers-1) != 0 {
		other := d.null.newTier[c]
		if s.tiers&(1<<(e.VoucherType&31)) == 0 {
			s.llr += math.Log(.4 / other)
		} else {
			s.llr += math.Log(.6 / (1 - other))
		}
	}
	if till := tillOf(e); till != 0 && s.till != 0 && len(v.Merchant.Terminals) > 1 {
		same := clip(1/float64(len(v.Merchant.Terminals)), .2, .8)
		if till == s.till {
			s.llr += math.Log(.9 / same)
		} else {
			s.llr += math.Log(.1 / (1 - same))
		}
	}
	r := receiptOf(v.Batch.Bytes(e.Order.Text))
	if r.head != 0 && r.head == s.receipt.head && r.number != s.receipt.number {
		if diff := int64(r.number) - int64(s.receipt.number); diff >= -2 && diff <= 2 {
			s.llr += 2
		}
	}
	s.llr = min(s.llr, 20)
	s.add(p, e, r)
}

func nearOf(bin uint8) float64 {
	if bin <= 1 {
		return 1
	}
	return 0
}

func (s *session) add(p part, e *vw.Event, r receipt) {
	if int(s.n) < len(s.parts) {
		s.parts[s.n] = p
	}
	s.n = min(s.n+1, 200)
	if p.bin <= 1 {
		s.near++
	}
	s.tiers |= 1 << (p.voucher & 31)
	s.orders += e.OrderFen
	s.discounts += e.DiscountFen
	s.first, s.last = min(s.first, p.at), max(s.last, p.at)
	if till := tillOf(e); till != 0 {
		s.till = till
	}
	s.receipt = r
}

// repeatRate is the probability that a customer who was at the shop n times today comes again within the
// gap bin. Only upwards from the category's: what a shop's own count leaves out as suspicious must not make
// repeats look rarer.
func (d *split) repeatRate(shop *splitShop, c vw.Category, g, n int) float64 {
	if n > 1 {
		all := d.null.further[c]
		own := (float64(shop.more)/whole + 20*all) / (float64(shop.again)/whole + 20)
		rate := d.null.more[c][g] * max(own/all, 1)
		if n > 2 {
			rate *= 1.5 // who came three times comes a fourth
		}
		return min(rate, 1)
	}
	rate := d.null.again[c][g]
	rate = max(rate, (float64(shop.gaps[g])/whole+d.Shrink*rate)/(float64(shop.first)+d.Shrink))
	return clip(rate, 1e-5, 1)
}

// coached is the log-odds by which sessions at the merchant are likelier to be splits than elsewhere, from
// the ones before: merchants who coach their customers see many (detection.md D1, roll-up). Less than the
// usual counts for nothing.
func (d *split) coached(shop *splitShop) float64 {
	usual := logistic(d.Prior)
	return clip(math.Log((float64(shop.splits)/whole+d.Coached*usual)/((float64(shop.first)+d.Coached)*usual)), 0, 2.5)
}

// teach revises what the session has taught the nulls: its parts as far as they are honest, its amounts as
// far as it is a split.
func (d *split) teach(s *session, shop *splitShop, c vw.Category) {
	honest := uint8(math.Round(whole * (1 - logistic(d.Prior+d.null.usual+d.total(s)))))
	w := shop.share()
	k := &d.count.category[c]
	change := int32(honest) - int32(s.honest)
	for i := 1; i < min(int(s.n), len(s.parts)); i++ {
		by := change
		if i == int(s.n)-1 {
			by = int32(honest)
		}
		g := s.parts[i].gap
		if i == 1 {
			shop.gaps[g] += by
			shop.again += by
			k.gaps[g] += w * int64(by)
			k.repeated += w * int64(by)
			if s.gains {
				k.gains += w * int64(by)
			}
			continue
		}
		shop.more += by
		k.more[g] += w * int64(by)
	}
	if last := int(s.n) - 1; last < len(s.parts) {
		seen := uint32(0)
		for _, q := range s.parts[:last] {
			seen |= 1 << (q.voucher & 31)
		}
		if seen&(1<<(s.parts[last].voucher&31)) == 0 {
			k.newTier += w * int64(honest)
		} else {
			k.sameTier += w * int64(honest)
		}
	}
	shop.splits -= change
	d.count.splits -= int64(change)
	s.honest = honest
	if s.learned && 2*honest < whole {
		s.learned = false
		if s.parts[0].bin > 1 { // else it may be the shop's one price, and stays in its habit
			shop.over[s.parts[0].bin]--
		}
		d.count.over[s.parts[0].voucher][s.parts[0].bin]--
	}
}

// receiptOf reads the digits at the end of a receipt number, at most nine.
func receiptOf(id []byte) (r receipt) {
	i := len(id)
	for i > 0 && len(id)-i < 9 && id[i-1] >= '0' && id[i-1] <= '9' {
		i--
	}
	if i == len(id) {
		return receipt{}
	}
	for _, c := range id[i:] {
		r.number = 10*r.number + uint32(c-'0')
	}
	r.head = uint32(vw.Hash(id[:i])) | 1
	return r
}

// tell says what the session has come to, and raises the finding when it is likely enough.
func (d *split) tell(v *Visit, s *session, shop *splitShop, c vw.Category) {
	llr := d.null.usual + d.total(s)
	if llr < 0.5 {
		return
	}
	named := s.parts[:min(int(s.n), len(s.parts))]
	start := len(d.evidence)
	if start > 1<<14 {
		d.evidence, start = nil, 0 // signals of earlier batches may still read the old array
	}
	for i := range named {
		d.evidence = append(d.evidence, named[i].id)
	}
	ids := d.evidence[start:len(d.evidence):len(d.evidence)]
	rate := d.repeatRate(shop, c, int(named[len(named)-1].gap), int(s.n)-1)
	sig := Signal{
		Kind: splitSession, LLR: llr, Observed: float64(s.n), Expected: 1 + rate, P: None, Evidence: ids,
		Aux: [6]float64{float64(s.last-s.first) / float64(vw.Minute), float64(s.near), rate, float64(bits.OnesCount32(s.tiers)), float64(s.others), s.context},
	}
	logOdds := d.env.LogOdds(d.Prior, llr)
	if llr > 2.5 {
		sig.Note = yuanList(named)
		sig.Peers = c.String() + " " + v.Voucher.Code
	}
	v.Say(d.env, sig)
	if logOdds < d.FindAt {
		return
	}
	midnight := v.T - vw.Millis(millisOfDay(v, d.env.Offset))
	found := make([]FoundRedemption, 0, len(ids)+1)
	for i := range named {
		if b := d.env.Arena.Bytes(named[i].id); b != nil {
			found = append(found, FoundRedemption{ID: string(b), At: midnight + vw.Millis(named[i].at), Discount: d.env.Campaign.Vouchers[named[i].voucher].Face})
		}
	}
	if int(s.n) > len(named) {
		found = append(found, v.Found())
	}
	d.env.Find(Found{
		Typology: "T01", Subject: vw.Subject{Kind: "pair", ID: v.MerchantID(), With: v.CustomerID()}, Period: vw.Date(v.Day),
		At: v.T, LogOdds: logOdds, Redemptions: found, Subsidy: d.stake(s, v), Merchants: []string{v.MerchantID()},
		Reasons: []vw.Reason{d.env.Reason(sig)},
	})
}

// stake is what the split cost the state: the faces, less the best single voucher that the merged
// basket would have earned.
func (d *split) stake(s *session, v *Visit) vw.Fen {
	best := vw.Fen(0)
	for i := range d.env.Campaign.Vouchers {
		w := &d.env.Campaign.Vouchers[i]
		if w.Category == v.Voucher.Category && !w.Balance && w.Threshold <= s.orders {
			best = max(best, w.Face)
		}
	}
	return max(0, s.discounts-best)
}

// Sweep drops the day before yesterday, also where nobody came since, and shops without custom.
func (d *split) Sweep(now vw.Millis) {
	if day := vw.DayOf(now, d.env.Offset); day > d.day {
		d.turn(day)
	}
	oldest := int32((now - vw.Millis(d.Days)*vw.Day) / eighth)
	d.shops.Sweep(func(_ uint64, s *splitShop) bool { return s.eighth >= oldest })
}

func (d *split) Size() (keys, bytes int) {
	keys, bytes = d.shops.Len(), d.shops.Bytes()
	for i := range d.days {
		keys += d.days[i].first.Len() + d.days[i].again.Len()
		bytes += d.days[i].first.Bytes() + d.days[i].again.Bytes()
	}
	return keys, bytes
}
