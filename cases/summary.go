package cases

import (
	"cmp"
	"slices"

	vw "voucherwatch"
)

// summarise fills in what follows from a case's findings alone. Findings come sorted by id.
//
// The score is that of the strongest finding. Findings of one case look at the same redemptions from
// several sides, so they are far from independent, and multiplying 1-p over them would call a handful
// of views of one weak fact a certainty.
func (d *Desk) summarise(c *vw.Case, fs []vw.Finding) {
	c.Score, c.Severity = 0, "low"
	c.Typologies, c.FindingIDs, c.Agencies = nil, nil, []string{"GX"}
	c.SubsidyFen = subsidy(fs)
	worse := func(s vw.Severity) {
		if rank(s) > rank(c.Severity) {
			c.Severity = s
		}
	}
	for i := range fs {
		f := &fs[i]
		c.FindingIDs = append(c.FindingIDs, f.FindingID)
		c.Typologies = append(c.Typologies, f.Typology)
		c.Score = max(c.Score, f.Score)
		worse(f.Severity)
	}
	slices.Sort(c.Typologies)
	c.Typologies = slices.Compact(c.Typologies)
	for _, t := range c.Typologies {
		if d.Agencies != nil {
			c.Agencies = append(c.Agencies, d.Agencies(t)...)
		}
		if d.Severity != nil {
			worse(d.Severity(t, c.SubsidyFen))
		}
	}
	slices.Sort(c.Agencies)
	c.Agencies = slices.Compact(c.Agencies)
}

// subsidy is the money behind the redemptions that the findings list, each redemption once.
//
// A finding tells the sum of its redemptions, not the parts. So the findings are taken from the one
// that lists most to the one that lists least, and each adds its sum in proportion to the redemptions
// not yet counted. That is exact when lists are disjoint, equal or nested; where they overlap in part
// it takes a finding's redemptions to be of equal value. It is never less than the largest single sum
// and never more than all of them together. A finding without a list counts only by its own sum.
func subsidy(fs []vw.Finding) vw.Fen {
	order := make([]*vw.Finding, len(fs))
	for i := range fs {
		order[i] = &fs[i]
	}
	slices.SortFunc(order, func(a, b *vw.Finding) int {
		return cmp.Or(len(b.RedemptionIDs)-len(a.RedemptionIDs), cmp.Compare(b.SubsidyFen, a.SubsidyFen), cmp.Compare(a.FindingID, b.FindingID))
	})
	var sum, most vw.Fen
	seen := map[string]struct{}{}
	for _, f := range order {
		most = max(most, f.SubsidyFen)
		before := len(seen)
		for _, id := range f.RedemptionIDs {
			seen[id] = struct{}{}
		}
		if n := len(f.RedemptionIDs); n > 0 {
			sum += f.SubsidyFen * vw.Fen(len(seen)-before) / vw.Fen(n)
		}
	}
	return max(sum, most)
}

func severities() []vw.Severity { return []vw.Severity{"low", "medium", "high", "critical"} }

// rank orders severities; an unknown one is below low.
func rank(s vw.Severity) int { return slices.Index(severities(), s) }

// figures are what a timeline speaks of: small steps in between are not worth a line.
type figures struct{ band, severity, step int }

func (d *Desk) figuresOf(c *vw.Case) figures {
	f := figures{severity: rank(c.Severity), step: step(c.SubsidyFen)}
	if c.Score >= d.OpenAt {
		f.band++
	}
	if c.Score >= d.HighAt {
		f.band++
	}
	return f
}

// step is where a sum stands on the ladder of ¥100, 200, 500, 1,000, 2,000, …: 0 below the first. A
// fixed ladder notices a sum that creeps up, and needs no memory of what was last told.
func step(f vw.Fen) int {
	n := 0
	for rung := vw.Fen(100_00); f >= rung; n++ {
		switch n % 3 {
		case 1: // 200 → 500
			rung = rung / 2 * 5
		default:
			rung *= 2
		}
	}
	return n
}
