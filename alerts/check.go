package alerts

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"voucherwatch/internal/yamlfile"
)

var (
	nameForm     = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	typologyForm = regexp.MustCompile(`^[A-Z][0-9]{2}[a-z]?$`)
	districtForm = regexp.MustCompile(`^[0-9]{6}([0-9]{3})?$`)
)

// check records everything that a well-formed file still has wrong, roles without a reachable person
// among it.
func (p *Policy) check(c *yamlfile.Check) {
	name := func(path, s string) {
		if !nameForm.MatchString(s) {
			c.Fault(path, "is %q: want lower-case letters and digits, joined by hyphens", s)
		}
	}
	if c.Sound("name") {
		name("name", p.Name)
	}
	if u, err := url.Parse(p.Link); p.Link != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || !strings.Contains(p.Link, "{case}")) {
		c.Fault("link", "is %q: want a web address with {case} in it, such as https://console.example/cases/{case}", p.Link)
	}
	for _, k := range slices.Sorted(maps.Keys(p.Calendars)) {
		name("calendars."+k, k)
		p.checkCalendar(c, "calendars."+k, p.Calendars[k])
	}
	for _, k := range slices.Sorted(maps.Keys(p.Channels)) {
		path, ch := "channels."+k, p.Channels[k]
		name(path, k)
		if ch.PerMinute < 0 {
			c.Fault(path+".per_minute", "is %d: want at least 1, or leave it out for no limit", ch.PerMinute)
		}
		if ch.DigestOver < 0 || ch.DigestOver > 0 && ch.PerMinute == 0 {
			c.Fault(path+".digest_over", "is %d: want a number above 0, together with per_minute", ch.DigestOver)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(p.Rosters)) {
		name("rosters."+k, k)
		p.checkRoster(c, "rosters."+k, p.Rosters[k])
	}
	p.checkReceivers(c)
	p.checkRoute(c, "route", &p.Route, true, map[string]string{})
	for i, r := range p.Inhibit {
		path := fmt.Sprintf("inhibit[%d]", i)
		r.Source.check(c, path+".source")
		r.Target.check(c, path+".target")
		if len(r.Equal) == 0 {
			c.Fault(path+".equal", "is empty: want what both alerts must share, such as [merchant]")
		}
		p.checkLabels(c, path+".equal", r.Equal)
		if r.For <= 0 && c.Sound(path+".for") {
			c.Fault(path+".for", "is %s: want more than 0", r.For)
		}
	}
	p.checkLadders(c)
	if p.Retry.Base < time.Millisecond {
		c.Fault("retry.base", "is %s: want at least 1ms", p.Retry.Base)
	}
	if p.Retry.Longest < p.Retry.Base {
		c.Fault("retry.longest", "is %s: want at least base, %s", p.Retry.Longest, p.Retry.Base)
	}
	if p.Retry.Attempts < 1 || p.Retry.Attempts > 100 {
		c.Fault("retry.attempts", "is %d: want 1 to 100", p.Retry.Attempts)
	}
	if s := p.Silences; s.Longest <= 0 || s.Longest > 90*24*time.Hour {
		c.Fault("silences.longest", "is %s: want more than 0, at most 2160h", s.Longest)
	} else if s.Alone > s.Longest {
		c.Fault("silences.alone", "is %s: want at most longest, %s", s.Alone, s.Longest)
	}
}

func (p *Policy) checkCalendar(c *yamlfile.Check, path string, k Calendar) {
	for i, d := range k.Days {
		if !slices.Contains(weekdays, d) {
			c.Fault(fmt.Sprintf("%s.days[%d]", path, i), "is %q: use %s", d, strings.Join(weekdays, ", "))
		}
	}
	if len(k.Days)+len(k.Workdays) == 0 {
		c.Fault(path+".days", "is empty: an office that never works would never be told")
	}
	if c.Sound(path+".from", path+".to") && k.To <= k.From {
		c.Fault(path+".to", "is not after from; a night shift is two calendars")
	}
}

func (p *Policy) checkReceivers(c *yamlfile.Check) {
	for _, k := range slices.Sorted(maps.Keys(p.Receivers)) {
		path, r := "receivers."+k, p.Receivers[k]
		if !nameForm.MatchString(k) {
			c.Fault(path, "is %q: want lower-case letters and digits, joined by hyphens", k)
		}
		if r.Agency != "" && !slices.Contains(agencies, r.Agency) {
			c.Fault(path+".agency", "is %q: use %s", r.Agency, strings.Join(agencies, ", "))
		}
		if len(r.Channels) == 0 && r.Duty == "" {
			c.Fault(path, "reaches nobody: give it channels, a duty roster, or both")
		}
		for i, ch := range r.Channels {
			if _, ok := p.Channels[ch]; !ok && c.Sound("channels."+ch) {
				c.Fault(fmt.Sprintf("%s.channels[%d]", path, i), "is %q, which is not under channels", ch)
			}
		}
		if _, ok := p.Rosters[r.Duty]; r.Duty != "" && !ok && c.Sound("rosters."+r.Duty) {
			c.Fault(path+".duty", "is %q, which is not under rosters", r.Duty)
		}
	}
}

