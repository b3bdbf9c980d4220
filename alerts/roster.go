package alerts

import (
	"time"

	vw "voucherwatch"
	"voucherwatch/internal/yamlfile"
)

// Roster is who is on duty: people take turns of some days, and some days are swapped. A person is the
// name of a channel.
type Roster struct {
	Start    yamlfile.Day `yaml:"start,required"` // the first person's first day
	Days     int          `yaml:"days,required"`  // of a turn
	HandOver Clock        `yaml:"hand_over,required"`
	People   []string     `yaml:"people,required"`
	Swaps    []Swap       `yaml:"swaps"` // by day, each after the one before
}

// Swap puts somebody else on duty for some days, both included.
type Swap struct {
	From yamlfile.Day `yaml:"from,required"`
	To   yamlfile.Day `yaml:"to,required"`
	Who  string       `yaml:"who,required"`
}

// On is who is on duty at a moment. Before the start it is the first person: somebody always is.
func (r *Roster) On(t time.Time, zone *time.Location) string {
	// A turn begins at the hand-over, so the hours before it belong to the day before.
	local := t.In(zone).Add(-time.Duration(r.HandOver) * time.Minute)
	day, err := vw.DayNumber(local.Format(time.DateOnly))
	if err != nil {
		return r.People[0] // a year beyond 9999
	}
	for _, s := range r.Swaps {
		if int(s.From) <= day && day <= int(s.To) {
			return s.Who
		}
	}
	return r.People[max(0, day-int(r.Start))/r.Days%len(r.People)]
}
