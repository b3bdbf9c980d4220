package cases

import (
	"strconv"
	"time"
)

// The units of a limit. Days are counted from the day after the start to the end of the last one
// (行政处罚法 Art. 85: 2 to 7 days are working days; what ends on a day off ends on the next working day).
const (
	WorkingDays  = "working_days"
	CalendarDays = "calendar_days"
	Hours        = "hours"
)

// Limit is how long a clock runs, on whose word.
type Limit struct {
	N      int    `yaml:"n,required" json:"n"`
	Unit   string `yaml:"unit,required" json:"unit"`
	Basis  string `yaml:"basis,required" json:"basis"`
	Verify bool   `yaml:"verify" json:"verify,omitempty"` // the basis must still be confirmed
}

// Pause is a time that a clock does not count (中止), with its legal reason. To is empty while it lasts.
type Pause struct {
	From   string `json:"from"`
	To     string `json:"to,omitempty"`
	Reason string `json:"reason"`
	By     string `json:"by"`
}

// Clock is a limit that runs in a case. Times are RFC 3339. DueAt is empty while it is paused.
type Clock struct {
	Name      string `json:"name"`
	Limit     `json:",inline"`
	StartedAt string  `json:"started_at"`
	StoppedAt string  `json:"stopped_at,omitempty"`
	DueAt     string  `json:"due_at,omitempty"`
	Pauses    []Pause `json:"pauses,omitempty"`
	// Provisional: it reaches into a year that the table of days off does not have.
	Provisional bool `json:"provisional,omitempty"`
	// Warned is the highest warning already given: 0, 50, 80 or 100 (percent used).
	Warned int `json:"warned,omitempty"`
}

// Running: not stopped and not paused.
func (c *Clock) Running() bool { return c.StoppedAt == "" && !c.paused() }

func (c *Clock) paused() bool { return len(c.Pauses) > 0 && c.Pauses[len(c.Pauses)-1].To == "" }

// start sets a clock going.
func (cal *Calendar) start(name string, l Limit, now time.Time) Clock {
	c := Clock{Name: name, Limit: l, StartedAt: stamp(now)}
	cal.set(&c)
	return c
}

func (cal *Calendar) pause(c *Clock, reason, by string, now time.Time) {
	if c.Running() {
		c.Pauses = append(c.Pauses, Pause{From: stamp(now), Reason: reason, By: by})
		c.DueAt = ""
	}
}

func (cal *Calendar) resume(c *Clock, now time.Time) {
	if c.StoppedAt == "" && c.paused() {
		c.Pauses[len(c.Pauses)-1].To = stamp(now)
		cal.set(c)
	}
}

// farthest is how many days a limit may span, days off and pauses included, before it is taken for a mistake.
const farthest = 20_000

// set works out when a clock that is not paused is due. A day counts when the clock runs at its end.
func (cal *Calendar) set(c *Clock) {
	started := moment(c.StartedAt)
	if c.Unit == Hours {
		due := started.Add(time.Duration(c.N) * time.Hour)
		for _, p := range c.Pauses {
			due = due.Add(moment(p.To).Sub(moment(p.From)))
		}
		c.DueAt, c.Provisional = stamp(due), false
		return
	}
	c.Provisional = false
	left, day := c.N, dayOf(started)
	for range farthest {
		if left == 0 {
			break
		}
		day++
		if cal.counts(c, day) {
			left--
		}
	}
	for working, known := cal.Working(day); ; working, known = cal.Working(day) {
		c.Provisional = c.Provisional || !known
		if working {
			break
		}
		day++
	}
	c.DueAt = stamp(dayStart(day + 1).Add(-time.Second))
}

// counts tells whether a day after the start uses the limit up.
func (cal *Calendar) counts(c *Clock, day int) bool {
	end := dayStart(day + 1)
	for _, p := range c.Pauses {
		if !moment(p.From).After(end) && (p.To == "" || moment(p.To).After(end)) {
			return false
		}
	}
	if c.Unit == CalendarDays {
		return true
	}
	working, known := cal.Working(day)
	c.Provisional = c.Provisional || !known
	return working
}

// Used is how much of a clock's limit is used up at a moment, in percent: 100 from the moment it is due,
// 99 at most before.
func (cal *Calendar) Used(c *Clock, now time.Time) int {
	if c.StoppedAt != "" {
		now = moment(c.StoppedAt)
	}
	if c.DueAt != "" && !now.Before(moment(c.DueAt)) {
		return 100
	}
	started, probe := moment(c.StartedAt), *c // counts may mark the copy as provisional
	var used, total time.Duration
	if c.Unit == Hours {
		used, total = now.Sub(started), time.Duration(c.N)*time.Hour
		for _, p := range c.Pauses {
			to := now
			if p.To != "" {
				to = moment(p.To)
			}
			used -= max(0, to.Sub(moment(p.From)))
		}
	} else {
		total = time.Duration(c.N) * 24 * time.Hour
		for day, last := dayOf(started)+1, dayOf(now); day <= last; day++ {
			if cal.counts(&probe, day) {
				used += min(24*time.Hour, now.Sub(dayStart(day)))
			}
		}
	}
	if total <= 0 {
		return 99
	}
	return int(min(99, max(0, used*100/total)))
}

// warnings are the steps at which somebody is told, in percent of the limit.
var warnings = [...]int{50, 80, 100}

func stamp(t time.Time) string { return t.In(Zone).Format(time.RFC3339Nano) }

func itoa(n int) string { return strconv.Itoa(n) }
