package evaluate

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// plot is an SVG drawing. Colours come from the page's style sheet, so that it follows light and dark;
// lines differ by dashes and points by shape too, never by colour alone.
type plot struct {
	out           strings.Builder
	width, height float64
	// The inner frame and what it shows.
	left, top, right, bottom float64
}

func newPlot(title, text string, width, height, left, bottom float64) *plot {
	p := &plot{width: width, height: height, left: left, top: 8, right: width - 8, bottom: height - bottom}
	fmt.Fprintf(&p.out, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s"><title>%s</title>`, width, height, html.EscapeString(title+". "+text), html.EscapeString(title))
	return p
}

func (p *plot) String() string { return p.out.String() + "</svg>" }

// x and y are places in the frame, of 0 to 1.
func (p *plot) x(v float64) float64 { return p.left + v*(p.right-p.left) }
func (p *plot) y(v float64) float64 { return p.bottom - v*(p.bottom-p.top) }

func (p *plot) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&p.out, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

func (p *plot) write(anchor string, x, y float64, text string) {
	fmt.Fprintf(&p.out, `<text text-anchor="%s" x="%.1f" y="%.1f">%s</text>`, anchor, x, y, html.EscapeString(text))
}

// unit draws a frame of 0 to 1 by 0 to 1.
func (p *plot) unit(across, up string) {
	for i := range 6 {
		v := float64(i) / 5
		p.line("grid", p.x(v), p.top, p.x(v), p.bottom)
		p.line("grid", p.left, p.y(v), p.right, p.y(v))
		p.write("middle", p.x(v), p.bottom+14, fmt.Sprint(v))
		p.write("end", p.left-5, p.y(v)+4, fmt.Sprint(v))
	}
	p.write("middle", (p.left+p.right)/2, p.bottom+29, across)
	fmt.Fprintf(&p.out, `<text text-anchor="middle" transform="translate(11 %.1f) rotate(-90)">%s</text>`, (p.top+p.bottom)/2, html.EscapeString(up))
}

// series are curves of one way of ranking, one for each world.
type series struct {
	name   string
	curves [][][2]float64
	aps    []float64
}

func (p *plot) curve(class string, points [][2]float64) {
	if len(points) == 0 {
		return
	}
	fmt.Fprintf(&p.out, `<path class="curve %s" d="M%.1f %.1f`, class, p.x(0), p.y(points[0][1]))
	for _, q := range points {
		fmt.Fprintf(&p.out, "L%.1f %.1f", p.x(q[0]), p.y(q[1]))
	}
	fmt.Fprintf(&p.out, `"/>`)
}

// rankingPlot draws precision over recall, ours in front of the naive rules, with a legend.
func rankingPlot(title string, ways []series) string {
	text, legend := "", ""
	for i, s := range ways {
		mean, _ := meanSD(s.aps)
		text += fmt.Sprintf("%s AP %.2f. ", s.name, mean)
		legend += fmt.Sprintf(`<li><svg viewBox="0 0 28 8" aria-hidden="true"><path class="curve way%d" d="M0 4L28 4"/></svg>%s <b>%.2f</b></li>`, i, html.EscapeString(wayTitle(s.name)), mean)
	}
	p := newPlot(title, text, 340, 270, 44, 36)
	p.unit("召回 recall", "精确 precision")
	for i := len(ways) - 1; i >= 0; i-- {
		for _, c := range ways[i].curves {
			p.curve(fmt.Sprintf("way%d", i), c)
		}
	}
	return "<figure><figcaption>" + html.EscapeString(title) + "</figcaption>" + p.String() + "<ul class=legend>" + legend + "</ul></figure>"
}

func wayTitle(by string) string {
	if t, ok := wayTitles[by]; ok {
		return t
	}
	return by
}

var wayTitles = map[string]string{
	ours: "本系统 ours", "same pair within 30 min": "30 分钟内同户同店 same pair ≤ 30 min", "within 1 % above the threshold": "高出门槛 1 % 内 within 1 %",
	"both": "两者 both", "redemptions of the pair": "同户同店次数 pair count", "share within 1 % above the threshold": "贴线比例 share within 1 %",
	"risk after the fact":               "事后风险 risk after the fact",
	"items 15 % over the 7-day minimum": "高出 7 日最低价 15 % over the 7-day minimum",
}

// reliabilityPlot draws observed over predicted; the diagonal is a score that means what it says.
func reliabilityPlot(r Reliability) string {
	title := "校准 calibration: " + r.Of
	p := newPlot(title, fmt.Sprintf("Brier %.4f, worst bin %.2f", r.Brier, r.Worst), 340, 270, 44, 36)
	p.unit("预测 predicted", "实际 observed")
	p.line("diagonal", p.x(0), p.y(0), p.x(1), p.y(1))
	for _, b := range r.Bins {
		x := p.x(b.Predicted)
		p.line("whisker", x, p.y(b.Observed.Low), x, p.y(b.Observed.High))
		fmt.Fprintf(&p.out, `<circle class="dot" cx="%.1f" cy="%.1f" r="%.1f"><title>%d–%d: n %d, predicted %.3f, observed %s</title></circle>`,
			x, p.y(b.Observed.Value), 2.5+math.Log10(float64(b.Observed.N)), b.From, b.From+99, b.Observed.N, b.Predicted, html.EscapeString(b.Observed.String()))
	}
	return "<figure><figcaption>" + html.EscapeString(title) + fmt.Sprintf(" · Brier %.4f (base rate %.4f)", r.Brier, r.BaseTip) + "</figcaption>" + p.String() + "</figure>"
}

// delayRow is when the cases of a typology were found.
type delayRow struct {
	name   string
	cases  int
	hours  []float64
	median float64
}

// delayPlot draws a dot per case over hours, by decades. What was found at once or before stands left.
func delayPlot(rows []delayRow) string {
	const title = "从首次作案到首条线索 from the first fraud to the first finding"
	text := ""
	for _, r := range rows {
		text += fmt.Sprintf("%s %d of %d found, median %.1f h. ", r.name, len(r.hours), r.cases, r.median)
	}
	p := newPlot(title, text, 700, 40+22*float64(len(rows)), 130, 32)
	p.right -= 70
	const least, most = 1. / 60, 1500.
	at := func(h float64) float64 {
		if h <= least {
			return p.x(0)
		}
		return p.x(.04 + .96*math.Log(min(h, most)/least)/math.Log(most/least))
	}
	for _, tick := range []struct {
		h    float64
		text string
	}{{0, "≤ 1 min"}, {1. / 6, "10 min"}, {1, "1 h"}, {6, "6 h"}, {24, "1 d"}, {48, ""}, {168, "7 d"}, {720, "30 d"}} {
		class := "grid"
		if tick.h == 48 {
			class = "mark"
		}
		p.line(class, at(tick.h), p.top, at(tick.h), p.bottom)
		p.write("middle", at(tick.h), p.bottom+14, tick.text)
	}
	p.write("end", p.right+66, p.bottom+14, "找到 found")
	p.write("start", at(48)+3, p.bottom+28, "48 h")
	for i, r := range rows {
		y := p.top + 11 + 22*float64(i)
		p.write("end", p.left-8, y+4, r.name)
		for j, h := range r.hours {
			fmt.Fprintf(&p.out, `<circle class="dot soft" cx="%.1f" cy="%.1f" r="3.5"><title>%.2f h</title></circle>`, at(h), y+float64(j%3-1)*4, h)
		}
		if len(r.hours) > 0 {
			p.line("median", at(r.median), y-9, at(r.median), y+9)
		}
		p.write("end", p.right+66, y+4, fmt.Sprintf("%d/%d", len(r.hours), r.cases))
	}
	return "<figure class=wide><figcaption>" + title + "（竖线为中位数 bars are medians）</figcaption>" + p.String() + "</figure>"
}

// tagPlot draws the share of honest redemptions at review, by tag, with intervals.
func tagPlot(tags []Tag) string {
	const title = "正当核销进入复核的比例 honest redemptions at review or above"
	most := .05
	text := ""
	for _, t := range tags {
		most = max(most, min(.2, t.After.High))
		text += fmt.Sprintf("%s after %s. ", t.Name, t.After)
	}
	p := newPlot(title, text, 700, 40+26*float64(len(tags)), 230, 30)
	p.right -= 110
	at := func(v float64) float64 { return p.x(min(v, most) / most) }
	for i := 0; float64(i)/100 <= most; i++ {
		if most > .1 && i%2 == 1 {
			continue
		}
		class := "grid"
		if i == 2 {
			class = "mark"
		}
		p.line(class, at(float64(i)/100), p.top, at(float64(i)/100), p.bottom)
		p.write("middle", at(float64(i)/100), p.bottom+14, fmt.Sprintf("%d %%", i))
	}
	for i, t := range tags {
		y := p.top + 13 + 26*float64(i)
		p.write("end", p.left-8, y+4, t.Name+" "+tagTitles[t.Name])
		for j, s := range []Share{t.AtTime, t.After} {
			top := y - 9 + 9*float64(j)
			fmt.Fprintf(&p.out, `<rect class="bar%d" x="%.1f" y="%.1f" width="%.1f" height="7"/>`, j, p.left, top, at(s.Value)-p.left)
			p.line("whisker", at(s.Low), top+3.5, at(s.High), top+3.5)
		}
		p.write("end", p.right+106, y+4, fmt.Sprintf("%d, %d / %d", t.AtTime.K, t.After.K, t.AtTime.N))
	}
	return "<figure class=wide><figcaption>" + title + "</figcaption>" + p.String() +
		`<ul class=legend><li><svg viewBox="0 0 28 8" aria-hidden="true"><rect class="bar0" width="28" height="8"/></svg>当时 at the time</li><li><svg viewBox="0 0 28 8" aria-hidden="true"><rect class="bar1" width="28" height="8"/></svg>事后 after</li><li>细线为 95 % 区间 whiskers: 95 %; 虚线 2 % 为上限 the dashed line is the limit of 2 %</li></ul></figure>`
}

// pooledTags adds up the tags of several worlds.
func pooledTags(worlds []*Report) []Tag {
	by := map[string]*Tag{}
	var names []string
	for _, r := range worlds {
		for _, t := range r.Tags {
			x := by[t.Name]
			if x == nil {
				x = &Tag{Name: t.Name}
				by[t.Name] = x
				names = append(names, t.Name)
			}
			x.AtTime = share(x.AtTime.K+t.AtTime.K, x.AtTime.N+t.AtTime.N)
			x.After = share(x.After.K+t.After.K, x.After.N+t.After.N)
		}
	}
	slices.SortFunc(names, byName)
	var out []Tag
	for _, n := range names {
		out = append(out, *by[n])
	}
	return out
}
