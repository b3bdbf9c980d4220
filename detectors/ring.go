package detectors

import (
	"fmt"
	"math"
	"slices"

	vw "voucherwatch"
)

// ring looks for merchants that share a crowd (团伙, P01; 设备/卡聚集, T10): the same people cashing
// vouchers at several shops that have no reason to share customers. Visit only remembers who used
// vouchers where; at boundaries of event time Learn counts the households that each pair of merchants
// shares, compares with what place, line of business and everyone's number of visits explain
// (ringNull), and grows groups whose evidence chance cannot give (growRings). It does so twice: for all
// customers, and for the regulars, who redeem at one of the merchants far more often than people do and
// at others of the group besides. The first alone shows a crowd; the second is how vouchers are cashed.
//
// Families count once: two to four accounts on one device or card are a household. Streets, markets and
// valleys are in the null by place; a canteen binds people to one merchant and makes no links.
// Merchants of one owner or one building that are not located stay the likeliest innocent ring, and the
// finding asks to look, it does not prove.
//
// State: 32 B per redemption and 64 B per customer inside the horizon; the redemptions of members are
// kept by the finding. Source: detection.md D3b; P01 and T10 of the catalogue in regulation.md §9.
type ring struct {
	ringParams
	env       *Env
	customers Table[ringCustomer]
	log       useLog
	// cells vote for the place of merchants whose place the registry does not know, by where their
	// redemptions were.
	cells Table[placeVote]
	fresh int // redemptions since the last run
	seen  int // redemptions since the start
	// rings are those in force, the same in all slots; replaced by Learn.
	rings []*knownRing
}

type ringParams struct {
	// Days is the horizon in event time. A campaign gives a customer at most a dozen vouchers, so that
	// a short window leaves a ring two or three meetings to be seen by; 45 covers a campaign.
	Days int `yaml:"days"`
	// Fresh is the share of new redemptions from which a midnight has a run: nightly in the first fortnight,
	// every few nights later, as what is known grows.
	Fresh float64 `yaml:"fresh"`
	// FalseRings is how many rings of chance a campaign may show.
	FalseRings float64 `yaml:"false_rings"`
	// Often is the share of customer-merchant pairs that are regular beyond the usual: those with so many
	// redemptions that no more than this share has as many, and three at least.
	Often float64 `yaml:"often"`
	// Covisit caps the evidence of a crowd that only goes to the same shops, without coming to any of
	// them unusually often: a dormitory, an office block or a tour does that. 0: it is not raised.
	Covisit float64 `yaml:"covisit"`
	// MinShared is the fewest households on a link: one family cannot make a ring.
	MinShared int `yaml:"min_shared"`
	// MinMembers is the fewest members of a ring of three merchants or more; two merchants need two more.
	MinMembers int `yaml:"min_members"`
	// Purity is the least probability that a customer of several of the ring's merchants is one of the
	// ring, to be called a member.
	Purity float64 `yaml:"purity"`
	// Merchants bounds a run: those with the most shared visits are looked at (2 B per pair of them).
	Merchants int `yaml:"merchants"`
	// Prior is the log-odds that a group of merchants is a ring, before any evidence.
	Prior float64 `yaml:"prior"`
}

func init() {
	register(Spec{
		Name: "ring", Lane: CustomerLane, Typologies: []string{"P01", "T10"},
		Title: vw.Bilingual{Zh: "团伙：一批顾客反复出现在同几家商户，超出距离与客流所能解释", En: "rings: a crowd shared by merchants beyond what distance and custom explain"},
		New: func(env *Env) (Detector, error) {
			d := &ring{ringParams: ringParams{
				Days: 45, Fresh: .25, FalseRings: .1, Often: .005, MinShared: 3, MinMembers: 4, Purity: .8, Merchants: 4000, Prior: -4, Covisit: 4,
			}, env: env}
			if err := env.Params(&d.ringParams); err != nil {
				return nil, err
			}
			if d.Merchants > math.MaxUint16 || d.Days < 1 || d.MinShared < 2 {
				return nil, fmt.Errorf("parameters of ring: merchants at most %d, every and days at least 1, min_shared at least 2", math.MaxUint16)
			}
			return d, nil
		},
		Learn: learnRing,
	})
}

// ringCustomer is 24 bytes beside its key.
type ringCustomer struct {
	device, card uint64 // the last seen
	head         uint32
	ring         uint16 // 1 + index into rings, 0 none
	used         uint8  // how many of the ring's merchants
}

// placeVote counts the redemptions of a merchant in a square of 0.001 degrees.
type placeVote struct {
	merchant uint64
	x, y     int32
	n        int32
	last     vw.Millis
}

// ringWidth bounds the merchants of one customer that a run pairs: the latest count.
const ringWidth = 25

func (d *ring) Touch(v *Visit) uint64 { return d.customers.Touch(v.Event.Customer.Key) }

func (d *ring) Visit(v *Visit) {
	e := v.Event
	c, _ := d.customers.Get(e.Customer.Key)
	if e.Device.Key != 0 {
		c.device = e.Device.Key
	}
	if e.Card.Key != 0 {
		c.card = e.Card.Key
	}
	u := useOf(v, d.env)
	c.head = d.log.add(u, c.head)
	d.fresh++
	d.seen++
	if v.Merchant != nil && !v.Merchant.Located && e.Has&vw.FieldLocation != 0 {
		x, y := int32(math.Floor(e.Lon*1000)), int32(math.Floor(e.Lat*1000))
		cell, _ := d.cells.Get(pairKey(e.Merchant.Key, uint64(uint32(x))<<32|uint64(uint32(y))))
		cell.merchant, cell.x, cell.y, cell.n, cell.last = e.Merchant.Key, x, y, cell.n+1, v.T
	}
	if c.ring != 0 {
		d.member(v, c)
	}
}

