package credit

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
)

// Proposal is what two people approve: change anything in it, and their approvals are void.
type Proposal struct {
	Campaign   string     `json:"campaign"`
	Tier       Tier       `json:"tier"`
	Case       string     `json:"case_id"`
	Party      Party      `json:"party"`
	Basis      Basis      `json:"basis"`
	Deed       Deed       `json:"deed"`
	Instrument Instrument `json:"instrument"`
	Measure    string     `json:"measure"` // what follows from it, in words
	Start      Day        `json:"start"`
	End        Day        `json:"end"` // the last day
	Proposer   string     `json:"proposer"`
}

// Hash is "sm3:" and the SM3 of the proposal in canonical JSON (RFC 8785), in hex: what an approval signs.
func (p *Proposal) Hash() string {
	b, err := Canonical(p)
	if err != nil {
		return "" // no approval has it
	}
	sum := sm3.Sum(b)
	return "sm3:" + hex.EncodeToString(sum[:])
}

// Canonical is a value in canonical JSON (RFC 8785): what is hashed and signed.
func Canonical(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	text := jsontext.Value(b)
	err = text.Canonicalize()
	return text, err
}

// Grounds are what the case workflow has on record for a proposal.
type Grounds struct {
	Notice Notice `json:"notice"`
	Reply  Reply  `json:"reply"`
	// Hearing is none (there is no right to one), not_asked, held or waived.
	Hearing   string     `json:"hearing"`
	Legal     Review     `json:"legal_review,omitzero"` // 法制审核
	City      Review     `json:"city_consent,omitzero"`
	Appeal    Appeal     `json:"appeal"`
	Approvals []Approval `json:"approvals"`
}

// Gate is the case workflow, as the lists see it. Grounds are those of a case's proposal for a list, as
// they stand now; a case that is not there is vw.NotFound. Safe for concurrent use.
type Gate interface {
	Grounds(ctx context.Context, caseID string, tier Tier) (Grounds, error)
}

// Missing is one gate that is not passed.
type Missing struct {
	Gate string       `json:"gate"` // closed set: party, basis, instrument, notice, reply, hearing, legal_review, city_consent, appeal, term, approvals
	Text vw.Bilingual `json:"text"`
}

// Refusal lists every gate that is not passed. It is vw.Invalid.
type Refusal struct{ Missing []Missing }

func (r *Refusal) Error() string {
	var s []string
	for _, m := range r.Missing {
		s = append(s, m.Gate+": "+m.Text.En+"（"+m.Text.Zh+"）")
	}
	return strings.Join(s, "\n")
}

var (
	recordKinds = []string{Penalty, Judgment, Ruling, Enforcement}
	appeals     = []string{"none", "reconsideration", "litigation", "upheld", "overturned"}
	hearings    = []string{"none", "not_asked", "held", "waived"}
)

