package rules

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	vw "voucherwatch"
)

// small is a whole policy: 17 lines of its own, then a line for each typology.
func small() string {
	var b strings.Builder
	b.WriteString(`name: small
score: {prior_log_odds: -5, review: 600, high: 850, reason_min_weight: 0.05}
detectors:
  split: {enabled: true, weight: 1, cap: 12}
  pair: {enabled: true, weight: 0.5, cap: 8}
laws:
  theft:
    - {basis: 盗窃, from: 2006-01-01, to: 2025-12-31}
    - {basis: 盗窃（新）, from: 2026-01-01}
severity: {effective_from: 2011-04-08, source: 解释, medium: 500元, high: 3000元, critical: 3万元}
grouping:
  open_at: 600
  reopen_days: 30
  due_hours: {low: 120, medium: 72, high: 24, critical: 8}

typologies:
  T01: {zh: 分单, en: split, hard: true, weight: 6, severity: low, agencies: [GX, YL], legal: [theft]}
`)
	for _, code := range Codes()[1:] {
		b.WriteString("  " + code + ": {zh: 名, en: name, hard: false, severity: low, agencies: [GX], legal: []}\n")
	}
	return b.String()
}

func TestEveryMistakeIsToldWithFileAndLine(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"an unknown field", "  open_at: 600", "  openat: 600",
			"p.yaml:11: grouping.open_at: is missing\n" +
				`p.yaml:12: grouping.openat: is not a field here: use due_hours, open_at, reopen_days`},
		{"the version is not written", "name: small", "name: small\nversion: 3", `p.yaml:2: version: is not a field here: use detectors, grouping, laws, name, score, severity, typologies`},
		{"a name with blanks", "name: small", "name: My Policy", `p.yaml:1: name: is "My Policy": want lower-case letters and digits, joined by hyphens`},
		{"an absurd prior", "prior_log_odds: -5", "prior_log_odds: -50", `p.yaml:2: score.prior_log_odds: is -50: want -20 to 20`},
		{"a review band of everything", "review: 600", "review: 0", `p.yaml:2: score.review: is 0: want 1 to 999`},
		{"a high band out of reach", "high: 850", "high: 1001", `p.yaml:2: score.high: is 1001: want 1 to 1000`},
		{"high below review", "high: 850", "high: 600", `p.yaml:2: score.high: is 600: want more than review, 600`},
		{"a negative reason", "0.05", "-0.05", `p.yaml:2: score.reason_min_weight: is -0.05: want at least 0`},
		{"a negative weight", "weight: 1, cap: 12", "weight: -1, cap: 12", `p.yaml:4: detectors.split.weight: is -1: want at least 0`},
		{"no cap", "cap: 12", "cap: 0", `p.yaml:4: detectors.split.cap: is 0: want more than 0`},
		{"a detector's name with a hyphen", "split: {", "split-2: {", `p.yaml:4: detectors.split-2: is not a detector's name: want lower-case letters, digits and _`},
		{"a detector twice", "  pair: {", "  split: {", `p.yaml:5: detectors.split: is given twice: first on line 4`},
		{"params that are a list", "cap: 12}", "cap: 12, params: [1]}", `p.yaml:4: detectors.split.params: is a list: want a mapping`},
		{"a pair that reaches review alone", "weight: 0.5", "weight: 0.7", `p.yaml:5: detectors.pair: can reach the review band alone: prior -5 + weight 0.7 × cap 8 = 0.6 log-odds, want less than 0.4055 (score 600)`},
		{"a pair that a lower band lets in", "review: 600", "review: 200", `p.yaml:5: detectors.pair: can reach the review band alone: prior -5 + weight 0.5 × cap 8 = -1 log-odds, want less than -1.386 (score 200)`},
		{"versions that overlap", "to: 2025-12-31", "to: 2026-01-01", `p.yaml:9: laws.theft[1].from: is 2026-01-01, but the version before is in force until 2026-01-01: versions follow each other`},
		{"a version after one without end", ", to: 2025-12-31", "", `p.yaml:9: laws.theft[1].from: is 2026-01-01, but the version before is in force until further notice: versions follow each other`},
		{"a version backwards", "to: 2025-12-31", "to: 2005-12-31", `p.yaml:8: laws.theft[0].to: is 2005-12-31, before 2006-01-01, the first day`},
		{"a law without version", "severity: {eff", "  fraud: []\nseverity: {eff",
			`p.yaml:10: laws.fraud: is empty: want at least one version`},
		{"a law that nobody cites", "severity: {eff", "  fraud: [{basis: 诈骗, from: 1997-10-01}]\nseverity: {eff",
			`p.yaml:10: laws.fraud: is cited by no typology`},
		{"a law that there is not", "legal: [theft]", "legal: [theft, arson]", `p.yaml:17: typologies.T01.legal[1]: is "arson", which is not under laws`},
		{"severities out of order", "high: 3000元", "high: 300元", `p.yaml:10: severity.high: is 300元: want more than medium, 500元`},
		{"critical not above high", "critical: 3万元", "critical: 3000元", `p.yaml:10: severity.critical: is 3000元: want more than high, 3000元`},
		{"no medium", "medium: 500元", "medium: 0元", `p.yaml:10: severity.medium: is 0元: want more than 0元`},
		{"a score beyond 1000", "open_at: 600", "open_at: 6000", `p.yaml:12: grouping.open_at: is 6000: want a score of 0 to 1000`},
		{"a reopening in the past", "reopen_days: 30", "reopen_days: -1", `p.yaml:13: grouping.reopen_days: is -1: want at least 0`},
		{"a severity that there is not", "low: 120", "lowest: 120",
			"p.yaml:14: grouping.due_hours.lowest: is not a severity: use low, medium, high, critical\n" +
				`p.yaml:14: grouping.due_hours.low: is missing`},
		{"no time to act", "critical: 8", "critical: 0", `p.yaml:14: grouping.due_hours.critical: is 0: want at least 1`},
		{"a missing typology", "  T25: {zh: 名, en: name, hard: false, severity: low, agencies: [GX], legal: []}\n", "", `p.yaml:16: typologies.T25: is missing`},
		{"a typology that there is not", "  T25: {", "  T26: {",
			"p.yaml:16: typologies.T25: is missing\n" +
				`p.yaml:41: typologies.T26: is not a typology: use T01 to T25, P01, C01 to C05`},
		{"a hard rule without weight", "hard: true, weight: 6", "hard: true", `p.yaml:17: typologies.T01.weight: is 0: want more than 0, for a hard rule adds it to the log-odds`},
		{"a soft one with weight", "hard: true, weight: 6", "hard: false, weight: 6", `p.yaml:17: typologies.T01.weight: is 6: leave it out, for a soft typology's weight comes from its detector`},
		{"an unknown floor", "weight: 6, severity: low", "weight: 6, severity: mild", `p.yaml:17: typologies.T01.severity: is "mild": use low, medium, high, critical`},
		{"an unknown agency", "[GX, YL]", "[GX, YY]", `p.yaml:17: typologies.T01.agencies[1]: is "YY": use GX, GA, SJ, CZ, SJJ, FG, YL, MZ`},
		{"GX left out", "[GX, YL]", "[YL]", `p.yaml:17: typologies.T01.agencies: leaves out GX, which is always told`},
		{"mistakes of text, type and sense at once", "name: small\nscore: {prior_log_odds: -5, review: 600, high: 850", "name: small\nname: s\nscore: {prior_log_odds: low, review: 900, high: 850",
			"p.yaml:2: name: is given twice: first on line 1\n" +
				"p.yaml:3: score.prior_log_odds: is \"low\": want a number\n" +
				`p.yaml:3: score.high: is 850: want more than review, 900`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(small(), tt.old, tt.new, 1)
			if text == small() {
				t.Fatal("the test changes nothing")
			}
			_, err := Parse("p.yaml", []byte(text))
			if got := faults(t, err); got != tt.want {
				t.Errorf("faults (-want +got):\n%s", cmp.Diff(tt.want, got))
			}
		})
	}
}

func TestTheSmallPolicyIsRight(t *testing.T) {
	p, err := Parse("p.yaml", []byte(small()))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Typologies) != 31 || len(p.Typologies["T01"].Legal) != 2 {
		t.Errorf("policy = %+v", p)
	}
}

func FuzzParseAcceptsOrSaysWhere(f *testing.F) {
	f.Add(Default())
	f.Add([]byte(small()))
	f.Add([]byte("score: {review: 1000, high: 1000}\ndetectors: {pair: {weight: 1e308, cap: 1e308}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("f.yaml", data)
		if err != nil {
			if vw.CodeOf(err) != vw.Invalid || !strings.HasPrefix(err.Error(), "rules.Parse: f.yaml:") {
				t.Errorf("error without a place: %v", err)
			}
			return
		}
		if len(p.Typologies) != len(Codes()) || p.Score.Review >= p.Score.High || p.Version == "" {
			t.Errorf("accepted: %+v", p)
		}
		if err := Describe(&strings.Builder{}, p); err != nil {
			t.Error(err)
		}
	})
}
