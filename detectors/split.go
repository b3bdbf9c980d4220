package detectors

import (
	"fmt"
	"math"
	"strings"

	vw "voucherwatch"
)

// split looks for one purchase cut into several to use several vouchers (分单交易, T01): a session is
// one customer at one merchant on one day, and its evidence is a likelihood ratio of
//
//   - how far each amount lies above its threshold, against what the category, the tier and the
//     merchant itself usually show (a fixed-price shop is at the threshold every time);
//   - how soon the customer came again, against how often customers of this merchant do: the null is
//     the probability of a repeat in that gap, so it holds base rate and shape together;
//   - whether the tiers form a ladder, and whether the till was the same, against merchants like it;
//   - whether receipt numbers follow each other.
//
// Repeats teach the null with the probability that they are honest (in sixteenths, so that sums do not
// depend on their order), first visits as long as their session is more likely honest than not. State: about 150 B per session, dropped the
// day after; 100 B per merchant. Source: detection.md D1; T01 of the catalogue in regulation.md §9.
type split struct {
	splitParams
	env      *Env
	sessions Table[session]
	null     *splitNull // the same in all slots, replaced by Learn
	count    *splitNull // since the last Learn
	evidence []IDRef
}

type splitParams struct {
	// Prior is the log-odds that a customer's day at a merchant is a split before any evidence.
	Prior float64 `yaml:"prior"`
	// FindAt is the log-odds from which a finding is raised: 0.41 is a score of 600.
	FindAt float64 `yaml:"find_at"`
	// Shrink is how many first visits the category counts for in a merchant's null.
	Shrink float64 `yaml:"shrink"`
}

func init() {
	register(Spec{
		Name: "split", Lane: CustomerLane, Daily: true, Typologies: []string{"T01"},
		Title: vw.Bilingual{Zh: "分单交易：同一顾客同店同日拆成多笔用券", En: "split orders: one customer, one merchant, one day, several vouchers"},
		New: func(env *Env) (Detector, error) {
			d := &split{splitParams: splitParams{Prior: -5.3, FindAt: 0.41, Shrink: 500}, env: env}
			d.null, d.count = newSplitNull(len(env.Campaign.Vouchers)), newSplitNull(len(env.Campaign.Vouchers))
			d.null.seed()
			return d, env.Params(&d.splitParams)
		},
		Learn: learnSplit,
	})
}

// session is one customer at one merchant on one day.
type session struct {
	last, first vw.Millis
	llr         float64 // all but the amounts
	amounts     float64 // of the parts: ln of F1/F0, summed up
	orders      vw.Fen
	discounts   vw.Fen
	bestFace    vw.Fen
	terminal    uint64
	receipt     uint64 // number at the end of the order id, and hash of what is before it
	receiptHead uint32
	day         int32
	tiers       uint32
	n           uint8
	near        uint8 // parts within 0.5 % of the threshold
	firstBin    int8
	voucher     uint8
	learned     bool // counted as clean first visit
	ids         [8]IDRef
	fen         [8]int32
}

// total is the session's log likelihood ratio. A fifth of splits are not cut to the threshold: so the
// amounts can speak for a split as loud as they like, against it only as much as that.
func (s *session) total() float64 { return s.llr + math.Log(.8*math.Exp(min(s.amounts, 20))+.2) }

const (
	overBins = 9
	gapBins  = 7
)

var (
	overEdges = [overBins - 1]float64{.0005, .005, .01, .02, .05, .1, .2, .4}
	gapEdges  = [gapBins - 1]vw.Millis{vw.Minute, 3 * vw.Minute, 10 * vw.Minute, 30 * vw.Minute, vw.Hour, 3 * vw.Hour}
	// What splitters do, by bin: stated priors, to be fitted again after 100 confirmed sessions.
	overSplit = [overBins]float64{.35, .25, .10, .08, .10, .06, .03, .02, .01}
	gapSplit  = [gapBins]float64{.15, .25, .25, .20, .10, .04, .01}
	// What the null believes before it has seen anything.
	overPrior = [overBins]float64{.03, .02, .03, .04, .07, .08, .13, .20, .40}
	gapPrior  = [gapBins]float64{.0006, .001, .0015, .002, .002, .003, .006}
)

func overBin(h float64) int {
	for i, e := range overEdges {
		if h < e {
			return i
		}
	}
	return overBins - 1
}

func gapBin(g vw.Millis) int {
	for i, e := range gapEdges {
		if g < e {
			return i
		}
	}
	return gapBins - 1
}

// splitNull holds counts: what honest first visits and repeats look like.
type splitNull struct {
	over     [][overBins]int64 // by voucher type, first visits
	category [vw.Categories]repeatCount
	merchant Table[merchantNull]
}

