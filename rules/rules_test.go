package rules

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"voucherwatch/internal/yamlfile"

	vw "voucherwatch"
)

var update = flag.Bool("update", false, "write the golden files")

func standard(t *testing.T) *Policy {
	t.Helper()
	p, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestThePolicySaysItselfAsAPersonWould(t *testing.T) {
	var got bytes.Buffer
	if err := Describe(&got, standard(t)); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/describe.golden"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// What the default policy promises, whatever else is tuned.
func TestHardRulesAloneReachTheBandOfTheirSeverity(t *testing.T) {
	p := standard(t)
	want := map[string]string{
		"T12": "high", "T14": "high", "T18": "high", "T24": "high",
		"T03": "review", "T11": "review", "T13": "review", "T15": "review", "T17": "review", "T22": "review",
		"C01": "review", "C02": "review", "C03": "review", "C05": "review", "C04": "low",
	}
	got := map[string]string{}
	for code, typ := range p.Typologies {
		if typ.Hard {
			band := strings.Fields(p.Score.band(p.Score.score(typ.Weight)))
			got[code] = band[len(band)-1]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bands of hard rules alone (-want +got):\n%s", diff)
	}
	pair := p.Detectors["pair"]
	if score := p.Score.score(pair.Weight * pair.Cap); score >= p.Score.Review {
		t.Errorf("a repeated pair alone scores %d", score)
	}
}

func TestTheLawIsThatOfTheDayOfTheDeed(t *testing.T) {
	p := standard(t)
	for _, tt := range []struct {
		code, day, article string
		in                 bool
	}{
		{"T07", "2022-09-25", "第五十二条", true}, {"T07", "2022-09-25", "第六十三条", false},
		{"T07", "2025-12-31", "第五十二条", true}, {"T07", "2026-01-01", "第五十二条", false},
		{"T07", "2025-12-31", "第六十三条", false}, {"T07", "2026-01-01", "第六十三条", true},
		{"T06", "2022-09-25", "第四十九条", true}, {"T06", "2026-01-01", "第五十八条", true},
		{"T23", "2025-10-14", "第八条", true}, {"T23", "2025-10-15", "第八条", false}, {"T23", "2025-10-15", "《反不正当竞争法》第九条", true},
		{"T20", "2022-06-30", "第56号", false}, {"T20", "2022-07-01", "第56号", true},
		{"T25", "2022-09-25", "第二十一条第（三）项", true}, {"T25", "2026-01-01", "《网络安全法》第二十三条", true},
		{"T99", "2022-09-25", "", false},
	} {
		n, err := vw.DayNumber(tt.day)
		if err != nil {
			t.Fatal(err)
		}
		in := slices.ContainsFunc(p.LegalOn(tt.code, n), func(l Legal) bool { return strings.Contains(l.Basis, tt.article) })
		if in != tt.in {
			t.Errorf("%s on %s cites %s: %v, want %v", tt.code, tt.day, tt.article, in, tt.in)
		}
	}
}

func TestSeverityIsTheHigherOfFloorAndMoney(t *testing.T) {
	p := standard(t)
	for _, tt := range []struct {
		code    string
		subsidy vw.Fen
		want    vw.Severity
	}{
		{"P01", 0, "low"}, {"P01", 49_999, "low"}, {"P01", 50_000, "medium"}, {"P01", 299_999, "medium"}, {"P01", 300_000, "high"},
		{"P01", 2_999_999, "high"}, {"P01", 3_000_000, "critical"}, {"T12", 0, "high"}, {"T12", 50_000, "high"}, {"T25", 0, "critical"}, {"T99", 0, "low"},
	} {
		if got := p.Severity(tt.code, tt.subsidy); got != tt.want {
			t.Errorf("%s with %s at stake: %s, want %s", tt.code, tt.subsidy.Yuan(), got, tt.want)
		}
	}
}

func TestParamsAreDecodedStrictlyIntoTheDetectorsOwnStruct(t *testing.T) {
	type params struct {
		Window time.Duration `yaml:"window"`
		Min    int           `yaml:"min"`
		Bins   []float64     `yaml:"bins"`
	}
	text := strings.Replace(string(Default()), "split: {enabled: true, weight: 1.0, cap: 12, params: {}}",
		"split:\n    enabled: true\n    weight: 1.0\n    cap: 12\n    params:\n      window: 10m\n      bins: [0, 0.5]\n", 1)
	text = strings.Replace(text, "device: {enabled: true, weight: 0.6, cap: 8, params: {}}", "device: {enabled: true, weight: 0.6, cap: 8, params: {windw: 3, min: x}}", 1)
	text = strings.Replace(text, "ring: {enabled: true, weight: 0.6, cap: 12, params: {}}", "ring: {enabled: true, weight: 0.6, cap: 12}", 1)
	p, err := Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := params{Window: time.Hour, Min: 3}
	if err := p.Params("split", &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(params{Window: 10 * time.Minute, Min: 3, Bins: []float64{0, 0.5}}, got); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
	for _, absent := range []string{"ring", "price", "nowhere"} {
		got = params{Min: 3}
		if err := p.Params(absent, &got); err != nil || got.Min != 3 {
			t.Errorf("%s: %+v, %v", absent, got, err)
		}
	}
	line := 1 + strings.Count(text[:strings.Index(text, "windw")], "\n")
	want := fmt.Sprintf("p.yaml:%[1]d: detectors.device.params.windw: is not a field here: use bins, min, window\n"+
		`p.yaml:%[1]d: detectors.device.params.min: is "x": want a whole number`, line)
	if got := faults(t, p.Params("device", &got)); got != want {
		t.Errorf("faults (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func TestTheDetectorsOfThePolicyAreThoseOfTheProgram(t *testing.T) {
	p := standard(t)
	names := strings.Fields("split shared_session shared_card borrowed cashout refund_loop pair ring device card price rules_merchant rules_customer rules_voucher rules_price rules_refund budget")
	if err := p.CheckDetectors(names); err != nil {
		t.Error(err)
	}
	names[0] = "novel"
	pattern := `^default\.yaml:\d+: detectors\.novel: is missing\ndefault\.yaml:\d+: detectors\.split: is not a detector: use borrowed, .*, novel, .*$`
	if got := faults(t, p.CheckDetectors(names)); !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("faults:\n%s", got)
	}
}

func TestTheVersionIsWhatTheFileSays(t *testing.T) {
	version := func(text string) string {
		p, err := Parse("p.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p.Version
	}
	text := string(Default())
	base := version(text)
	if !regexp.MustCompile(`^default@[0-9a-f]{12}$`).MatchString(base) {
		t.Errorf("version = %q", base)
	}
	comment := regexp.MustCompile(`(?m)(^|  )#.*$`)
	for what, same := range map[string]string{
		"no comment":       comment.ReplaceAllString(text, ""),
		"one more comment": "# hello\n" + text,
		"other layout":     strings.Replace(text, "{enabled: true, weight: 1.0, cap: 12, params: {}}", "\n    cap: 12.0\n    weight: 1\n    enabled: true\n    params: {}", 1),
	} {
		if got := version(same); got != base || same == text {
			t.Errorf("%s: %s, want %s", what, got, base)
		}
	}
	for _, change := range [][2]string{
		{"review: 600", "review: 601"}, {"prior_log_odds: -5.3", "prior_log_odds: -5.31"}, {"weight: 1.0, cap: 12, params: {}", "weight: 1.0, cap: 12, params: {min: 3}"},
		{"enabled: true", "enabled: false"}, {"zh: 分单交易", "zh: 分单"}, {"from: 2022-07-01", "from: 2022-07-02"}, {"medium: 500元", "medium: 501元"},
		{"reopen_days: 30", "reopen_days: 31"}, {"agencies: [GX, YL]", "agencies: [YL, GX]"}, {"source: 国务院令第585号", "source: 国务院令585号"},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text || version(changed) == base {
			t.Errorf("%s → %s leaves the version", change[0], change[1])
		}
	}
}

func TestLoadTakesTheDefaultOrAPath(t *testing.T) {
	named, err := Load("default")
	if err != nil || named.Version != standard(t).Version {
		t.Errorf("default: %v, %v", named, err)
	}
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, bytes.Replace(Default(), []byte("name: default"), []byte("name: mine"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if p, err := Load(path); err != nil || !strings.HasPrefix(p.Version, "mine@") {
		t.Errorf("a copy: %v, %v", p, err)
	}
	if _, err := Load("nowhere.yaml"); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("no such file: %v", err)
	}
	if _, err := Load(t.TempDir()); vw.CodeOf(err) != vw.Unavailable {
		t.Errorf("a folder: %v", err)
	}
}

// faults is the text of an error of this package without the operation before it.
func faults(t *testing.T, err error) string {
	t.Helper()
	e, ok := errors.AsType[*vw.Error](err)
	if !ok || e.Code != vw.Invalid {
		t.Fatalf("error = %v, want vw.Invalid", err)
	}
	if _, ok := errors.AsType[*yamlfile.Fault](err); !ok {
		t.Fatalf("error = %v, want faults", err)
	}
	return e.Err.Error()
}
