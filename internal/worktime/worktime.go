// Package worktime counts working hours and working days: the week, its hours, the public holidays
// and the weekends that are worked in exchange (调休), which are announced anew every year and so come
// from a file.
//
// It reads no clock and no file. In: moments. Out: moments in the calendar's zone.
package worktime

import (
	"time"
)

// Calendar is a week with its exceptions. The zero Calendar is open always.
type Calendar struct {
	Zone     *time.Location // nil is UTC
	Days     [7]bool        // by time.Weekday; none set: every day is worked
	From, To int            // minutes of the day, From inclusive, To exclusive; both 0: the whole day
	Holidays map[string]bool
	Workdays map[string]bool // "2022-10-08": worked though it is a weekend
}

// horizon bounds a search for an open moment: a calendar closed for two years is closed for good.
const horizon = 732

// Day says whether the day of a moment is worked.
func (c *Calendar) Day(t time.Time) bool {
	t = t.In(c.zone())
	date := t.Format(time.DateOnly)
	if c.Workdays[date] {
		return true
	}
	return !c.Holidays[date] && (c.Days == [7]bool{} || c.Days[t.Weekday()])
}

// Open says whether a moment lies in working hours.
func (c *Calendar) Open(t time.Time) bool {
	t = t.In(c.zone())
	from, to := c.hours()
	m := t.Hour()*60 + t.Minute()
	return c.Day(t) && m >= from && m < to
}

// Next is the moment itself when it is open, else the next opening. A calendar that does not open
// within two years gives the moment itself: what is to be said late is better said than never.
func (c *Calendar) Next(t time.Time) time.Time {
	if c.Open(t) {
		return t
	}
	from, _ := c.hours()
	local := t.In(c.zone())
	for i := range horizon {
		at := time.Date(local.Year(), local.Month(), local.Day()+i, 0, from, 0, 0, c.zone())
		if !at.Before(t) && c.Open(at) {
			return at
		}
	}
	return t
}

// Add is the end of the n-th working day after the day of t: the day itself does not count (期间开始的
// 日不计算在内), and the last day counts to its end.
func (c *Calendar) Add(t time.Time, n int) time.Time {
	day := t.In(c.zone())
	for i := 0; n > 0 && i < horizon; i++ {
		day = day.AddDate(0, 0, 1)
		if c.Day(day) {
			n--
		}
	}
	return time.Date(day.Year(), day.Month(), day.Day(), 23, 59, 59, 0, c.zone())
}

func (c *Calendar) zone() *time.Location {
	if c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

func (c *Calendar) hours() (from, to int) {
	if c.From == 0 && c.To == 0 {
		return 0, 24 * 60
	}
	return c.From, c.To
}
