package evaluate

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// digest is what docs/evaluation.md shows: of some tables some columns, under shorter heads.
var digest = []struct {
	table   string
	columns [][2]string // column, head
}{
	{unitTitles["basket"], [][2]string{{"AP", "AP"}, {"AP of same pair within 30 min", "≤ 30 min"}, {"AP of within 1 % above the threshold", "within 1 %"}, {"AP of both", "both"}, {"P at review", "P at review"}, {"R at review", "R at review"}}},
	{unitTitles["merchant"], [][2]string{{"AP", "AP"}, {"AP of share within 1 % above the threshold", "share within 1 %"}, {"AP of items 15 % over the 7-day minimum", "15 % over 7 days"}, {"P at review", "P at review"}, {"R at review", "R at review"}}},
	{"排序：固定搭档 ranking pairs", [][2]string{{"AP", "AP"}, {"AP of redemptions of the pair", "pair count"}}},
	{"团伙 rings", [][2]string{{"merchants P", "merchants P"}, {"merchants R", "R"}, {"members F1", "members F1"}}},
	{"形态 typologies", [][2]string{{"cases found", "cases found"}, {"redemptions at the time", "at the time"}, {"after", "after"}, {"subsidy before settlement", "subsidy before settlement"}, {"delay h", "delay, h"}}},
	{"正当核销进入复核 honest redemptions at review", [][2]string{{"at the time", "at the time"}, {"after", "after"}}},
	{"校准 calibration", [][2]string{{"Brier", "Brier"}, {"Brier of the base rate", "base rate"}, {"worst bin", "worst bin"}}},
	{"每日预算 alerts a day", [][2]string{{"CP@k", "CP@k"}, {"ceiling", "ceiling"}}},
	{"误报预算 false budget", [][2]string{{"false a day", "false a day"}, {"true ones picked", "true ones picked"}}},
	{"线索 findings", [][2]string{{"per 10,000 redemptions", "per 10,000"}, {"false at review per 10,000", "false at review per 10,000"}, {"innocent merchants at high", "innocent merchants at high"}}},
}

// WriteMarkdown writes the digest of a result, for documents.
func WriteMarkdown(to io.Writer, x *Result) error {
	figures := x.Spread
	if figures == nil {
		figures = x.Worlds[0].figures()
	}
	p := page{}
	for _, d := range digest {
		var heads, columns, rows []string
		for _, c := range d.columns {
			if slices.ContainsFunc(figures, func(m Measure) bool { return m.Table == d.table && m.Column == c[0] }) {
				columns, heads = append(columns, c[0]), append(heads, c[1])
			}
		}
		if len(columns) == 0 {
			continue
		}
		for _, m := range figures {
			if m.Table == d.table && !slices.Contains(rows, m.Row) {
				rows = append(rows, m.Row)
			}
		}
		p.head(append([]string{d.table}, heads...)...)
		for _, row := range rows {
			cells := []string{row}
			for _, column := range columns {
				cell := ""
				if i := slices.IndexFunc(figures, func(m Measure) bool { return m.Table == d.table && m.Row == row && m.Column == column }); i >= 0 {
					cell = figures[i].brief()
				}
				cells = append(cells, cell)
			}
			p.row(cells...)
		}
	}
	if len(x.Learning) > 0 {
		p.head("学习 verdicts", "AP", "P@15", "random tenth confirmed", "of those left")
		for _, l := range x.Learning {
			p.row(fmt.Sprint(l.Verdicts), fmt.Sprintf("%.3f ± %.3f", l.AP, l.APSD), fmt.Sprintf("%.3f ± %.3f", l.P15, l.P15SD), l.Random.String(), l.Left.String())
		}
	}
	_, err := io.WriteString(to, p.markdown())
	return err
}

// brief is "0.88 ± 0.04 [0.85]", or of a share "94/114 82 % [74, 88]" and, over worlds, its worst.
func (m *Measure) brief() string {
	switch {
	case m.Pooled != nil && m.Worlds > 1:
		return fmt.Sprintf("%s, worst %s", m.Pooled, percent(m.Worst))
	case m.Pooled != nil:
		return m.Pooled.String()
	case m.Worlds > 1:
		return fmt.Sprintf("%s ± %s [%s]", digits(m.Mean, 3), digits(m.SD, 2), digits(m.Worst, 3))
	}
	return digits(m.Mean, 3)
}

// markdown is the page's tables.
func (p *page) markdown() string {
	var out strings.Builder
	for i, b := range p.blocks {
		if i > 0 {
			out.WriteByte('\n')
		}
		for j, row := range b.rows {
			out.WriteString("| " + strings.Join(row, " | ") + " |\n")
			if j == 0 {
				out.WriteString("|" + strings.Repeat("---|", len(row)) + "\n")
			}
		}
	}
	return out.String()
}
