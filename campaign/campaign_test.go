package campaign

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	vw "voucherwatch"
)

var update = flag.Bool("update", false, "write the golden files")

func gaoping(t *testing.T) *vw.Campaign {
	t.Helper()
	c, err := Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The figures are those of the plan, written here by hand a second time.
func TestTheBuiltInCampaignHasTheFiguresOfThePlan(t *testing.T) {
	c := gaoping(t)
	const wan = 1_000_000 // 万元 in fen
	if got, want := c.Budget, vw.Fen(2820*wan); got != want {
		t.Errorf("budget = %d, want %d", got, want)
	}
	wantRounds := []vw.Round{
		{Number: 1, From: day(t, "2022-09-20"), To: day(t, "2022-09-30"), Budget: [vw.Categories]vw.Fen{vw.Retail: 3308 * wan / 10, vw.Hospitality: 200 * wan, vw.Appliance: 100 * wan, vw.Fuel: 50 * wan}},
		{Number: 2, From: day(t, "2022-10-01"), To: day(t, "2022-10-10"), Budget: [vw.Categories]vw.Fen{vw.Retail: 330 * wan, vw.Hospitality: 200 * wan, vw.Appliance: 100 * wan, vw.Fuel: 50 * wan}},
		{Number: 3, From: day(t, "2022-10-11"), To: day(t, "2022-10-20"), Budget: [vw.Categories]vw.Fen{vw.Retail: 300 * wan, vw.Hospitality: 200 * wan, vw.Appliance: 100 * wan, vw.Fuel: 50 * wan}},
		{Number: 4, From: day(t, "2022-10-21"), To: day(t, "2022-10-31"), Budget: [vw.Categories]vw.Fen{vw.Retail: 300 * wan, vw.Hospitality: 200 * wan, vw.Appliance: 100 * wan, vw.Fuel: 50 * wan}},
	}
	if diff := cmp.Diff(wantRounds, c.Rounds); diff != "" {
		t.Errorf("rounds (-want +got):\n%s", diff)
	}
	sums := [vw.Categories]vw.Fen{}
	var perRound []vw.Fen
	for _, r := range c.Rounds {
		var sum vw.Fen
		for k, b := range r.Budget {
			sums[k] += b
			sum += b
		}
		perRound = append(perRound, sum)
	}
	if want := [vw.Categories]vw.Fen{vw.Retail: 12608 * wan / 10, vw.Hospitality: 800 * wan, vw.Appliance: 400 * wan, vw.Fuel: 200 * wan}; sums != want {
		t.Errorf("sums of categories = %v, want %v", sums, want)
	}
	if want := []vw.Fen{6808 * wan / 10, 680 * wan, 650 * wan, 650 * wan}; !slices.Equal(perRound, want) {
		t.Errorf("sums of rounds = %v, want %v", perRound, want)
	}
	type voucher struct {
		code      string
		category  vw.Category
		threshold int64 // yuan
		face      int64
	}
	want := []voucher{
		{"retail-50-10", vw.Retail, 50, 10}, {"retail-200-40", vw.Retail, 200, 40},
		{"fuel-100-20", vw.Fuel, 100, 20}, {"fuel-200-40", vw.Fuel, 200, 40}, {"fuel-300-60", vw.Fuel, 300, 60},
		{"appliance-600-120", vw.Appliance, 600, 120}, {"appliance-3000-300", vw.Appliance, 3000, 300},
		{"appliance-5000-500", vw.Appliance, 5000, 500}, {"appliance-10000-1000", vw.Appliance, 10000, 1000},
		{"hospitality-50-10", vw.Hospitality, 50, 10}, {"hospitality-200-40", vw.Hospitality, 200, 40}, {"hospitality-500-100", vw.Hospitality, 500, 100},
	}
	var got []voucher
	for _, v := range c.Vouchers {
		if !v.Balance {
			got = append(got, voucher{v.Code, v.Category, int64(v.Threshold / 100), int64(v.Face / 100)})
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(voucher{})); diff != "" {
		t.Errorf("vouchers (-want +got):\n%s", diff)
	}
	love := c.Vouchers[c.VoucherIndex("love")]
	wantLove := vw.Voucher{Code: "love", Name: "爱心消费券", Balance: true, Limit: 1000_00, Budget: 1592 * 1000_00,
		From: day(t, "2022-09-20"), Until: day(t, "2022-10-30"), Issuer: "高平农商银行"}
	if diff := cmp.Diff(wantLove, love); diff != "" {
		t.Errorf("love (-want +got):\n%s", diff)
	}
	if sum := perRound[0] + perRound[1] + perRound[2] + perRound[3] + love.Budget; sum != c.Budget {
		t.Errorf("rounds and 爱心 = %d, want %d", sum, c.Budget)
	}
}

func TestTheBuiltInCampaignHasTheRulesOfThePlan(t *testing.T) {
	c := gaoping(t)
	type rules struct {
		ID, Zone               string
		Start, End             string
		Districts              []string
		Release, Expire, Limit int
		PerCampaign            bool
		Refund                 vw.RefundPolicy
		Offset                 int
	}
	got := rules{c.ID, c.Zone.String(), vw.Date(c.Start), vw.Date(c.End), c.Districts, c.ReleaseMinute, c.ExpireMinute, c.ClaimLimit, c.ClaimPerCampaign, c.RefundPolicy, c.Offset()}
	want := rules{"gaoping-2022-2", "Asia/Shanghai", "2022-09-20", "2022-10-31", []string{"140581"}, 600, 1440, 3, false, vw.RefundPolicyUnrecorded, 480}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	var agencies []string
	for _, a := range c.Agencies {
		agencies = append(agencies, a.Code)
	}
	if want := strings.Fields("GX GA SJ CZ SJJ FG YL MZ"); !slices.Equal(agencies, want) {
		t.Errorf("agencies = %v, want %v", agencies, want)
	}
}

func TestMerchantCodesAreGenerousToHonestShopsAndNeverAllowTheBarred(t *testing.T) {
	c := gaoping(t)
	for category, codes := range map[vw.Category]string{
		vw.Retail:      "5200 5311 5331 5399 5411 5499 5651 5722 5912 5921 5999",
		vw.Hospitality: "5811 5812 5813 5814 7011 7298 7941 7991",
		vw.Appliance:   "4812 5722 5732",
		vw.Fuel:        "5541 5542",
	} {
		for code := range strings.FieldsSeq(codes) {
			if !slices.Contains(c.MCC[category], code) {
				t.Errorf("%s does not allow %s", category, code)
			}
		}
	}
	if want := strings.Fields("4900 5172 5398 5933 6051 6540"); !slices.Equal(c.NeverMCC, want) {
		t.Errorf("never = %v, want %v", c.NeverMCC, want)
	}
	for k, list := range c.MCC {
		if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("%s: not sorted and single", vw.Category(k))
		}
		for _, never := range c.NeverMCC {
			if slices.Contains(list, never) {
				t.Errorf("%s allows %s, which is never allowed", vw.Category(k), never)
			}
		}
	}
	for code, category := range map[string]vw.Category{"5411": vw.Hospitality, "5812": vw.Retail, "5541": vw.Retail, "7011": vw.Fuel} {
		if slices.Contains(c.MCC[category], code) {
			t.Errorf("%s allows %s", category, code)
		}
	}
}

func TestTheCampaignSaysItselfAsAPersonWould(t *testing.T) {
	f, err := Open("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := Describe(&got, f); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/describe.golden", got.Bytes())
	full := errors.New("disk full")
	if err := Describe(failing{full}, f); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestLoadTakesABuiltInNameOrAPath(t *testing.T) {
	if got := BuiltIn(); !slices.Equal(got, []string{"gaoping-2022-2"}) {
		t.Errorf("built in: %v", got)
	}
	source, err := Source("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, bytes.Replace(source, []byte("id: gaoping-2022-2 "), []byte("id: mine "), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(path); err != nil || c.ID != "mine" {
		t.Errorf("a copy: %v, %v", c, err)
	}
	_, err = Load("nowhere.yaml")
	if vw.CodeOf(err) != vw.NotFound || !strings.Contains(fmt.Sprint(err), "gaoping-2022-2") {
		t.Errorf("no such file: %v", err)
	}
	if _, err = Load(t.TempDir()); vw.CodeOf(err) != vw.Unavailable {
		t.Errorf("a folder: %v", err)
	}
	if _, err = Source("nowhere"); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("no such source: %v", err)
	}
}

func day(t *testing.T, date string) int {
	t.Helper()
	n, err := vw.DayNumber(date)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
