package evaluate

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
)

// WriteText writes a result for people: one table per question, Chinese and English heads. Of several
// worlds it says the spread; the figures of each are in the JSON and the HTML.
func WriteText(to io.Writer, x *Result) error {
	p := page{}
	if len(x.Worlds) == 1 {
		p.report(x.Worlds[0])
	} else {
		p.spread(x)
	}
	_, err := io.WriteString(to, p.text())
	return err
}

func (p *page) spread(x *Result) {
	names := ""
	for _, r := range x.Worlds {
		names += ", " + r.World
	}
	p.say("%d 个世界 worlds: %s · %s", len(x.Worlds), names[2:], x.Worlds[0].PolicyVersion)
	p.say("均值 ± 标准差（各世界之间，不是区间）, 最差 mean ± standard deviation over worlds, no interval, and the worst; 比例为各世界合计及 95 %% Wilson 区间 shares are pooled, with a 95 %% Wilson interval")
	for i := 0; i < len(x.Spread); {
		var rows, columns []string
		cells := map[[2]string]string{}
		j := i
		for ; j < len(x.Spread) && x.Spread[j].Table == x.Spread[i].Table; j++ {
			m := &x.Spread[j]
			if !slices.Contains(rows, m.Row) {
				rows = append(rows, m.Row)
			}
			if !slices.Contains(columns, m.Column) {
				columns = append(columns, m.Column)
			}
			cells[[2]string{m.Row, m.Column}] = m.String()
		}
		p.head(append([]string{x.Spread[i].Table}, columns...)...)
		for _, row := range rows {
			line := []string{row}
			for _, column := range columns {
				line = append(line, cells[[2]string{row, column}])
			}
			p.row(line...)
		}
		i = j
	}
	p.reliability(x.Reliability)
	if len(x.Learning) > 0 {
		p.head("学习 learning: verdicts", "给出 given", "AP", "P@15", "案件属实 cases", "随机十分之一属实 of the random tenth", "余下 of those left", "权重 weights")
		for _, l := range x.Learning {
			weights := ""
			for _, d := range slices.Sorted(maps.Keys(l.Weights)) {
				weights += fmt.Sprintf(", %s %.2f", d, l.Weights[d])
			}
			p.row(fmt.Sprint(l.Verdicts), fmt.Sprint(l.Given), fmt.Sprintf("%.3f ± %.3f", l.AP, l.APSD), fmt.Sprintf("%.3f ± %.3f", l.P15, l.P15SD), l.Cases.String(), l.Random.String(), l.Left.String(), strings.TrimPrefix(weights, ", "))
		}
		p.say("每个世界轮流学习，其余检验 learned on each world in turn, tested on the others; ± is the standard deviation over them")
	}
}

func (p *page) reliability(tables []Reliability) {
	for _, c := range tables {
		p.head("校准 calibration: "+c.Of, "n", "预测 predicted", "实际 observed")
		for _, b := range c.Bins {
			p.row(fmt.Sprintf("%d–%d", b.From, b.From+99), fmt.Sprint(b.Observed.N), fmt.Sprintf("%.3f", b.Predicted), b.Observed.String())
		}
		p.say("Brier %.5f (of the base rate %.5f); 最大偏差 worst bin of %d and more %.3f", c.Brier, c.BaseTip, leastForBin, c.Worst)
	}
}

