package detectors

import (
	"fmt"
	"math"
	"slices"
	"strings"

	vw "voucherwatch"
)

// cashout looks for merchants that redeem vouchers without selling goods (刷空单核券 T04, 商户自刷 T05,
// 套现返现 T06), among redemptions that are honest. Every redemption gets a likelihood ratio of
// cash-out against honest trade from what it shows:
//
//   - goods: no receipt lines at a merchant that normally sends them;
//   - amount: how far above the threshold (贴线, T02), by voucher type;
//   - tier: the dearer the voucher, the more a fraud earns;
//   - custom: the same few customers again and again;
//   - device: several accounts on one phone at this merchant;
//   - time: a burst beyond the shop's own busiest hours, outside the opening hours, seconds after the
//     claim, far from the shop.
//
// The null of each is the category's habit blended with the merchant's own (a fixed-price shop hugs the
// threshold, a canteen has regulars). An honest peculiarity shows in one feature and enters the null in
// full; what shows several marks at once enters the merchant's with a quarter and the category's not at
// all, so that a fraud does not become its own excuse.
// The merchant's evidence is sequential: a Shiryaev–Roberts e-detector over mixtures 1-π+π·e^ℓ, whose
// expected time to a false alarm is at least c updates when the null is right; ln c is a parameter.
//
// State: about 450 B per merchant, 24 B per customer or device seen at a merchant within 60 days, 32 B
// per suspicious redemption. Source: detection.md D2; regulation.md §9.
type cashout struct {
	cashoutParams
	env     *Env
	states  map[uint64]*till
	seen    Table[acquaintance]
	devices Table[deviceUse]
	null    *cashNull
	count   *cashNull
	ids     []IDRef
	pending []*Profile // merchants whose finding is to be revised
}

type cashoutParams struct {
	// Prior is the log-odds that a merchant cashes out before any evidence (4.5: 1.1 %).
	Prior float64 `yaml:"prior"`
	// Alarm is ln c: one false alarm is expected in c redemptions at least. 16 is one in nine million: six
	// counties' campaigns.
	Alarm float64 `yaml:"alarm"`
	// MerchantWeight turns the e-detector's logarithm, less Offset, into log-odds.
	MerchantWeight float64 `yaml:"merchant_weight"`
	Offset         float64 `yaml:"offset"`
	// Mark is the log likelihood ratio from which a feature counts as a mark.
	Mark float64 `yaml:"mark"`
	// Shrink is how many redemptions the category counts for in a merchant's own null.
	Shrink float64 `yaml:"shrink"`
	// Far is the distance in metres from which a code was shown somewhere else.
	Far float64 `yaml:"far"`
}

func init() {
	register(Spec{
		Name: "cashout", Lane: MerchantLane, Typologies: []string{"T02", "T04", "T05", "T06"},
		Title: vw.Bilingual{Zh: "刷空单核券、商户自刷、套现返现", En: "empty-order redemption, self-dealing and cash-out"},
		New: func(env *Env) (Detector, error) {
			d := &cashout{
				cashoutParams: cashoutParams{Prior: -4.5, Alarm: 16, MerchantWeight: .6, Offset: 9, Mark: .7, Shrink: 40, Far: 20_000},
				env:           env, states: map[uint64]*till{},
			}
			d.null, d.count = newCashNull(len(env.Campaign.Vouchers)), newCashNull(len(env.Campaign.Vouchers))
			d.null.seed(env.Campaign)
			return d, env.Params(&d.cashoutParams)
		},
		Learn: learnCashout,
	})
}

const visitBins = 4 // first, second, third, later visit of a customer to the merchant

// Features in the order of what they say.
const (
	byGoods = iota
	byAmount
	byTier
	byCustom
	byDevice
	byTime
	features
)

// fractions are the shares of fraud among a merchant's redemptions that the e-detector mixes.
var fractions = [...]float64{.1, .3, .7}