// Check looks at every gate of a proposal, on a day. Warnings ask for a look and hold nothing up.
func (r *Rules) Check(p *Proposal, g *Grounds, now time.Time) (missing []Missing, warnings []string) {
	today := DayOf(now, r.zone())
	need := func(ok bool, gate, zh, en string) {
		if !ok {
			missing = append(missing, Missing{gate, vw.Bilingual{Zh: zh, En: en}})
		}
	}
	record := p.Tier == Record
	need(record || p.Tier == Exclusion, "party", "名单类别须为活动资格取消或依法列入之一", "the list must be activity_exclusion or credit_record")
	need(p.Campaign != "" && p.Case != "" && p.Proposer != "", "party", "缺少活动、案件或提出人", "campaign, case and proposer are required")

	// Who.
	need(strings.TrimSpace(p.Party.Name) != "", "party", "缺少当事人名称", "the party has no name")
	need(p.Party.Kind == Organisation || p.Party.Kind == SoleTrader, "party", "只列单位和个体工商户，不列自然人", "only organisations and sole traders are listed, never natural persons")
	u := ParseUSCC(p.Party.USCC)
	need(p.Party.USCC == "" || u.Code == p.Party.USCC, "party", "统一社会信用代码须先规范为 "+u.Code, "write the code as "+u.Code)
	switch {
	case record && p.Party.USCC == "" && p.Party.RegNo == "":
		need(false, "party", "缺少统一社会信用代码（或者原工商注册号），不能确认主体", "without a unified social credit code or registration number the party is not identified")
	case p.Party.USCC != "" && !u.Form:
		need(false, "party", "统一社会信用代码不是 18 位规定字符", "the code does not have the 18 characters that a code has")
	case p.Party.USCC != "" && !u.Check:
		warning := fmt.Sprintf("统一社会信用代码校验位应为 %c，请在登记机关核对 · the check digit should be %c: look it up in the registry", u.Expected, u.Expected)
		if u.Suggestion != "" {
			warning += "（" + u.Suggestion + "？）"
		}
		warnings = append(warnings, warning)
		need(!record || p.Party.RegistryChecked != nil && p.Party.RegistryChecked.By != "" && p.Party.RegistryChecked.On.valid(), "party", "校验位不符，须有登记机关核对记录", "the check digit does not fit: record who looked the party up in the registry, and when")
	}
	need(p.Tier != Exclusion || p.Party.MerchantID != "", "party", "缺少商户号，资格取消无从生效", "without a merchant id the exclusion cannot take effect")

	// What, and by which rule, on the day of the deed.
	need(p.Deed.From.valid() && p.Deed.To.valid() && p.Deed.From <= p.Deed.To && p.Deed.To <= today && p.Deed.Text != "", "basis", "缺少行为事实及其起止日期", "what was done, from when to when, is not told")
	need(p.Basis.Code != "" && p.Basis.Text != "", "basis", "缺少依据条款", "the rule with its article is missing")
	need(p.Basis.For == p.Tier, "basis", "所引依据不能作为"+p.Tier.Label()+"的依据", "the rule does not authorise this list")
	need(p.Basis.From.valid() && p.Basis.From <= p.Deed.From && (p.Basis.To == "" || p.Deed.To <= p.Basis.To), "basis", "行为发生之日所引依据不在有效期内", "the rule was not in force on the days of the deed")
	need(p.Measure != "", "basis", "缺少处理内容", "the measure is not told")
	need(record || !strings.Contains(p.Measure+p.Basis.Text, "失信"), "basis", "活动资格取消不得使用“失信”字样", "an exclusion does not speak of dishonesty (失信)")

	// The instrument.
	i := &p.Instrument
	need(i.Number != "" && i.Authority != "" && i.Date.valid() && i.Date <= today, "instrument", "缺少文书文号、作出机关或日期", "the instrument's number, authority or date is missing")
	need(i.Served.valid() && i.Served >= i.Date && i.Served <= today, "instrument", "缺少文书送达日期", "the instrument has not been served")
	if record {
		need(slices.Contains(recordKinds, i.Kind), "instrument", "依法列入须有已生效的处罚决定、判决或者裁定", "a credit record needs a penalty decision, judgment or ruling")
		need(i.Effective.valid() && i.Effective <= today, "instrument", "文书尚未生效", "the instrument has no legal effect yet")
		need(ParseUSCC(i.AuthorityUSCC).Form, "instrument", "缺少作出机关的统一社会信用代码", "the authority's code is missing")
	} else {
		need(i.Kind == Decision, "instrument", "须有活动资格取消决定", "the office's decision is missing")
	}

	// Notice and reply.
	n := &g.Notice
	need(n.Number != "" && n.Served.valid() && n.Served <= today, "notice", "事先告知书没有送达记录", "the prior notice is not recorded as served")
	need(n.ReplyBy.valid() && n.ReplyBy >= n.Served, "notice", "告知书没有陈述申辩期限", "the notice gives no time to reply")
	answered := g.Reply.Received != ""
	need(n.Waived || answered || n.ReplyBy.valid() && today > n.ReplyBy, "reply", "陈述申辩期限未满", "the time to reply is not over")
	if answered {
		need(g.Reply.Reviewed.By != "" && g.Reply.Reviewed.On.valid(), "reply", "陈述申辩未复核", "the reply has not been reviewed")
		need(g.Reply.Answered.valid(), "reply", "陈述申辩未答复", "the reply has not been answered")
	}
	need(!i.Date.valid() || !n.Served.valid() || n.Served <= i.Date, "notice", "告知在决定之后", "the notice came after the decision")

	if record {
		need(slices.Contains(hearings, g.Hearing), "hearing", "未记录听证情况", "whether there was a hearing is not recorded")
		need(g.Legal.By != "" && g.Legal.On.valid() && g.Legal.On <= today, "legal_review", "未经法制审核", "there was no legal review")
		need(g.Legal.By == "" || g.Legal.By != p.Proposer, "legal_review", "法制审核人不得是提出人", "the legal reviewer is the proposer")
		need(!p.Basis.CityConsent || g.City.By != "" && g.City.On.valid(), "city_consent", "未经上级机关同意", "the upper level has not agreed")
	}
	need(slices.Contains(appeals, g.Appeal.State), "appeal", "未记录复议、诉讼状态", "whether it is fought is not recorded")
	need(g.Appeal.State != "overturned", "appeal", "文书已被撤销或者变更", "the instrument was overturned")
	if g.Appeal.State == "reconsideration" || g.Appeal.State == "litigation" {
		warnings = append(warnings, "复议或诉讼尚未终结 · reconsideration or litigation is pending")
	}

	// How long.
	need(p.Start.valid() && p.End.valid() && p.End > p.Start, "term", "缺少起止日期", "beginning and end are required, in this order")
	if p.Start.valid() && p.End.valid() {
		need(p.Start >= i.Date, "term", "起始日早于决定日", "it begins before the decision")
		term, ok := r.term(p.Tier, p.Start)
		need(ok, "term", "没有适用于该日的期限规定", "no rule on terms holds on that day")
		if ok {
			need(p.End <= term.last(p.Start), "term", fmt.Sprintf("期限超过 %d 个月", term.Months), fmt.Sprintf("it lasts longer than %d months", term.Months))
		}
	}
	r.approvals(p, g, now, need)
	return missing, warnings
}

// approvals wants two people, other than the proposer, under exactly this proposal.
func (r *Rules) approvals(p *Proposal, g *Grounds, now time.Time, need func(ok bool, gate, zh, en string)) {
	hash := p.Hash()
	people, stale, self := map[string]bool{}, 0, 0
	for _, a := range g.Approvals {
		switch {
		case a.By == "" || a.At.After(now):
		case a.By == p.Proposer:
			self++
		case hash == "" || a.Payload != hash:
			stale++
		default:
			people[a.By] = true
		}
	}
	need(self == 0, "approvals", "提出人不得审批自己的提议", "the proposer approved their own proposal")
	need(len(people) >= 2, "approvals", fmt.Sprintf("须两名不同的审批人，现有 %d 名有效（%d 份审批的内容已变更）", len(people), stale),
		fmt.Sprintf("two people must approve it as it stands; %d have (%d approvals are of another content)", len(people), stale))
}
