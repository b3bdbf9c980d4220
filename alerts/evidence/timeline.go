package evidence

import (
	"fmt"
	"time"

	"codeberg.org/go-pdf/fpdf"
)

// Timeline is a picture: a line for each day, on it a mark for each redemption at its time of day, red
// where a finding rests on it. Bursts, and what happens at the same minute every day, meet the eye.
type Timeline struct {
	Caption string
	Marks   []Mark
	From    time.Time // midnight of the first day, in the campaign's zone
	Days    int
	// First and Last hour that is drawn.
	First, Last int
}

// Mark is one redemption.
type Mark struct {
	At    time.Time
	Found bool
}

// mostDays is how many days a picture shows; what is later is said in the caption.
const mostDays = 45

func newTimeline(marks []Mark, zone *time.Location) *Timeline {
	t := &Timeline{First: 24}
	if len(marks) == 0 {
		return nil
	}
	first, last := marks[0].At, marks[0].At
	for _, m := range marks {
		if m.At.Before(first) {
			first = m.At
		}
		if m.At.After(last) {
			last = m.At
		}
		t.First, t.Last = min(t.First, m.At.In(zone).Hour()), max(t.Last, m.At.In(zone).Hour()+1)
	}
	f := first.In(zone)
	t.From = time.Date(f.Year(), f.Month(), f.Day(), 0, 0, 0, 0, zone)
	t.Days = int(last.Sub(t.From)/(24*time.Hour)) + 1
	t.Caption = fmt.Sprintf("图：涉案核销的时间分布（%d 笔；一行为一天，红点为认定所依据的核销，灰点为同期其他核销）", len(marks))
	if t.Days > mostDays {
		t.Caption += fmt.Sprintf("；仅画出前 %d 天，其余见明细", mostDays)
		t.Days = mostDays
	}
	t.Marks = marks
	return t
}

func (t *Timeline) words() (all []string) {
	for h := t.First; h <= t.Last; h += t.step() {
		all = append(all, fmt.Sprintf("%02d:00", h))
	}
	for d := range t.Days {
		all = append(all, t.day(d))
	}
	return append(all, t.Caption)
}

func (t *Timeline) step() int { return max(1, (t.Last-t.First+7)/8) }

func (t *Timeline) day(d int) string { return t.From.AddDate(0, 0, d).Format("01-02") }

// row is the height of a day, and height that of the picture with its caption, in millimetres.
const row = 4.0

func (t *Timeline) height() float64 { return row*float64(t.Days) + 16 }

// draw puts the picture at the pen, w millimetres wide, and returns how high it is.
func (t *Timeline) draw(p *fpdf.Fpdf, x, y, w float64) float64 {
	const label = 14.0
	plot := w - label
	at := func(hours float64) float64 { return x + label + plot*(hours-float64(t.First))/float64(t.Last-t.First) }
	p.SetFontSize(7)
	p.SetDrawColor(200, 200, 200)
	p.SetLineWidth(0.1)
	top := y + 5
	for h := t.First; h <= t.Last; h += t.step() {
		p.Line(at(float64(h)), top, at(float64(h)), top+row*float64(t.Days))
		text := fmt.Sprintf("%02d:00", h)
		p.Text(at(float64(h))-p.GetStringWidth(text)/2, top-1, text)
	}
	for d := range t.Days {
		middle := top + row*(float64(d)+0.5)
		p.Line(x+label, middle, x+w, middle)
		p.Text(x, middle+0.9, t.day(d))
	}
	for _, found := range []bool{false, true} { // red over grey
		for _, m := range t.Marks {
			since := m.At.Sub(t.From)
			d := int(since / (24 * time.Hour))
			if m.Found != found || d >= t.Days {
				continue
			}
			p.SetFillColor(150, 150, 150)
			if found {
				p.SetFillColor(200, 30, 30)
			}
			p.Circle(at((since - time.Duration(d)*24*time.Hour).Hours()), top+row*(float64(d)+0.5), 0.7, "F")
		}
	}
	return 5 + row*float64(t.Days) + 2
}
