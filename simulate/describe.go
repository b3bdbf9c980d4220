package simulate

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	vw "voucherwatch"
)

// Summary is what Run did, for people.
type Summary struct {
	Counts       Counts
	Redemptions  map[string]int    // fraudulent, by typology
	Cases        map[string]int    // by typology
	StakeFen     map[string]vw.Fen // by typology
	Violations   map[string]int    // by rule
	LookAlikes   map[string]int    // by tag
	LookAlikeAll int               // redemptions with any tag
	Merchants    int
	Customers    int
	Difficulty   Difficulty
}

// describe says how the naive rules fare.
func (d *Difficulty) describe(t io.Writer) {
	verdict := "在门内 in the gate"
	switch {
	case !d.Judged:
		verdict = "欺诈太少，无法判断 too little fraud: cannot be judged"
	case !d.Passed:
		verdict = "不在门内 outside the gate"
	}
	fmt.Fprintf(t, "朴素规则 naive rules\tAP %.2f–%.2f\tP@%d %.2f–%.2f\t%s，第 %d 次 attempt %d\n", atLeastAP, atMostAP, topOf, atLeastAtTop, atMostAtTop, verdict, d.Attempt+1, d.Attempt+1)
	for _, r := range d.Rules {
		says := "outside"
		switch {
		case !r.Judged:
			says = "cannot be judged"
		case r.Passed:
			says = "in"
		}
		fmt.Fprintf(t, "  %s\tAP %.3f\tP@%d %.2f\t%d true of %d: %s\n", r.Rule, r.AP, r.K, r.AtK, r.True, r.Of, says)
	}
	i := &d.Interesting
	fmt.Fprintf(t, "被规则点到 marked by a rule\t%d\t欺诈 fraud %d\t疑似而正当 look-alikes %d (%.0f %%)\n", i.Redemptions, i.Fraud, i.LookAlikes, 100*i.Share)
}

// Describe writes how hard the world is as a table.
func (d *Difficulty) Describe(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	d.describe(t)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write difficulty: %w", err)
	}
	return nil
}

// Describe writes the summary as a table.
func (s *Summary) Describe(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	c := &s.Counts
	fmt.Fprintf(t, "行数 lines\t%d\n", c.Lines)
	for kind := vw.MerchantEvent; kind < vw.VerdictEvent; kind++ {
		fmt.Fprintf(t, "%v\t%d\t重复 duplicates %d\n", kind, c.Distinct[kind.String()], c.Duplicates[kind.String()])
	}
	fmt.Fprintf(t, "坏行 malformed\t%d\n", c.Malformed)
	fmt.Fprintf(t, "疑似而正当 look-alikes\t%d\n", s.LookAlikeAll)
	for _, name := range tagNames {
		fmt.Fprintf(t, "  %s\t%d\n", name, s.LookAlikes[name])
	}
	fmt.Fprintf(t, "违规 violations\n")
	for _, v := range violations() {
		fmt.Fprintf(t, "  %s\t%d\n", v.rule, s.Violations[v.rule])
	}
	fmt.Fprintf(t, "欺诈 fraud\t核销 redemptions\t案件 cases\t涉及补贴 at stake\n")
	for _, y := range slices.Concat(Typologies(), HeldOutTypologies(), AdaptiveTypologies()) {
		if n := s.Cases[y.Name]; n > 0 {
			fmt.Fprintf(t, "  %s\t%d\t%d\t%s\t%s\n", y.Name, s.Redemptions[y.Name], n, s.StakeFen[y.Name].Yuan(), y.Text.Zh)
		}
	}
	s.Difficulty.describe(t)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}
