package rules

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Describe says the policy as a person would, Chinese beside English, with what the numbers come to:
// the score of each hard rule alone and the most that each detector can reach alone. It ends with the
// first error of the writer.
func Describe(w io.Writer, p *Policy) error {
	out := &printer{w: w}
	s := p.Score
	out.line("规则 policy  %s", p.Version)

	out.title("评分 score")
	out.line("  无任何证据 with no evidence  %d（先验对数几率 prior log-odds %v）", s.score(0), s.PriorLogOdds)
	out.line("  复核 review ≥ %d（%.4g），高风险 high ≥ %d（%.4g）", s.Review, logOdds(s.Review), s.High, logOdds(s.High))
	out.line("  不足 below %v 的理由不列出 is not told as a reason", s.ReasonMinWeight)

	out.title("检测器 detectors：权重 weight × 证据上限 cap → 单独最高分 the most it reaches alone")
	for _, name := range slices.Sorted(maps.Keys(p.Detectors)) {
		d := p.Detectors[name]
		if !d.Enabled {
			out.line("  %s  停用 off", name)
			continue
		}
		most := s.score(d.Weight * d.Cap)
		out.line("  %s  %v × %v → %d %s", name, d.Weight, d.Cap, most, s.band(most))
	}

	out.title("类型 typologies")
	for _, code := range Codes() {
		t := p.Typologies[code]
		kind := "软性 soft"
		if t.Hard {
			alone := s.score(t.Weight)
			kind = fmt.Sprintf("硬性 hard +%v → %d %s", t.Weight, alone, s.band(alone))
		}
		out.line("  %s %s %s · %s · 至少 at least %s · %s", code, t.Zh, t.En, kind, t.Floor, strings.Join(t.Agencies, " "))
		for _, l := range t.Legal {
			term := l.From.String() + " 起 on"
			if l.To != 0 {
				term = fmt.Sprintf("%s 至 to %s", l.From, l.To)
			}
			source := ""
			if l.Source != "" {
				source = "；" + l.Source
			}
			out.line("      %s（%s%s）", l.Basis, term, source)
		}
	}

	out.title("严重程度 severity：涉及补贴 subsidy at stake")
	t := p.Thresholds
	out.line("  medium ≥ %s，high ≥ %s，critical ≥ %s", t.Medium, t.High, t.Critical)
	out.line("  %s 起 on；%s", t.EffectiveFrom, t.Source)

	out.title("立案分组 grouping：每商户每活动一案 one case for a merchant in a campaign")
	out.line("  评分达 score ≥ %d 立案 opens a case，其余留存 the rest is kept", p.Grouping.OpenAt)
	out.line("  结案后 %[1]d 天内有新发现则重开 reopens on a new finding within %[1]d days", p.Grouping.ReopenDays)
	var due []string
	for _, severity := range severities() {
		due = append(due, fmt.Sprintf("%s %d", severity, p.Grouping.DueHours[severity]))
	}
	out.line("  办理时限（小时）hours to act  %s", strings.Join(due, "，"))
	return out.err
}

// score is 1000 × the probability that a contribution gives with the prior.
func (s Score) score(contribution float64) int {
	return int(math.Round(1000 / (1 + math.Exp(-(s.PriorLogOdds + contribution)))))
}

func (s Score) band(score int) string {
	switch {
	case score >= s.High:
		return "高风险 high"
	case score >= s.Review:
		return "复核 review"
	}
	return "低 low"
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) title(text string) { p.line("\n%s", text) }
