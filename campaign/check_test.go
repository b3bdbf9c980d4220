package campaign

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	vw "voucherwatch"
)

// small is a whole campaign in few lines; the tests change one thing each.
const small = `id: small-1
name: 小活动
zone: Asia/Shanghai
start: 2024-05-01
end: 2024-05-20
districts: [{code: 140581, name: 高平市}]
voucher_day: {release: "10:00", last_minute: "23:59"}
issuer: 云闪付
claims: {limit: 3, per: round}
refund_policy: unrecorded
budget:
  total: 31万元
  funding: [{from: 省级, amount: 11万元}, {from: 市级, amount: 20万元}]
  categories: {retail: 20万元, fuel: 10万元}
rounds:
  - {number: 1, from: 2024-05-01, to: 2024-05-10, total: 15万元, budget: {retail: 10万元, fuel: 5万元}}
  - {number: 2, from: 2024-05-11, to: 2024-05-20, total: 15万元, budget: {retail: 10万元, fuel: 5万元}}
vouchers:
  - {code: retail-50-10, name: 满50减10, category: retail, threshold: 50元, face: 10元, drive_ratio: 5}
  - {code: fuel-100-20, name: 满100减20, category: fuel, threshold: 100元, face: 20元}
balance_vouchers:
  - {code: love, name: 爱心, issuer: 农商行, people: 10, each: 1000元, budget: 1万元, usable_from: 2024-05-01, usable_until: 2024-05-19}
mcc: {never: [6051], retail: [5200-5999, 5411, 6050-6051]}
agencies: [{code: GX, name: 工信局, role: 牵头}]
`

