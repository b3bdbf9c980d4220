package simulate

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHeldOutFormsAreInNoWorldUnlessTheyAreNamed(t *testing.T) {
	_, labels, s := run(t, Options{Seed: 4, Scale: .3})
	for _, y := range HeldOutTypologies() {
		if s.Cases[y.Name] > 0 || bytes.Contains(labels, []byte(`"`+y.Name+`"`)) {
			t.Errorf("%s is in a default world", y.Name)
		}
	}
	if bytes.Contains(labels, []byte("held_out")) {
		t.Error("a default world speaks of held-out forms")
	}
	honest, _, _ := run(t, Options{Seed: 4, Scale: .3, NoFraud: true})
	all, _, s := run(t, Options{Seed: 4, Scale: .3, Typologies: []string{"held-out", "split"}})
	if n, line := missing(honest, all); n > 0 {
		t.Errorf("honest lines are gone or out of order, first:\n%s", line)
	}
	for name := range s.Cases {
		if name != "split" && !slices.ContainsFunc(HeldOutTypologies(), func(y Typology) bool { return y.Name == name }) {
			t.Errorf("%s was not asked for", name)
		}
	}
	if s.Cases["split"] == 0 {
		t.Error("split was asked for beside the set")
	}
	if _, _, one := run(t, Options{Seed: 4, Scale: .3, Typologies: []string{"shell-shop"}}); len(one.Cases) != 1 || one.Cases["shell-shop"] == 0 {
		t.Errorf("one form by name gives %v", one.Cases)
	}
}

func TestTypologyNamesAreUniqueAndTheirCodesAreOfTheContract(t *testing.T) {
	seen := map[string]bool{HeldOut: true}
	for _, y := range slices.Concat(Typologies(), HeldOutTypologies()) {
		if seen[y.Name] {
			t.Errorf("%s twice", y.Name)
		}
		seen[y.Name] = true
		if !slices.Contains([]string{"split", "cashout", "pair_ring", "price"}, y.Family) {
			t.Errorf("%s: family %s", y.Name, y.Family)
		}
		for _, c := range y.Codes {
			if n := 0; c != "P01" {
				if k, err := fmt.Sscanf(c, "T%02d", &n); k != 1 || err != nil || n < 1 || n > 25 {
					t.Errorf("%s: code %s", y.Name, c)
				}
			}
		}
		if y.Text.Zh == "" || y.Text.En == "" || len(y.Codes) == 0 {
			t.Errorf("%s is not described: %+v", y.Name, y)
		}
	}
	if len(HeldOutTypologies()) < 6 {
		t.Errorf("%d held-out forms", len(HeldOutTypologies()))
	}
}