// till is what is known of one merchant. The counts behind its own null are in quarters.
type till struct {
	n          int32 // redemptions
	over       [overBins]int32
	visits     [visitBins]int32
	tiers      [16]int32
	shared     int32
	deviceN    int32
	lines      int32 // redemptions that could have had lines
	missing    int32
	evidence   [len(fractions)]float64 // R
	level      float64                 // ln of their mean, 0 while it is small
	sums       [features]float64       // evidence by feature, of the suspicious redemptions
	total      int32                   // redemptions
	first      vw.Millis               // the earliest
	busyAt     vw.Millis               // the latest that burst has seen
	ownerN     int32
	ownerFen   vw.Fen
	suspicious []suspect
	ownerIDs   []Kept
	raisedAt   float64   // the level then
	pending    bool      // the finding is to be revised with the hour
	fraud      float64   // sum of the redemptions' probabilities of being fraud, were the merchant one
	raised     float64   // log-odds at which the finding was last raised
	active     vw.Millis // the latest redemption of any kind
}

type suspect struct {
	Kept
	llr float64
}

// maxSuspects bounds the evidence kept per merchant; the weakest give way.
const maxSuspects = 2000

type acquaintance struct {
	visits uint16 // days with a redemption
	day    uint16 // days since 1970-01-01, last visit
}

type deviceUse struct {
	customer uint64
	day      uint16
	shared   bool
}

// cashNull holds counts of clean redemptions per voucher type and category.
type cashNull struct {
	over   [][overBins]int64
	tiers  []int64
	visits [vw.Categories][visitBins]int64
	shared [vw.Categories][2]int64 // no, yes
	prompt [vw.Categories][2]int64 // redeemed within two minutes of the claim: no, yes
	// ratios are the sum of the likelihood ratios, in millionths and each cut at e^4, and their number, of
	// redemptions at merchants that nothing speaks against: were all nulls right and the features
	// independent, they would have mean 1.
	ratios [vw.Categories][2]int64
}

func newCashNull(vouchers int) *cashNull {
	return &cashNull{over: make([][overBins]int64, vouchers), tiers: make([]int64, vouchers)}
}

func (n *cashNull) seed(c *vw.Campaign) {
	for v := range n.over {
		for b, p := range overPrior {
			n.over[v][b] = int64(math.Round(200 * p))
		}
		if face := c.Vouchers[v].Face; face > 0 {
			n.tiers[v] = max(1, int64(100_000/face)) // the dearer, the rarer
		}
	}
	for k := range n.visits {
		n.visits[k] = [visitBins]int64{170, 20, 6, 4}
		n.shared[k] = [2]int64{195, 5}
		n.prompt[k] = [2]int64{192, 8}
		n.ratios[k] = [2]int64{300_000_000, 300}
	}
}

var (
	// What cash-out shows, by bin: stated priors from the court cases of detection.md §1.1.
	overCash   = [overBins]float64{.28, .14, .10, .10, .17, .11, .06, .03, .01}
	visitsCash = [visitBins]float64{.50, .20, .12, .18}
)

func (d *cashout) Touch(v *Visit) uint64 {
	m := v.Event.Merchant.Key
	return d.seen.Touch(pairKey(m, v.Event.Customer.Key)) + d.devices.Touch(pairKey(m, v.Event.Device.Key))
}