func TestEveryMistakeIsToldWithFileAndLine(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"an unknown field", "issuer: 云闪付", "isuer: 云闪付",
			"small.yaml:1: issuer: is missing\n" +
				`small.yaml:8: isuer: is not a field here: use agencies, balance_vouchers, budget, claims, conditions, districts, end, id, issuer, mcc, name, name_en, pauses, refund_policy, reporting, rounds, source, start, theme, voucher_day, vouchers, zone`},
		{"an id with blanks", "id: small-1", "id: Small 1", `small.yaml:1: id: is "Small 1": want lower-case letters and digits, joined by hyphens`},
		{"a zone that is none", "Asia/Shanghai", "Asia/Gaoping", `small.yaml:3: zone: is "Asia/Gaoping": want a time zone of the IANA database such as Asia/Shanghai`},
		{"the machine's own zone", "Asia/Shanghai", "Local", `small.yaml:3: zone: is "Local": want a time zone of the IANA database such as Asia/Shanghai`},
		{"a zone that changes its clocks on the way", "zone: Asia/Shanghai\nstart: 2024-05-01", "zone: America/New_York\nstart: 2024-03-09",
			"small.yaml:3: zone: changes its clocks on 2024-03-11, inside the campaign: want a zone that keeps them\n" +
				`small.yaml:16: rounds[0].from: leaves 2024-03-09 to 2024-04-30 in no round: close the gap, or state it under pauses`},
		{"an end before the start", "end: 2024-05-20", "end: 2024-04-30",
			"small.yaml:5: end: is 2024-04-30, before the start on 2024-05-01"},
		{"an endless campaign", "end: 2024-05-20", "end: 2424-05-20",
			"small.yaml:5: end: is 2424-05-20, more than ten years after the start on 2024-05-01"},
		{"a district of five digits", "140581", "14058", `small.yaml:6: districts[0].code: is "14058": want the 6 digits of a county in GB/T 2260, such as 140581`},
		{"a district of no province", "140581", "170581", `small.yaml:6: districts[0].code: is "170581": want the 6 digits of a county in GB/T 2260, such as 140581`},
		{"a whole province", "140581", "140000", `small.yaml:6: districts[0].code: is "140000": want the 6 digits of a county in GB/T 2260, such as 140581`},
		{"a district twice", "[{code: 140581, name: 高平市}]", `[{code: 140581, name: 高平市}, {code: "140581", name: 高平}]`, `small.yaml:6: districts[1].code: is "140581", which districts[0] has already`},
		{"no district", "[{code: 140581, name: 高平市}]", `[]`, `small.yaml:6: districts: is empty: want at least one`},
		{"a clock beyond the day", "23:59", "24:00", `small.yaml:7: voucher_day.last_minute: is "24:00": want a time of day from "00:00" to "23:59"`},
		{"a clock of one digit", "10:00", "9:00", `small.yaml:7: voucher_day.release: is "9:00": want a time of day from "00:00" to "23:59"`},
		{"expired before released", `"23:59"`, `"09:59"`, `small.yaml:7: voucher_day.last_minute: is 09:59, before the release at 10:00`},
		{"no claim allowed", "limit: 3", "limit: 0", `small.yaml:9: claims.limit: is 0: want at least 1`},
		{"claims per something else", "per: round", "per: day", `small.yaml:9: claims.per: is "day": use round, campaign`},
		{"an unknown refund policy", "unrecorded", "returned", `small.yaml:10: refund_policy: is "returned": use no_return_proportional, full_return_in_validity, no_return_net, unrecorded`},
		{"payers that pay too little", "amount: 11万元", "amount: 10万元", `small.yaml:12: budget.total: is 31万元, but funding adds up to 30万元`},
		{"a category that its rounds do not fill", "retail: 20万元", "retail: 21万元",
			"small.yaml:12: budget.total: is 31万元, but categories and balance vouchers add up to 32万元\n" +
				`small.yaml:14: budget.categories.retail: is 21万元, but the rounds add up to 20万元`},
		{"a category that only rounds have", "{retail: 20万元, fuel: 10万元}", "{retail: 30万元}",
			"small.yaml:14: budget.categories.fuel: is 0元, but the rounds add up to 10万元\n" +
				`small.yaml:14: budget.categories.retail: is 30万元, but the rounds add up to 20万元`},
		{"a category that no round has", "fuel: 10万元}", "fuel: 10万元, appliance: 1万元}",
			"small.yaml:12: budget.total: is 31万元, but categories and balance vouchers add up to 32万元\n" +
				`small.yaml:14: budget.categories.appliance: is 1万元, but the rounds add up to 0元`},
		{"a round that does not add up", "to: 2024-05-10, total: 15万元", "to: 2024-05-10, total: 16万元", `small.yaml:16: rounds[0].total: is 16万元, but its budget adds up to 15万元`},
		{"an unknown category in a budget", "to: 2024-05-10, total: 15万元, budget: {retail", "to: 2024-05-10, total: 15万元, budget: {retial",
			`small.yaml:16: rounds[0].budget.retial: is "retial", not a category: use retail, fuel, appliance, hospitality`},
		{"a round before the start", "from: 2024-05-01, to: 2024-05-10", "from: 2024-04-30, to: 2024-05-10", `small.yaml:16: rounds[0].from: is 2024-04-30, before the campaign's start on 2024-05-01`},
		{"a round after the end", "to: 2024-05-20, total", "to: 2024-05-21, total", `small.yaml:17: rounds[1].to: is 2024-05-21, after the campaign's end on 2024-05-20`},
		{"a round backwards", "from: 2024-05-11, to: 2024-05-20", "from: 2024-05-20, to: 2024-05-11", `small.yaml:17: rounds[1].to: is 2024-05-11, before 2024-05-20, the first day`},
		{"rounds that overlap", "from: 2024-05-11", "from: 2024-05-10", `small.yaml:17: rounds[1].from: is 2024-05-10, but round 1 goes on until 2024-05-10: rounds may not overlap`},
		{"a gap between rounds", "from: 2024-05-11", "from: 2024-05-13", `small.yaml:17: rounds[1].from: leaves 2024-05-11 to 2024-05-12 in no round: close the gap, or state it under pauses`},
		{"a gap before the first round", "from: 2024-05-01, to: 2024-05-10", "from: 2024-05-03, to: 2024-05-10", `small.yaml:16: rounds[0].from: leaves 2024-05-01 to 2024-05-02 in no round: close the gap, or state it under pauses`},
		{"a gap after the last round", "to: 2024-05-20, total", "to: 2024-05-18, total", `small.yaml:17: rounds[1].to: leaves 2024-05-19 to 2024-05-20 in no round: close the gap, or state it under pauses`},
		{"a pause inside a round", "rounds:\n", "pauses: [{from: 2024-05-10, to: 2024-05-12}]\nrounds:\n",
			"small.yaml:15: pauses[0].from: is 2024-05-10, but round 1 goes on until 2024-05-10: rounds may not overlap\n" +
				`small.yaml:18: rounds[1].from: is 2024-05-11, but the pause from 2024-05-10 goes on until 2024-05-12: rounds may not overlap`},
		{"rounds out of order", "number: 2", "number: 3", `small.yaml:17: rounds[1].number: is 3: want 2, rounds are numbered in their order`},
		{"a face of the threshold", "face: 10元, drive_ratio: 5", "face: 50元", `small.yaml:19: vouchers[0].face: is 50元: want less than the threshold of 50元`},
		{"no face", "face: 20元", "face: 0元", `small.yaml:20: vouchers[1].face: is 0元: want more than 0元`},
		{"a ratio that is another", "drive_ratio: 5", "drive_ratio: 10", `small.yaml:19: vouchers[0].drive_ratio: is 10, but 50元 ÷ 10元 is 5`},
		{"a voucher twice", "code: fuel-100-20", "code: retail-50-10", `small.yaml:20: vouchers[1].code: is "retail-50-10", which vouchers[0] has already`},
		{"a balance with another's code", "code: love", "code: fuel-100-20", `small.yaml:22: balance_vouchers[0].code: is "fuel-100-20", which another voucher has already`},
		{"a voucher's code in capitals", "code: fuel-100-20", "code: FUEL", `small.yaml:20: vouchers[1].code: is "FUEL": want lower-case letters and digits, joined by hyphens`},
		{"an unknown category of a voucher", "category: fuel", "category: petrol", `small.yaml:20: vouchers[1].category: is "petrol", not a category: use retail, fuel, appliance, hospitality`},
		{"people that do not add up", "people: 10", "people: 11", `small.yaml:22: balance_vouchers[0].budget: is 1万元, which is not 11 people × 1000元`},
		{"nobody", "people: 10", "people: 0", `small.yaml:22: balance_vouchers[0].people: is 0: want at least 1`},
		{"a balance used too early", "usable_from: 2024-05-01", "usable_from: 2024-04-01", `small.yaml:22: balance_vouchers[0].usable_from: is 2024-04-01, before the campaign's start on 2024-05-01`},
		{"a balance used too late", "usable_until: 2024-05-19", "usable_until: 2024-06-01", `small.yaml:22: balance_vouchers[0].usable_until: is 2024-06-01, after the campaign's end on 2024-05-20`},
		{"a balance backwards", "usable_from: 2024-05-01, usable_until: 2024-05-19", "usable_from: 2024-05-09, usable_until: 2024-05-08", `small.yaml:22: balance_vouchers[0].usable_until: is 2024-05-08, before 2024-05-09, the first day`},
		{"a merchant code of three digits", "6051", "651", `small.yaml:23: mcc.never[0]: is "651": want a merchant category code of 4 digits, or a range such as 5200-5499`},
		{"a range backwards", "5200-5999", "5999-5200", `small.yaml:23: mcc.retail[0]: is "5999-5200": want a merchant category code of 4 digits, or a range such as 5200-5499`},
		{"an unknown agency", "code: GX", "code: XX", `small.yaml:24: agencies[0].code: is "XX": use GX, GA, SJ, CZ, SJJ, FG, YL, MZ`},
		{"three mistakes at once", "name: 小活动\nzone: Asia/Shanghai\nstart: 2024-05-01", "nam: 小活动\nzone: Mars\nstart: May",
			"small.yaml:1: name: is missing\n" +
				"small.yaml:2: nam: is not a field here: use agencies, balance_vouchers, budget, claims, conditions, districts, end, id, issuer, mcc, name, name_en, pauses, refund_policy, reporting, rounds, source, start, theme, voucher_day, vouchers, zone\n" +
				"small.yaml:3: zone: is \"Mars\": want a time zone of the IANA database such as Asia/Shanghai\n" +
				`small.yaml:4: start: is "May": want a day of the calendar such as 2022-09-20`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(small, tt.old, tt.new, 1)
			if text == small {
				t.Fatal("the test changes nothing")
			}
			_, err := Parse("small.yaml", []byte(text))
			if got := faults(t, err); got != tt.want {
				t.Errorf("faults (-want +got):\n%s", cmp.Diff(tt.want, got))
			}
		})
	}
}

