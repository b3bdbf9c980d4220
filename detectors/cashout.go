package detectors

import (
	"math"
	"math/bits"
	"unsafe"

	vw "voucherwatch"
)

// cashout looks for merchants that redeem vouchers without selling goods (刷空单核券 T04, 商户自刷 T05,
// 套现返现 T06), among redemptions that are honest. Every redemption gets a likelihood ratio of
// cash-out against honest trade from its traits (cashout_trait.go): what was sold, to whom, when and where.
//
// The null of a trait is the habit of the trade blended with the merchant's own (a fixed-price shop hugs the
// threshold, a canteen has regulars), as strongly as shops of that trade are seen to differ. A shop's own
// habit is taught by all of its redemptions alike, whatever they look like, since a habit that leaves out what
// looks suspicious would call more and more of a large shop suspicious; but at a quarter of the speed while
// something speaks against the shop, so that a fraud does not soon become its own excuse.
//
// The merchant's evidence is sequential: Shiryaev–Roberts e-detectors over mixtures 1-π+π·e^ℓ, by groups of
// traits, whose mean takes at least c updates to a false alarm when the null is right; ln c is a parameter.
//
// State: about 1.3 KB per merchant, 8 B per customer and per device seen at a merchant within 60 days, 32 B
// per suspicious redemption, 1 MiB for how often anyone redeems anywhere. Source: detection.md D2;
// regulation.md §9.
type cashout struct {
	cashoutParams
	env     *Env
	tills   Table[*till]
	null    *cashNull
	count   *cashCount
	ids     []IDRef
	pending []*Profile // merchants whose finding is to be revised
}

type cashoutParams struct {
	// Prior is the log-odds that a merchant cashes out before any evidence (4.5: 1.1 %).
	Prior float64 `yaml:"prior"`
	// Alarm is ln c: one false alarm is expected in c redemptions at least, when the nulls hold. 11 is one in
	// 60,000; in 565,000 of real and simulated honest trade there were eight.
	Alarm float64 `yaml:"alarm"`
	// MerchantWeight turns the e-detector's logarithm, less Offset, into log-odds: with .65 and 6 a merchant comes
	// to review at 13.5, one false alarm in 700,000 redemptions, half a county's campaign (detection.md D2: 13.4).
	// What lies between is a lead.
	MerchantWeight float64 `yaml:"merchant_weight"`
	Offset         float64 `yaml:"offset"`
	// Mark is the log likelihood ratio from which a trait counts as a mark.
	Mark float64 `yaml:"mark"`
	// Shrink is how many redemptions the trade counts for in a merchant's habit.
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
				cashoutParams: cashoutParams{Prior: -4.5, Alarm: 11, MerchantWeight: .65, Offset: 6, Mark: .7, Shrink: 40, Far: 20_000},
				env:           env, null: newCashNull(env.Campaign), count: newCashCount(len(env.Campaign.Vouchers)),
			}
			return d, env.Params(&d.cashoutParams)
		},
		Learn: learnCashout,
	})
}

// fractions are the shares of fraud among a merchant's redemptions that the e-detector mixes.
var fractions = [...]float64{.1, .3, .7}

// One e-detector looks at all traits, one at what was sold alone: a fraud that gives itself away by that need
// not do so by whom it sells to. The reverse does not hold: faces that come back in a rush at noon are a
// canteen. A mean of e-detectors is one, however they depend on each other.
const (
	allSides = iota
	dealSide
	sides
)

// till is what is known of one merchant.
type till struct {
	habit      habit
	guests     guests
	evidence   [sides][len(fractions)]float64 // R
	level      float64                        // ln of their mean, 0 while it is small
	category   vw.Category
	total      int32      // redemptions
	trade      int32      // … that were not balances
	day, today int32      // redemptions of that day
	first      vw.Millis  // the earliest redemption that arrival has seen
	last       vw.Millis  // the latest
	gap        vw.Millis  // between the last two
	sums       [32]uint32 // of the latest, in fen
	recent     [8]passage // the latest customers
	side       uint8      // with the most evidence
	bills      int32      // in sums and recent
	lines      bool       // the till sends receipt lines
	pending    bool       // the finding is to be revised with the hour
	owner      ownerTill
	suspicious []suspect
	shown      [traits]float64 // evidence by trait, of the suspicious redemptions
	fraud      float64         // sum of the redemptions' probabilities of being fraud, were the merchant one
	raised     float64         // log-odds at which the finding was last raised
	raisedAt   float64         // the level then
	active     vw.Millis       // the latest redemption of any kind
}

