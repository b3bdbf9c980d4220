package campaign

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	vw "voucherwatch"
	"voucherwatch/internal/yamlfile"
)

// Describe says the campaign as a person would, Chinese beside English: who, when, where, with what
// money, under which conditions. It ends with the first error of the writer.
func Describe(w io.Writer, f *File) error {
	p := &printer{w: w}
	c := f.Campaign()

	p.line("%s · %s", f.Name, or(f.NameEn, f.ID))
	p.line("  编号 id  %s", f.ID)
	if f.Theme != "" {
		p.line("  主题 theme  “%s”", f.Theme)
	}
	if f.Source != "" {
		p.line("  依据 source  %s", f.Source)
	}
	p.line("  时间 when  %s 至 to %s，%d 天 days，%s", f.Start, f.End, f.End-f.Start+1, f.Zone)
	var places []string
	for _, d := range f.Districts {
		places = append(places, fmt.Sprintf("%s %s", d.Name, d.Code))
	}
	p.line("  地域 where  %s：交易地和经营地均须在内 place of transaction and place of business both inside", strings.Join(places, "、"))

	p.title("资金 money")
	var funding []string
	for _, x := range f.Budget.Funding {
		funding = append(funding, strings.TrimSpace(fmt.Sprintf("%s %s", x.From, x.En))+" "+x.Amount.String())
	}
	p.line("  总额 total  %s = %s", f.Budget.Total, strings.Join(funding, " + "))
	parts, sum := amounts(f.Budget.Categories)
	for _, b := range f.Balances {
		parts = append(parts, fmt.Sprintf("%s %s", b.Name, b.Budget))
		sum += b.Budget
	}
	p.line("  分项 by use  %s = %s", strings.Join(parts, " + "), sum)

	p.title("轮次 rounds")
	sum = 0
	for _, r := range f.Rounds {
		parts, total := amounts(r.Budget)
		p.line("  第%d轮 round %d  %s 至 to %s，%d 天 days：%s = %s", r.Number, r.Number, r.From, r.To, r.To-r.From+1, strings.Join(parts, " + "), total)
		sum += total
	}
	p.line("  合计 together  %s", sum)
	for _, x := range f.Pauses {
		p.line("  暂停 pause  %s 至 to %s", x.From, x.To)
	}

	p.title("消费券 vouchers")
	p.line("  发放核销 issued and redeemed by  %s", f.Issuer)
	p.line("  每日 each day  %s 发放 released，当日 %s 止 valid to the end of that minute the same day", f.VoucherDay.Release, f.VoucherDay.LastMinute)
	if c.ClaimPerCampaign {
		p.line("  限领 claims  每人整个活动至多 %[1]d 次 at most %[1]d per person in the whole campaign", f.Claims.Limit)
	} else {
		p.line("  限领 claims  每人每轮至多 %[1]d 次 at most %[1]d per person and round", f.Claims.Limit)
	}
	p.line("  退款 refunds  %s", refunds(c.RefundPolicy))
	for _, v := range f.Vouchers {
		category, _ := vw.ParseCategory(v.Category)
		p.line("  %s  %s %s  满%s减%s，带动比 drive ratio %.4g", v.Code, category.Chinese(), category, yuan(v.Threshold), yuan(v.Face), float64(v.Threshold)/float64(v.Face))
	}
	for _, b := range f.Balances {
		p.line("  %s  %s %s  余额券，无门槛 a balance without threshold：%d 人 people × %s = %s", b.Code, b.Name, b.NameEn, b.People, b.Each, b.Budget)
		funded := ""
		if b.FundedBy != 0 {
			funded = fmt.Sprintf("，资金 %s 前到位 funded by then", b.FundedBy)
		}
		p.line("    %s 发放 issues%s；使用期 usable %s 至 to %s", b.Issuer, funded, b.UsableFrom, b.UsableUntil)
		if b.For != "" {
			p.line("    对象 for  %s", b.For)
		}
		if b.ForEn != "" {
			p.line("    %s", b.ForEn)
		}
	}

	if len(f.Conditions) > 0 {
		p.title("规则 conditions")
	}
	for _, x := range f.Conditions {
		p.line("  - %s", x.Zh)
		if x.En != "" {
			p.line("    %s", x.En)
		}
	}

	p.title("商户类别码 merchant category codes")
	for category, list := range [vw.Categories][]codes{vw.Retail: f.MCC.Retail, vw.Fuel: f.MCC.Fuel, vw.Appliance: f.MCC.Appliance, vw.Hospitality: f.MCC.Hospitality} {
		if k := vw.Category(category); k != vw.NoCategory {
			p.line("  %s %s  %s", k.Chinese(), k, or(joinCodes(list), "不限 any"))
		}
	}
	p.line("  一律不得 never  %s", or(joinCodes(f.MCC.Never), "无 none"))

	p.title("部门 agencies")
	for _, a := range f.Agencies {
		p.line("  %s  %s：%s", a.Code, a.Name, a.Role)
		if a.RoleEn != "" {
			p.line("    %s", a.RoleEn)
		}
	}

	if r := f.Reporting; r.DueDays > 0 {
		p.title("结束后 at the end")
		p.line("  %s 前报送统计分析报告 statistics and analysis report due by then%s", f.End+yamlfile.Day(r.DueDays), to(r.To))
		p.line("  抽查不少于 review of at least %d%% 的记录 of the records", r.SamplePercent)
	}
	return p.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) title(text string) { p.line("\n%s", text) }

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func to(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " → " + strings.Join(names, "、")
}

func joinCodes(list []codes) string {
	var parts []string
	for _, l := range list {
		parts = append(parts, l.String())
	}
	return strings.Join(parts, " ")
}

// amounts lists what each category gets, in the order of the categories, and the sum.
func amounts(by map[string]yamlfile.Money) (parts []string, sum yamlfile.Money) {
	for k := vw.NoCategory + 1; k < vw.Categories; k++ {
		if amount, ok := by[k.String()]; ok {
			parts = append(parts, k.Chinese()+" "+amount.String())
			sum += amount
		}
	}
	return parts, sum
}

// yuan is an amount as in 满10000减1000, without unit.
func yuan(m yamlfile.Money) string {
	if m%100 == 0 {
		return strconv.FormatInt(int64(m/100), 10)
	}
	return fmt.Sprintf("%d.%02d", m/100, m%100)
}

func refunds(p vw.RefundPolicy) string {
	switch p {
	case vw.NoReturnProportional:
		return "按比例退，券不退 money back pro rata, the voucher stays used"
	case vw.FullReturnInValidity:
		return "有效期内全额退款，券退回 a full refund on the day makes the voucher usable again"
	case vw.NoReturnNet:
		return "退实付金额，券不退 what was paid goes back, the voucher stays used"
	}
	return "方案未规定，不作判断 the plan does not say, so nothing is assumed"
}
