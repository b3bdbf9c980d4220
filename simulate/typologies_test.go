package simulate

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestEachTypologyIsWhatItSays(t *testing.T) {
	events, l := world1(t, 9)
	redemptions, refunds := map[string]event{}, map[string]event{}
	shelf, caps := map[string]map[string][]event{}, map[string][]event{}
	complaints := map[string]int{}
	for _, e := range events {
		switch {
		case e.Type == "redemption":
			redemptions[e.ID] = e
		case e.Type == "refund":
			refunds[e.Target] = e
		case e.Type == "complaint":
			complaints[e.Merchant]++
		case e.Type == "price" && e.Kind == "cap":
			caps[e.SKU] = append(caps[e.SKU], e)
		case e.Type == "price" && (e.Kind == "shelf" || e.Kind == "reference"):
			if shelf[e.Merchant] == nil {
				shelf[e.Merchant] = map[string][]event{}
			}
			shelf[e.Merchant][e.Kind+e.SKU] = append(shelf[e.Merchant][e.Kind+e.SKU], e)
		}
	}
	c := gaoping()
	threshold := func(e event) int64 { return int64(c.Vouchers[c.VoucherIndex(e.VoucherType)].Threshold) }
	found := map[string]bool{}
	for _, k := range l.Cases {
		found[k.Typology] = true
		sessions := map[string][]event{}
		perCustomer := map[string]int{}
		devices := map[string]int{}
		exact, items := 0, 0
		for _, id := range k.RedemptionIDs {
			e := redemptions[id]
			s := l.Redemptions[id].Session
			sessions[s] = append(sessions[s], e)
			perCustomer[e.Customer]++
			if e.Device != "" {
				devices[e.Device]++
			}
			if e.Order == threshold(e) {
				exact++
			}
			items += len(e.Lines)
		}
		n := len(k.RedemptionIDs)
		bad := func(format string, args ...any) { t.Errorf("case %s: "+format, append([]any{k.Case}, args...)...) }
		switch k.Typology {
		case "split", "split-jittered":
			for s, es := range sessions {
				if len(es) < 2 || s == "" {
					bad("a session of %d parts", len(es))
				}
				for _, e := range es {
					if e.Customer != es[0].Customer || e.Merchant != es[0].Merchant || e.At[:10] != es[0].At[:10] || e.Order < threshold(e) {
						bad("session %s mixes people, places or days", s)
					}
				}
			}
			if k.Stake <= 0 {
				bad("nothing is at stake")
			}
		case "split-accounts":
			for s, es := range sessions {
				people, tills := map[string]bool{}, map[string]bool{}
				for _, e := range es {
					people[e.Customer] = true
					if e.Terminal != "" {
						tills[e.Terminal] = true
					}
				}
				if len(people) != len(es) || len(people) < 2 || len(tills) > 1 {
					bad("session %s: %d people, %d tills for %d parts", s, len(people), len(tills), len(es))
				}
			}
		case "cashout-burst":
			if exact*2 < n {
				bad("%d of %d are exact", exact, n)
			}
			for _, id := range k.RedemptionIDs {
				if h := redemptions[id].when.Hour(); h < 17 {
					bad("a burst at %d h", h)
				}
			}
		case "cashout-mixed", "cashout-owner":
			if len(k.Merchants) != 1 || n < 3 {
				bad("%d merchants, %d redemptions", len(k.Merchants), n)
			}
		case "refund-loop":
			for _, id := range k.RedemptionIDs {
				if r, ok := refunds[id]; !ok || r.when.Before(redemptions[id].when) {
					bad("%s is not refunded later", id)
				}
			}
		case "pair":
			most := 0
			for _, times := range perCustomer {
				most = max(most, times)
			}
			if len(k.Merchants) != 1 || most < 4 {
				bad("at most %d visits of a pair", most)
			}
		case "ring":
			if len(k.Merchants) < 3 || len(k.Customers) < 5 || len(k.Pairs) <= len(k.Customers) {
				bad("%d merchants, %d customers, %d pairs", len(k.Merchants), len(k.Customers), len(k.Pairs))
			}
		case "device-farm":
			if len(devices) > 4 || len(k.Merchants) > 2 || len(k.Customers) < 4 {
				bad("%d devices, %d merchants, %d customers", len(devices), len(k.Merchants), len(k.Customers))
			}
		case "price-raise", "raise-then-discount":
			before, after, raised := 0.0, 0.0, 0
			for _, sku := range k.SKUs {
				if es := shelf[k.Merchants[0]]["shelf"+sku]; len(es) > 30 {
					raised++
					before += math.Log(float64(es[10].Price))
					after += math.Log(float64(es[len(es)/2].Price))
				}
			}
			rise := math.Exp((after-before)/float64(max(1, raised))) - 1
			if k.AtTheTill != (rise < .03) || rise > .4 {
				bad("%d watched goods rose by %.3f on the shelf, at the till only: %v", raised, rise, k.AtTheTill)
			}
			if raised < 3 {
				bad("%d raised goods are watched", raised)
			}
			for _, id := range k.RedemptionIDs {
				e := redemptions[id]
				dear := len(e.Lines) == 0
				for _, line := range e.Lines {
					dear = dear || slices.Contains(k.SKUs, line.SKU) || line.SKU == "W0" && len(e.Lines) == 1
				}
				if !dear {
					bad("%s holds no raised goods", id)
				}
			}
		case "surcharge":
			if complaints[k.Merchants[0]] < 3 {
				bad("%d complaints", complaints[k.Merchants[0]])
			}
		case "fuel-cap":
			for _, id := range k.RedemptionIDs {
				e := redemptions[id]
				for _, line := range e.Lines {
					limit := int64(0)
					for _, cp := range caps[line.SKU] {
						if !cp.when.After(e.when) {
							limit = cp.Price
						}
					}
					if line.Unit <= limit {
						bad("%s at %d under the cap of %d", id, line.Unit, limit)
					}
				}
			}
		}
	}
	for _, ty := range Typologies() {
		if !found[ty.Name] {
			t.Errorf("no case of %s", ty.Name)
		}
	}
}

