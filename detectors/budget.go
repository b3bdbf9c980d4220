package detectors

import (
	"fmt"
	"strconv"
	"strings"

	vw "voucherwatch"
)

// budget adds up what the state has paid, per round and category, and says which redemptions lie beyond
// what the plan gives (C04). 爱心 vouchers have a budget of their own, in no round.
//
// The sum is gross: a refund returns money to the pool some days later and by the platform's ledger, so
// it does not make room here. A category to which a round gives nothing on paper is not watched.
//
//	Key:   the campaign.  State: a sum per budget and at most 1,000 redemptions of each that is overspent.
//	Late:  counted in its own round.
//	Basis: campaign plan, table of rounds; regulation 6: Σ discount per pool ≤ round budget.
type budget struct {
	env   *Env
	pools []pool
}

// pool is one budget: a round's of a category, or a balance voucher's.
type pool struct {
	name        string // "round-2/retail", "love"
	title       string // as people call it, Chinese and English in a line each
	limit, paid vw.Fen
	over        int // redemptions beyond the limit
	list        []FoundRedemption
	told        int // over when the finding was last revised
	last        vw.Millis
}

// budgetListed is how many redemptions beyond a budget its finding lists.
const budgetListed = 1000

var budgetKind = &Kind{Code: "budget.overspent", Typology: "C04", Text: func(s *Signal) vw.Bilingual {
	titleZh, titleEn, _ := strings.Cut(s.Note, "\n")
	zh, en := "", ""
	if n := int(s.Aux[0]); n > 0 {
		zh, en = fmt.Sprintf("，超出部分 %d 笔", n), fmt.Sprintf(", %d redemption(s) beyond it", n)
		if n > budgetListed {
			zh, en = zh+fmt.Sprintf("（仅列 %d 笔）", budgetListed), en+fmt.Sprintf(" (the first %d are listed)", budgetListed)
		}
	}
	return vw.Bilingual{
		Zh: fmt.Sprintf("%s 预算 %s，已核销 %s%s（未扣退款）", titleZh, vw.Fen(s.Expected).Yuan(), vw.Fen(s.Observed).Yuan(), zh),
		En: fmt.Sprintf("%s has a budget of %s; %s were redeemed%s (refunds not deducted)", titleEn, vw.Fen(s.Expected).Yuan(), vw.Fen(s.Observed).Yuan(), en),
	}
}}

func init() {
	register(Spec{
		Name: "budget", Lane: CampaignLane, Late: true, Typologies: []string{"C04"},
		Title: vw.Bilingual{Zh: "预算超支：某轮某品类核销超过预算", En: "a round's budget of a category is overspent"},
		New:   newBudget,
		Learn: learnBudget,
	})
}

func newBudget(env *Env) (Detector, error) {
	c := env.Campaign
	d := &budget{env: env, pools: make([]pool, len(c.Rounds)*int(vw.Categories)+len(c.Vouchers))}
	for i, r := range c.Rounds {
		for cat, limit := range r.Budget {
			cat := vw.Category(cat)
			d.pools[i*int(vw.Categories)+int(cat)] = pool{
				name: "round-" + strconv.Itoa(r.Number) + "/" + cat.String(), limit: limit,
				title: fmt.Sprintf("第 %d 轮%s\n%s in round %d", r.Number, cat.Chinese(), cat, r.Number),
			}
		}
	}
	for i := range c.Vouchers {
		if w := &c.Vouchers[i]; w.Balance {
			d.pools[len(c.Rounds)*int(vw.Categories)+i] = pool{name: w.Code, title: w.Name + "\n" + w.Code, limit: w.Budget}
		}
	}
	return d, nil
}

// Visit books the discount.
func (d *budget) Visit(v *Visit) {
	var p *pool
	switch {
	case v.Voucher.Balance:
		p = &d.pools[len(d.env.Campaign.Rounds)*int(vw.Categories)+int(v.Event.VoucherType)]
	case v.Round >= 0:
		p = &d.pools[v.Round*int(vw.Categories)+int(v.Voucher.Category)]
	default:
		return
	}
	p.paid += v.Event.DiscountFen
	if p.limit == 0 || p.paid <= p.limit {
		return
	}
	p.over++
	p.last = max(p.last, v.T)
	s := d.env.breach(budgetKind, Signal{
		Observed: float64(p.paid), Expected: float64(p.limit), P: None, Note: p.title, Evidence: []IDRef{v.Keep(d.env)},
	})
	v.Say(d.env, s)
	if len(p.list) < budgetListed {
		p.list = append(p.list, v.Found())
	}
	if p.over == 1 {
		d.tell(p)
	}
}

// tell raises or revises the finding of an overspent pool. The money at stake is what exceeds the limit,
// not the whole of the redemption that crossed it.
func (d *budget) tell(p *pool) {
	p.told = p.over
	s := d.env.breach(budgetKind, Signal{
		Observed: float64(p.paid), Expected: float64(p.limit), P: None, Note: p.title, Aux: [6]float64{float64(p.over)},
	})
	for i := range min(len(p.list), 20) {
		s.Evidence = append(s.Evidence, d.env.Arena.Keep([]byte(p.list[i].ID), vw.DayOf(p.list[i].At, d.env.Offset)))
	}
	f := d.env.breachFound(&s, p.last, vw.Subject{Kind: "campaign", ID: d.env.Campaign.ID, With: p.name}, campaignPeriod, nil, p.list...)
	f.Subsidy, f.Replace = p.paid-p.limit, true
	d.env.Find(f)
}

// learnBudget revises, once an hour, the findings of pools that went on being overspent.
func learnBudget(peers []Detector, _ *Tick) {
	d := peers[0].(*budget) // the campaign's lane is slot 0
	for i := range d.pools {
		if p := &d.pools[i]; p.over > p.told {
			d.tell(p)
		}
	}
}

// Size counts the listed redemptions.
func (d *budget) Size() (keys, bytes int) {
	for i := range d.pools {
		keys += len(d.pools[i].list)
	}
	return keys, 96*len(d.pools) + 64*keys
}
