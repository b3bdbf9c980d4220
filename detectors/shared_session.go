package detectors

import (
	"fmt"
	"math"

	vw "voucherwatch"
)

// sharedSession looks for one bill paid by several accounts of one phone, or of one bank card (T01b,
// 分单交易): different accounts on one device use vouchers at the same merchant within half an hour. Its
// evidence is a likelihood ratio of
//
//   - how soon the other account follows, against how often that happens to a redemption on a device
//     that several accounts share, learned from the stream: families do pay one after the other;
//   - amounts far above their thresholds, which speak against it, by the voucher type's own first
//     redemptions.
//
// People at one table with a phone each share no device and never come by here. State: 190 B per device
// and merchant of the day, dropped the day after, and 24 B per device inside the horizon. Source: regulation.md §9 T01 and its note on T01b.
type sharedSession struct {
	sharedSessionParams
	env      *Env
	token    gatheringToken
	kind     *Kind
	owners   Table[tokenOwner]
	sessions Table[sharedBill]
	null     sharedNull // of all slots, as of the last boundary
	count    sharedNull // by this slot
}

type sharedSessionParams struct {
	// Within is how many minutes may lie between the accounts.
	Within int `yaml:"within"`
	// Prior is the log-odds that redemptions on one device at one merchant in a day are one bill, before
	// any evidence: as split's.
	Prior float64 `yaml:"prior"`
	// FindAt is the log-odds from which a finding is raised.
	FindAt float64 `yaml:"find_at"`
	// Days is how long a device's owner is remembered, in event time.
	Days int `yaml:"days"`
}

func init() {
	for _, s := range []struct {
		name   string
		lane   Lane
		token  gatheringToken
		zh, en string
	}{
		{"shared_session", DeviceLane, deviceToken, "同一设备", "one device"},
		{"shared_card", CardLane, cardToken, "同一银行卡", "one bank card"},
	} {
		kind := &Kind{Code: s.name + "." + s.token.en, Typology: "T01", Window: "day"}
		kind.Text = func(g *Signal) vw.Bilingual {
			return vw.Bilingual{
				Zh: fmt.Sprintf("%s的 %.0f 个账号在 %.0f 分钟内于同一商户用券 %.0f 次（券额合计 %s），疑为一单多账号分付；平时同设备多账号用券中这样紧跟的占 %.2g", s.zh, g.Aux[0], g.Aux[1], g.Observed, vw.Fen(g.Aux[2]).Yuan(), g.Aux[3]),
				En: fmt.Sprintf("%.0f accounts on %s used %.0f vouchers (%s) at one merchant within %.0f minutes, as if one bill were paid by several accounts; otherwise %.2g of visits are followed so soon", g.Aux[0], s.en, g.Observed, vw.Fen(g.Aux[2]).Yuan(), g.Aux[1], g.Aux[3]),
			}
		}
		register(Spec{
			Name: s.name, Lane: s.lane, Daily: true, Typologies: []string{"T01"},
			Title: vw.Bilingual{Zh: "分单交易（" + s.zh + "）：多个账号短时间内同店用券", En: "split orders on " + s.en + ": several accounts at one merchant within minutes"},
			New: func(env *Env) (Detector, error) {
				d := &sharedSession{sharedSessionParams: sharedSessionParams{Within: 30, Prior: -5.3, FindAt: .41, Days: 45}, env: env, token: s.token, kind: kind}
				return d, env.Params(&d.sharedSessionParams)
			},
			Learn: learnSharedSession,
		})
	}
}

// sharedBill is a device at a merchant: the redemptions since the last pause longer than Within.
type sharedBill struct {
	first, last vw.Millis
	llr, rate   float64 // rate of the null for the last account that came
	discounts   vw.Fen
	customers   [4]uint64
	ids         [8]IDRef
	fen         [8]int32
	day         int32
	n, accounts uint8
}

// tokenOwner is the first account of a device, and whether there came another.
type tokenOwner struct {
	customer uint64
	day      int32
	uses     uint16
	shared   bool
}

// sharedNull counts what usually happens, in integers.
type sharedNull struct {
	visits int64          // redemptions on devices of several accounts
	gaps   [gapBins]int64 // of these, followed by another account at the merchant so soon
}

// rate is the probability that another account of the device follows with the gap: the counts over a
// prior of 250 visits, of which one in 125 is followed within half an hour, the same in each bin.
func (n *sharedNull) rate(bin int) float64 {
	return (float64(n.gaps[bin]) + .5) / (float64(n.visits) + 250)
}

func (d *sharedSession) Touch(v *Visit) uint64 {
	key := d.token.of(v.Event).Key
	return d.sessions.Touch(pairKey(key, v.Event.Merchant.Key)) + d.owners.Touch(key)
}

