package simulate

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	vw "voucherwatch"
)

func TestOnlyATagThatExplainsAMarkExcusesIt(t *testing.T) {
	for _, tt := range []struct {
		marks marks
		tags  tag
		want  bool
	}{
		{1 << byGap, h2, true},
		{1 << byGap, h11, false},            // who owns the account says nothing about haste
		{1 << byPrice, h15, false},          // a flash sale is no reason for a rise
		{1<<byPrice | 1<<byCrowd, h6, true}, // a rush explains the crowd
		{1 << byAmount, h6, false},
		{0, h2, false},
		{1 << byDevice, 0, false},
	} {
		if got := tt.marks.excusedBy(tt.tags); got != tt.want {
			t.Errorf("marks %b, tags %v: excused %v", tt.marks, tt.tags.names(), got)
		}
	}
}

// Each story is looked for in the files alone.
func TestTheLookAlikesLookLikeFraud(t *testing.T) {
	events, l := world1(t, 3)
	tagged := map[string][]event{}
	visits := map[[2]string][]event{} // merchant, customer
	for _, e := range events {
		if e.Type != "redemption" {
			continue
		}
		for _, tag := range l.HardNegatives[e.ID] {
			tagged[tag] = append(tagged[tag], e)
		}
		if len(l.HardNegatives[e.ID]) > 0 {
			visits[[2]string{e.Merchant, e.Customer}] = append(visits[[2]string{e.Merchant, e.Customer}], e)
		}
	}
	atLeast := func(what string, n, want int) {
		t.Logf("%s: %d", what, n)
		if n < want {
			t.Errorf("%s: %d, want %d or more", what, n, want)
		}
	}
	has := func(e event, tag string) bool { return slices.Contains(l.HardNegatives[e.ID], tag) }
	twice, exact, repeats := 0, 0, 0
	for _, es := range visits {
		slices.SortFunc(es, func(a, b event) int { return a.when.Compare(b.when) })
		for i := 1; i < len(es); i++ {
			gap := es[i].when.Sub(es[i-1].when)
			if has(es[i], "H3") && has(es[i-1], "H3") && es[i].At[:10] == es[i-1].At[:10] && gap > 3*time.Hour {
				twice++
			}
			if has(es[i], "H15") && has(es[i-1], "H15") && gap < 10*time.Minute {
				repeats++
			}
		}
	}
	atLeast("regulars who come twice on a day", twice, 5)
	atLeast("repeated buyers of the flash sale within ten minutes", repeats, 20)
	items := 0
	for _, e := range tagged["H2"] {
		if has(e, "H4") || has(e, "H5") {
			continue // exact by nature
		}
		items++
		if e.Order == thresholdOf(e.VoucherType) {
			exact++
		}
	}
	atLeast("forgotten items that reach the threshold to the fen, per cent", 100*exact/items, 12)

	devices := func(tag string) (people map[string]map[string]bool) {
		people = map[string]map[string]bool{}
		for _, e := range tagged[tag] {
			if e.Device != "" {
				if people[e.Device] == nil {
					people[e.Device] = map[string]bool{}
				}
				people[e.Device][e.Customer] = true
			}
		}
		return people
	}
	most := 0
	for _, who := range devices("H16") {
		most = max(most, len(who))
	}
	atLeast("neighbours on the device of a shop", most, 4)
	phone := 0
	for _, who := range devices("H1") {
		if len(who) >= 2 {
			phone++
		}
	}
	atLeast("families of one phone", phone, 3)

	tables := map[string][]event{}
	for _, e := range tagged["H8"] {
		tables[e.Merchant+e.At[:13]] = append(tables[e.Merchant+e.At[:13]], e)
	}
	large := 0
	for _, es := range tables {
		if len(es) >= 5 {
			large++
		}
	}
	atLeast("tables of five or more", large, 3)

	hour := map[string]int{}
	for _, e := range tagged["H15"] {
		hour[e.Merchant]++
	}
	if len(hour) != 1 {
		t.Errorf("the flash sale is at %d merchants", len(hour))
	}
	for _, n := range hour {
		atLeast("orders of the flash sale", n, 100)
	}

	together := map[string]map[string]bool{} // people of a block at one shop within a quarter of an hour
	for _, e := range tagged["H10"] {
		k := e.Merchant + e.when.Truncate(15*time.Minute).String()
		if together[k] == nil {
			together[k] = map[string]bool{}
		}
		together[k][e.Customer] = true
	}
	outings := 0
	for _, who := range together {
		if len(who) >= 3 {
			outings++
		}
	}
	atLeast("outings of a dormitory", outings, 5)

	lists := 0 // goods that cost two prices at one shop on one day
	price := map[string]int64{}
	for _, e := range tagged["H17"] {
		for _, line := range e.Lines {
			if !strings.HasPrefix(line.SKU, "S") {
				continue // not a good with a price of its own
			}
			k := e.Merchant + line.SKU + e.At[:10]
			if other := price[k]; other > 0 && math.Abs(math.Log(float64(other)/float64(line.Unit))) > .1 {
				lists++
			}
			price[k] = line.Unit
		}
	}
	atLeast("goods at two prices on one day", lists, 5)

	amounts := map[string][]int64{}
	for _, e := range tagged["H13"] {
		k := e.Merchant + e.Customer
		amounts[k] = append(amounts[k], e.Order)
	}
	regular := 0
	for _, sums := range amounts {
		if len(sums) >= 4 && float64(slices.Max(sums)) < 1.5*float64(slices.Min(sums)) {
			regular++
		}
	}
	atLeast("traders who stock up for much the same sum", regular, 5)
}

func TestAMarketWideShockRaisesTheSameGoodsEverywhere(t *testing.T) {
	events, _ := world1(t, 4)
	start := vw.Millis(gaoping().Start)*vw.Day - 8*vw.Hour
	first, last := map[[2]string]int64{}, map[[2]string]int64{}
	for _, e := range events {
		if e.Type == "price" && e.Kind == "shelf" && strings.HasPrefix(e.SKU, "S") {
			k := [2]string{e.Merchant, e.SKU}
			if at := vw.Millis(e.when.UnixMilli()); at < start-15*vw.Day && first[k] == 0 {
				first[k] = e.Price
			} else if at > start+30*vw.Day {
				last[k] = e.Price
			}
		}
	}
	shops, rose := map[string]int{}, map[string]int{}
	for k, before := range first {
		if after := last[k]; after > 0 {
			shops[k[1]]++
			if float64(after) > 1.04*float64(before) {
				rose[k[1]]++
			}
		}
	}
	run, longest := 0, 0 // of neighbours on the shelf
	for i := range 2 * goods {
		sku, _ := skuName(i % goods)
		if run++; shops[sku] < 2 || rose[sku]*4 < shops[sku]*3 {
			run = 0
		}
		longest = max(longest, run)
	}
	if longest < 5 || longest > 20 {
		t.Errorf("%d goods in a row rose in three quarters of the shops, want a shelf of them", longest)
	}
}
