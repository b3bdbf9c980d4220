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
//   - whether the device is the account's own, as borrowed knows it: a family's is everybody's;
//   - amounts far above their thresholds, which speak against it, by the voucher type's own first
//     redemptions.
//
// People at one table with a phone each share no device and never come by here.
//
//	Key:   device (or card).  State: 48 B a device inside the horizon, with its latest redemption; 190 B a
//	       bill, dropped after its day.
//	Late:  not looked at beyond the allowed lateness.
//	Basis: regulation.md §9 T01 and its note on T01b. docs/detectors/shared_session.md has the formula.
type sharedSession struct {
	sharedSessionParams
	env    *Env
	token  gatheringToken
	kind   *Kind
	owners Table[tokenOwner]
	bills  Table[sharedBill] // by device, of the day
	day    int
	null   sharedNull // of all slots, as of the last boundary
	count  sharedNull // by this slot
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
			Name: s.name, Lane: s.lane, Typologies: []string{"T01"},
			Title: vw.Bilingual{Zh: "分单交易（" + s.zh + "）：多个账号短时间内同店用券", En: "split orders on " + s.en + ": several accounts at one merchant within minutes"},
			New: func(env *Env) (Detector, error) {
				d := &sharedSession{sharedSessionParams: sharedSessionParams{Within: 30, Prior: -5.3, FindAt: .41, Days: 45}, env: env, token: s.token, kind: kind}
				return d, env.Params(&d.sharedSessionParams)
			},
			Learn: learnSharedSession,
		})
	}
}

// tokenOwner is the first account of a device, whether there came another, and its latest redemption.
type tokenOwner struct {
	customer uint64
	id       IDRef
	at       uint32 // milliseconds into the day
	account  uint32 // of the customer's key
	shop     uint32 // of the merchant's key
	discount uint32
	day      uint16
	uses     uint16
	amount   int8 // ln of F1/F0 of the amount, in tenths
	of       Owner
	shared   bool
	open     bool // its bill is in sharedSession.bills
}

// sharedBill is what several accounts of a device paid at a merchant without a pause longer than Within.
type sharedBill struct {
	first, last uint32  // milliseconds into the day
	llr, rate   float64 // rate of the null for the last account that came
	discounts   vw.Fen
	customers   [4]uint32
	parts       [8]sharedPart
	n, accounts uint8
	owned       bool // an account's own device
}

type sharedPart struct {
	id      IDRef
	at, fen uint32
}

// sharedNull counts what usually happens, in integers.
type sharedNull struct {
	visits int64          // redemptions on devices of several accounts
	gaps   [gapBins]int64 // of these, followed by another account at the merchant so soon
	known  int64          // redemptions on such devices of accounts whose own device is known
	others int64          // of these, with another one
}

// rate is the probability that another account of the device follows with the gap: the counts over a
// prior of 250 visits, of which one in 125 is followed within half an hour, the same in each bin.
func (n *sharedNull) rate(bin int) float64 {
	return (float64(n.gaps[bin]) + .5) / (float64(n.visits) + 250)
}

// owner is the evidence of whose device it was. One bill over borrowed accounts is paid with the device of
// one of them, or of none; a family's is everybody's. Who borrows is learned, over a prior of 100
// redemptions of which one in twenty is.
func (n *sharedNull) owner(of Owner, owned bool) float64 {
	p := clip((float64(n.others)+5)/(float64(n.known)+100), .02, .5)
	switch {
	case of == AnothersToken:
		return math.Log(.9 / p)
	case of == OwnToken && owned:
		return math.Log(.1 / (1 - p))
	}
	return 0
}

func (d *sharedSession) Touch(v *Visit) uint64 { return d.owners.Touch(d.token.of(v.Event).Key) }

func (d *sharedSession) Visit(v *Visit) {
	if v.Day > d.day {
		d.bills.Clear()
		d.day = v.Day
	}
	e := v.Event
	key := d.token.of(e).Key
	o, isNew := d.owners.Get(key)
	of := d.token.owner(v)
	d.own(o, isNew, e.Customer.Key)
	if o.shared && of != UnknownOwner {
		d.count.known++
		if of == AnothersToken {
			d.count.others++
		}
	}
	// The amount against the merchant's own habit: a fixed-price shop is at its price every time.
	now := tokenOwner{
		id: v.Keep(d.env), at: millisOfDay(v, d.env.Offset), account: uint32(e.Customer.Key), shop: uint32(e.Merchant.Key), day: uint16(v.Day),
		discount: uint32(clip(float64(e.DiscountFen), 0, math.MaxUint32)), amount: int8(math.Round(10 * clip(v.Amount, -1.5, 1.5))), of: of,
	}
	gap := vw.Millis(now.at) - vw.Millis(o.at)
	if gap < 0 {
		gap = -gap // out of order by seconds
	}
	follows := !isNew && o.day == now.day && o.shop == now.shop && gap <= vw.Millis(d.Within)*vw.Minute
	now.customer, now.uses, now.shared = o.customer, o.uses, o.shared
	now.open = follows && (o.open || o.account != now.account) // the same account again is split's business
	before := *o
	*o = now
	if !now.open {
		return
	}
	s, isNew := d.bills.Get(key)
	if isNew || !before.open {
		*s = sharedBill{first: before.at, last: before.at, llr: float64(before.amount)/10 + d.null.owner(before.of, false), owned: before.of == OwnToken}
		s.take(&before)
	}
	d.follow(v, s, &now, gap)
}