func (p *page) report(r *Report) {
	p.say("%s · %s · %s", r.World, r.Campaign, r.PolicyVersion)
	p.say("%d 笔核销 redemptions (%d 欺诈 fraud, %d 正当 honest), %d 天 days, %d 商户 merchants, %d 顾客 customers; 欺诈补贴 defrauded subsidy %s", r.Redemptions, r.Fraud, r.Honest, r.Days, r.Merchants, r.Customers, r.StakeFen.Yuan())
	p.say("区间为 95%% intervals are 95 %%: Wilson for shares, bootstrap with a fixed seed for AP (none below %d positives).", leastForBootstrap)
	for _, n := range r.Notes {
		p.say("注意 note: %s", n)
	}
	if r.Placebo {
		p.say("无欺诈 no fraud is labelled: every statistical finding is a false one.")
	}
	if len(r.Boards) > 0 {
		p.say("朴素规则按其触发 naive rules are shown as they fire: two payments within 30 min, two within 1 %%, both, four redemptions of a pair; a share of 60 %% within 1 %%; one item 15 %% up.")
		p.head("排序 ranking", "对象 unit", "n", "欺诈 fraud", "方法 by", "AP", "[95 %]", "复核 P at review", "R at review", "高 P at high", "R at high")
		for _, b := range r.Boards {
			for i, k := range b.Rankings {
				interval := "n<5"
				if k.Low != nil {
					interval = fmt.Sprintf("[%.3f, %.3f]", *k.Low, *k.High)
				}
				if i > 0 {
					line := []string{"", "", "", "", wayTitle(k.By), fmt.Sprintf("%.3f", k.AP), interval}
					if k.Fires != nil {
						line = append(line, k.Fires.Precision.String(), k.Fires.Recall.String())
					}
					p.row(line...)
					continue
				}
				p.row(b.Name(), b.Unit, fmt.Sprint(b.Items), fmt.Sprint(b.Fraud), wayTitle(k.By), fmt.Sprintf("%.3f", k.AP), interval, b.Review.Precision.String(), b.Review.Recall.String(), b.High.Precision.String(), b.High.Recall.String())
			}
		}
	}
	if len(r.Rings) > 0 {
		p.head("团伙 rings", "案件 cases", "商户 merchants P", "R", "F1", "其他欺诈 of other fraud", "成员 members P", "R", "F1")
		for _, x := range r.Rings {
			p.row(x.Typology, fmt.Sprint(x.Cases), x.Merchants.Precision.String(), x.Merchants.Recall.String(), fmt.Sprintf("%.2f", x.F1.Merchants), fmt.Sprint(x.OtherFraud), x.Members.Precision.String(), x.Members.Recall.String(), fmt.Sprintf("%.2f", x.F1.Members))
		}
	}
	if len(r.Typologies) > 0 {
		p.head("形态 typology", "案件 cases found", "核销 redemptions at the time", "事后 after", "补贴 subsidy", "结算前 before settlement", "事后 after", "延迟 median h", "笔 redemptions", "漏失 lost meanwhile")
		for _, t := range r.Typologies {
			p.row(t.Name, t.Cases.String(), t.AtTime.String(), t.After.String(), t.Money.StakeFen.Yuan(), part(t.Money.BeforeFen, t.Money.StakeFen), part(t.Money.AfterFen, t.Money.StakeFen),
				fmt.Sprintf("%.1f", t.Delay.MedianHours), fmt.Sprintf("%.1f", t.Delay.MedianRedemptions), t.Delay.LostFen.Yuan())
		}
	}
	p.head("误报 false alarms", "复核 at review", "事后 after", "高 at high", "事后 after", "每万 per 10,000", "事后 after")
	p.row("正当 honest", r.False.AtTime.String(), r.False.After.String(), r.False.AtTimeHigh.String(), r.False.AfterHigh.String(), fmt.Sprintf("%.2f", r.False.Rate), fmt.Sprintf("%.2f", r.False.RateAfter))
	for _, t := range r.Tags {
		p.row(t.Name+" "+tagTitles[t.Name], t.AtTime.String(), t.After.String(), t.AtTimeHigh.String(), t.AfterHigh.String(), fmt.Sprintf("%.2f", 1e4*t.AtTime.Value), fmt.Sprintf("%.2f", 1e4*t.After.Value))
	}
	p.reliability(r.Calibration)
	if len(r.Budget) > 0 {
		p.head("每日预算 alerts a day", "CP@k", "上限 ceiling", "找到 found")
		for _, b := range r.Budget {
			p.row(fmt.Sprint(b.Alerts), fmt.Sprintf("%.3f", b.Precision), fmt.Sprintf("%.3f", b.Ceiling), b.Found.String())
		}
	}
	if len(r.Exact) > 0 {
		p.head("硬规则 exact rule", "召回 recall", "精确 precision")
		for _, x := range r.Exact {
			p.row(x.Code, x.Recall.String(), x.Precision.String())
		}
	}
	p.head("线索 findings", "n", "复核属实 true at review", "高属实 true at high")
	for _, f := range r.Findings {
		kind := ""
		if f.Exact {
			kind = " (exact)"
		}
		p.row(f.Code+kind, fmt.Sprint(f.Findings), f.Review.String(), f.High.String())
	}
	d := r.PerDay
	p.say("统计线索 statistical findings %d: %.2f a day, at most %d; %.2f per 10,000 redemptions; at review %d, of them false %d (%.2f per 10,000); merchants at high %d, of them innocent %d",
		d.Findings, d.Mean, d.Most, d.Rate, d.Review, d.False, d.FalseRate, d.Merchants, d.Innocent)
	if len(r.FalseBudget) > 0 {
		p.head("误报预算 false budget", "设定 at", "选出 picked", "其中虚假 false", "每天 false a day", "属实选出 true ones picked")
		for _, b := range r.FalseBudget {
			p.row(map[string]string{"count": "每天虚假 false a day", "share": "虚假比例 share false (e-BH)"}[b.Rule], fmt.Sprint(b.At), fmt.Sprint(b.Picked), b.Wrong.String(), fmt.Sprintf("%.3f", b.PerDay), b.True.String())
		}
	}
	if len(r.Drift) > 0 {
		p.head("漂移 drift, PSI", "of", "天 days", "关注 ≥ .1", "处置 ≥ .25", "中位 median", "最大 worst", "日 day")
		for _, d := range r.Drift {
			p.row(d.Category, d.Of, fmt.Sprint(d.Days), fmt.Sprint(d.Watch), fmt.Sprint(d.Act), fmt.Sprintf("%.3f", d.Median), fmt.Sprintf("%.3f", d.Worst), d.WorstDay)
		}
	}
	if len(r.Pairs) > 0 {
		p.head("正当熟客 honest pairs on ≥ 2 days", "p < 0.001")
		for _, x := range r.Pairs {
			p.row(x.Of, x.Small.String())
		}
	}
	if len(r.PValues) > 0 {
		p.head("虚假线索 p of false findings", "p < 0.001")
		for _, x := range r.PValues {
			p.row(x.Category, x.Small.String())
		}
	}
}

