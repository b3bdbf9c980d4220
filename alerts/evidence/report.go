package evidence

import (
	"fmt"
	"strings"
	"time"

	vw "voucherwatch"
)

var subjectWords = map[string]string{"merchant": "商户", "customer": "用户", "device": "设备", "pair": "商户与用户", "ring": "团伙", "voucher": "券", "campaign": "活动"}

var severityWords = map[vw.Severity]string{"low": "低", "medium": "中", "high": "高", "critical": "紧急"}

// Report is the paper to read: what the case is, what was found and why, when it happened, and how its
// records are kept safe.
func (d *Dossier) Report(visits []visit, head string) *Document {
	doc := &Document{
		Title: "消费券核销异常线索证据报告", Number: fmt.Sprintf("编号：%s　第 %d 版", d.Number, d.Version), Date: d.Sealed,
		Footer: fmt.Sprintf("%s 第 %d 版　封存于 %s", d.Number, d.Version, d.day(d.Sealed)),
	}
	add := func(b ...Block) { doc.Blocks = append(doc.Blocks, b...) }
	add(Paragraph{Plain: true, Text: "本报告由监测系统依据核销记录自动汇总并经办理人员核对。所列情形均为线索，不是对违法事实的认定；认定须由有权机关依法作出。用户、设备均以不可逆代码表示，不含姓名、电话和证件号码。"})

	add(Heading("一、案件概要"))
	c := &d.Case
	var types []string
	for _, t := range c.Typologies {
		types = append(types, d.typology(t)+"（"+t+"）")
	}
	rows := [][]string{
		{"案件编号", c.CaseID}, {"活动", d.Campaign}, {"对象", d.subject()}, {"统一社会信用代码", orDash(d.Merchant.USCC)},
		{"经营地", orDash(strings.TrimSpace(d.Merchant.District + " " + d.Merchant.Address))},
		{"涉嫌情形", strings.Join(types, "；")}, {"涉及补贴", c.SubsidyFen.Yuan()}, {"涉及核销", fmt.Sprintf("%d 笔", foundCount(visits))},
		{"风险分", fmt.Sprintf("%d（0–1000）", c.Score)}, {"严重程度", severityWords[c.Severity]}, {"立案时间", d.moment(c.OpenedAt)}, {"办理时限", d.moment(c.DueAt)},
	}
	add(&Table{Head: []string{"项目", "内容"}, Widths: []float64{3, 13}, Rows: rows})

	add(Heading("二、发现与理由"))
	for i := range d.Findings {
		f := &d.Findings[i]
		add(Paragraph{Plain: true, Text: fmt.Sprintf("%d. %s（%s）：%s至%s，涉及核销 %d 笔、补贴 %s，风险分 %d。", i+1, d.typology(f.Typology), f.Typology, d.moment(f.FirstAt), d.moment(f.LastAt), len(f.RedemptionIDs), f.SubsidyFen.Yuan(), f.Score)})
		t := &Table{Head: []string{"理由", "实际", "通常", "偶然可能"}, Widths: []float64{10, 2, 2, 2.4}, Right: []bool{false, true, true, true}}
		for _, r := range f.Reasons {
			t.Rows = append(t.Rows, []string{r.Text.Zh, number(r.Observed), optional(r.Expected, "%.4g"), optional(r.PValue, "%.2g")})
		}
		if len(t.Rows) > 0 {
			add(t)
		}
	}

	add(Heading("三、时间分布"))
	var marks []Mark
	for _, v := range visits {
		marks = append(marks, Mark{v.when, len(v.found) > 0})
	}
	if pic := newTimeline(marks, d.Sealed.Location()); pic != nil {
		add(pic)
	} else {
		add(Paragraph{Text: "本案不涉及具体核销时间。"})
	}

	add(Heading("四、核销明细"))
	t := &Table{Head: []string{"时间", "核销编号", "券种", "用户代码", "订单", "补贴", "认定依据"}, Widths: []float64{4.2, 4, 3.4, 2.6, 2.2, 2, 2}, Right: []bool{false, false, false, false, true, true, false}}
	shown := 0
	for _, found := range []bool{true, false} {
		for _, v := range visits {
			if (len(v.found) > 0) == found && shown < mostEvents {
				shown++
				t.Rows = append(t.Rows, []string{v.when.In(d.Sealed.Location()).Format("2006-01-02 15:04:05"), v.ID, v.Voucher, mask(v.Customer), v.Order.Yuan(), v.Discount.Yuan(), orDash(strings.Join(v.found, " "))})
			}
		}
	}
	add(t)
	if n := len(visits) - shown; n > 0 {
		add(Paragraph{Text: fmt.Sprintf("另有 %d 笔未列出，全部原始记录见 events.ndjson。", n)})
	}

	add(Heading("五、办理经过"))
	steps := &Table{Head: []string{"时间", "经手", "事项"}, Widths: []float64{4, 3, 9}}
	for _, e := range c.Timeline {
		who := e.Who
		if who == "system" {
			who = "系统"
		}
		steps.Rows = append(steps.Rows, []string{d.moment(e.At), who, e.Text.Zh})
	}
	add(steps)

	if laws := d.laws(); len(laws) > 0 {
		add(Heading("六、相关规定"))
		for i, l := range laws {
			add(Paragraph{Plain: true, Text: fmt.Sprintf("（%d）%s", i+1, l)})
		}
	}
	add(Heading("附：记录完整性"))
	add(Paragraph{Text: fmt.Sprintf("本证据包含原始记录 %d 条，逐条以国密 SM3 算法串联，链尾为 %s。任何一条记录被增删、改动或调换次序，链尾即不相符。各文件的 SHA-256 与 SM3 摘要见 manifest.json。", len(d.Events), head)})
	add(Paragraph{Right: true, Text: "封存人：" + d.By}, Paragraph{Right: true, Text: d.day(d.Sealed)})
	return doc
}

func (d *Dossier) subject() string {
	s := d.Merchant.Name
	if s == "" {
		s = d.Merchant.ID
	} else if d.Merchant.ID != "" {
		s += "（" + d.Merchant.ID + "）"
	}
	if kind := d.Case.Subject.Kind; kind != "merchant" && kind != "" {
		s += "；" + subjectWords[kind] + " " + mask(d.Case.Subject.ID)
	}
	return s
}

func (d *Dossier) day(t time.Time) string {
	return t.In(d.Sealed.Location()).Format("2006年1月2日")
}

// moment is an RFC 3339 time as people read it; what is not one stays as it is.
func (d *Dossier) moment(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return s
	}
	return t.In(d.Sealed.Location()).Format("2006-01-02 15:04:05")
}

func foundCount(visits []visit) (n int) {
	for _, v := range visits {
		if len(v.found) > 0 {
			n++
		}
	}
	return n
}

func orDash(s string) string {
	if s == "" {
		return "—"
	}
	return s
}

func number(x float64) string { return strings.TrimSuffix(fmt.Sprintf("%.4g", x), ".0") }

func optional(x *float64, form string) string {
	if x == nil {
		return "—"
	}
	return fmt.Sprintf(form, *x)
}
