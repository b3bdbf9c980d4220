package detectors

import (
	"fmt"
	"slices"

	vw "voucherwatch"
)

// loveRules is the part of rulesVoucher that watches 爱心消费券 (T24): a balance given to a listed person,
// who or whose registered agent may spend it, up to its limit.
//
// Whose a voucher is its claim tells. Carers and village cadres who buy for others are agents, as many
// people as they may serve; only who is neither holder nor agent is told of.
type loveRules struct {
	env *Env
	// rows is the list of 民政 and 乡村振兴 by customer, agentOf the customers an agent was ever named for.
	rows     map[uint64]history[aidRow]
	agentOf  map[uint64][]uint64
	accounts Table[aidAccount] // by voucher
	spends   Table[aidSpend]   // by redemption, for refunds
}

type aidRow struct {
	listed bool
	limit  vw.Fen
	agents []uint64
}

type aidAccount struct {
	owner uint64 // who claimed it; 0 unknown
	spent vw.Fen // net of refunds
}

type aidSpend struct {
	voucher  uint64
	discount vw.Fen
}

const (
	notListed = 1 + iota
	unlisted  // nor agent of a listed person, the holder not being known
	delisted
	notAgent
	overLimit
)

var aidKind = &Kind{Code: "rules_voucher.aid", Typology: "T24", Window: campaignPeriod, Text: func(s *Signal) vw.Bilingual {
	switch int(s.Aux[0]) {
	case notListed:
		return vw.Bilingual{Zh: "爱心券的持有人不在救助名单内", En: "the voucher of care belongs to nobody on the beneficiaries' list"}
	case unlisted:
		return vw.Bilingual{Zh: "使用爱心券的人不在救助名单内，也不是名单内任何人的代办人", En: "the voucher of care was used by one who is neither on the beneficiaries' list nor an agent of anybody on it"}
	case delisted:
		return vw.Bilingual{Zh: "持有人移出救助名单后仍使用爱心券", En: "the voucher of care was used after its holder had been removed from the list"}
	case notAgent:
		return vw.Bilingual{Zh: "爱心券由他人使用：既非本人，也非登记的代办人", En: "the voucher of care was used by one who is neither its holder nor a registered agent"}
	}
	return vw.Bilingual{
		Zh: fmt.Sprintf("爱心券累计使用 %s，超过额度 %s", vw.Fen(s.Observed).Yuan(), vw.Fen(s.Expected).Yuan()),
		En: fmt.Sprintf("%s of the voucher of care have been used, beyond its limit of %s", vw.Fen(s.Observed).Yuan(), vw.Fen(s.Expected).Yuan()),
	}
}}

func newLoveRules(env *Env) loveRules {
	return loveRules{env: env, rows: map[uint64]history[aidRow]{}, agentOf: map[uint64][]uint64{}}
}

// row takes in a row of the list.
func (l *loveRules) row(e *vw.Event) {
	row, ok := e.Detail.(*vw.Beneficiary)
	if !ok {
		return
	}
	r := aidRow{listed: row.Status == "listed", limit: vw.Fen(row.LimitFen)}
	for _, id := range row.AgentCustomerIDs {
		agent := vw.HashString(id)
		r.agents = append(r.agents, agent)
		if !slices.Contains(l.agentOf[agent], e.Customer.Key) {
			l.agentOf[agent] = append(l.agentOf[agent], e.Customer.Key)
		}
	}
	l.rows[e.Customer.Key] = l.rows[e.Customer.Key].put(e.At, r)
}

// claim learns whose a voucher is.
func (l *loveRules) claim(e *vw.Event) {
	a, _ := l.accounts.Get(e.Voucher.Key)
	a.owner = e.Customer.Key
}

// refund gives money back to the balance and tells whether the redemption was one of 爱心. What share of
// a refund is the voucher's depends on the policy; the most that can be is granted.
func (l *loveRules) refund(e *vw.Event) bool {
	s := l.spends.Find(e.Target.Key)
	if s == nil {
		return false
	}
	back := min(s.discount, e.Amount)
	s.discount -= back
	if a := l.accounts.Find(s.voucher); a != nil {
		a.spent -= back
	}
	return true
}

// visit books a use and checks who made it.
func (l *loveRules) visit(v *Visit) {
	e := v.Event
	a, _ := l.accounts.Get(e.Voucher.Key)
	a.spent += e.DiscountFen
	spend, _ := l.spends.Get(e.ID.Key)
	*spend = aidSpend{e.Voucher.Key, e.DiscountFen}
	if len(l.rows) == 0 {
		v.Blind(l.env, vw.FieldClaimedAt) // no list has come: the contract names no field for it
		return
	}
	what, limit := l.judge(a.owner, e.Customer.Key, v.T)
	if limit == 0 {
		limit = v.Voucher.Limit
	}
	s := Signal{Observed: 1, Expected: None, P: None}
	if what == 0 && a.spent > limit {
		what, s.Observed, s.Expected = overLimit, float64(a.spent), float64(limit)
	}
	if what == 0 {
		return
	}
	s.Aux[0], s.Evidence = float64(what), []IDRef{v.Keep(l.env)}
	s = l.env.breach(aidKind, s)
	v.Say(l.env, s)
	// No merchant is named: a till cannot see whose a voucher is.
	l.env.Find(l.env.breachFound(&s, v.T, vw.Subject{Kind: "customer", ID: v.CustomerID()}, campaignPeriod, nil, v.Found()))
}

// judge tells what is wrong with a use by a customer of a voucher whose owner may be unknown (0), and the
// owner's limit; 0 is not known.
func (l *loveRules) judge(owner, customer uint64, t vw.Millis) (what int, limit vw.Fen) {
	if owner == 0 {
		if len(l.rows[customer]) == 0 {
			for _, o := range l.agentOf[customer] {
				if l.at(o, t).listed {
					return 0, 0
				}
			}
			return unlisted, 0
		}
		owner = customer
	}
	if len(l.rows[owner]) == 0 {
		return notListed, 0
	}
	r := l.at(owner, t)
	switch {
	case !r.listed:
		return delisted, r.limit
	case owner != customer && !slices.Contains(r.agents, customer):
		return notAgent, r.limit
	}
	return 0, r.limit
}

// at is a person's row in force at t, or the first one: lists are sent after they were decided.
func (l *loveRules) at(customer uint64, t vw.Millis) aidRow {
	h := l.rows[customer]
	if r, ok := h.on(t); ok || len(h) == 0 {
		return r
	}
	return h[0].val
}

func (l *loveRules) size() (keys, bytes int) {
	return l.accounts.Len() + len(l.rows), l.accounts.Bytes() + l.spends.Bytes() + 200*len(l.rows)
}