// Compares which optional fields fraud and honest events of the same merchant carry.
func TestPresenceOfFieldsAndOrderOfIDsDoNotTellFraud(t *testing.T) {
	events, labels, _ := run(t, Options{Seed: 10, Scale: 1})
	es, l := read(t, events, labels)
	fields := []string{"device_id", "card_id", "claimed_at", "terminal_id", "cashier_id", "order_id", "mcc", "district", "lon", "lines", "channel"}
	type tally struct{ n, has [2]float64 }
	byMerchant := map[string]map[string]*tally{}
	for _, e := range es {
		if e.Type != "redemption" || l.Violations[e.ID] != "" {
			continue
		}
		f := 0
		if _, ok := l.Redemptions[e.ID]; ok {
			f = 1
		}
		if byMerchant[e.Merchant] == nil {
			byMerchant[e.Merchant] = map[string]*tally{}
		}
		for _, name := range fields {
			x := byMerchant[e.Merchant][name]
			if x == nil {
				x = &tally{}
				byMerchant[e.Merchant][name] = x
			}
			x.n[f]++
			mark := []byte(`"` + name + `":`)
			if i := bytes.Index(e.line, mark); i >= 0 && !bytes.HasPrefix(e.line[i+len(mark):], []byte("null")) && !bytes.HasPrefix(e.line[i+len(mark):], []byte(`""`)) && !bytes.HasPrefix(e.line[i+len(mark):], []byte("[]")) {
				x.has[f]++
			}
		}
	}
	for _, name := range fields { // Mantel–Haenszel: fraud's presence against its merchant's rate
		diff, variance := 0.0, 0.0
		for _, x := range byMerchant {
			m := x[name]
			n := m.n[0] + m.n[1]
			if m.n[0] == 0 || m.n[1] == 0 || n < 2 {
				continue
			}
			p := (m.has[0] + m.has[1]) / n
			diff += m.has[1] - m.n[1]*p
			variance += m.n[0] * m.n[1] * p * (1 - p) / (n - 1)
		}
		if z := diff / math.Sqrt(variance+1); math.Abs(z) > 4 {
			t.Errorf("%s is there %+.0f times too often in fraud (z = %.1f)", name, diff, z)
		}
	}
	var rank [2]float64 // mean first hex digit of ids
	var n [2]float64
	for _, e := range es {
		if e.Type == "redemption" {
			f := 0
			if _, ok := l.Redemptions[e.ID]; ok {
				f = 1
			}
			rank[f] += float64(strings.IndexByte("0123456789abcdef", e.ID[1]))
			n[f]++
			if len(e.ID) != 15 || len(e.Voucher) != 15 {
				t.Fatalf("ids of another length: %s %s", e.ID, e.Voucher)
			}
		}
	}
	if d := math.Abs(rank[0]/n[0] - rank[1]/n[1]); d > 4*4.6/math.Sqrt(n[1]) {
		t.Errorf("ids of fraud differ by %.2f on the mean", d)
	}
}