// repeatCount counts first visits, and repeats in sixteenths.
type repeatCount struct {
	first    int64
	gaps     [gapBins]int64
	sameTier int64
	newTier  int64
}

const whole = 16

type merchantNull struct {
	first  int32
	splits int32 // further parts, by their probability of being a split's, in sixteenths
	gaps   [gapBins]int32
	over   [overBins]int32
}

func newSplitNull(vouchers int) *splitNull {
	return &splitNull{over: make([][overBins]int64, vouchers)}
}

// seed gives the prior the weight of 300 visits and 10 repeats.
func (n *splitNull) seed() {
	for v := range n.over {
		for b, p := range overPrior {
			n.over[v][b] = int64(math.Round(300 * p))
		}
	}
	for c := range n.category {
		k := &n.category[c]
		k.first, k.sameTier, k.newTier = 1000, 5*whole, 5*whole
		for b, p := range gapPrior {
			k.gaps[b] = int64(math.Round(1000 * whole * p))
		}
	}
}

func (d *split) Touch(v *Visit) uint64 {
	return d.sessions.Touch(pairKey(v.Event.Customer.Key, v.Event.Merchant.Key))
}

func (d *split) Visit(v *Visit) {
	if v.Voucher.Balance {
		return // a balance is meant to be used in pieces
	}
	e := v.Event
	s, isNew := d.sessions.Get(pairKey(e.Customer.Key, e.Merchant.Key))
	if !isNew && s.day != int32(v.Day) {
		*s = session{}
		isNew = true
	}
	bin := overBin(v.Over)
	vt := int(e.VoucherType)
	over := d.overRatio(e.Merchant.Key, vt, bin)
	if isNew {
		s.day, s.first, s.last, s.n = int32(v.Day), v.T, v.T, 0
		s.llr, s.amounts, s.firstBin, s.voucher, s.learned = d.coached(e.Merchant.Key), over, int8(bin), e.VoucherType, true
		m, _ := d.count.merchant.Get(e.Merchant.Key)
		m.first++
		m.over[bin]++
		d.count.over[vt][bin]++
		d.count.category[v.Category()].first++
		d.add(s, v, bin)
		return
	}
	gap := v.T - s.last
	if gap < 0 {
		gap = -gap
	}
	g := gapBin(gap)
	newTier := s.tiers&(1<<(e.VoucherType&31)) == 0
	d.repeat(v, s, g, over, newTier)
	d.add(s, v, bin)
	s.last = max(s.last, v.T)
	// What is probably honest teaches the nulls as far as it is. The merchant's own weighs little until
	// hundreds have come, so that one who coaches customers does not become the excuse.
	honest := int64(math.Round(whole * (1 - logistic(d.Prior+s.total()))))
	m, _ := d.count.merchant.Get(e.Merchant.Key)
	m.splits += int32(whole - honest)
	m.gaps[g] += int32(honest)
	k := &d.count.category[v.Category()]
	k.gaps[g] += honest
	if newTier {
		k.newTier += honest
	} else {
		k.sameTier += honest
	}
	if s.learned && 2*honest < whole {
		s.learned = false
		m.over[s.firstBin]--
		d.count.over[s.voucher][s.firstBin]--
	}
	d.tell(v, s, g)
}

// overRatio is ln F1/F0 of an amount that lies in the given bin above its threshold. The null is the
// merchant's own habit, shrunk to its category and tier, but never rarer than half of those.
func (d *split) overRatio(merchant uint64, voucher, bin int) float64 {
	f0 := share(d.null.over[voucher][:], bin)
	if m := d.null.merchant.Find(merchant); m != nil && m.first > 0 {
		own := (float64(m.over[bin]) + 20*f0) / (float64(m.first) + 20)
		f0 = max(own, f0/2)
	}
	return clip(math.Log(overSplit[bin]/max(f0, 1e-4)), -1.5, 2.5)
}

// share is the share of a bin, with half a count for each.
func share(counts []int64, bin int) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += float64(max(n, 0)) + .5
	}
	return (float64(max(counts[bin], 0)) + .5) / sum
}

// coached is the log-odds by which sessions at the merchant are likelier to be splits than elsewhere,
// from the ones before: merchants who coach their customers see many (detection.md D1, roll-up). A
// merchant has 200 sessions of the usual share on account; less than the usual counts for nothing.
func (d *split) coached(merchant uint64) float64 {
	m := d.null.merchant.Find(merchant)
	if m == nil {
		return 0
	}
	usual := logistic(d.Prior)
	return clip(math.Log((float64(m.splits)/whole+200*usual)/((float64(m.first)+200)*usual)), 0, 2.5)
}

