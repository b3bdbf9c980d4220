package cases

import (
	_ "embed"
	"errors"
	"slices"
	"strings"
	"time"

	"voucherwatch/internal/yamlfile"

	vw "voucherwatch"
)

// Zone is where working days are counted: China has had one zone without summer time since 1991.
var Zone = time.FixedZone("CST", 8*3600)

//go:embed holidays.yaml
var holidays []byte

// Calendar tells working days from days off. It is not changed after Load and may be shared.
type Calendar struct {
	off, work map[int]bool // by day number, as voucherwatch.DayOf
	years     map[int]bool
	verify    []int // years whose source is not confirmed
}

// LoadCalendar reads a table of days off; nil reads the built-in one. Faults are vw.Invalid, all of them at once,
// as "file:line: path: what is wrong".
func LoadCalendar(file string, data []byte) (*Calendar, error) {
	if data == nil {
		file, data = "holidays.yaml", holidays
	}
	var table struct {
		Years []struct {
			Year   int            `yaml:"year,required"`
			Source string         `yaml:"source,required"`
			Verify bool           `yaml:"verify"`
			Off    []span         `yaml:"off,required"`
			Work   []yamlfile.Day `yaml:"work"`
		} `yaml:"years,required"`
	}
	f, check := yamlfile.Parse(file, data)
	check.Decode("", &table)
	c := &Calendar{off: map[int]bool{}, work: map[int]bool{}, years: map[int]bool{}}
	for i, y := range table.Years {
		at := func(field string, n int) string { return "years[" + itoa(i) + "]." + field + "[" + itoa(n) + "]" }
		if c.years[y.Year] {
			check.Fault("years["+itoa(i)+"].year", "%d is given twice", y.Year)
		}
		c.years[y.Year] = true
		if y.Verify {
			c.verify = append(c.verify, y.Year)
		}
		for n, s := range y.Off {
			for day := s.from; day <= s.to; day++ {
				if c.off[day] {
					check.Fault(at("off", n), "%s is off already", vw.Date(day))
				}
				c.off[day] = true
			}
		}
		for n, d := range y.Work {
			switch day := int(d); {
			case !weekend(day):
				check.Fault(at("work", n), "%s is no Saturday or Sunday: only those are worked instead of others", d)
			case c.off[day]:
				check.Fault(at("work", n), "%s is off in this table", d)
			default:
				c.work[day] = true
			}
		}
	}
	_ = f
	if err := check.Err(); err != nil {
		return nil, &vw.Error{Op: "cases.LoadCalendar", Code: vw.Invalid, Err: err}
	}
	return c, nil
}

// span is a run of days, both ends inside: 2022-10-01/2022-10-07.
type span struct{ from, to int }

func (s *span) UnmarshalText(text []byte) error {
	a, b, ok := strings.Cut(string(text), "/")
	from, err1 := vw.DayNumber(a)
	to, err2 := vw.DayNumber(b)
	if !ok || err1 != nil || err2 != nil || to < from || to-from > 31 {
		return errors.New("want two days such as 2022-10-01/2022-10-07, the first one first and a month at most")
	}
	s.from, s.to = from, to
	return nil
}

// weekend: day 0, 1970-01-01, was a Thursday.
func weekend(day int) bool { return (day+4)%7 == 0 || (day+4)%7 == 6 }

// Working tells whether a day (voucherwatch.DayOf) is worked. Known is false when the table has no entry
// for its year: then plain weekends are taken.
func (c *Calendar) Working(day int) (working, known bool) {
	year := dayStart(day).Year()
	return c.work[day] || !c.off[day] && !weekend(day), c.years[year]
}

// Years are those that the table covers.
func (c *Calendar) Years() []int {
	var out []int
	for y := range c.years {
		out = append(out, y)
	}
	slices.Sort(out)
	return out
}

// Unconfirmed are the years whose notice somebody must still look up.
func (c *Calendar) Unconfirmed() []int { return slices.Clone(c.verify) }

// dayOf is the day number of a moment in Zone.
func dayOf(t time.Time) int {
	y, m, d := t.In(Zone).Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// dayStart is midnight in Zone at which a day begins.
func dayStart(day int) time.Time {
	y, m, d := time.Unix(int64(day)*86400, 0).UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, Zone)
}
