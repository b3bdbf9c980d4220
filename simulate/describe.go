package simulate

import (
	"fmt"
	"io"
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
	for _, y := range Typologies() {
		if n := s.Cases[y.Name]; n > 0 {
			fmt.Fprintf(t, "  %s\t%d\t%d\t%s\t%s\n", y.Name, s.Redemptions[y.Name], n, s.StakeFen[y.Name].Yuan(), y.Text.Zh)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}
