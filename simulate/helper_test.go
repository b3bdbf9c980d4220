package simulate

import (
	"bytes"
	"testing"
	"time"

	vw "voucherwatch"
)

// gaoping is the campaign of the plan, written out so that the tests need no file.
func gaoping() *vw.Campaign {
	day := func(s string) int {
		n, err := vw.DayNumber(s)
		if err != nil {
			panic(err)
		}
		return n
	}
	c := &vw.Campaign{ID: "gaoping-2022-2", Zone: time.FixedZone("CST", 8*3600), Start: day("2022-09-20"), End: day("2022-10-31"),
		Districts: []string{"140581"}, ReleaseMinute: 600, ExpireMinute: 1439, ClaimLimit: 3, RefundPolicy: vw.RefundPolicyUnrecorded, Budget: 28_200_000_00}
	add := func(code string, cat vw.Category, threshold, face vw.Fen) {
		c.Vouchers = append(c.Vouchers, vw.Voucher{Code: code, Category: cat, Threshold: threshold * 100, Face: face * 100})
	}
	add("retail-50-10", vw.Retail, 50, 10)
	add("retail-200-40", vw.Retail, 200, 40)
	add("fuel-100-20", vw.Fuel, 100, 20)
	add("fuel-200-40", vw.Fuel, 200, 40)
	add("fuel-300-60", vw.Fuel, 300, 60)
	add("appliance-600-120", vw.Appliance, 600, 120)
	add("appliance-3000-300", vw.Appliance, 3000, 300)
	add("appliance-5000-500", vw.Appliance, 5000, 500)
	add("appliance-10000-1000", vw.Appliance, 10000, 1000)
	add("hospitality-50-10", vw.Hospitality, 50, 10)
	add("hospitality-200-40", vw.Hospitality, 200, 40)
	add("hospitality-500-100", vw.Hospitality, 500, 100)
	c.Vouchers = append(c.Vouchers, vw.Voucher{Code: "love", Balance: true, Limit: 100_000, From: day("2022-09-25"), Until: day("2022-10-30"), Budget: 1_592_000_00})
	for i, r := range []struct {
		from, to string
		retail   vw.Fen
	}{{"2022-09-20", "2022-09-30", 3_308_000}, {"2022-10-01", "2022-10-10", 3_300_000}, {"2022-10-11", "2022-10-20", 3_000_000}, {"2022-10-21", "2022-10-31", 3_000_000}} {
		c.Rounds = append(c.Rounds, vw.Round{Number: i + 1, From: day(r.from), To: day(r.to), Budget: [vw.Categories]vw.Fen{
			vw.Retail: r.retail * 100, vw.Hospitality: 2_000_000_00, vw.Appliance: 1_000_000_00, vw.Fuel: 500_000_00}})
	}
	return c
}

func run(t testing.TB, o Options) (events, labels []byte, s Summary) {
	t.Helper()
	if o.Campaign == nil {
		o.Campaign = gaoping()
	}
	var e, l bytes.Buffer
	s, err := Run(t.Context(), o, &e, &l)
	if err != nil {
		t.Fatal(err)
	}
	return e.Bytes(), l.Bytes(), s
}
