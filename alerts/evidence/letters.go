package evidence

import (
	"fmt"
	"strings"
)

// Paper is the letter that goes with the pack, for the office to edit.
func (d *Dossier) Paper(visits []visit, head string) *Document {
	switch d.Letter.Kind {
	case PriceReferral:
		return d.referral("价格线索移送函", visits, head)
	case Notice:
		return d.notice()
	}
	return d.referral("线索移送函", visits, head)
}

func (d *Dossier) number() string {
	if d.Letter.Number != "" {
		return d.Letter.Number
	}
	return "〔    〕    号"
}

// acts says what was seen, for a letter: it accuses nobody of more than suspicion.
func (d *Dossier) acts() string {
	var b strings.Builder
	for i := range d.Findings {
		f := &d.Findings[i]
		fmt.Fprintf(&b, "（%d）%s至%s，该商户核销中出现疑似%s情形，涉及核销 %d 笔、补贴 %s。", i+1, d.moment(f.FirstAt), d.moment(f.LastAt), d.typology(f.Typology), len(f.RedemptionIDs), f.SubsidyFen.Yuan())
		if len(f.Reasons) > 0 {
			b.WriteString("主要依据：" + strings.TrimRight(f.Reasons[0].Text.Zh, "。") + "。")
		}
	}
	return b.String()
}

// referral is 线索移送函: the office has no power to punish (国务院令第310号, Art. 2), so it hands a lead over;
// the formal 涉嫌犯罪案件移送书 is for those that have.
func (d *Dossier) referral(title string, visits []visit, head string) *Document {
	l := &d.Letter
	doc := &Document{Title: title, Number: d.number(), Date: d.Sealed, Footer: d.Number}
	add := func(b ...Block) { doc.Blocks = append(doc.Blocks, b...) }
	source := l.Source
	if source == "" {
		source = "消费券核销监测"
	}
	add(Paragraph{Plain: true, Text: l.To + "："})
	add(Paragraph{Text: fmt.Sprintf("我办在%s中发现下列线索，认为应由贵单位依法核查处理，现予移送。所列情形为线索，尚未认定。", source)})
	add(Heading("一、当事人"))
	add(Paragraph{Text: fmt.Sprintf("%s，统一社会信用代码 %s，经营地 %s。", d.subject(), orDash(d.Merchant.USCC), orDash(strings.TrimSpace(d.Merchant.District+" "+d.Merchant.Address)))})
	add(Heading("二、线索内容"))
	add(Paragraph{Text: d.acts()})
	add(Paragraph{Text: fmt.Sprintf("合计涉及核销 %d 笔、财政补贴 %s（按优惠金额计，不是订单金额）。", foundCount(visits), d.Case.SubsidyFen.Yuan())})
	if d.Letter.Kind == PriceReferral {
		add(Paragraph{Text: "价格变动数据、进货成本和同行价格的出处及观察期见证据报告；成本是否同步上涨、是否存在正当理由，请一并核查。"})
	}
	add(Heading("三、相关规定"))
	laws := d.laws()
	if len(laws) == 0 {
		laws = []string{"（由承办人填写）"}
	}
	add(Paragraph{Text: strings.Join(laws, "；") + "。是否适用，由贵单位认定。"})
	add(Heading("四、已采取的措施"))
	measures := "尚未采取措施。"
	if len(l.Measures) > 0 {
		measures = strings.Join(l.Measures, "；") + "。"
	}
	add(Paragraph{Text: measures})
	add(Heading("五、移送材料"))
	add(Paragraph{Text: fmt.Sprintf("证据包 %s（第 %d 版）一份，含证据报告、原始核销记录 %d 条、发现与理由、办理经过、摘要清单；原始记录链尾（SM3）%s。", d.Number, d.Version, len(d.Events), head)})
	add(Heading("六、承办人"))
	add(Paragraph{Text: strings.Join(l.Officers, "；") + "。"})
	add(Paragraph{Text: "请在收到后将是否受理的情况以回执告知我办。"})
	add(Paragraph{Right: true, Text: l.From + "（盖章）"}, Paragraph{Right: true, Text: d.day(d.Sealed)})
	add(Heading("回　执"))
	add(Paragraph{Plain: true, Text: l.From + "："})
	add(Paragraph{Text: fmt.Sprintf("你办移送的 %s（第 %d 版）已于    年  月  日收到。□ 受理（文号：            ）　□ 退回（理由：            ）　□ 要求补充材料（内容：            ）", d.Number, d.Version)})
	add(Paragraph{Right: true, Text: l.To + "（盖章）　　    年  月  日"})
	return doc
}

// notice is 约谈/告知书: what is intended, why, and what the merchant may say before it is decided. It is
// about eligibility for the campaign only.
func (d *Dossier) notice() *Document {
	l := &d.Letter
	doc := &Document{Title: "约谈告知书", Number: d.number(), Date: d.Sealed, Footer: d.Number}
	add := func(b ...Block) { doc.Blocks = append(doc.Blocks, b...) }
	add(Paragraph{Plain: true, Text: l.To + "："})
	add(Paragraph{Text: fmt.Sprintf("在对消费券核销情况的监测中，发现你单位（统一社会信用代码 %s）的部分核销存在需要说明的情形。现将有关事项告知如下。", orDash(d.Merchant.USCC))})
	add(Heading("一、需要说明的情形"))
	add(Paragraph{Text: d.acts()})
	add(Heading("二、拟采取的措施"))
	add(Paragraph{Text: strings.Join(l.Measures, "；") + "。以上为依据活动规则和参与协议拟作出的活动资格处理，尚未决定。"})
	add(Heading("三、依据"))
	laws := l.Basis // the case's own name crimes, which a campaign's measure does not rest on
	if len(laws) == 0 {
		laws = []string{"活动实施方案及参与协议（由承办人填写条款）"}
	}
	add(Paragraph{Text: strings.Join(laws, "；") + "。"})
	add(Heading("四、你单位的权利"))
	add(Paragraph{Text: fmt.Sprintf("你单位可以在 %s前提出书面或者口头的陈述、申辩，并提供小票、进货单、监控、发票等材料，可以查阅与你单位有关的核销明细。我办将复核你单位提出的事实、理由和证据，不因陈述、申辩加重处理；逾期未提出的，视为放弃。", d.day(l.ReplyBy))})
	if l.Interview != "" {
		add(Heading("五、约谈"))
		add(Paragraph{Text: "请你单位负责人或者受委托人于" + l.Interview + "接受约谈，并携带有关材料。"})
	}
	if len(l.Officers) > 0 {
		add(Paragraph{Text: "联系人：" + strings.Join(l.Officers, "；") + "。"})
	}
	add(Paragraph{Right: true, Text: l.From + "（盖章）"}, Paragraph{Right: true, Text: d.day(d.Sealed)})
	add(Paragraph{Plain: true, Text: "受送达人签收：            　　    年  月  日"})
	return doc
}