func TestEachHeldOutFormIsWhatItSays(t *testing.T) {
	raw, labels, _ := run(t, Options{Seed: 9, Typologies: []string{HeldOut}})
	honest, _, _ := run(t, Options{Seed: 9, NoFraud: true})
	events, l := read(t, raw, labels)
	claims, refunds, opened := map[string]event{}, map[string]event{}, map[string]event{}
	at := map[string]event{}
	trade := map[string]int{} // redemptions by merchant
	for _, e := range events {
		switch e.Type {
		case "claim":
			claims[e.Voucher] = e
		case "refund":
			refunds[e.Target] = e
		case "redemption":
			at[e.ID] = e
			trade[e.Merchant]++
		case "merchant":
			if _, ok := opened[e.Merchant]; !ok {
				opened[e.Merchant] = e
			}
		}
	}
	found := map[string]bool{}
	for _, k := range l.Cases {
		found[k.Typology] = true
		var es []event
		devices, places, cashiers, baskets, serials, channels := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
		perCustomer := map[string][]event{}
		for _, id := range k.RedemptionIDs {
			e := at[id]
			es = append(es, e)
			devices[e.Device]++
			cashiers[field(e.line, "cashier_id")]++
			channels[field(e.line, "channel")]++
			c := claims[e.Voucher].line
			places[field(c, "lon")+field(c, "lat")]++
			if len(e.Lines) > 0 {
				baskets[fmt.Sprint(e.Lines)]++
				if i := bytes.Index(e.line, []byte(" SN")); i >= 0 {
					serials[string(e.line[i+3:i+11])]++
				}
			}
			perCustomer[e.Customer] = append(perCustomer[e.Customer], e)
		}
		n := len(es)
		most := func(m map[string]int) (best int) {
			for key, v := range m {
				if key != "" {
					best = max(best, v)
				}
			}
			return best
		}
		bad := func(format string, args ...any) { t.Errorf("case %s: "+format, append([]any{k.Case}, args...)...) }
		switch k.Typology {
		case "ladder-set":
			sets := 0
			for _, own := range perCustomer {
				tiers := map[string]bool{}
				for _, e := range own {
					if e.At[:10] == own[0].At[:10] {
						tiers[e.VoucherType] = true
					}
				}
				if len(tiers) == 3 {
					sets++
				}
			}
			if sets*2 < len(perCustomer) {
				bad("%d of %d students spend a whole set on a day", sets, len(perCustomer))
			}
		case "bought-vouchers":
			if len(perCustomer)*10 < n*8 || len(devices) > 1 && most(devices) < 3 || most(places) < n/6 {
				bad("%d accounts for %d vouchers, %d on one phone, %d claimed at one place", len(perCustomer), n, most(devices), most(places))
			}
		case "idle-kitchen", "shell-shop":
			if trade[k.Merchants[0]] != n {
				bad("the shop has %d guests beside %d shams", trade[k.Merchants[0]]-n, n)
			}
			last, first := es[0].when, es[0].when
			for _, e := range es {
				if e.when.After(last) {
					last = e.when
				}
				if e.when.Before(first) {
					first = e.when
				}
			}
			if k.Typology == "shell-shop" && (last.Sub(first) > 9*24*time.Hour || opened[k.Merchants[0]].when.After(first) || first.Sub(opened[k.Merchants[0]].when) > 4*24*time.Hour) {
				bad("at work from %v to %v, registered %v", first, last, opened[k.Merchants[0]].when)
			}
		case "alliance":
			if len(k.Merchants) < 3 || len(k.Customers) < 5 {
				bad("%d merchants, %d customers", len(k.Merchants), len(k.Customers))
			}
			for _, m := range k.Merchants {
				for _, e := range es {
					if e.Merchant == m && strings.Contains(string(opened[m].line), e.Customer) {
						bad("an owner redeems in the own shop")
					}
				}
			}
		case "members":
			sums := map[int64]int{}
			for _, e := range es {
				sums[e.Order]++
			}
			if len(sums) > 12 || len(k.Merchants) != 1 {
				bad("%d different sums at a house of list prices", len(sums))
			}
		case "late-refund":
			for _, e := range es {
				r, ok := refunds[e.ID]
				back := field(r.line, "refund_fen")
				if !ok || r.when.Sub(e.when) < 48*time.Hour || back == fmt.Sprint(e.Order) {
					bad("%s: refunded %s of %d after %v", e.ID, back, e.Order, r.when.Sub(e.when))
				}
			}
		case "voucher-fee":
			lines := 0
			for _, e := range es {
				for _, line := range e.Lines {
					if line.SKU == "FW" {
						lines++
					}
				}
			}
			if lines*10 < n*7 {
				bad("%d of %d receipts show the fee", lines, n)
			}
		case "repeated-basket":
			if most(baskets) < 3 {
				bad("no basket is repeated: %d receipts, at most %d alike", len(baskets), most(baskets))
			}
		case "same-serial":
			if len(serials) > 3 || most(serials) < 3 {
				bad("serials %v", serials)
			}
		case "phantom-delivery":
			if channels["online"] != n {
				bad("channels %v", channels)
			}
		case "code-harvest":
			for _, e := range es {
				if !bytes.Contains(honest, []byte(`"voucher_id":"`+e.Voucher+`"`)) {
					bad("%s: nobody honest claimed the voucher", e.ID)
				}
			}
			if most(cashiers)+cashiers[""] != n {
				bad("cashiers %v", cashiers)
			}
		default:
			bad("nothing is said of %s", k.Typology)
		}
	}
	for _, y := range HeldOutTypologies() {
		if !found[y.Name] {
			t.Errorf("no case of %s", y.Name)
		}
	}
}

// field is the raw value of a member of a line, "" if it is not there.
func field(line []byte, name string) string {
	mark := []byte(`"` + name + `":`)
	i := bytes.Index(line, mark)
	if i < 0 {
		return ""
	}
	rest := line[i+len(mark):]
	end := bytes.IndexAny(rest, ",}")
	return strings.TrimPrefix(strings.Trim(string(rest[:max(0, end)]), `"`), "null")
}
