package evaluate

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

//go:embed report.css
var reportStyle string

// WriteHTML writes a result as one page that needs nothing else: plots, then every table. Chinese first.
func WriteHTML(to io.Writer, x *Result) error {
	var out strings.Builder
	out.WriteString(`<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>检测质量评估 Quality of detection</title><style>` + reportStyle + "</style></head><body><header><h1>检测质量评估 <span lang=en>Quality of detection</span></h1>")
	names := ""
	for _, r := range x.Worlds {
		names += ", " + r.World
	}
	fmt.Fprintf(&out, "<p>%s · %s</p>", html.EscapeString(strings.TrimPrefix(names, ", ")), html.EscapeString(x.Worlds[0].PolicyVersion))
	out.WriteString("<p>标签不是裁决：模拟世界是我们对欺诈的想象。 <span lang=en>Labels are no verdicts: simulated worlds are our own idea of fraud, and flatter every method.</span></p></header><main>")
	x.tiles(&out)
	x.rankings(&out)
	out.WriteString(`<section><h2>发现快慢 <span lang=en>Delay</span></h2><div class=plots>` + delayPlot(x.delays()) + `</div></section>`)
	out.WriteString(`<section><h2>正当而像欺诈者 <span lang=en>Honest look-alikes</span></h2><div class=plots>` + tagPlot(pooledTags(x.Worlds)) + `</div></section>`)
	out.WriteString(`<section><h2>分数可信吗 <span lang=en>What a score is worth</span></h2><div class=plots>`)
	tables := x.Reliability
	if tables == nil {
		tables = x.Worlds[0].Calibration
	}
	for _, r := range tables {
		out.WriteString(reliabilityPlot(r))
	}
	out.WriteString("</div></section>")
	out.WriteString("<section><h2>全部数字 <span lang=en>All figures</span></h2>")
	if len(x.Worlds) > 1 {
		p := page{}
		p.spread(x)
		p.html(&out)
		for _, r := range x.Worlds {
			fmt.Fprintf(&out, "<details><summary>%s</summary>", html.EscapeString(r.World))
			p := page{}
			p.report(r)
			p.html(&out)
			out.WriteString("</details>")
		}
	} else {
		p := page{}
		p.report(x.Worlds[0])
		p.html(&out)
	}
	out.WriteString("</section></main></body></html>\n")
	_, err := io.WriteString(to, out.String())
	return err
}

// tiles are the few figures that one looks for first.
func (x *Result) tiles(out *strings.Builder) {
	figures := x.Spread
	if figures == nil {
		figures = x.Worlds[0].figures()
	}
	out.WriteString("<section><h2>要点 <span lang=en>In short</span></h2><dl class=tiles>")
	for _, t := range []struct{ table, row, column, zh, en string }{
		{unitTitles["basket"], "split, all", "AP", "分单 AP", "split orders, AP"},
		{unitTitles["merchant"], "cashout, all", "AP", "套现商户 AP", "cash-out merchants, AP"},
		{unitTitles["merchant"], "price, all", "AP", "涨价商户 AP", "price merchants, AP"},
		{"形态 typologies", allTypologies, "subsidy before settlement", "结算前找到的补贴", "subsidy found before settlement"},
		{"正当核销进入复核 honest redemptions at review", "honest", "after", "正当核销进入复核", "honest redemptions at review, after"},
		{"硬规则 exact rules", allTypologies, "recall", "硬规则召回", "exact rules, recall"},
		{"线索 findings", "statistical", "false at review per 10,000", "每万笔虚假线索", "false findings at review per 10,000"},
	} {
		i := slices.IndexFunc(figures, func(m Measure) bool { return m.Table == t.table && m.Row == t.row && m.Column == t.column })
		if i < 0 {
			continue
		}
		m := &figures[i]
		value, more := digits(m.Mean, 3), ""
		if m.Pooled != nil {
			value = percent(m.Pooled.Value) + " %"
			more = fmt.Sprintf("%d/%d [%s, %s]", m.Pooled.K, m.Pooled.N, percent(m.Pooled.Low), percent(m.Pooled.High))
		}
		if m.Worlds > 1 {
			show := func(v float64) string {
				if m.Pooled != nil {
					return percent(v)
				}
				return digits(v, 2)
			}
			more = strings.TrimPrefix(more+fmt.Sprintf("; ± %s, 最差 worst %s", show(m.SD), show(m.Worst)), "; ")
		}
		fmt.Fprintf(out, "<div><dt>%s <span lang=en>%s</span></dt><dd>%s</dd><dd class=more>%s</dd></div>", t.zh, t.en, html.EscapeString(value), html.EscapeString(more))
	}
	out.WriteString("</dl></section>")
}

