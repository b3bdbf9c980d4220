package alerts

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Plan says what the policy would do with an alert: who gets it, when and why.
type Plan struct {
	Alert    Alert
	At       time.Time
	Sentence string
	Branches []Planned
}

// Planned is one branch of a Plan.
type Planned struct {
	Path     string
	Because  []string
	GroupBy  []string
	Hours    string
	Contacts []Contact
	Already  []Contact   // reached over an earlier branch
	Times    []time.Time // of the first message and of two repeats, if nobody takes it up
	Steps    []PlannedStep
}

// PlannedStep is one step of the ladder, if nobody takes it up.
type PlannedStep struct {
	At       time.Time
	Contacts []Contact
}

// Explain plays an alert that is taken in at a moment through the tree. Silences, inhibition and what
// else is in the same group are not looked at: they are of the moment, not of the policy.
func (p *Policy) Explain(a Alert, at time.Time) (Plan, error) {
	if err := a.Check(); err != nil {
		return Plan{}, err
	}
	plan := Plan{Alert: a, At: at, Sentence: p.sentence(&a)}
	reached := map[string]bool{}
	for _, hit := range p.Match(&a) {
		r := hit.Route
		hours := p.calendar(r.Hours)
		first := hours.Next(at.Add(r.Wait))
		b := Planned{Path: r.path, Because: hit.Because, GroupBy: r.GroupBy, Hours: r.Hours, Times: []time.Time{first}}
		for _, c := range p.contacts(r.Receivers, first) {
			if reached[c.Channel] {
				b.Already = append(b.Already, c)
			} else {
				b.Contacts = append(b.Contacts, c)
			}
		}
		for _, c := range b.Contacts {
			reached[c.Channel] = true
		}
		for again := first; r.Repeat > 0 && len(b.Times) < 3; {
			again = hours.Next(again.Add(r.Repeat))
			b.Times = append(b.Times, again)
		}
		l := p.Escalations[r.Escalate]
		for round, t := 0, first; round <= l.Repeat; round++ {
			for _, s := range l.Steps {
				t = p.calendar(s.Hours).Next(t.Add(s.After))
				b.Steps = append(b.Steps, PlannedStep{t, p.contacts(s.Notify, t)})
			}
		}
		plan.Branches = append(plan.Branches, b)
	}
	return plan, nil
}

// WritePlan prints a plan for people.
func (p *Policy) WritePlan(w io.Writer, plan Plan) error {
	var b strings.Builder
	a := &plan.Alert
	when := func(t time.Time) string {
		return t.In(p.zone()).Format("2006-01-02 15:04:05") + " 周" + string([]rune("日一二三四五六")[t.In(p.zone()).Weekday()])
	}
	people := func(cs []Contact) string {
		var s []string
		for _, c := range cs {
			word := p.Receivers[c.Receiver].Title + " → " + c.Channel
			if c.Duty {
				word += "（值班 on duty）"
			}
			s = append(s, word)
		}
		return strings.Join(s, "；")
	}
	fmt.Fprintf(&b, "分派 policy %s\n告警 alert  %s %s %s %s，%s\n正文 text   %s\n受理 at     %s\n", p.Version, a.What, strings.Join(a.Typologies, " "), a.Severity,
		a.SubsidyFen.Yuan(), orNone(a.Agencies), plan.Sentence, when(plan.At))
	for _, br := range plan.Branches {
		fmt.Fprintf(&b, "\n%s\n  因为 why     %s\n", br.Path, strings.Join(br.Because, "; "))
		if len(br.Contacts) > 0 {
			fmt.Fprintf(&b, "  通知 who     %s\n", people(br.Contacts))
		}
		if len(br.Already) > 0 {
			fmt.Fprintf(&b, "  不重发 already %s\n", people(br.Already))
		}
		if len(br.Contacts) == 0 {
			continue
		}
		hours := br.Hours
		if hours == "" {
			hours = anyHour
		}
		fmt.Fprintf(&b, "  时间 when    %s （%s；按 %s 合并 grouped）\n", when(br.Times[0]), hours, strings.Join(br.GroupBy, ", "))
		for _, t := range br.Times[1:] {
			fmt.Fprintf(&b, "  无人签收 else %s 再次提醒 repeat\n", when(t))
		}
		for _, s := range br.Steps {
			fmt.Fprintf(&b, "  升级 then    %s %s\n", when(s.At), people(s.Contacts))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