func (d *cashout) Visit(v *Visit) {
	e, m := v.Event, v.Merchant
	s := d.states[e.Merchant.Key]
	if s == nil {
		s = &till{}
		d.states[e.Merchant.Key] = s
	}
	s.total++
	s.active = max(s.active, v.T)
	d.owner(v, s)
	if v.Voucher.Balance {
		return // a balance has no threshold, tier or claim of the day
	}
	c := v.Category()
	var f [features]float64

	// Goods.
	hasLines := e.Has&vw.FieldLines != 0
	if !hasLines && s.lines == s.missing {
		v.Blind(d.env, vw.FieldLines)
	} else {
		rate := (float64(s.missing) + 4) / (float64(s.lines) + 48)
		if hasLines {
			f[byGoods] = clip(math.Log(.7/(1-rate)), -.4, 0)
		} else {
			f[byGoods] = clip(math.Log(.3/max(rate, .02)), 0, 2.5)
		}
	}
	// Amount.
	bin := overBin(v.Over)
	null := d.blend(share(d.null.over[e.VoucherType][:], bin), s.over[bin], s.n)
	f[byAmount] = clip(math.Log(overCash[bin]/null), -1.5, 2.5)
	v.Amount = f[byAmount]
	// Tier: cash-out picks vouchers in proportion to what they bring.
	f[byTier] = clip(d.tierRatio(v, s), -1, 2)
	// Custom.
	a, isNew := d.seen.Get(pairKey(e.Merchant.Key, e.Customer.Key))
	sameDay := !isNew && a.day == uint16(v.Day)
	if !sameDay {
		a.visits = min(a.visits+1, 60000) // days; a second payment of the day is the split detector's
		a.day = uint16(v.Day)
	}
	k := min(int(a.visits)-1, visitBins-1)
	null = d.blend(share(d.null.visits[c][:], k), s.visits[k], s.n)
	f[byCustom] = clip(math.Log(visitsCash[k]/null), -1.2, 2)
	// Device.
	shared := false
	if e.Device.Key == 0 {
		v.Blind(d.env, vw.FieldDevice)
	} else {
		u, isNew := d.devices.Get(pairKey(e.Merchant.Key, e.Device.Key))
		if isNew {
			u.customer = e.Customer.Key
			u.shared = false
		} else if u.customer != e.Customer.Key {
			u.shared = true
		}
		u.day = uint16(v.Day)
		shared = u.shared
		p := float64(d.null.shared[c][1]) / float64(d.null.shared[c][0]+d.null.shared[c][1])
		p = clip(max(p, (float64(s.shared)/4+d.Shrink*p)/(float64(s.deviceN)/4+d.Shrink)), .005, .95)
		if shared {
			f[byDevice] = clip(math.Log(.2/p), 0, 2.5)
		} else {
			f[byDevice] = clip(math.Log(.8/(1-p)), -.3, 0)
		}
	}
	// Time and place.
	prompt := false
	if e.Has&vw.FieldClaimedAt == 0 {
		v.Blind(d.env, vw.FieldClaimedAt)
	} else if wait := v.T - e.ClaimedAt; wait >= 0 {
		prompt = wait < 2*vw.Minute
		p := clip(float64(d.null.prompt[c][1])/float64(d.null.prompt[c][0]+d.null.prompt[c][1]), .01, .5)
		if prompt {
			f[byTime] += clip(math.Log(.12/p), 0, 1.5)
		}
	}
	// A crowd is no sign by itself: a sale, a rush, a tour. It is one of what shows another mark.
	if burst := d.burst(v, s); max(f[byGoods], f[byAmount], f[byTier], f[byCustom], f[byDevice]) >= d.Mark {
		f[byTime] += burst
	}
	if e.Has&vw.FieldLocation != 0 && m.Located && metres(e.Lon, e.Lat, m.Lon, m.Lat) > d.Far {
		f[byTime] += 1.5
	}
	if closed(m, v.Minute) {
		f[byTime] += 2
	}
	f[byTime] = min(f[byTime], 3)

	llr := 0.0
	for _, x := range f {
		llr += x
	}
	if s.level < 5 {
		d.count.ratios[c][0] += int64(1e6 * math.Exp(min(llr, 4)))
		d.count.ratios[c][1]++
	}
	llr -= d.excess(c)
	before := s.level
	gain, mean := math.Exp(clip(llr, -3, 6))-1, 0.0
	for i, share := range fractions {
		s.evidence[i] = min((1+s.evidence[i])*(1+share*gain), maxEvidence)
		mean += s.evidence[i]
	}
	s.weigh(mean)
	o := odds(s.share()) * math.Exp(clip(llr, -3, 4))
	s.fraud += o / (1 + o)
	if !sameDay {
		marks := 0
		for _, x := range f {
			if x >= d.Mark {
				marks++
			}
		}
		d.learn(v, s, marks, bin, k, shared, prompt, hasLines)
	}
	if llr > 1 {
		s.keep(suspect{Kept{ID: v.Keep(d.env), At: v.T, Discount: e.DiscountFen, Customer: e.Customer.Key}, llr})
		for i := range f {
			s.sums[i] += f[i]
		}
	}
	d.tell(v, s, f, llr, before)
}

// blend is the null probability of a bin: the category's, or the merchant's own where that is larger.
func (d *cashout) blend(category float64, own, n int32) float64 {
	return clip(max(category, (float64(own)/4+d.Shrink*category)/(float64(n)/4+d.Shrink)), .002, 1)
}