func (p *Policy) checkRoute(c *yamlfile.Check, path string, r *Route, root bool, seen map[string]string) {
	if root {
		if !r.Match.empty() {
			c.Fault(path+".match", "is not allowed at the root: it must take every alert, so that none is lost")
		}
		if len(r.Receivers) == 0 {
			c.Fault(path+".receivers", "is missing: the root takes what no branch takes")
		}
	}
	at := path + ".name"
	switch {
	case r.Name == "" && !root:
		c.Fault(at, "is missing: name the branch, groups are remembered by it")
	case r.Name != "" && !nameForm.MatchString(r.Name):
		c.Fault(at, "is %q: want lower-case letters and digits, joined by hyphens", r.Name)
	case r.Name != "" && seen[r.Name] != "":
		c.Fault(at, "is %q, as is %s: every branch has a name of its own", r.Name, seen[r.Name])
	}
	seen[r.Name] = path
	r.Match.check(c, path+".match")
	for i, name := range r.Receivers {
		if _, ok := p.Receivers[name]; !ok && c.Sound("receivers."+name) {
			c.Fault(fmt.Sprintf("%s.receivers[%d]", path, i), "is %q, which is not under receivers", name)
		}
	}
	p.checkLabels(c, path+".group_by", r.GroupBy)
	for field, d := range map[string]time.Duration{"wait": r.Wait, "interval": r.Interval, "repeat": r.Repeat} {
		if d < 0 {
			c.Fault(path+"."+field, "is %s: want at least 0s", d)
		}
	}
	if _, ok := p.Calendars[r.Hours]; r.Hours != "" && r.Hours != anyHour && !ok && c.Sound("calendars."+r.Hours) {
		c.Fault(path+".hours", "is %q, which is not under calendars; %q is any time", r.Hours, anyHour)
	}
	if _, ok := p.Escalations[r.Escalate]; r.Escalate != "" && r.Escalate != nobody && !ok && c.Sound("escalations."+r.Escalate) {
		c.Fault(path+".escalate", "is %q, which is not under escalations; %q is nobody", r.Escalate, nobody)
	}
	for i := range r.Routes {
		p.checkRoute(c, fmt.Sprintf("%s.routes[%d]", path, i), &r.Routes[i], false, seen)
	}
}

func (p *Policy) checkLabels(c *yamlfile.Check, path string, names []string) {
	for i, name := range names {
		if !slices.Contains(labels, name) {
			c.Fault(fmt.Sprintf("%s[%d]", path, i), "is %q: use %s", name, strings.Join(labels, ", "))
		}
	}
}

func (p *Policy) checkLadders(c *yamlfile.Check) {
	for _, k := range slices.Sorted(maps.Keys(p.Escalations)) {
		path, l := "escalations."+k, p.Escalations[k]
		if !nameForm.MatchString(k) {
			c.Fault(path, "is %q: want lower-case letters and digits, joined by hyphens", k)
		}
		if len(l.Steps) == 0 {
			c.Fault(path+".steps", "is empty: want at least one")
		}
		if l.Repeat < 0 || l.Repeat > 5 {
			c.Fault(path+".repeat", "is %d: want 0 to 5", l.Repeat)
		}
		for i, s := range l.Steps {
			at := fmt.Sprintf("%s.steps[%d]", path, i)
			if s.After <= 0 && c.Sound(at+".after") {
				c.Fault(at+".after", "is %s: want more than 0", s.After)
			}
			if len(s.Notify) == 0 {
				c.Fault(at+".notify", "is empty: want at least one receiver")
			}
			for j, name := range s.Notify {
				if _, ok := p.Receivers[name]; !ok && c.Sound("receivers."+name) {
					c.Fault(fmt.Sprintf("%s.notify[%d]", at, j), "is %q, which is not under receivers", name)
				}
			}
			if _, ok := p.Calendars[s.Hours]; s.Hours != "" && s.Hours != anyHour && !ok {
				c.Fault(at+".hours", "is %q, which is not under calendars", s.Hours)
			}
		}
	}
}

func (p *Policy) checkRoster(c *yamlfile.Check, path string, r Roster) {
	if len(r.People) == 0 {
		c.Fault(path+".people", "is empty: nobody would be on duty")
	}
	if r.Days < 1 && c.Sound(path+".days") {
		c.Fault(path+".days", "is %d: want at least 1", r.Days)
	}
	person := func(at, name string) {
		if _, ok := p.Channels[name]; !ok && c.Sound("channels."+name) {
			c.Fault(at, "is %q, which is not under channels", name)
		}
	}
	for i, who := range r.People {
		person(fmt.Sprintf("%s.people[%d]", path, i), who)
	}
	for i, s := range r.Swaps {
		at := fmt.Sprintf("%s.swaps[%d]", path, i)
		person(at+".who", s.Who)
		if c.Sound(at+".from", at+".to") && s.To < s.From {
			c.Fault(at+".to", "is %s, before from, %s", s.To, s.From)
		}
		if i > 0 && s.From <= r.Swaps[i-1].To {
			c.Fault(at+".from", "is %s, but the swap before lasts until %s: one person is on duty", s.From, r.Swaps[i-1].To)
		}
	}
}
