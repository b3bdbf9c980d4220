package worktime

import (
	"testing"
	"time"
)

func office() *Calendar {
	return &Calendar{
		Zone: time.FixedZone("", 8*3600), Days: [7]bool{1: true, 2: true, 3: true, 4: true, 5: true}, From: 8*60 + 30, To: 18 * 60,
		Holidays: map[string]bool{"2022-10-03": true, "2022-10-04": true, "2022-10-05": true, "2022-10-06": true, "2022-10-07": true},
		Workdays: map[string]bool{"2022-10-08": true, "2022-10-09": true},
	}
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheNextOpening(t *testing.T) {
	for _, tt := range []struct{ name, from, want string }{
		{"open now", "2022-09-20T10:00:00+08:00", "2022-09-20T10:00:00+08:00"},
		{"before the door opens", "2022-09-20T08:29:59+08:00", "2022-09-20T08:30:00+08:00"},
		{"the last minute counts", "2022-09-20T17:59:59+08:00", "2022-09-20T17:59:59+08:00"},
		{"at the end of the day", "2022-09-20T18:00:00+08:00", "2022-09-21T08:30:00+08:00"},
		{"Friday night waits for Monday", "2022-09-23T20:00:00+08:00", "2022-09-26T08:30:00+08:00"},
		{"the National Day week ends on a worked Saturday", "2022-09-30T19:00:00+08:00", "2022-10-08T08:30:00+08:00"},
		{"a worked Sunday", "2022-10-09T09:00:00+08:00", "2022-10-09T09:00:00+08:00"},
		{"another zone's moment", "2022-09-20T00:00:00Z", "2022-09-20T08:30:00+08:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := office().Next(at(t, tt.from)); !got.Equal(at(t, tt.want)) {
				t.Errorf("next opening = %v, want %s", got, tt.want)
			}
		})
	}
	var always Calendar
	if night := at(t, "2022-10-01T03:00:00+08:00"); !always.Next(night).Equal(night) {
		t.Error("the zero calendar is closed at night")
	}
	never := &Calendar{Days: [7]bool{0: true}, From: 600, To: 600}
	if now := at(t, "2022-10-01T03:00:00Z"); !never.Next(now).Equal(now) {
		t.Error("a calendar that never opens holds things back for ever")
	}
}

func TestWorkingDaysAreCountedFromTheDayAfter(t *testing.T) {
	for _, tt := range []struct {
		name, from string
		days       int
		want       string
	}{
		{"three days in a plain week", "2022-09-19T10:00:00+08:00", 3, "2022-09-22T23:59:59+08:00"},
		{"over a weekend", "2022-09-22T10:00:00+08:00", 3, "2022-09-27T23:59:59+08:00"},
		{"over the National Day week", "2022-09-29T10:00:00+08:00", 3, "2022-10-09T23:59:59+08:00"},
		{"none: the day itself", "2022-09-19T10:00:00+08:00", 0, "2022-09-19T23:59:59+08:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := office().Add(at(t, tt.from), tt.days); !got.Equal(at(t, tt.want)) {
				t.Errorf("%d working days on = %v, want %s", tt.days, got, tt.want)
			}
		})
	}
}
