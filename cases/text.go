package cases

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	vw "voucherwatch"
)

// WriteList prints cases as a table for a terminal, one line each, in the order given. Tokens of people
// and devices are masked. The error is the writer's.
func WriteList(w io.Writer, cs []vw.Case) error {
	rows := [][]string{{"案件 CASE", "状态 STATUS", "评分 SCORE", "严重 SEVERITY", "补贴 SUBSIDY", "期限 DUE", "对象 SUBJECT", "类型 TYPOLOGIES"}}
	for i := range cs {
		c := &cs[i]
		rows = append(rows, []string{c.CaseID, both(statusName(c.Status)), fmt.Sprint(c.Score), both(severityName(c.Severity)),
			c.SubsidyFen.Yuan(), minute(c.DueAt), subjectName(c.Subject), strings.Join(c.Typologies, " ")})
	}
	if err := writeTable(w, rows, 2, 4); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "共 %d 件 (%d cases)\n", len(cs), len(cs))
	return err
}

// WriteCase prints one case for whoever works on it: Chinese first, then English. Name gives the names
// of typology and agency codes; an empty name leaves the code alone. Findings are printed strongest
// first. Tokens of people and devices are masked. The error is the writer's.
func WriteCase(w io.Writer, c vw.Case, findings []vw.Finding, name func(code string) vw.Bilingual) error {
	p := &page{name: name}
	p.line("%s  %s", c.CaseID, both(statusName(c.Status)))
	p.line("线索仅供核查，不是认定。 A lead to check, not a finding of guilt.")
	p.line("")
	p.table([][]string{
		{"对象 Subject", subjectName(c.Subject)},
		{"活动 Campaign", c.Campaign},
		{"评分 Score", fmt.Sprintf("%d / 1000", c.Score)},
		{"严重程度 Severity", both(severityName(c.Severity))},
		{"涉及补贴 Subsidy", c.SubsidyFen.Yuan()},
		{"承办人 Assignee", cmp.Or(c.Assignee, "未分派 nobody yet")},
		{"立案 Opened", minute(c.OpenedAt)},
		{"更新 Updated", fmt.Sprintf("%s, 第 %d 版 (revision %d)", minute(c.UpdatedAt), c.Revision, c.Revision)},
		{"期限 Due", minute(c.DueAt)},
	})
	p.head("疑似类型", "Typologies")
	p.codes(c.Typologies)
	p.head("通报单位", "Agencies to tell")
	p.codes(c.Agencies)
	p.head(fmt.Sprintf("线索 %d 条", len(findings)), "Findings")
	ordered := slices.Clone(findings)
	slices.SortFunc(ordered, func(a, b vw.Finding) int {
		return cmp.Or(b.Score-a.Score, cmp.Compare(a.FindingID, b.FindingID))
	})
	for i := range ordered {
		p.finding(i+1, &ordered[i])
	}
	p.head("经过", "Timeline")
	for _, e := range c.Timeline {
		p.line("  %s  %s", minute(e.At), cmp.Or(e.Who, "system"))
		p.text("    ", e.Text)
	}
	p.head("下一步", "What to do next")
	p.text("  ", next(&c))
	_, err := io.WriteString(w, p.b.String())
	return err
}

// page gathers the text of a case.
type page struct {
	b    strings.Builder
	name func(string) vw.Bilingual
}

// line writes one line; texts from outside must have passed clean.
func (p *page) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = clean(s)
		}
	}
	fmt.Fprintf(&p.b, format+"\n", args...)
}

func (p *page) head(zh, en string) { p.line("\n%s %s", zh, en) }

func (p *page) table(rows [][]string) { _ = writeTable(&p.b, rows) }

func (p *page) text(indent string, t vw.Bilingual) {
	if t.Zh != "" {
		p.line("%s%s", indent, t.Zh)
	}
	if t.En != "" {
		p.line("%s%s", indent, t.En)
	}
}

func (p *page) codes(codes []string) {
	for _, code := range codes {
		p.line("  %s", p.named(code))
	}
}

