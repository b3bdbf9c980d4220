package rules

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	vw "voucherwatch"
	"voucherwatch/internal/yamlfile"
)

var (
	nameForm     = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	detectorForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// agencyCodes are the offices that the catalogue of typologies names.
const agencyCodes = "GX, GA, SJ, CZ, SJJ, FG, YL, MZ"

// Codes are all typologies, T01 to T25, P01, C01 to C05. A policy has each.
func Codes() []string {
	var codes []string
	for _, family := range []struct {
		letter string
		last   int
	}{{"T", 25}, {"P", 1}, {"C", 5}} {
		for i := 1; i <= family.last; i++ {
			codes = append(codes, fmt.Sprintf("%s%02d", family.letter, i))
		}
	}
	return codes
}

// check records everything that a well-formed file still has wrong.
func (p *Policy) check(c *yamlfile.Check) {
	if c.Sound("name") && !nameForm.MatchString(p.Name) {
		c.Fault("name", "is %q: want lower-case letters and digits, joined by hyphens", p.Name)
	}
	p.checkScore(c)
	p.checkDetectors(c)
	p.checkLaws(c)
	p.checkTypologies(c)
	t := p.Thresholds
	if t.Medium <= 0 {
		c.Fault("severity.medium", "is %s: want more than 0元", t.Medium)
	}
	if c.Sound("severity.medium", "severity.high") && t.High <= t.Medium {
		c.Fault("severity.high", "is %s: want more than medium, %s", t.High, t.Medium)
	}
	if c.Sound("severity.high", "severity.critical") && t.Critical <= t.High {
		c.Fault("severity.critical", "is %s: want more than high, %s", t.Critical, t.High)
	}
	p.checkGrouping(c)
}

func (p *Policy) checkScore(c *yamlfile.Check) {
	s := p.Score
	if math.Abs(s.PriorLogOdds) > 20 {
		c.Fault("score.prior_log_odds", "is %v: want -20 to 20", s.PriorLogOdds)
	}
	if s.Review < 1 || s.Review > 999 {
		c.Fault("score.review", "is %d: want 1 to 999", s.Review)
	}
	if s.High < 1 || s.High > 1000 {
		c.Fault("score.high", "is %d: want 1 to 1000", s.High)
	}
	if c.Sound("score.review", "score.high") && s.High <= s.Review {
		c.Fault("score.high", "is %d: want more than review, %d", s.High, s.Review)
	}
	if s.ReasonMinWeight < 0 {
		c.Fault("score.reason_min_weight", "is %v: want at least 0", s.ReasonMinWeight)
	}
}

func (p *Policy) checkDetectors(c *yamlfile.Check) {
	for _, name := range slices.Sorted(maps.Keys(p.Detectors)) {
		path, d := "detectors."+name, p.Detectors[name]
		if !detectorForm.MatchString(name) {
			c.Fault(path, "is not a detector's name: want lower-case letters, digits and _")
		}
		if d.Weight < 0 {
			c.Fault(path+".weight", "is %v: want at least 0", d.Weight)
		}
		if d.Cap <= 0 {
			c.Fault(path+".cap", "is %v: want more than 0", d.Cap)
		}
	}
	// A regular of a canteen is no fraudster: see default.yaml.
	pair, ok := p.Detectors["pair"]
	if !ok || !c.Sound("detectors.pair.weight", "detectors.pair.cap", "score.prior_log_odds", "score.review") {
		return
	}
	most, bound := p.Score.PriorLogOdds+pair.Weight*pair.Cap, logOdds(p.Score.Review)
	if most >= bound {
		c.Fault("detectors.pair", "can reach the review band alone: prior %v + weight %v × cap %v = %.4g log-odds, want less than %.4g (score %d)",
			p.Score.PriorLogOdds, pair.Weight, pair.Cap, most, bound, p.Score.Review)
	}
}

func logOdds(score int) float64 {
	q := float64(score) / 1000
	return math.Log(q / (1 - q))
}

func (p *Policy) checkLaws(c *yamlfile.Check) {
	used := map[string]bool{}
	for _, t := range p.Typologies {
		for _, law := range t.Laws {
			used[law] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Laws)) {
		path := "laws." + name
		if len(p.Laws[name]) == 0 {
			c.Fault(path, "is empty: want at least one version")
		}
		if !used[name] && c.Sound("typologies") {
			c.Fault(path, "is cited by no typology")
		}
		for i, v := range p.Laws[name] {
			at := fmt.Sprintf("%s[%d]", path, i)
			if !c.Sound(at+".from", at+".to") {
				break
			}
			if v.To != 0 && v.To < v.From {
				c.Fault(at+".to", "is %s, before %s, the first day", v.To, v.From)
			}
			if i > 0 {
				if before := p.Laws[name][i-1]; before.To == 0 || before.To >= v.From {
					c.Fault(at+".from", "is %s, but the version before is in force until %s: versions follow each other", v.From, end(before))
				}
			}
		}
	}
}

func end(l Legal) string {
	if l.To == 0 {
		return "further notice"
	}
	return l.To.String()
}

func (p *Policy) checkTypologies(c *yamlfile.Check) {
	codes := Codes()
	for _, code := range codes {
		if _, ok := p.Typologies[code]; !ok && c.Sound("typologies."+code) {
			c.Fault("typologies."+code, "is missing")
		}
	}
	for _, code := range slices.Sorted(maps.Keys(p.Typologies)) {
		path, t := "typologies."+code, p.Typologies[code]
		if !slices.Contains(codes, code) {
			c.Fault(path, "is not a typology: use T01 to T25, P01, C01 to C05")
			continue
		}
		if c.Sound(path+".hard", path+".weight") {
			if t.Hard && t.Weight <= 0 {
				c.Fault(path+".weight", "is %v: want more than 0, for a hard rule adds it to the log-odds", t.Weight)
			} else if !t.Hard && t.Weight != 0 {
				c.Fault(path+".weight", "is %v: leave it out, for a soft typology's weight comes from its detector", t.Weight)
			}
		}
		severity(c, path+".severity", t.Floor)
		for i, agency := range t.Agencies {
			if at := fmt.Sprintf("%s.agencies[%d]", path, i); !slices.Contains(strings.Split(agencyCodes, ", "), agency) {
				c.Fault(at, "is %q: use %s", agency, agencyCodes)
			}
		}
		if !slices.Contains(t.Agencies, "GX") {
			c.Fault(path+".agencies", "leaves out GX, which is always told")
		}
		for i, law := range t.Laws {
			if _, ok := p.Laws[law]; !ok && c.Sound("laws."+law) {
				c.Fault(fmt.Sprintf("%s.legal[%d]", path, i), "is %q, which is not under laws", law)
			}
		}
	}
}

func severity(c *yamlfile.Check, path string, s vw.Severity) {
	if !slices.Contains(severities(), s) {
		c.Fault(path, "is %q: use low, medium, high, critical", s)
	}
}

func (p *Policy) checkGrouping(c *yamlfile.Check) {
	g := p.Grouping
	if g.OpenAt < 0 || g.OpenAt > 1000 {
		c.Fault("grouping.open_at", "is %d: want a score of 0 to 1000", g.OpenAt)
	}
	if g.ReopenDays < 0 {
		c.Fault("grouping.reopen_days", "is %d: want at least 0", g.ReopenDays)
	}
	for _, s := range slices.Sorted(maps.Keys(g.DueHours)) {
		path := "grouping.due_hours." + string(s)
		if !slices.Contains(severities(), s) {
			c.Fault(path, "is not a severity: use low, medium, high, critical")
		}
		if g.DueHours[s] < 1 {
			c.Fault(path, "is %d: want at least 1", g.DueHours[s])
		}
	}
	for _, s := range severities() {
		if path := "grouping.due_hours." + string(s); g.DueHours[s] == 0 && c.Sound(path) {
			c.Fault(path, "is missing")
		}
	}
}

// CheckDetectors holds the policy against the detectors that there are: one that the policy names and
// the program lacks, or the other way round, is vw.Invalid with file and line.
func (p *Policy) CheckDetectors(known []string) error {
	c := p.file.Check()
	for _, name := range slices.Sorted(maps.Keys(p.Detectors)) {
		if !slices.Contains(known, name) {
			c.Fault("detectors."+name, "is not a detector: use %s", strings.Join(slices.Sorted(slices.Values(known)), ", "))
		}
	}
	for _, name := range slices.Sorted(slices.Values(known)) {
		if _, ok := p.Detectors[name]; !ok {
			c.Fault("detectors."+name, "is missing")
		}
	}
	if err := c.Err(); err != nil {
		return &vw.Error{Op: "rules.CheckDetectors", Code: vw.Invalid, Err: err}
	}
	return nil
}