// follow adds a redemption to a bill that others paid at.
func (d *sharedSession) follow(v *Visit, s *sharedBill, now *tokenOwner, gap vw.Millis) {
	before := s.accounts
	s.first, s.last = min(s.first, now.at), max(s.last, now.at)
	s.take(now)
	llr := float64(now.amount) / 10
	if s.accounts > before {
		bin := gapBin(gap)
		s.rate = d.null.rate(bin)
		// Two accounts alone may always be a couple: the cap keeps them below a finding unless both amounts
		// lie just above the threshold, where this shop's seldom do.
		llr += clip(math.Log(gapSplit[bin]/s.rate), -2, 4)
		if s.n == 2 {
			d.count.gaps[bin]++
		}
		llr += d.null.owner(now.of, s.owned)
		s.owned = s.owned || now.of == OwnToken
	}
	s.llr += llr
	if s.llr <= 0 {
		return
	}
	n := min(int(s.n), len(s.parts))
	signal := Signal{
		Kind: d.kind, LLR: s.llr, Observed: float64(s.n), Expected: s.rate, P: None,
		Aux: [6]float64{float64(s.accounts), math.Ceil(float64(s.last-s.first) / float64(vw.Minute)), float64(s.discounts), s.rate},
	}
	for i := range n {
		signal.Evidence = append(signal.Evidence, s.parts[i].id)
	}
	v.Say(d.env, signal)
	odds := d.env.LogOdds(d.Prior, s.llr)
	if odds < d.FindAt {
		return
	}
	f := Found{
		Typology: "T01", Subject: vw.Subject{Kind: "device", ID: v.Batch.String(d.token.of(v.Event).Text)}, Period: vw.Date(v.Day),
		At: v.T, LogOdds: odds, Subsidy: SumOfDiscounts, Merchants: []string{v.MerchantID()}, Reasons: []vw.Reason{d.env.Reason(signal)},
	}
	midnight := v.T - vw.Millis(now.at)
	for i := range n {
		if id := d.env.Arena.Bytes(s.parts[i].id); id != nil {
			f.Redemptions = append(f.Redemptions, FoundRedemption{ID: string(id), At: midnight + vw.Millis(s.parts[i].at), Discount: vw.Fen(s.parts[i].fen)})
		}
	}
	if int(s.n) > n {
		f.Redemptions = append(f.Redemptions, v.Found())
	}
	d.env.Find(f)
}

// own counts the redemption for the null when the device has several accounts, and those that its first
// account had made before the second came.
func (d *sharedSession) own(o *tokenOwner, isNew bool, customer uint64) {
	switch {
	case o.shared:
		d.count.visits++
	case isNew:
		o.customer, o.uses = customer, 1
	case o.customer == customer:
		o.uses = min(o.uses, math.MaxUint16-1) + 1
	default:
		o.shared = true
		d.count.visits += int64(o.uses) + 1
	}
}

// take adds a redemption to the bill.
func (s *sharedBill) take(r *tokenOwner) {
	if int(s.n) < len(s.parts) {
		s.parts[s.n] = sharedPart{r.id, r.at, r.discount}
	}
	s.n = min(s.n, math.MaxUint8-1) + 1
	s.discounts += vw.Fen(r.discount)
	for i := range min(int(s.accounts), len(s.customers)) {
		if s.customers[i] == r.account {
			return
		}
	}
	if int(s.accounts) < len(s.customers) {
		s.customers[s.accounts] = r.account
		s.accounts++
	}
}

// learnSharedSession gives every slot what all have counted.
func learnSharedSession(peers []Detector, _ *Tick) {
	var all sharedNull
	for _, p := range peers {
		c := &p.(*sharedSession).count
		all.visits += c.visits
		all.known += c.known
		all.others += c.others
		for i := range c.gaps {
			all.gaps[i] += c.gaps[i]
		}
	}
	for _, p := range peers {
		p.(*sharedSession).null = all
	}
}

func (d *sharedSession) Sweep(now vw.Millis) {
	day := vw.DayOf(now, d.env.Offset)
	d.owners.Sweep(func(_ uint64, o *tokenOwner) bool { return int(o.day) >= day-d.Days })
	if day > d.day {
		d.bills.Clear()
		d.day = day
	}
}

func (d *sharedSession) Size() (keys, bytes int) {
	return d.bills.Len() + d.owners.Len(), d.bills.Bytes() + d.owners.Bytes()
}