// passage is what a customer did at the till today.
type passage struct {
	customer, device, card uint32 // tags, 0 unknown
	day, minute            uint16
	tiers                  uint16     // voucher types, as bits
	n                      uint16     // of ids, those of the first part only if it was suspicious
	ids                    [2]suspect // the first parts
	gain                   [sides]float32
}

// suspect is a redemption that the finding may list: 32 bytes.
type suspect struct {
	ID       IDRef
	At       vw.Millis
	Discount uint32 // fen
	Customer uint32
	llr      float32
}

// maxSuspects bounds the evidence kept per merchant; the weakest give way.
const maxSuspects = 2000

func (d *cashout) Touch(v *Visit) uint64 {
	e := v.Event
	sum := uint64(d.null.outings[outing(e.Customer.Key)])
	if p := d.tills.Find(e.Merchant.Key); p != nil {
		sum += (*p).guests.touch(guestTag(e.Customer.Key)) + (*p).guests.touch(deviceTag(e.Device.Key))
	}
	return sum
}

func (d *cashout) till(merchant uint64) *till {
	p, isNew := d.tills.Get(merchant)
	if isNew {
		*p = &till{}
	}
	return *p
}

func (d *cashout) Visit(v *Visit) {
	e := v.Event
	s := d.till(e.Merchant.Key)
	s.total++
	s.active = max(s.active, v.T)
	d.ownerVisit(v, s)
	if v.Voucher.Balance {
		return // a balance has no threshold, tier or claim of the day
	}
	s.category = v.Category()
	s.trade++
	d.count.outings = append(d.count.outings, outing(e.Customer.Key))
	look := d.look(v, s)
	f := d.weigh(v, s, &look)
	v.Amount = f[byAmount]
	if first := s.bill(v, &look); first != nil || look.again {
		if first != nil {
			d.sameBill(s, v, first)
		}
		return
	}
	llr := [sides]float64{}
	for t, x := range f {
		llr[allSides] += x
		if trait(t).deal() {
			llr[dealSide] += x
		}
	}
	c := s.category
	before := s.level
	kept := passage{customer: look.customer, device: look.device, card: look.card, day: uint16(v.Day), minute: uint16(v.Minute), tiers: 1 << (e.VoucherType & 15)}
	var means [sides]float64
	for side, x := range llr {
		ratio := math.Exp(min(x, 8))
		cut := min(ratio, ratioMost)
		if s.level < clean {
			d.count.ratios[c][side] += int64(1e6 * cut)
		}
		means[side] = s.mean(side, d.null.mean[c][side])
		gain := clip(ratio/means[side], .05, 400) - 1
		kept.gain[side] = float32(gain)
		s.habit.ratios[side] += float32(cut)
		for i, share := range fractions {
			s.evidence[side][i] = min((1+s.evidence[side][i])*(1+share*gain), maxEvidence)
		}
	}
	s.habit.all++
	if s.level < clean {
		d.count.ratios[c][sides]++
	}
	s.recent[s.bills%int32(len(s.recent))] = kept
	s.sums[s.bills%int32(len(s.sums))] = uint32(e.OrderFen)
	s.bills++
	s.weighEvidence()
	// That it is the owner's is told by itself (T05), and once is enough.
	all := llr[s.side] - max(0, f[byOwner])
	if means[s.side] > 1 {
		all -= math.Log(means[s.side])
	}
	o := odds(s.share()) * math.Exp(clip(all, -3, 4))
	s.fraud += o / (1 + o)
	d.learn(v, s, &f, &look)
	if all > 1 {
		x := suspect{v.Keep(d.env), v.T, uint32(clip(float64(e.DiscountFen), 0, math.MaxUint32)), look.customer, float32(all)}
		s.keep(x)
		r := &s.recent[(s.bills-1)%int32(len(s.recent))]
		r.ids[0], r.n = x, 1
		for i := range f {
			s.shown[i] += f[i]
		}
	}
	d.tell(v, s, f, all, before)
}

// set is the evidence of a customer who uses three or more different vouchers on one day: a ladder 套.
// One who does is cutting a bill, one after another who do are a set that is handed round.
const set = 4

