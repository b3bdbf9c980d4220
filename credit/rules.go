package credit

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	vw "voucherwatch"
	"voucherwatch/internal/worktime"
	"voucherwatch/internal/yamlfile"
)

//go:embed default.yaml
var defaultSource string

// Default is the built-in rules' file, comments included, for users to copy.
func Default() []byte { return []byte(defaultSource) }

// Rules are the numbers of the lists, each dated and with its source.
type Rules struct {
	Name     string         `yaml:"name,required"`
	Zone     string         `yaml:"zone,required"` // +08:00
	Holidays []yamlfile.Day `yaml:"holidays"`
	Workdays []yamlfile.Day `yaml:"workdays"` // weekends worked in exchange (调休)
	Terms    []Term         `yaml:"terms,required"`
	// Revoke is how many working days there are to tell everybody of a revocation.
	Revoke []Dated `yaml:"revoke,required"`
	// Repair is how many months an entry stands at least before it can be repaired.
	Repair []Dated `yaml:"repair,required"`

	calendar *worktime.Calendar
}

// Term is how long an entry of a list may last, for entries that begin on certain days.
type Term struct {
	Tier   string       `yaml:"tier,required"`
	Months int          `yaml:"months,required"`
	From   yamlfile.Day `yaml:"from,required"`
	To     yamlfile.Day `yaml:"to"`
	Source string       `yaml:"source,required"`
}

// Dated is a number that holds on certain days.
type Dated struct {
	Number int          `yaml:"number,required"`
	From   yamlfile.Day `yaml:"from,required"`
	To     yamlfile.Day `yaml:"to"`
	Source string       `yaml:"source,required"`
}

// LoadRules reads the built-in rules ("" or "default"), or else a file by path; errors are those of
// rules.Load.
func LoadRules(nameOrFile string) (*Rules, error) {
	if nameOrFile == "" || nameOrFile == "default" {
		return ParseRules("default.yaml", Default())
	}
	data, err := os.ReadFile(nameOrFile)
	if err != nil {
		code := vw.Unavailable
		if errors.Is(err, fs.ErrNotExist) {
			code = vw.NotFound
		}
		return nil, &vw.Error{Op: "credit.LoadRules", Code: code, Hint: "give the path of a rules file, or the built-in one: default", Err: err}
	}
	return ParseRules(nameOrFile, data)
}

// ParseRules reads rules from the bytes of a file; every error is vw.Invalid, with file and line.
func ParseRules(file string, data []byte) (*Rules, error) {
	_, c := yamlfile.Parse(file, data)
	r := &Rules{}
	c.Decode("", r)
	zone, err := time.Parse("-07:00", r.Zone)
	if err != nil {
		c.Fault("zone", "is %q: want an offset such as \"+08:00\"", r.Zone)
	}
	for i, t := range r.Terms {
		path := fmt.Sprintf("terms[%d]", i)
		if t.Tier != string(Exclusion) && t.Tier != string(Record) {
			c.Fault(path+".tier", "is %q: use activity_exclusion, credit_record", t.Tier)
		}
		if t.Months < 1 || t.Months > 120 {
			c.Fault(path+".months", "is %d: want 1 to 120", t.Months)
		}
		if t.To != 0 && t.To < t.From {
			c.Fault(path+".to", "is %s, before from, %s", t.To, t.From)
		}
	}
	for name, list := range map[string][]Dated{"revoke": r.Revoke, "repair": r.Repair} {
		if len(list) == 0 {
			c.Fault(name, "is empty: want at least one")
		}
		for i, d := range list {
			path := fmt.Sprintf("%s[%d]", name, i)
			if d.Number < 1 || d.Number > 120 {
				c.Fault(path+".number", "is %d: want 1 to 120", d.Number)
			}
			if d.To != 0 && d.To < d.From {
				c.Fault(path+".to", "is %s, before from, %s", d.To, d.From)
			}
		}
	}
	if err := c.Err(); err != nil {
		return nil, &vw.Error{Op: "credit.ParseRules", Code: vw.Invalid, Err: err}
	}
	_, offset := zone.Zone()
	r.calendar = &worktime.Calendar{Zone: time.FixedZone(r.Zone, offset), Days: [7]bool{1: true, 2: true, 3: true, 4: true, 5: true}, Holidays: map[string]bool{}, Workdays: map[string]bool{}}
	for _, d := range r.Holidays {
		r.calendar.Holidays[d.String()] = true
	}
	for _, d := range r.Workdays {
		r.calendar.Workdays[d.String()] = true
	}
	return r, nil
}

func (r *Rules) zone() *time.Location { return r.calendar.Zone }

// Today is the day of a moment in the rules' zone.
func (r *Rules) Today(now time.Time) Day { return DayOf(now, r.zone()) }

func (r *Rules) term(t Tier, on Day) (Term, bool) {
	i := slices.IndexFunc(r.Terms, func(x Term) bool {
		return x.Tier == string(t) && Day(x.From.String()) <= on && (x.To == 0 || on <= Day(x.To.String()))
	})
	if i < 0 {
		return Term{}, false
	}
	return r.Terms[i], true
}

// last is the last day of a term.
func (t Term) last(start Day) Day { return addMonths(start, t.Months) }

// addMonths is the same day some months on, or the last day of that month.
func addMonths(d Day, months int) Day {
	at, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return d
	}
	first := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, months, 0)
	day := min(at.Day(), first.AddDate(0, 1, -1).Day())
	return Day(first.AddDate(0, 0, day-1).Format(time.DateOnly))
}

// on is the number that holds on a day; without one the last of the list.
func on(list []Dated, day Day) int {
	for _, d := range list {
		if Day(d.From.String()) <= day && (d.To == 0 || day <= Day(d.To.String())) {
			return d.Number
		}
	}
	return list[len(list)-1].Number
}

// tellBy is when everybody must know of what was decided at a moment.
func (r *Rules) tellBy(decided time.Time) time.Time {
	return r.calendar.Add(decided, on(r.Revoke, DayOf(decided, r.zone())))
}