// tierRatio is ln of the voucher's face over the mean face that the category and the merchant redeem.
func (d *cashout) tierRatio(v *Visit, s *till) float64 {
	vs := d.env.Campaign.Vouchers
	sum, faces, own, ownFaces := 0.0, 0.0, 0.0, 0.0
	for i := range vs {
		if vs[i].Category != v.Voucher.Category || vs[i].Balance {
			continue
		}
		n := float64(max(d.null.tiers[i], 1))
		sum += n
		faces += n * float64(vs[i].Face)
		if i < len(s.tiers) {
			own += float64(s.tiers[i]) / 4
			ownFaces += float64(s.tiers[i]) / 4 * float64(vs[i].Face)
		}
	}
	mean := faces / sum
	mean = max(mean, (ownFaces+d.Shrink*mean)/(own+d.Shrink))
	return math.Log(float64(v.Voucher.Face) / mean)
}

// busy is how much busier than its average a shop's rush may be before it is a burst.
const busy = 10

// burst weighs how soon the redemption follows the merchant's last one, against a shop that is as busy
// as its own average times busy; half of a fraud's come every three minutes. A shop is not judged
// before its tenth redemption.
func (d *cashout) burst(v *Visit, s *till) float64 {
	gap := float64(max(v.T-s.busyAt, 0)) / float64(vw.Minute)
	if s.first == 0 {
		s.first = v.T
	}
	// The minutes it was open since its first redemption: 14 hours of each whole day.
	minutes := float64(v.T-s.first) / float64(vw.Minute)
	if minutes > 24*60 {
		minutes *= 14. / 24
	}
	s.busyAt = max(s.busyAt, v.T)
	if s.total < 10 || gap > 30 {
		return 0
	}
	rate := busy * float64(s.total) / max(minutes, 60)
	null := rate * math.Exp(-rate*gap)
	fraud := .5/3*math.Exp(-gap/3) + .5*null
	return clip(math.Log(fraud/null), 0, 1.2)
}

// learn teaches the nulls: the merchant's by four quarters, or one for what shows several marks.
func (d *cashout) learn(v *Visit, s *till, marks, bin, k int, shared, prompt, hasLines bool) {
	c := v.Category()
	q := int32(4)
	if marks >= 2 {
		q = 1
	}
	s.n += q
	s.over[bin] += q
	s.visits[k] += q
	if t := int(v.Event.VoucherType); t < len(s.tiers) {
		s.tiers[t] += q
	}
	s.lines += q
	if !hasLines {
		s.missing += q
	}
	if v.Event.Device.Key != 0 {
		s.deviceN += q
		if shared {
			s.shared += q
		}
	}
	if marks >= 2 {
		return
	}
	if v.Event.Device.Key != 0 {
		if shared {
			d.count.shared[c][1]++
		} else {
			d.count.shared[c][0]++
		}
	}
	d.count.over[v.Event.VoucherType][bin]++
	d.count.tiers[v.Event.VoucherType]++
	d.count.visits[c][k]++
	if v.Event.Has&vw.FieldClaimedAt != 0 {
		if prompt {
			d.count.prompt[c][1]++
		} else {
			d.count.prompt[c][0]++
		}
	}
}

// maxEvidence bounds the e-detector's statistics: e^60.
const maxEvidence = 1.14e26

// excess is by how much the category's honest trade exceeds a mean likelihood ratio of 1, as a
// logarithm: what is wrong with the nulls, and with taking the features for independent, is charged to
// every redemption.
func (d *cashout) excess(c vw.Category) float64 {
	r := &d.null.ratios[c]
	return max(0, math.Log(float64(r[0])/1e6/float64(r[1])))
}

// weigh takes the logarithm of the mean statistic, once it is large enough to matter.
func (s *till) weigh(sum float64) {
	s.level = 0
	if mean := sum / float64(len(fractions)); mean > 10 {
		s.level = math.Log(mean)
	}
}

func (s *till) keep(x suspect) {
	if len(s.suspicious) < maxSuspects {
		s.suspicious = append(s.suspicious, x)
		return
	}
	weakest := 0
	for i := range s.suspicious {
		if s.suspicious[i].llr < s.suspicious[weakest].llr {
			weakest = i
		}
	}
	if s.suspicious[weakest].llr < x.llr {
		s.suspicious[weakest] = x
	}
}

