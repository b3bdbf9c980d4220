package detectors

import (
	"fmt"
	"math"
	"math/bits"

	vw "voucherwatch"
)

// gathering looks for one device, or one bank card, used by more accounts than people share one
// (设备/卡聚集, T10). Families share; how often, and how fast the number of accounts falls off, is learned
// from the devices themselves: P(k accounts or more) is geometric beyond two, with the share of shared
// devices and the ratio counted up to four accounts, so that the crowds looked for do not teach it. A
// device is raised when fewer than FalseDevices of them are expected in the whole population, and its
// accounts follow each other to the same shops more often than honest sharers do: a token that a payment
// provider gives to many phones is spread over shops as customers are.
//
// A device at a single shop may be the shop's counter tablet for customers without a phone, which is
// honest; the finding says so and its evidence is capped: a lead, no proof.
//
// A device with one account is 24 B and its redemptions are not kept; from the second account on it has
// 160 B, and 20 B per redemption. Source: T10 of the catalogue in regulation.md §9.
type gathering struct {
	gatheringParams
	env     *Env
	token   gatheringToken
	holders Table[holder]
	shared  Table[sharedToken]
	log     useLog
	count   sharing // by this slot
	null    sharing // of all slots, as of the last boundary
}

type gatheringParams struct {
	// Days is the horizon in event time since the device's last redemption.
	Days int `yaml:"days"`
	// Accounts is the fewest accounts that can be raised: four are a family (regulation.md T10).
	Accounts int `yaml:"accounts"`
	// FalseDevices is how many devices as crowded chance may show in the population.
	FalseDevices float64 `yaml:"false_devices"`
	// SameShop is the p-value, against honest sharers, up to which accounts follow each other to shops.
	SameShop float64 `yaml:"same_shop"`
	// Till caps the evidence when one shop has nearly all redemptions: it may be its own tablet.
	Till float64 `yaml:"till"`
	// Prior is the log-odds that a device is misused, before any evidence.
	Prior float64 `yaml:"prior"`
}

// gatheringToken is what differs between devices and cards.
type gatheringToken struct {
	field  vw.Field
	of     func(*vw.Event) *vw.Ref
	owner  func(*Visit) Owner
	kind   *Kind
	zh, en string
}

var deviceToken = gatheringToken{vw.FieldDevice, func(e *vw.Event) *vw.Ref { return &e.Device }, func(v *Visit) Owner { return v.DeviceOf },
	&Kind{Code: "device.accounts", Typology: "T10", Window: "campaign", Text: func(s *Signal) vw.Bilingual { return gatheringSentence(s, "设备", "device") }}, "设备", "device"}

var cardToken = gatheringToken{vw.FieldCard, func(e *vw.Event) *vw.Ref { return &e.Card }, func(v *Visit) Owner { return v.CardOf },
	&Kind{Code: "card.accounts", Typology: "T10", Window: "campaign", Text: func(s *Signal) vw.Bilingual { return gatheringSentence(s, "银行卡", "card") }}, "银行卡", "card"}

func init() {
	register(Spec{
		Name: "device", Lane: DeviceLane, Typologies: []string{"T10"},
		Title: vw.Bilingual{Zh: "设备聚集：一台设备上的账号多于家庭共用所能解释", En: "device: more accounts on one device than people share one"},
		New:   func(env *Env) (Detector, error) { return newGathering(env, deviceToken) },
		Learn: learnGathering,
	})
	register(Spec{
		Name: "card", Lane: CardLane, Typologies: []string{"T10"},
		Title: vw.Bilingual{Zh: "银行卡聚集：一张卡上的账号多于家庭共用所能解释", En: "card: more accounts on one bank card than people share one"},
		New:   func(env *Env) (Detector, error) { return newGathering(env, cardToken) },
		Learn: learnGathering,
	})
}

func newGathering(env *Env, token gatheringToken) (Detector, error) {
	d := &gathering{gatheringParams: gatheringParams{
		Days: 45, Accounts: 5, FalseDevices: .1, SameShop: .01, Till: 4, Prior: -4,
	}, env: env, token: token}
	return d, env.Params(&d.gatheringParams)
}

// holder is a device with its first account and where that was last: 16 bytes beside its key. Accounts
// and shops are known by folded keys.
type holder struct {
	account uint32 // 0: it has several, and is in gathering.shared
	day     uint16 // of the last redemption
	shops   [2]uint32
}