// repeatRate is the probability that a customer of the merchant comes again within the gap bin.
func (d *split) repeatRate(merchant uint64, c vw.Category, g int) float64 {
	k := &d.null.category[c]
	rate := float64(k.gaps[g]) / whole / float64(max(k.first, 1))
	if m := d.null.merchant.Find(merchant); m != nil {
		// Only upwards: what a merchant's own count leaves out as suspicious must not make repeats look rarer.
		rate = max(rate, (float64(m.gaps[g])/whole+d.Shrink*rate)/(float64(m.first)+d.Shrink))
	}
	return clip(rate, 1e-5, 1)
}

// repeat adds the evidence of a further part.
func (d *split) repeat(v *Visit, s *session, g int, over float64, newTier bool) {
	e := v.Event
	c := v.Category()
	s.amounts += over
	s.llr += clip(math.Log(gapSplit[g]/d.repeatRate(e.Merchant.Key, c, g)), -2, 5)
	k := &d.null.category[c]
	other := clip(float64(k.newTier)/float64(k.newTier+k.sameTier), .1, .9)
	if newTier {
		s.llr += math.Log(.4 / other)
	} else {
		s.llr += math.Log(.6 / (1 - other))
	}
	if e.Terminal.Key != 0 && s.terminal != 0 && v.Merchant != nil && len(v.Merchant.Terminals) > 1 {
		same := clip(1/float64(len(v.Merchant.Terminals)), .2, .8)
		if e.Terminal.Key == s.terminal {
			s.llr += math.Log(.9 / same)
		} else {
			s.llr += math.Log(.1 / (1 - same))
		}
	}
	if number, head := receiptNumber(v.Batch.Bytes(e.Order.Text)); head != 0 && head == s.receiptHead && number != s.receipt {
		if diff := int64(number - s.receipt); diff >= -2 && diff <= 2 {
			s.llr += 2
		}
	}
	s.llr = min(s.llr, 20)
}

// receiptNumber reads the digits at the end of a receipt number, at most nine; head is a hash of what
// stands before, 0 when there is no number.
func receiptNumber(id []byte) (number uint64, head uint32) {
	i := len(id)
	for i > 0 && len(id)-i < 9 && id[i-1] >= '0' && id[i-1] <= '9' {
		i--
	}
	if i == len(id) {
		return 0, 0
	}
	for _, c := range id[i:] {
		number = 10*number + uint64(c-'0')
	}
	return number, uint32(vw.Hash(id[:i])) | 1
}

func (d *split) add(s *session, v *Visit, bin int) {
	e := v.Event
	if int(s.n) < len(s.ids) {
		s.ids[s.n] = v.Keep(d.env)
		s.fen[s.n] = int32(min(e.OrderFen, math.MaxInt32))
	}
	s.n = min(s.n+1, 200)
	if bin <= 1 {
		s.near++
	}
	s.tiers |= 1 << (e.VoucherType & 31)
	s.orders += e.OrderFen
	s.discounts += e.DiscountFen
	s.bestFace = max(s.bestFace, v.Voucher.Face)
	if e.Terminal.Key != 0 {
		s.terminal = e.Terminal.Key
	}
	s.receipt, s.receiptHead = receiptNumber(v.Batch.Bytes(e.Order.Text))
}

var splitSession = &Kind{Code: "split.session", Typology: "T01", Window: "day", Text: func(s *Signal) vw.Bilingual {
	n, minutes, near, rate, newTiers := int(s.Observed), s.Aux[0], int(s.Aux[1]), s.Aux[2], s.Aux[3] > 1
	zh := fmt.Sprintf("同一顾客 %s内在本店分 %d 笔用券", spanZh(minutes), n)
	en := fmt.Sprintf("%d payments by one customer here within %s", n, spanEn(minutes))
	if s.Note != "" {
		zh += "：" + s.Note + " 元"
		en += ": ¥" + strings.ReplaceAll(s.Note, "、", ", ¥")
	}
	if newTiers {
		zh += "（多档阶梯）"
		en += " (a ladder of tiers)"
	}
	if near > 0 {
		zh += fmt.Sprintf("，其中 %d 笔高出门槛不到 0.5%%", near)
		en += fmt.Sprintf("; %d of them within 0.5 %% above the threshold", near)
	}
	zh += fmt.Sprintf("；这么快再来的顾客在本店约占 %s", percent(rate))
	en += fmt.Sprintf("; about %s of this shop's customers come again that soon", percent(rate))
	return vw.Bilingual{Zh: zh, En: en}
}}