// closed tells whether a minute of the day lies more than half an hour outside the opening hours.
func closed(m *Profile, minute int) bool {
	const grace = 30
	if m.OpensAt < 0 || m.ClosesAt < 0 || m.OpensAt == m.ClosesAt {
		return false
	}
	if m.OpensAt < m.ClosesAt {
		return minute < m.OpensAt-grace || minute > m.ClosesAt+grace
	}
	return minute < m.OpensAt-grace && minute > m.ClosesAt+grace // open past midnight
}

var cashRedemption = &Kind{Code: "cashout.redemption", Typology: "T06", Window: "60d", Text: func(s *Signal) vw.Bilingual {
	zh, en := "本笔符合套现特征", "this redemption looks like cash-out"
	for i := range featureNames {
		if s.Aux[i] >= .7 {
			zh += "、" + featureNames[i].Zh
			en += ", " + featureNames[i].En
		}
	}
	return vw.Bilingual{
		Zh: fmt.Sprintf("%s（似然比 %.1f）；商户累积证据 ln E=%.1f，报警线 %.1f", zh, math.Exp(clip(s.Observed, -9, 9)), s.level, s.Expected),
		En: fmt.Sprintf("%s (likelihood ratio %.1f); the merchant's evidence is ln E=%.1f, alarm at %.1f", en, math.Exp(clip(s.Observed, -9, 9)), s.level, s.Expected),
	}
}}

var featureNames = [features]vw.Bilingual{
	byGoods:  {Zh: "无商品明细", En: "no receipt lines where this shop sends them"},
	byAmount: {Zh: "金额贴近门槛", En: "an amount just above the threshold"},
	byTier:   {Zh: "大面额券", En: "a dear voucher"},
	byCustom: {Zh: "老面孔反复核销", En: "a customer who keeps coming back"},
	byDevice: {Zh: "多账号共用设备", En: "several accounts on one device"},
	byTime:   {Zh: "时间或地点异常", En: "an unusual time or place"},
}

// tell scores the redemption and, when the merchant's evidence is strong, raises the finding.
func (d *cashout) tell(v *Visit, s *till, f [features]float64, llr, before float64) {
	level := max(before, s.level)
	merchant := d.Prior + d.MerchantWeight*max(0, level-d.Offset)
	// The odds that this redemption is one of the merchant's frauds: the merchant's odds times the
	// share of fraud there times what the redemption itself shows.
	p := logistic(merchant) * s.share()
	own := math.Log(p/(1-p)) + clip(llr, -3, 4)
	signal := own - d.env.settings.Prior
	// A lone redemption accuses nobody: it is told only once the merchant's own evidence has begun to grow.
	if signal < .5 || llr < 0 || merchant < d.Prior+1 {
		return
	}
	ids := d.recent(s)
	v.Say(d.env, Signal{Kind: cashRedemption, LLR: signal, Observed: llr, Expected: d.Alarm, P: None, Aux: f, level: level, Evidence: ids})
	if level < d.Alarm || merchant < s.raised+.2 && llr < 1 {
		return
	}
	if s.raised > 0 {
		s.raised, s.raisedAt = max(s.raised, merchant), max(s.raisedAt, level)
		if !s.pending {
			s.pending = true
			d.pending = append(d.pending, v.Merchant)
		}
		return // revised with the hour: the list may be long
	}
	s.raised = max(s.raised, merchant, 1e-9)
	s.raisedAt = level
	if f, ok := d.found(v.Merchant, v.T, s); ok {
		d.env.Find(f)
	}
}

// share is the share of fraud among the merchant's redemptions, were it one: from ten that hold two.
func (s *till) share() float64 { return clip((s.fraud+2)/(float64(s.total)+10), .01, .8) }

func odds(p float64) float64 { return p / (1 - p) }

func (d *cashout) recent(s *till) []IDRef {
	if len(d.ids) > 1<<14 {
		d.ids = nil
	}
	start := len(d.ids)
	for i := max(0, len(s.suspicious)-20); i < len(s.suspicious); i++ {
		d.ids = append(d.ids, s.suspicious[i].ID)
	}
	return d.ids[start:len(d.ids):len(d.ids)]
}

