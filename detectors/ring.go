package detectors

import (
	"fmt"
	"math"
	"slices"

	vw "voucherwatch"
)

// ring looks for merchants that share a crowd (团伙, P01; 设备/卡聚集, T10): the same people cashing
// vouchers at several shops that have no reason to share customers. Visit only has the ledger remember
// who used vouchers where; at midnights Learn looks in three steps.
//
// First, who is odd: a customer whose amounts are made for the thresholds, or who comes back to one
// merchant more than its customers do, more so than nearly all who redeemed as often (ringOddity).
// Second, which merchants do odd customers share, beyond what place, line of business and everyone's
// number of visits explain (ringNull), and which of them make a group that chance cannot give
// (ringCrowd.grow). Third, of all who go to several merchants of the group, are more odd than of people at
// large? A dormitory, an office block or a tour share their shops, too, but are no odder than others. The
// evidence is the weaker of the second and the third.
//
// Families count once: two to four odd accounts on one device or card are a household. Streets, markets
// and valleys are in the null by place; a canteen's regulars are judged by its other regulars. Merchants of
// one owner that are not located stay the likeliest innocent ring, and the finding asks to look, it
// does not prove.
//
// State: the ledger's; a run works on 2 bytes per merchant and what odd customers share. The redemptions
// of members are kept by the finding. Source: detection.md D3b; P01 and T10 of the catalogue in
// regulation.md §9.
type ring struct {
	ringParams
	env *Env
	// cells vote for the place of merchants whose place the registry does not know, by where their
	// redemptions were.
	cells Table[placeVote]
	fresh int // redemptions since the last run
	seen  int // redemptions since the start
	// rings are those in force, the same in all slots; replaced by Learn.
	rings []*knownRing
	run   *ringRun // of the first slot, which does the runs
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
	// Odd are the shares of customers that count as odd: each is a look of its own.
	Odd [2]float64 `yaml:"odd"`
	// Crowd is the evidence of a crowd beyond chance, before looking at who they are: a dormitory, an office
	// block or a tour is one, too.
	Crowd float64 `yaml:"crowd"`
	// MinMembers is the fewest members of a ring of three merchants or more; two merchants need two more.
	MinMembers int `yaml:"min_members"`
	// Purity is the least probability that a customer is one of the ring, to be called a member.
	Purity float64 `yaml:"purity"`
	// Merchants bounds a run: those with the most redemptions are looked at.
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
				Days: 45, Fresh: .25, FalseRings: .1, Odd: [2]float64{.01, .05}, Crowd: 5, MinMembers: 4, Purity: .8, Merchants: 4000, Prior: -4,
			}, env: env}
			if err := env.Params(&d.ringParams); err != nil {
				return nil, err
			}
			if d.Merchants < 2 || d.Merchants > math.MaxUint16 || d.Days < 1 || d.MinMembers < 2 || d.Odd[0] <= 0 || d.Odd[1] < d.Odd[0] || d.Odd[1] > .5 {
				return nil, fmt.Errorf("parameters of ring: merchants 2 to %d, days at least 1, min_members at least 2, odd two rising shares up to 0.5", math.MaxUint16)
			}
			env.Ledger.days = max(env.Ledger.days, d.Days)
			return d, nil
		},
		Learn: learnRing,
	})
}

// placeVote counts the redemptions of a merchant in a square of 0.001 degrees.
type placeVote struct {
	merchant uint64
	x, y     int32
	n        int32
	last     vw.Millis
}

func (d *ring) Visit(v *Visit) {
	e := v.Event
	s := d.env.Ledger.visit(v, d.env)
	if s.use == nil {
		return
	}
	d.fresh++
	d.seen++
	if v.Merchant != nil && !v.Merchant.Located && e.Has&vw.FieldLocation != 0 {
		x, y := int32(math.Floor(e.Lon*1000)), int32(math.Floor(e.Lat*1000))
		cell, _ := d.cells.Get(pairKey(e.Merchant.Key, uint64(uint32(x))<<32|uint64(uint32(y))))
		cell.merchant, cell.x, cell.y, cell.n, cell.last = e.Merchant.Key, x, y, cell.n+1, v.T
	}
	if s.patron.ring != 0 {
		d.member(v, s.patron)
	}
}

