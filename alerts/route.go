package alerts

import (
	"slices"
	"strings"
	"time"
)

const (
	anyHour = "any"    // no calendar, where the branch above has one
	nobody  = "nobody" // no escalation, where the branch above has one
)

// Route is a branch of the tree. An alert enters at the root and goes into the first branch whose match
// holds, and into the next ones as long as those have Continue; where no branch takes it, it stays. What
// a branch does not say it has from the one above.
type Route struct {
	Name      string   `yaml:"name"`
	Match     Match    `yaml:"match"`
	Continue  bool     `yaml:"continue"`
	Receivers []string `yaml:"receivers"`
	// GroupBy are the labels whose values make a group; alerts of one group go into one message.
	GroupBy  []string      `yaml:"group_by"`
	Wait     time.Duration `yaml:"wait"`     // from the first alert of a group to its first message
	Interval time.Duration `yaml:"interval"` // least time between two messages with news of a group
	Repeat   time.Duration `yaml:"repeat"`   // until somebody takes it up; 0: not repeated
	Hours    string        `yaml:"hours"`    // a calendar outside which nothing is sent; any: always
	Escalate string        `yaml:"escalate"` // a ladder; nobody: none
	Routes   []Route       `yaml:"routes"`

	path string // "root/police"
}

// Ladder is who hears of it when nobody takes it up.
type Ladder struct {
	Steps  []Step `yaml:"steps,required"`
	Repeat int    `yaml:"repeat"` // times that the whole ladder is climbed again, at most 5
}

// Step waits, then tells somebody, in the hours of a calendar.
type Step struct {
	After  time.Duration `yaml:"after,required"` // the step before, or the first message
	Notify []string      `yaml:"notify,required"`
	Hours  string        `yaml:"hours"`
}

func (r *Route) inherit(parent *Route) {
	r.path = r.Name
	if r.path == "" {
		r.path = "root"
	}
	if parent != nil {
		r.path = parent.path + "/" + r.Name
		if len(r.Receivers) == 0 {
			r.Receivers = parent.Receivers
		}
		if len(r.GroupBy) == 0 {
			r.GroupBy = parent.GroupBy
		}
		for _, d := range []struct{ own, above *time.Duration }{{&r.Wait, &parent.Wait}, {&r.Interval, &parent.Interval}, {&r.Repeat, &parent.Repeat}} {
			if *d.own == 0 {
				*d.own = *d.above
			}
		}
		if r.Hours == "" {
			r.Hours = parent.Hours
		}
		if r.Escalate == "" {
			r.Escalate = parent.Escalate
		}
	}
	if len(r.GroupBy) == 0 {
		r.GroupBy = []string{"case"}
	}
	for i := range r.Routes {
		r.Routes[i].inherit(r)
	}
}

// Hit is one branch that takes an alert, and why.
type Hit struct {
	Route   *Route
	Because []string // what matched, from the root down
}

// Match finds the branches that take the alert: at least one, for the root takes everything.
func (p *Policy) Match(a *Alert) []Hit { return p.Route.hits(a, nil) }

func (r *Route) hits(a *Alert, because []string) (all []Hit) {
	for i := range r.Routes {
		child := &r.Routes[i]
		why, ok := child.Match.Why(a)
		if !ok {
			continue
		}
		if len(why) == 0 {
			why = []string{"everything"}
		}
		all = append(all, child.hits(a, append(slices.Clone(because), why...))...)
		if !child.Continue {
			return all
		}
	}
	if len(all) == 0 {
		if len(because) == 0 {
			because = []string{"no branch takes it"}
		}
		all = []Hit{{Route: r, Because: because}}
	}
	return all
}

// find is the branch of a path, nil when the policy has it no more.
func (p *Policy) find(path string) *Route { return p.Route.find(path) }

func (r *Route) find(path string) *Route {
	if r.path == path {
		return r
	}
	for i := range r.Routes {
		if strings.HasPrefix(path, r.Routes[i].path) {
			if f := r.Routes[i].find(path); f != nil {
				return f
			}
		}
	}
	return nil
}

// Contact is a channel that a receiver is reached by at a moment.
type Contact struct {
	Receiver, Channel string
	Duty              bool
}

// contacts are the channels of receivers at a moment, each channel once.
func (p *Policy) contacts(receivers []string, at time.Time) (all []Contact) {
	seen := map[string]bool{}
	add := func(c Contact) {
		if !seen[c.Channel] {
			seen[c.Channel] = true
			all = append(all, c)
		}
	}
	for _, name := range receivers {
		r := p.Receivers[name]
		for _, ch := range r.Channels {
			add(Contact{Receiver: name, Channel: ch})
		}
		if roster, ok := p.Rosters[r.Duty]; ok {
			add(Contact{Receiver: name, Channel: roster.On(at, p.zone()), Duty: true})
		}
	}
	return all
}