func (d *sharedSession) Visit(v *Visit) {
	e := v.Event
	s, isNew := d.sessions.Get(pairKey(d.token.of(e).Key, e.Merchant.Key))
	gap := v.T - s.last
	if gap < 0 {
		gap = -gap // out of order by seconds
	}
	// The amount against the merchant's own habit: a fixed-price shop is at its price every time.
	llr := clip(v.Amount, -1.5, 1.5)
	d.own(v)
	if isNew || gap > vw.Millis(d.Within)*vw.Minute || s.day != int32(v.Day) {
		*s = sharedBill{first: v.T, last: v.T, day: int32(v.Day), llr: llr}
		s.take(v, d.env)
		return
	}
	before := s.accounts
	other := s.customers[0] != e.Customer.Key || before > 1
	s.first, s.last = min(s.first, v.T), max(s.last, v.T)
	s.take(v, d.env)
	if !other {
		s.llr = max(s.llr, llr) // the same account again is split's business
		return
	}
	if s.accounts > before || s.n <= 2 {
		bin := gapBin(gap)
		rate := d.null.rate(bin)
		// Two accounts alone may always be a couple: the cap keeps them below a finding unless both amounts
		// lie just above the threshold, where this shop's seldom do.
		llr += clip(math.Log(gapSplit[bin]/rate), -2, 4)
		if s.n == 2 {
			d.count.gaps[bin]++
		}
		s.rate = rate
	}
	s.llr += llr
	odds := d.env.LogOdds(d.Prior, s.llr)
	if s.llr <= 0 {
		return
	}
	n := min(int(s.n), len(s.ids))
	signal := Signal{
		Kind: d.kind, LLR: s.llr, Observed: float64(s.n), Expected: s.rate, P: None,
		Aux:      [6]float64{float64(s.accounts), math.Ceil(float64(s.last-s.first) / float64(vw.Minute)), float64(s.discounts), s.rate},
		Evidence: append([]IDRef(nil), s.ids[:n]...),
	}
	v.Say(d.env, signal)
	if odds < d.FindAt {
		return
	}
	f := Found{
		Typology: "T01", Subject: vw.Subject{Kind: "device", ID: v.Batch.String(d.token.of(e).Text)}, Period: vw.Date(v.Day),
		At: v.T, LogOdds: odds, Subsidy: SumOfDiscounts, Merchants: []string{v.MerchantID()}, Reasons: []vw.Reason{d.env.Reason(signal)},
	}
	for i := range n {
		if id := d.env.Arena.Bytes(s.ids[i]); id != nil {
			f.Redemptions = append(f.Redemptions, FoundRedemption{ID: string(id), At: s.first, Discount: vw.Fen(s.fen[i])})
		}
	}
	if int(s.n) > n {
		f.Redemptions = append(f.Redemptions, v.Found())
	}
	d.env.Find(f)
}

// own counts the redemption for the null when the device has several accounts, and those that its first
// account had made before the second came.
func (d *sharedSession) own(v *Visit) {
	o, isNew := d.owners.Get(d.token.of(v.Event).Key)
	o.day = max(o.day, int32(v.Day))
	switch {
	case o.shared:
		d.count.visits++
	case isNew:
		o.customer, o.uses = v.Event.Customer.Key, 1
	case o.customer == v.Event.Customer.Key:
		o.uses = min(o.uses, math.MaxUint16-1) + 1
	default:
		o.shared = true
		d.count.visits += int64(o.uses) + 1
	}
}

// take adds the redemption in hand to the bill.
func (s *sharedBill) take(v *Visit, e *Env) {
	if int(s.n) < len(s.ids) {
		s.ids[s.n], s.fen[s.n] = v.Keep(e), int32(min(v.Event.DiscountFen, math.MaxInt32))
	}
	s.n = min(s.n, math.MaxUint8-1) + 1
	s.discounts += v.Event.DiscountFen
	for i := range min(int(s.accounts), len(s.customers)) {
		if s.customers[i] == v.Event.Customer.Key {
			return
		}
	}
	if int(s.accounts) < len(s.customers) {
		s.customers[s.accounts] = v.Event.Customer.Key
		s.accounts++
	}
}

// learnSharedSession gives every slot what all have counted.
func learnSharedSession(peers []Detector, _ *Tick) {
	var all sharedNull
	for _, p := range peers {
		c := &p.(*sharedSession).count
		all.visits += c.visits
		for i := range c.gaps {
			all.gaps[i] += c.gaps[i]
		}
	}
	for _, p := range peers {
		p.(*sharedSession).null = all
	}
}

func (d *sharedSession) Sweep(now vw.Millis) {
	day := int32(vw.DayOf(now-Lateness, d.env.Offset))
	d.owners.Sweep(func(_ uint64, o *tokenOwner) bool { return o.day >= day-int32(d.Days) })
	d.sessions.Sweep(func(_ uint64, s *sharedBill) bool { return s.day >= day })
}

func (d *sharedSession) Size() (keys, bytes int) {
	return d.sessions.Len() + d.owners.Len(), d.sessions.Bytes() + d.owners.Bytes()
}
