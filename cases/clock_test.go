package cases

import (
	"strings"
	"testing"
	"time"

	vw "voucherwatch"
)

func calendar(t testing.TB) *Calendar {
	t.Helper()
	c, err := LoadCalendar("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// at reads "2022-09-30 15:00" in Zone.
func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04", s, Zone)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheDaysOffOfFiveYearsAreThoseOfTheNotices(t *testing.T) {
	c := calendar(t)
	// Days off of each year, weekends left out, and weekend days that are worked: counted by hand from the notices.
	for _, tt := range []struct{ year, working int }{{2022, 249}, {2023, 249}, {2024, 251}, {2025, 248}, {2026, 248}} {
		n := 0
		for d := time.Date(tt.year, 1, 1, 0, 0, 0, 0, Zone); d.Year() == tt.year; d = d.AddDate(0, 0, 1) {
			working, known := c.Working(dayOf(d))
			if !known {
				t.Fatalf("%d is not in the table", tt.year)
			}
			if working {
				n++
			}
		}
		if n != tt.working {
			t.Errorf("%d has %d working days, want %d", tt.year, n, tt.working)
		}
	}
	for day, want := range map[string]bool{"2022-10-01": false, "2022-10-07": false, "2022-10-08": true, "2022-10-09": true, "2022-10-10": true, "2022-10-15": false,
		"2023-01-01": false, "2022-12-31": false, "2024-09-14": true, "2024-09-16": false, "2025-02-08": true, "2026-01-04": true, "2026-02-23": false, "2026-09-20": true} {
		n, err := vw.DayNumber(day)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := c.Working(n); got != want {
			t.Errorf("%s worked: %v, want %v", day, got, want)
		}
	}
}

func TestAFaultyTableOfDaysOffIsRefused(t *testing.T) {
	_, err := LoadCalendar("own.yaml", []byte(`years:
  - year: 2027
    source: x
    off: [2027-01-01/2027-01-03, 2027-01-03/2027-01-04, 2027-02-03]
    work: [2027-01-06, 2027-01-02]
    worked: []
`))
	for _, want := range []string{"own.yaml:4: years[0].off[2]", "own.yaml:6: years[0].worked"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	_, err = LoadCalendar("own.yaml", []byte("years:\n  - year: 2027\n    source: x\n    off: [2027-01-01/2027-01-03, 2027-01-03/2027-01-04]\n    work: [2027-01-06, 2027-01-02]\n"))
	for _, want := range []string{"2027-01-03 is off already", "2027-01-06 is no Saturday", "2027-01-02 is off"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestAClockEndsOnTheRightDay(t *testing.T) {
	c := calendar(t)
	for _, tt := range []struct {
		name, start string
		n           int
		unit, due   string
	}{
		{"five days of a plain week", "2022-09-19 10:00", 5, WorkingDays, "2022-09-26 23:59"},
		{"over the golden week and its working weekend", "2022-09-29 16:00", 3, WorkingDays, "2022-10-09 23:59"},
		{"the day of the start does not count", "2022-10-08 00:00", 1, WorkingDays, "2022-10-09 23:59"},
		{"from a day off", "2022-10-03 09:00", 1, WorkingDays, "2022-10-08 23:59"},
		{"calendar days that end on a day off end on the next working day", "2022-09-30 09:00", 3, CalendarDays, "2022-10-08 23:59"},
		{"calendar days", "2022-09-19 09:00", 3, CalendarDays, "2022-09-22 23:59"},
		{"hours do not know days off", "2022-10-01 09:30", 24, Hours, "2022-10-02 09:30"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := c.start("x", Limit{N: tt.n, Unit: tt.unit}, at(t, tt.start))
			if got := moment(clock.DueAt).Format("2006-01-02 15:04"); got != tt.due {
				t.Errorf("due %s, want %s", got, tt.due)
			}
			if clock.Provisional {
				t.Error("the table covers it")
			}
		})
	}
	if clock := c.start("x", Limit{N: 90, Unit: CalendarDays}, at(t, "2026-12-01 09:00")); !clock.Provisional {
		t.Error("a clock that ends in a year without a table must say so")
	}
}

func TestAPauseDoesNotCount(t *testing.T) {
	c := calendar(t)
	clock := c.start("x", Limit{N: 5, Unit: WorkingDays}, at(t, "2022-09-19 10:00")) // due on the 26th
	c.pause(&clock, "appraisal", "li", at(t, "2022-09-21 09:00"))
	if clock.DueAt != "" || clock.Running() {
		t.Errorf("a paused clock is due at %q", clock.DueAt)
	}
	if got := c.Used(&clock, at(t, "2022-09-29 09:00")); got != 20 { // the 20th only
		t.Errorf("%d %% used while paused, want 20", got)
	}
	c.resume(&clock, at(t, "2022-09-23 15:00"))
	if got := moment(clock.DueAt).Format(time.DateOnly); got != "2022-09-28" { // two days later
		t.Errorf("due %s, want 2022-09-28", got)
	}
	hours := c.start("x", Limit{N: 24, Unit: Hours}, at(t, "2022-09-19 10:00"))
	c.pause(&hours, "x", "li", at(t, "2022-09-19 12:00"))
	c.resume(&hours, at(t, "2022-09-19 15:00"))
	if got := moment(hours.DueAt); !got.Equal(at(t, "2022-09-20 13:00")) {
		t.Errorf("due %v", got)
	}
}

func TestWarningsComeAtTheirPartOfTheLimitAndOnce(t *testing.T) {
	p, err := LoadProcedure("", nil)
	if err != nil {
		t.Fatal(err)
	}
	doc := Document{Case: vw.Case{CaseID: "c", Assignee: "li", Revision: 1}}
	doc.Work.Clocks = []Clock{p.Calendar.start("investigation", Limit{N: 5, Unit: WorkingDays}, at(t, "2022-09-19 10:00"))}
	told := 0
	for hour := range 24 * 12 {
		now := at(t, "2022-09-19 10:00").Add(time.Duration(hour) * time.Hour)
		next, changed, err := p.Tick(doc, now)
		if err != nil {
			t.Fatal(err)
		}
		if !changed {
			continue
		}
		doc = next
		step := doc.Work.Clocks[0].Warned
		if got, want := now.Format("01-02 15"), map[int]string{50: "09-22 12", 80: "09-24 00", 100: "09-27 00"}[step]; got != want {
			t.Errorf("%d %% was told at %s, want %s", step, got, want)
		}
		last := doc.Work.Outbox[len(doc.Work.Outbox)-2] // the audit line comes last
		if breach := step == 100; strings.Contains(string(last.Body), `"breach":true`) != breach || (len(last.To) == 2) != breach {
			t.Errorf("%d %%: %s to %v", step, last.Body, last.To)
		}
		told++
	}
	if told != 3 {
		t.Errorf("told %d times, want 3", told)
	}
}