// sameBill takes back what the first part of a bill has shown, at a further one: the same customer again on one
// day, or another account on the device or the card of minutes ago. That is a bill in parts (T01), which others
// judge, and no evidence of an empty order, whatever is sold.
func (d *cashout) sameBill(s *till, v *Visit, first *passage) {
	tiers := first.tiers | 1<<(v.Event.VoucherType&15)
	ladder := tiers != first.tiers && bits.OnesCount16(tiers) == 3
	first.tiers = tiers
	for side := range s.evidence {
		for k, share := range fractions {
			if first.gain[side] > 0 {
				s.evidence[side][k] /= 1 + share*float64(first.gain[side])
			}
			if ladder {
				s.evidence[side][k] = min(s.evidence[side][k]*(1+share*(math.Exp(set)-1)), maxEvidence)
			}
		}
		first.gain[side] = 0
	}
	s.weighEvidence()
	if n := len(s.suspicious); n > 0 && s.suspicious[n-1].Customer == first.customer && first.n == 1 {
		s.suspicious = s.suspicious[:n-1]
	}
	part := suspect{v.Keep(d.env), v.T, uint32(v.Event.DiscountFen), first.customer, set}
	if ladder {
		for i := range first.n {
			s.keep(first.ids[i])
		}
		s.keep(part)
		d.tell(v, s, [traits]float64{}, set, s.level)
	} else if int(first.n) < len(first.ids) {
		first.ids[first.n] = part
		first.n++
	}
}

const (
	// billMinutes is how long the parts of a bill of several accounts take at most.
	billMinutes = 30
	// billAccounts is how many accounts pay one bill at most: more on one device are no company at table.
	billAccounts = 4
)

// bill is the passage that a redemption continues, nil if it is a bill of its own.
func (s *till) bill(v *Visit, l *look) *passage {
	for i := range s.recent {
		r := &s.recent[i]
		if r.day != uint16(v.Day) {
			continue
		}
		if r.customer == l.customer {
			return r
		}
		if v.Minute-int(r.minute) <= billMinutes && (l.device != 0 && l.device == r.device && l.accounts <= billAccounts || l.card != 0 && l.card == r.card) {
			return r
		}
	}
	return nil
}

// maxEvidence bounds the e-detector's statistics: e^60.
const maxEvidence = 1.14e26

// ratioMost cuts the likelihood ratios whose mean is taken.
const ratioMost = 20

// clean is the level below which a shop teaches the trade's nulls.
const clean = 5

// weighEvidence takes the logarithm of the mean statistic, once it is large enough to matter.
func (s *till) weighEvidence() {
	sum, most := 0.0, 0.0
	for side, evidence := range s.evidence {
		of := 0.0
		for _, r := range evidence {
			of += r
		}
		if of > most {
			s.side, most = uint8(side), of
		}
		sum += of
	}
	s.level = 0
	if mean := sum / float64(sides*len(fractions)); mean > 10 {
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

// share is the share of fraud among the merchant's redemptions, were it one: from ten that hold two.
func (s *till) share() float64 { return clip((s.fraud+2)/(float64(s.total)+10), .01, .8) }

func odds(p float64) float64 { return p / (1 - p) }

// guestDays is how long a customer or a device is remembered at a merchant.
const guestDays = 60

func (d *cashout) Sweep(now vw.Millis) {
	oldest := uint16(vw.DayOf(now, d.env.Offset) - guestDays)
	cut := now - guestDays*vw.Day
	d.tills.Sweep(func(_ uint64, p **till) bool {
		s := *p
		if s.active < cut {
			return false
		}
		s.guests.sweep(oldest)
		s.suspicious = dropOld(s.suspicious, cut)
		s.owner.sweep(cut)
		return true
	})
}

func dropOld(list []suspect, cut vw.Millis) []suspect {
	kept := list[:0]
	for _, x := range list {
		if x.At >= cut {
			kept = append(kept, x)
		}
	}
	return kept
}

const tillBytes = int(unsafe.Sizeof(till{}))

func (d *cashout) Size() (keys, bytes int) {
	bytes = d.tills.Bytes() + len(d.null.outings)/d.env.Slots
	d.tills.Each(func(_ uint64, p **till) {
		bytes += tillBytes + guestBytes*len((*p).guests.slots) + 32*cap((*p).suspicious)
	})
	return d.tills.Len(), bytes
}