func (p *page) named(code string) string {
	if p.name == nil {
		return code
	}
	return strings.TrimSpace(code + " " + both(p.name(code)))
}

func (p *page) finding(n int, f *vw.Finding) {
	p.line("  %d. %s", n, p.named(f.Typology))
	p.line("     %s  第 %d 版 (revision %d)", f.FindingID, f.Revision, f.Revision)
	p.line("     评分 score %d, 严重程度 severity %s, 补贴 subsidy %s", f.Score, both(severityName(f.Severity)), f.SubsidyFen.Yuan())
	p.line("     对象 subject %s", subjectName(f.Subject))
	p.line("     时间 time %s – %s", minute(f.FirstAt), minute(f.LastAt))
	for _, r := range f.Reasons {
		sign := "+" // speaks for it
		if r.Weight < 0 {
			sign = "−"
		}
		p.line("     %s %s", sign, r.Text.Zh)
		p.line("       %s", r.Text.En)
		if len(r.Evidence) > 0 {
			p.line("       证据 evidence: %s", strings.Join(r.Evidence, " "))
		}
	}
	p.line("     核销 redemptions (%d): %s", len(f.RedemptionIDs), some(f.RedemptionIDs, 20))
}

// some are the first ids of a list and how many more there are.
func some(ids []string, most int) string {
	if len(ids) <= most {
		return strings.Join(ids, " ")
	}
	return fmt.Sprintf("%s … 另 %d 笔 (%d more)", strings.Join(ids[:most], " "), len(ids)-most, len(ids)-most)
}

// next is what the case waits for.
func next(c *vw.Case) vw.Bilingual {
	switch c.Status {
	case Closed:
		return vw.Bilingual{Zh: "已结案，无须处理；出现新线索时按规则重新打开或另立新案。",
			En: "Closed; nothing to do. New evidence reopens it or begins a new case by the rule."}
	case InReview:
		return vw.Bilingual{Zh: "由未参与核查的人员审核证据，作出结论。",
			En: "Someone who did not investigate reviews the evidence and decides."}
	}
	due := minute(c.DueAt)
	if c.Assignee == "" {
		return vw.Bilingual{Zh: "分派核查人，于 " + due + " 前调取小票、监控和交易明细，并听取商户说明。",
			En: "Assign an investigator; by " + due + " obtain receipts, video and transaction records, and hear the merchant."}
	}
	return vw.Bilingual{Zh: "于 " + due + " 前调取小票、监控和交易明细，听取商户说明，提交审核。",
		En: "By " + due + " obtain receipts, video and transaction records, hear the merchant, and submit for review."}
}

func statusName(s string) vw.Bilingual {
	zh := map[string]string{Open: "待核查", InReview: "审核中", Closed: "已结案"}[s]
	return vw.Bilingual{Zh: zh, En: s}
}

func both(b vw.Bilingual) string { return strings.TrimSpace(b.Zh + " " + b.En) }

// subjectName is a subject as shown. Customers and devices are people: only the end of a token shows.
func subjectName(s vw.Subject) string {
	zh := map[string]string{"merchant": "商户", "customer": "用户", "device": "设备", "pair": "搭档", "ring": "团伙",
		"voucher": "消费券", "campaign": "活动"}[s.Kind]
	id := s.ID
	if s.Kind == "customer" || s.Kind == "device" {
		id = masked(id)
	}
	if s.With != "" {
		id += " + " + masked(s.With)
	}
	return strings.TrimSpace(zh + " " + s.Kind + " " + id)
}

func masked(token string) string {
	r := []rune(token)
	keep := min(4, len(r)/2)
	return "…" + string(r[len(r)-keep:])
}

// minute is a time as written, to the minute: "2022-09-21 10:03".
func minute(at string) string {
	if moment(at).IsZero() {
		return cmp.Or(at, "–")
	}
	return moment(at).Format("2006-01-02 15:04")
}

// clean makes a text safe for a terminal: what does not print, escape sequences and changes of writing
// direction among it, becomes U+FFFD.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