var cashMerchant = &Kind{Code: "cashout.merchant", Typology: "T06", Window: "60d", Text: func(s *Signal) vw.Bilingual {
	zh := fmt.Sprintf("本店 %.0f 笔核销中 %.0f 笔同时具有多项套现特征：", s.Aux[0], s.Observed)
	en := fmt.Sprintf("%.0f of this shop's %.0f redemptions show several marks of cash-out at once: ", s.Observed, s.Aux[0])
	return vw.Bilingual{
		Zh: zh + s.Note + fmt.Sprintf("；%.0f 名顾客；累积证据 ln E=%.1f（报警线 %.1f，误报不多于每 %.0f 万笔一次）", s.Aux[1], s.level, s.Aux[2], math.Exp(s.Aux[2])/1e4),
		En: en + s.noteEn + fmt.Sprintf("; %.0f customers; evidence ln E=%.1f (alarm at %.1f: at most one false alarm in %.0f million redemptions)", s.Aux[1], s.level, s.Aux[2], math.Exp(s.Aux[2])/1e6),
	}
}}

// found states the case against the merchant: the suspicious redemptions, and which features carry it.
func (d *cashout) found(m *Profile, at vw.Millis, s *till) (f Found, ok bool) {
	logOdds, level := s.raised, s.raisedAt
	var redemptions []FoundRedemption
	customers := map[uint64]bool{}
	sure := 0.0 // mean probability of those listed
	for _, x := range s.suspicious {
		o := odds(logistic(logOdds)*s.share()) * math.Exp(clip(x.llr, -3, 4))
		if b := d.env.Arena.Bytes(x.ID); b != nil && o > 2 {
			sure += o / (1 + o)
			redemptions = append(redemptions, FoundRedemption{ID: string(b), At: x.At, Discount: x.Discount})
			customers[x.Customer] = true
		}
	}
	if len(redemptions) < 3 {
		return f, false
	}
	// A redemption takes over the score of a finding that lists it, so the finding's is what the merchant's
	// and the listed redemptions' probabilities come to together.
	logOdds = math.Log(odds(min(logistic(logOdds)*sure/float64(len(redemptions)), .999)))
	order := make([]int, features)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case s.sums[a] > s.sums[b]:
			return -1
		case s.sums[a] < s.sums[b]:
			return 1
		}
		return 0
	})
	sig := Signal{
		Kind: cashMerchant, LLR: logOdds - d.Prior, Observed: float64(len(redemptions)), Expected: None, P: math.Exp(-level), level: level,
		Aux: [6]float64{float64(s.total), float64(len(customers)), d.Alarm}, Evidence: d.recent(s), Peers: m.Category.String(),
	}
	for _, i := range order[:3] {
		if s.sums[i] <= 0 {
			continue
		}
		if sig.Note != "" {
			sig.Note += "、"
			sig.noteEn += ", "
		}
		sig.Note += featureNames[i].Zh
		sig.noteEn += featureNames[i].En
	}
	return Found{
		Typology: "T06", Subject: vw.Subject{Kind: "merchant", ID: m.ID}, Period: "campaign", At: at, LogOdds: logOdds,
		Redemptions: redemptions, Replace: true, Subsidy: SumOfDiscounts, Merchants: []string{m.ID}, Reasons: []vw.Reason{d.env.Reason(sig)},
	}, true
}

var cashOwner = &Kind{Code: "cashout.owner", Typology: "T05", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("登记的经营者账号在本店核销 %.0f 笔，占本店 %.0f 笔的 %s（自家偶尔购物应不超过 5%%）", s.Observed, s.Aux[0], percent(s.Observed/s.Aux[0])),
		En: fmt.Sprintf("accounts registered to the owner redeemed %.0f times here, %s of the shop's %.0f (own shopping should stay under 5 %%)", s.Observed, percent(s.Observed/s.Aux[0]), s.Aux[0]),
	}
}}