// tell says what the session has come to, and raises the finding when it is likely enough.
func (d *split) tell(v *Visit, s *session, g int) {
	llr := s.total()
	if llr < 0.5 {
		return
	}
	e := v.Event
	start := len(d.evidence)
	if start > 1<<14 {
		d.evidence, start = nil, 0 // signals of earlier batches may still read the old array
	}
	d.evidence = append(d.evidence, s.ids[:min(int(s.n), len(s.ids))]...)
	ids := d.evidence[start:len(d.evidence):len(d.evidence)]
	tiers := 0
	for t := s.tiers; t != 0; t &= t - 1 {
		tiers++
	}
	rate := d.repeatRate(e.Merchant.Key, v.Category(), g)
	sig := Signal{
		Kind: splitSession, LLR: llr, Observed: float64(s.n), Expected: 1 + rate, P: None, Evidence: ids,
		Aux: [6]float64{float64(s.last-s.first) / float64(vw.Minute), float64(s.near), rate, float64(tiers)},
	}
	logOdds := d.env.LogOdds(d.Prior, llr)
	if llr > 2.5 {
		sig.Note = yuanList(s.fen[:min(int(s.n), len(s.fen))])
		sig.Peers = v.Category().String() + " " + v.Voucher.Code
	}
	v.Say(d.env, sig)
	if logOdds < d.FindAt {
		return
	}
	found := make([]FoundRedemption, 0, len(ids))
	for i, id := range ids {
		if b := d.env.Arena.Bytes(id); b != nil {
			at := s.first
			if i > 0 {
				at = s.last
			}
			found = append(found, FoundRedemption{ID: string(b), At: at})
		}
	}
	for i := range found {
		found[i].Discount = s.discounts / vw.Fen(s.n)
	}
	found[len(found)-1] = v.Found()
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

func learnSplit(peers []Detector, t *Tick) {
	null := peers[0].(*split).null
	for _, p := range peers {
		c := p.(*split).count
		for v := range c.over {
			for b := range c.over[v] {
				null.over[v][b] += c.over[v][b]
				c.over[v][b] = 0
			}
		}
		for k := range c.category {
			from, to := &c.category[k], &null.category[k]
			to.first += from.first
			to.sameTier += from.sameTier
			to.newTier += from.newTier
			for b := range from.gaps {
				to.gaps[b] += from.gaps[b]
			}
			*from = repeatCount{}
		}
		c.merchant.Each(func(key uint64, from *merchantNull) {
			to, _ := null.merchant.Get(key)
			to.first += from.first
			to.splits += from.splits
			for b := range from.gaps {
				to.gaps[b] += from.gaps[b]
			}
			for b := range from.over {
				to.over[b] += from.over[b]
			}
		})
		c.merchant.Clear()
		p.(*split).null = null
	}
	if t.NewDay && t.Day%14 == 0 {
		null.fade()
	}
}

// fade halves the merchants' counts every two weeks, so that a habit that changed is not held against
// anyone for long, and drops merchants without any.
func (n *splitNull) fade() {
	n.merchant.Sweep(func(_ uint64, m *merchantNull) bool {
		m.first /= 2
		m.splits /= 2
		for b := range m.gaps {
			m.gaps[b] /= 2
		}
		for b := range m.over {
			m.over[b] /= 2
		}
		return m.first > 0
	})
}

func (d *split) Sweep(now vw.Millis) {
	day := int32(vw.DayOf(now-Lateness, d.env.Offset))
	d.sessions.Sweep(func(_ uint64, s *session) bool { return s.day >= day })
}

func (d *split) Size() (keys, bytes int) { return d.sessions.Len(), d.sessions.Bytes() }

func yuanList(fen []int32) string {
	var b strings.Builder
	for i, f := range fen {
		if i > 0 {
			b.WriteString("、")
		}
		b.WriteString(strings.TrimPrefix(vw.Fen(f).Yuan(), "¥"))
	}
	return b.String()
}

// spanZh and spanEn say a length of time in minutes.
func spanZh(minutes float64) string {
	switch {
	case minutes < 1:
		return "1 分钟"
	case minutes < 100:
		return fmt.Sprintf("%.0f 分钟", minutes)
	}
	return fmt.Sprintf("%.1f 小时", minutes/60)
}

func spanEn(minutes float64) string {
	switch {
	case minutes < 1:
		return "a minute"
	case minutes < 100:
		return fmt.Sprintf("%.0f min", minutes)
	}
	return fmt.Sprintf("%.1f h", minutes/60)
}

// percent says a share with two significant digits.
func percent(p float64) string {
	switch {
	case p >= .1:
		return fmt.Sprintf("%.0f%%", 100*p)
	case p >= .01:
		return fmt.Sprintf("%.1f%%", 100*p)
	case p >= .001:
		return fmt.Sprintf("%.2f%%", 100*p)
	}
	return fmt.Sprintf("%.3f%%", 100*p)
}