// rankings draws a plot for each board of baskets, merchants and pairs.
func (x *Result) rankings(out *strings.Builder) {
	type name struct{ unit, form string }
	var order []name
	boards := map[name][]series{}
	for _, unit := range []string{"basket", "merchant", "pair"} {
		for _, r := range x.Worlds {
			for _, b := range r.Boards {
				if b.Unit != unit {
					continue
				}
				n := name{unit, b.Name()}
				if boards[n] == nil {
					order = append(order, n)
					boards[n] = make([]series, len(b.Rankings))
				}
				for i, k := range b.Rankings {
					s := &boards[n][i]
					s.name, s.curves, s.aps = k.By, append(s.curves, k.Curve), append(s.aps, k.AP)
				}
			}
		}
	}
	if len(order) == 0 {
		return
	}
	out.WriteString("<section><h2>排序 <span lang=en>Ranking, beside naive rules</span></h2><p>每条线为一个世界，数字为平均精度 AP 的均值。 <span lang=en>A line per world; numbers are mean average precision.</span></p><div class=plots>")
	for _, n := range order {
		out.WriteString(rankingPlot(n.form+" · "+n.unit, boards[n]))
	}
	out.WriteString("</div></section>")
}

func (x *Result) delays() []delayRow {
	by := map[string]*delayRow{}
	var names []string
	for _, r := range x.Worlds {
		for _, t := range r.Typologies {
			d := by[t.Name]
			if d == nil {
				d = &delayRow{name: t.Name}
				by[t.Name] = d
				names = append(names, t.Name)
			}
			d.cases += t.Cases.N
			d.hours = append(d.hours, t.Delay.Hours...)
		}
	}
	var out []delayRow
	for _, n := range names {
		d := by[n]
		if n == allTypologies {
			continue
		}
		slices.Sort(d.hours)
		d.median = median(d.hours)
		out = append(out, *d)
	}
	return out
}

// html writes the page's tables, each in a frame that scrolls by itself.
func (p *page) html(out *strings.Builder) {
	for _, b := range p.blocks {
		if b.rows == nil {
			fmt.Fprintf(out, "<p>%s</p>", html.EscapeString(b.say))
			continue
		}
		fmt.Fprintf(out, `<div class=scroll role=region tabindex=0 aria-label="%s"><table><thead><tr>`, html.EscapeString(b.rows[0][0]))
		for _, cell := range b.rows[0] {
			fmt.Fprintf(out, "<th scope=col>%s</th>", html.EscapeString(cell))
		}
		out.WriteString("</tr></thead><tbody>")
		for _, row := range b.rows[1:] {
			out.WriteString("<tr>")
			for i := range b.rows[0] {
				cell := ""
				if i < len(row) {
					cell = html.EscapeString(row[i])
				}
				if i == 0 {
					fmt.Fprintf(out, "<th scope=row>%s</th>", cell)
				} else {
					fmt.Fprintf(out, "<td>%s</td>", cell)
				}
			}
			out.WriteString("</tr>")
		}
		out.WriteString("</tbody></table></div>\n")
	}
}