// member says what the ring means for a redemption of one of its members.
func (d *ring) member(v *Visit, c *patron) {
	r := d.rings[c.ring-1]
	if !slices.Contains(r.keys, v.Event.Merchant.Key) {
		return
	}
	var evidence []IDRef // lives until the batch is scored
	l := d.env.Ledger
	l.log.each(c.head, 0, func(u *use) {
		if len(evidence) < 20 && slices.Contains(r.keys, l.keys[u.place]) {
			evidence = append(evidence, u.ref())
		}
	})
	p := logistic(r.logOdds) * float64(c.purity) / 100
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
	d.env.Ledger.sweep(now, d.env.Offset)
	since := now - vw.Millis(d.Days)*vw.Day - Lateness
	d.cells.Sweep(func(_ uint64, c *placeVote) bool { return c.last >= since })
}

func (d *ring) Size() (keys, bytes int) { return d.cells.Len(), d.cells.Bytes() + d.run.bytes() }

// knownRing is a ring that was found. It keeps its name while it keeps two of its merchants.
type knownRing struct {
	id        string
	seed      [2]string // the strongest pair when it was first found
	merchants []string
	keys      []uint64 // of the merchants
	members   []ringPerson
	shared    int     // merchants that its odd customers used beyond their first
	expected  float64 // the same under the null
	far       float64 // median distance of its located pairs in kilometres, NaN unknown
	together  int     // households that use several of its merchants
	odd       int     // of these, odd
	plain     float64 // the others, less those that chance explains
	usual     float64 // share of the odd among people at large
	chance    float64 // ln of how many as strong chance gives in a campaign
	logOdds   float64
	confirmed vw.Millis
	reasons   []vw.Reason
	baseline  string
}

// ringPerson is a member, how many of the ring's merchants they used, and how surely they belong, in percent.
type ringPerson struct {
	key    uint64
	slot   int32
	used   uint8
	purity uint8
}

func (r *knownRing) p() float64 { return min(1, math.Exp(r.chance)) }

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

var ringPartners = &Kind{Code: "ring.partners", Typology: "P01", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	t := ringSentence(s)
	t.Zh += fmt.Sprintf("；在其中多家用券的 %.0f 户里有 %.0f 户用券反常，一般人中为 %.1f%%", s.Aux[2], s.Aux[4], 100*s.Aux[5])
	t.En += fmt.Sprintf("; of %.0f households that use several of them %.0f are odd, of people at large %.1f%% are", s.Aux[2], s.Aux[4], 100*s.Aux[5])
	return t
}}

func ringSentence(s *Signal) vw.Bilingual {
	zh, en := "", ""
	if !math.IsNaN(s.Aux[3]) {
		zh = fmt.Sprintf("（相距约 %.1f 公里）", s.Aux[3])
		en = fmt.Sprintf(" (about %.1f km apart)", s.Aux[3])
	}
	return vw.Bilingual{
		Zh: fmt.Sprintf("%.0f 家商户%s的反常顾客（反复到同一家用券，或金额贴着门槛）在其他几家也用券 %.0f 家次，按距离、业态和客流预期 %.1f；成员 %.0f 人", s.Aux[0], zh, s.Observed, s.Expected, s.Aux[1]),
		En: fmt.Sprintf("odd customers (who come back to one shop again and again, or whose amounts are made for the threshold) of %.0f merchants%s use the others of them, too, %.0f times, %.1f expected from distance, trade and custom; %.0f members", s.Aux[0], en, s.Observed, s.Expected, s.Aux[1]),
	}
}

var ringDevices = &Kind{Code: "ring.devices", Typology: "T10", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("%.0f 名成员中有 %.0f 人与他人共用设备或银行卡，一台最多 %.0f 个账号", s.Aux[1], s.Observed, s.Aux[0]),
		En: fmt.Sprintf("%.0f of %.0f members share a device or card with another one; at most %.0f accounts on one", s.Observed, s.Aux[1], s.Aux[0]),
	}
}}