// Name is the typology, or the family and that it is all of it.
func (b *Board) Name() string {
	if b.Typology != "" {
		return b.Typology
	}
	return b.Family + ", all"
}

// String is "45/53 85 % [73, 92]", "–" of nothing.
func (s Share) String() string {
	if s.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%d/%d %s [%s, %s]", s.K, s.N, percent(s.Value)+" %", percent(s.Low), percent(s.High))
}

// String is "0.876 ± 0.150, worst 0.616", or of a share "94/114 82 % [74, 88] ± 15, worst 62".
func (m *Measure) String() string {
	if m.Pooled != nil {
		return fmt.Sprintf("%s ± %s, worst %s", m.Pooled, percent(m.SD), percent(m.Worst))
	}
	return fmt.Sprintf("%s ± %s, worst %s", digits(m.Mean, 3), digits(m.SD, 2), digits(m.Worst, 3))
}

// digits has so many that count, no exponent and at most five decimals.
func digits(x float64, n int) string {
	switch a := abs(x); {
	case a >= math.Pow10(n):
		return fmt.Sprintf("%.0f", x)
	case a > 0 && a < .001:
		return fmt.Sprintf("%.5f", x)
	}
	return fmt.Sprintf("%.*g", n, x)
}

// percent has two decimals below one, one below ten.
func percent(x float64) string {
	switch x *= 100; {
	case x == 0:
		return "0"
	case x < 1:
		return fmt.Sprintf("%.2f", x)
	case x < 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func part(k, n vw.Fen) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%s %s %%", k.Yuan(), percent(float64(k)/float64(n)))
}

// tagTitles names the honest look-alikes of detection.md §6.
var tagTitles = map[string]string{
	"H1": "家人分别付款 family", "H2": "漏买再买 forgot an item", "H3": "食堂常客 canteen", "H4": "加油整数 petrol sums",
	"H5": "单一定价 fixed price", "H6": "开抢与节日 rush, holidays", "H7": "新店开业 opening", "H8": "宴席团餐 banquet",
	"H9": "促销结束、涨价 sale ended, cost", "H10": "宿舍办公楼 dormitory", "H11": "市场共用账户 market street", "H12": "断网补传 outage",
	"H13": "小店进货 traders stock up", "H14": "店主亲属 relatives of the owner", "H15": "大店秒杀 flash sale of a giant", "H16": "代老人操作 neighbours helped",
	"H17":  "两套价目 two price lists",
	"none": "无标签 no tag", "any": "任一 with a tag",
}

// WriteJSON writes a result as JSON.
func WriteJSON(to io.Writer, x *Result) error {
	return json.MarshalWrite(to, x, json.Deterministic(true), jsontext.WithIndent("  "))
}