// member says what the ring means for a redemption of one of its members.
func (d *ring) member(v *Visit, c *ringCustomer) {
	r := d.rings[c.ring-1]
	if !slices.Contains(r.keys, v.Event.Merchant.Key) {
		return
	}
	var evidence []IDRef // lives until the batch is scored
	d.log.each(c.head, 0, func(u *use) {
		if len(evidence) < 20 && slices.Contains(r.keys, u.Merchant) {
			evidence = append(evidence, u.ID)
		}
	})
	p := logistic(r.logOdds) * r.purity(int(c.used))
	v.Say(d.env, Signal{
		Kind: ringMember, LLR: max(0, math.Log(p/(1-p))-d.env.settings.Prior),
		Observed: float64(r.shared), Expected: r.expected, P: r.p(),
		Aux:      [6]float64{float64(len(r.keys)), float64(len(r.members)), float64(c.used), r.far},
		Evidence: evidence,
	})
	f := r.found(v.T)
	f.Redemptions = []FoundRedemption{v.Found()}
	d.env.Find(f)
}

func (d *ring) Sweep(now vw.Millis) {
	// Late ones may be older than those logged before them.
	since := now - vw.Millis(d.Days)*vw.Day - Lateness
	d.log.drop(since)
	d.customers.Sweep(func(_ uint64, c *ringCustomer) bool {
		u := d.log.at(c.head)
		return u != nil && u.At >= since
	})
	d.cells.Sweep(func(_ uint64, c *placeVote) bool { return c.last >= since })
}

func (d *ring) Size() (keys, bytes int) {
	return d.customers.Len(), d.customers.Bytes() + d.log.bytes() + d.cells.Bytes()
}

// knownRing is a ring that was found. It keeps its name while it keeps two of its merchants.
type knownRing struct {
	id        string
	seed      [2]string // the strongest pair when it was first found
	merchants []string
	keys      []uint64 // of the merchants
	members   []ringPerson
	regulars  bool // many members come to one of the merchants unusually often
	kind      *Kind
	shared    int     // customers shared, summed over the pairs of its merchants
	expected  float64 // the same under the null
	far       float64 // median distance of its located pairs in kilometres, NaN unknown
	chance    float64 // ln of how many as strong chance gives in a campaign
	logOdds   float64
	confirmed vw.Millis
	reasons   []vw.Reason
	baseline  string
}

// ringPerson is a member and how many of the ring's merchants they used.
type ringPerson struct {
	key  uint64
	used uint8
}

func (r *knownRing) p() float64 { return min(1, math.Exp(r.chance)) }

// purity is the probability that a customer of so many of the ring's merchants belongs to it: of the
// shared customers the null explains the share q, and each merchant more makes chance rarer by q.
func (r *knownRing) purity(used int) float64 {
	q := min(1, r.expected/float64(max(1, r.shared)))
	return 1 - math.Pow(q, float64(used-1))
}

func (r *knownRing) found(at vw.Millis) Found {
	return Found{
		Typology: "P01", Subject: vw.Subject{Kind: "ring", ID: r.id}, Period: "campaign", At: at, LogOdds: r.logOdds,
		Subsidy: SumOfDiscounts, Merchants: r.merchants, Reasons: r.reasons, Baseline: r.baseline,
	}
}

var ringMember = &Kind{Code: "ring.member", Typology: "P01", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	t := ringSentence(s)
	t.Zh += fmt.Sprintf("；该顾客在其中 %.0f 家用券", s.Aux[2])
	t.En += fmt.Sprintf("; this customer used vouchers at %.0f of them", s.Aux[2])
	return t
}}

var ringOverlap = &Kind{Code: "ring.overlap", Typology: "P01", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	t := ringSentence(s)
	if s.Aux[4] == 0 {
		t.Zh += "；但他们并未在任何一家异常频繁用券，也可能是宿舍、单位等共同生活圈：是线索，不是证据"
		t.En += "; but they come to none of them unusually often, so it may be a dormitory or an office: a lead, no proof"
	}
	return t
}}

var ringPartners = &Kind{Code: "ring.partners", Typology: "P01", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	t := ringSentence(s)
	t.Zh = "只计在其中一家反复用券的顾客：" + t.Zh
	t.En = "of customers who redeem again and again at one of them: " + t.En
	return t
}}

func ringSentence(s *Signal) vw.Bilingual {
	zh, en := "", ""
	if !math.IsNaN(s.Aux[3]) {
		zh = fmt.Sprintf("（相距约 %.1f 公里）", s.Aux[3])
		en = fmt.Sprintf(" (about %.1f km apart)", s.Aux[3])
	}
	return vw.Bilingual{
		Zh: fmt.Sprintf("%.0f 家商户%s两两之间共有 %.0f 个共同顾客，按距离、业态和客流预期 %.1f 个；成员 %.0f 人", s.Aux[0], zh, s.Observed, s.Expected, s.Aux[1]),
		En: fmt.Sprintf("%.0f merchants%s share %.0f customers between pairs of them, %.1f expected from distance, trade and custom; %.0f members", s.Aux[0], en, s.Observed, s.Expected, s.Aux[1]),
	}
}

var ringDevices = &Kind{Code: "ring.devices", Typology: "T10", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("%.0f 名成员中有 %.0f 人与他人共用设备或银行卡，一台最多 %.0f 个账号", s.Aux[1], s.Observed, s.Aux[0]),
		En: fmt.Sprintf("%.0f of %.0f members share a device or card with another one; at most %.0f accounts on one", s.Observed, s.Aux[1], s.Aux[0]),
	}
}}