func TestTheSmallCampaignIsRight(t *testing.T) {
	c, err := Parse("small.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if c.Budget != 31_000_000 || len(c.MCC[vw.Fuel]) != 0 || len(c.MCC[vw.Retail]) != 801 {
		t.Errorf("campaign = %+v", c)
	}
}

func TestAGapThatIsStatedAsAPauseIsAllowed(t *testing.T) {
	text := strings.Replace(small, "from: 2024-05-11", "from: 2024-05-13", 1) + "pauses: [{from: 2024-05-11, to: 2024-05-12}]\n"
	c, err := Parse("small.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.RoundOn(c.Start + 10); got != -1 {
		t.Errorf("round in the pause = %d", got)
	}
}

// faults is the text of an error of Parse without the operation before it.
func faults(t *testing.T, err error) string {
	t.Helper()
	e, ok := errors.AsType[*vw.Error](err)
	if !ok || e.Code != vw.Invalid {
		t.Fatalf("error = %v, want vw.Invalid", err)
	}
	return e.Err.Error()
}

func FuzzParseAcceptsOrSaysWhere(f *testing.F) {
	source, err := Source("gaoping-2022-2")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(source)
	f.Add([]byte(small))
	f.Add([]byte("rounds: [{from: 0000-01-01, to: 9999-12-31}]\nstart: 0000-01-01\nend: 9999-12-31\nzone: UTC\n"))
	f.Add([]byte("balance_vouchers: [{people: 9223372036854775807, each: 999999999999元, budget: 1元}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.yaml", data)
		switch {
		case err != nil:
			if vw.CodeOf(err) != vw.Invalid || !strings.HasPrefix(err.Error(), "campaign.Parse: f.yaml:") {
				t.Errorf("error without a place: %v", err)
			}
		case c.ID == "" || c.Zone == nil || len(c.Rounds) == 0 || len(c.Vouchers) == 0 || c.End < c.Start || c.ClaimLimit < 1:
			t.Errorf("accepted: %+v", c)
		}
	})
}