// sharedToken is a device with two accounts or more: the first eight by name, all by a sketch.
type sharedToken struct {
	accounts [8]uint32
	sketch   [4]uint64
	shops    [8]sharedShop
	head     uint32 // into the log
	uses     uint16 // after the first account's last
	again    uint16 // of these, at a shop where another account of the device was before
	day      uint16
	n        uint8 // in accounts
	raised   bool
}

type sharedShop struct {
	shop     uint32
	uses     uint16
	accounts uint8 // bits of sharedToken.accounts
}

// sharing counts how honest devices are shared: integers, so that slots add up in any order.
type sharing struct {
	devices     int64
	reached     [householdMost + 1]int64 // devices that came to have at least so many accounts
	uses, again int64                    // of devices with at most householdMost accounts
}

// tail is the probability that a device has at least k accounts.
func (s *sharing) tail(k int) float64 {
	two := (float64(s.reached[2]) + 1) / (float64(s.devices) + 20)
	// Prior of ten shared devices, half of which go on to a third account.
	ratio := (float64(s.reached[3]+s.reached[4]) + 5) / (float64(s.reached[2]+s.reached[3]) + 10)
	return two * math.Pow(ratio, float64(k-2))
}

// sameShop is how often a redemption of a shared device follows another account to the same shop.
func (s *sharing) sameShop() float64 { return (float64(s.again) + 5) / (float64(s.uses) + 20) }

func (d *gathering) Touch(v *Visit) uint64 { return d.holders.Touch(d.token.of(v.Event).Key) }

func (d *gathering) Visit(v *Visit) {
	key, account, shop := d.token.of(v.Event).Key, fold(v.Event.Customer.Key), fold(v.Event.Merchant.Key)
	h, isNew := d.holders.Get(key)
	if isNew {
		h.account = account
		d.count.devices++
	}
	h.day = max(h.day, uint16(v.Day))
	if h.account == account {
		if h.shops[0] != shop {
			h.shops = [2]uint32{shop, h.shops[0]}
		}
		return
	}
	s, isNew := d.shared.Get(key)
	if isNew {
		s.admit(h.account)
		for _, shop := range h.shops {
			if shop != 0 {
				s.visit(shop, 0)
			}
		}
		s.uses, s.again = 0, 0
		h.account = 0
	}
	s.day = h.day
	s.head = d.log.add(useOf(v, d.env, 0), s.head)
	bit, added := s.admit(account)
	again := s.visit(shop, bit)
	n := s.size()
	if added && n <= householdMost {
		d.count.reached[n]++
	}
	if n <= householdMost {
		d.count.uses++
		if again {
			d.count.again++
		}
		return
	}
	if n >= d.Accounts {
		d.judge(v, s, n)
	}
}

// admit counts an account and returns its bit among the named ones (the last for all others).
func (s *sharedToken) admit(account uint32) (bit int, added bool) {
	for i := range int(s.n) {
		if s.accounts[i] == account {
			return i, false
		}
	}
	mixed := spread(uint64(account))
	word, mask := mixed>>62, uint64(1)<<(mixed>>56&63)
	added = s.sketch[word]&mask == 0
	s.sketch[word] |= mask
	if int(s.n) < len(s.accounts) {
		s.accounts[s.n] = account
		s.n++
		return int(s.n) - 1, true
	}
	return len(s.accounts) - 1, added
}

// size is the number of accounts: exact up to eight, estimated by linear counting above.
func (s *sharedToken) size() int {
	if int(s.n) < len(s.accounts) {
		return int(s.n)
	}
	zero := 0
	for _, w := range s.sketch {
		zero += 64 - bits.OnesCount64(w)
	}
	return max(len(s.accounts), int(math.Round(-256*math.Log(max(1, float64(zero))/256))))
}

// visit counts a redemption and tells whether another account of the device was at the shop before.
func (s *sharedToken) visit(shop uint32, bit int) (again bool) {
	s.uses += min(1, ^s.uses)
	for i := range s.shops {
		p := &s.shops[i]
		if p.shop == 0 {
			p.shop = shop
		}
		if p.shop == shop {
			again = p.accounts&^(1<<bit) != 0 || bit == len(s.accounts)-1 && p.accounts != 0
			p.accounts |= 1 << bit
			p.uses += min(1, ^p.uses)
			if again {
				s.again += min(1, ^s.again)
			}
			return again
		}
	}
	return false
}