// owner watches redemptions by the merchant's registered owners (T05): one is shopping, many are not.
func (d *cashout) owner(v *Visit, s *till) {
	if len(v.Merchant.Owners) == 0 || !v.Merchant.OwnedBy(v.Event.Customer.Key) {
		return
	}
	s.ownerN++
	s.ownerFen += v.Event.DiscountFen
	if len(s.ownerIDs) < 200 {
		s.ownerIDs = append(s.ownerIDs, Kept{ID: v.Keep(d.env), At: v.T, Discount: v.Event.DiscountFen})
	}
	p := binomialTail(int(s.ownerN), int(s.total), .05)
	llr := clip(-math.Log(max(p, 1e-12)), 0, 12)
	if s.ownerN < 3 {
		llr = min(llr, 2)
	}
	var ids []IDRef
	for _, k := range s.ownerIDs[max(0, len(s.ownerIDs)-20):] {
		ids = append(ids, k.ID)
	}
	sig := Signal{Kind: cashOwner, LLR: 2 + llr/2, Observed: float64(s.ownerN), Expected: .05 * float64(s.total), P: p, Aux: [6]float64{float64(s.total)}, Evidence: ids}
	v.Say(d.env, sig)
	logOdds := d.Prior + llr*.6 + 1
	if s.ownerN < 3 || logOdds < 0 {
		return
	}
	found := make([]FoundRedemption, 0, len(s.ownerIDs))
	for _, k := range s.ownerIDs {
		if b := d.env.Arena.Bytes(k.ID); b != nil {
			found = append(found, FoundRedemption{ID: string(b), At: k.At, Discount: k.Discount})
		}
	}
	d.env.Find(Found{
		Typology: "T05", Subject: vw.Subject{Kind: "merchant", ID: v.Merchant.ID}, Period: "campaign", At: v.T, LogOdds: logOdds,
		Redemptions: found, Subsidy: SumOfDiscounts, Merchants: []string{v.Merchant.ID}, Reasons: []vw.Reason{d.env.Reason(sig)},
	})
}

func learnCashout(peers []Detector, t *Tick) {
	for _, p := range peers {
		d := p.(*cashout)
		slices.SortFunc(d.pending, func(a, b *Profile) int { return strings.Compare(a.ID, b.ID) })
		for _, m := range d.pending {
			if s := d.states[m.Key]; s != nil {
				s.pending = false
				if f, ok := d.found(m, t.Now, s); ok {
					t.Find(d.env, f)
				}
			}
		}
		d.pending = d.pending[:0]
	}
	null := peers[0].(*cashout).null
	for _, p := range peers {
		c := p.(*cashout).count
		for v := range c.over {
			for b := range c.over[v] {
				null.over[v][b] += c.over[v][b]
				c.over[v][b] = 0
			}
			null.tiers[v] += c.tiers[v]
			c.tiers[v] = 0
		}
		for k := range c.visits {
			for b := range c.visits[k] {
				null.visits[k][b] += c.visits[k][b]
			}
			for b := range c.shared[k] {
				null.ratios[k][b] += c.ratios[k][b]
				null.shared[k][b] += c.shared[k][b]
				null.prompt[k][b] += c.prompt[k][b]
			}
		}
		c.visits = [vw.Categories][visitBins]int64{}
		c.shared, c.prompt, c.ratios = [vw.Categories][2]int64{}, [vw.Categories][2]int64{}, [vw.Categories][2]int64{}
		p.(*cashout).null = null
	}
	if t.NewDay {
		for _, p := range peers {
			// Evidence loses a tenth in a day (half in a week): shrinking keeps the bound on false alarms.
			for _, s := range p.(*cashout).states {
				sum := 0.0
				for i := range s.evidence {
					s.evidence[i] *= weekHalf
					sum += s.evidence[i]
				}
				s.weigh(sum)
			}
		}
	}
}

// weekHalf is 2^(-1/7).
const weekHalf = 0.9057236642639067

const acquaintanceDays = 60

func (d *cashout) Sweep(now vw.Millis) {
	oldest := uint16(vw.DayOf(now, d.env.Offset) - acquaintanceDays)
	d.seen.Sweep(func(_ uint64, a *acquaintance) bool { return a.day >= oldest })
	d.devices.Sweep(func(_ uint64, u *deviceUse) bool { return u.day >= oldest })
	cut := now - acquaintanceDays*vw.Day
	for m, s := range d.states {
		if s.active < cut {
			delete(d.states, m)
			continue
		}
		s.suspicious = slices.DeleteFunc(s.suspicious, func(x suspect) bool { return x.At < cut })
		s.ownerIDs = slices.DeleteFunc(s.ownerIDs, func(x Kept) bool { return x.At < cut })
	}
}

func (d *cashout) Size() (keys, bytes int) {
	return len(d.states), 512*len(d.states) + d.seen.Bytes() + d.devices.Bytes()
}