// judge says what a crowded device means for a redemption on it, and raises it.
func (d *gathering) judge(v *Visit, s *sharedToken, n int) {
	tail := d.null.tail(n)
	expected := tail * float64(max(d.null.devices, 1))
	together := binomialTail(int(s.again), int(s.uses), d.null.sameShop())
	if expected > d.FalseDevices || together > d.SameShop {
		return
	}
	most, sum, shops := 0, 0, 0
	for _, p := range s.shops {
		if p.shop != 0 {
			most, sum, shops = max(most, int(p.uses)), sum+int(p.uses), shops+1
		}
	}
	share := float64(most) / float64(max(sum, 1))
	llr := -math.Log(expected)
	if share >= .9 {
		llr = min(llr, d.Till)
	}
	signal := Signal{
		Kind: d.token.kind, LLR: llr, Observed: float64(n), Expected: 1, P: tail,
		Aux:   [6]float64{float64(shops), share, expected, together, float64(s.again), float64(s.uses)},
		Peers: fmt.Sprintf("%d %ss of the campaign, %d shared by two or more", d.null.devices, d.token.en, d.null.reached[2]),
	}
	var redemptions []FoundRedemption
	d.log.each(s.head, 0, func(u *use) {
		if len(signal.Evidence) < 20 {
			signal.Evidence = append(signal.Evidence, u.ref())
		}
		if f, ok := u.found(d.env.Arena); ok && !s.raised {
			redemptions = append(redemptions, f)
		}
	})
	if s.raised {
		redemptions = []FoundRedemption{v.Found()}
	}
	s.raised = true
	v.Say(d.env, signal)
	d.env.Find(Found{
		Typology: "T10", Subject: vw.Subject{Kind: "device", ID: v.Batch.String(d.token.of(v.Event).Text)}, Period: "campaign",
		At: v.T, LogOdds: d.env.LogOdds(d.Prior, llr), Redemptions: redemptions, Subsidy: SumOfDiscounts,
		Merchants: []string{v.MerchantID()}, Reasons: []vw.Reason{d.env.Reason(signal)},
	})
}

func gatheringSentence(s *Signal, zh, en string) vw.Bilingual {
	t := vw.Bilingual{
		Zh: fmt.Sprintf("同一%s上有 %.0f 个账号在 %.0f 家商户用券，%.0f 次中有 %.0f 次是跟着同一%s上的另一账号去同一家店；按家庭共用的分布，全体中这样的%s预期 %.2g 个", zh, s.Observed, s.Aux[0], s.Aux[5], s.Aux[4], zh, zh, s.Aux[2]),
		En: fmt.Sprintf("%.0f accounts on one %s at %.0f merchants; %.0f of %.0f times an account went where another one of the %s had been; as people share, %.2g such %ss are expected in all", s.Observed, en, s.Aux[0], s.Aux[4], s.Aux[5], en, s.Aux[2], en),
	}
	if s.Aux[1] >= .9 {
		t.Zh += "；几乎都在一家店，也可能是店内供老人使用的平板：是线索，不是证据"
		t.En += "; nearly all at one shop, which may be its own tablet for customers without a phone: a lead, no proof"
	}
	return t
}

// learnGathering gives every slot the sharing that all have counted.
func learnGathering(peers []Detector, _ *Tick) {
	var all sharing
	for _, p := range peers {
		c := &p.(*gathering).count
		all.devices += c.devices
		all.uses += c.uses
		all.again += c.again
		for i := range all.reached {
			all.reached[i] += c.reached[i]
		}
	}
	for _, p := range peers {
		p.(*gathering).null = all
	}
}

func (d *gathering) Sweep(now vw.Millis) {
	// Late ones may be older than those logged before them.
	since := now - vw.Millis(d.Days)*vw.Day - Lateness
	d.log.drop(since)
	oldest := uint16(max(0, vw.DayOf(since, d.env.Offset)))
	d.holders.Sweep(func(_ uint64, h *holder) bool { return h.day >= oldest })
	d.shared.Sweep(func(_ uint64, s *sharedToken) bool { return s.day >= oldest })
}

func (d *gathering) Size() (keys, bytes int) {
	return d.holders.Len(), d.holders.Bytes() + d.shared.Bytes() + d.log.bytes()
}
