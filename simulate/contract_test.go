package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

// rule is what the contract says of one field. A field may be absent, null or empty only if optional.
type rule struct {
	optional bool
	ok       func(v any) bool
}

var (
	rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:\d\d)$`)
	hhmm    = regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d$`)
)

func contractRules() map[string]map[string]rule {
	text := func(v any) bool { s, ok := v.(string); return ok && s != "" }
	ident := func(v any) bool { s, ok := v.(string); return ok && len(s) >= 1 && len(s) <= 64 }
	money := func(v any) bool { n, ok := v.(float64); return ok && n >= 0 && n == float64(int64(n)) }
	degree := func(v any) bool { n, ok := v.(float64); return ok && n >= -180 && n <= 180 }
	flag := func(v any) bool { _, ok := v.(bool); return ok }
	moment := func(v any) bool { s, ok := v.(string); return ok && rfc3339.MatchString(s) }
	clock := func(v any) bool { s, ok := v.(string); return ok && hhmm.MatchString(s) }
	word := func(ws ...string) func(any) bool {
		return func(v any) bool { s, ok := v.(string); return ok && slices.Contains(ws, s) }
	}
	voucher := func(v any) bool { s, ok := v.(string); return ok && gaoping().VoucherIndex(s) >= 0 }
	idents := func(v any) bool {
		l, ok := v.([]any)
		return ok && !slices.ContainsFunc(l, func(x any) bool { return !ident(x) })
	}
	lines := func(v any) bool {
		l, ok := v.([]any)
		return ok && !slices.ContainsFunc(l, func(x any) bool {
			m, ok := x.(map[string]any)
			q, isNumber := m["quantity"].(float64)
			kind := m["kind"]
			return !ok || !ident(m["sku"]) || !isNumber || q < 0 || !money(m["unit_price_fen"]) || !money(m["amount_fen"]) ||
				kind != nil && !word("goods", "service", "stored_value")(kind)
		})
	}
	must := func(f func(any) bool) rule { return rule{false, f} }
	may := func(f func(any) bool) rule { return rule{true, f} }
	return map[string]map[string]rule{
		"merchant": {"merchant_id": must(ident), "name": must(text), "uscc": may(ident), "category": must(word("retail", "fuel", "appliance", "hospitality")),
			"mcc": may(ident), "status": must(word("active", "suspended", "removed")), "dishonest": must(flag), "district": may(ident), "lon": may(degree), "lat": may(degree),
			"opens_at": may(clock), "closes_at": may(clock), "seats": may(money), "terminals": may(idents), "owner_customer_ids": may(idents), "settlement_account": may(ident)},
		"claim": {"voucher_id": must(ident), "voucher_type": must(voucher), "customer_id": must(ident), "device_id": may(ident), "ip_token": may(ident), "lon": may(degree), "lat": may(degree)},
		"redemption": {"voucher_id": must(ident), "voucher_type": must(voucher), "customer_id": must(ident), "merchant_id": must(ident), "order_fen": must(money), "discount_fen": must(money),
			"paid_fen": must(money), "device_id": may(ident), "card_id": may(ident), "claimed_at": may(moment), "terminal_id": may(ident), "cashier_id": may(ident), "order_id": may(ident),
			"mcc": may(ident), "district": may(ident), "lon": may(degree), "lat": may(degree), "channel": may(word("qr", "nfc", "pos", "online")), "lines": may(lines)},
		"refund":      {"redemption_id": must(ident), "merchant_id": must(ident), "customer_id": must(ident), "refund_fen": must(money), "voucher_returned": must(flag)},
		"price":       {"merchant_id": must(ident), "sku": must(ident), "price_fen": must(money), "kind": must(word("shelf", "online", "inspection", "cost", "cap", "reference")), "name": may(text)},
		"complaint":   {"merchant_id": must(ident), "kind": must(word("price", "voucher_refused", "surcharge", "no_goods", "other")), "text": may(text)},
		"beneficiary": {"customer_id": must(ident), "status": must(word("listed", "removed")), "limit_fen": must(money), "agent_customer_ids": may(idents)},
		"credit_list": {"uscc": must(ident), "status": must(word("listed", "removed")), "basis": must(text)},
	}
}

// faults says how a line breaks the contract.
func faults(line []byte) []string {
	var e map[string]any
	if err := json.Unmarshal(line, &e); err != nil {
		return []string{"bad_json"}
	}
	kind, _ := e["type"].(string)
	rules, ok := contractRules()[kind]
	if !ok {
		return []string{"unknown type " + kind}
	}
	var out []string
	for _, name := range []string{"id", "at"} {
		if s, _ := e[name].(string); s == "" || len(s) > 64 {
			out = append(out, name+" is missing")
		}
	}
	if at, _ := e["at"].(string); !rfc3339.MatchString(at) || at > "2023" {
		out = append(out, "at is "+at)
	}
	for name, r := range rules {
		v := e[name]
		if l, isList := v.([]any); v == nil || v == "" || isList && len(l) == 0 {
			if !r.optional {
				out = append(out, name+" is missing")
			}
		} else if !r.ok(v) {
			out = append(out, fmt.Sprintf("%s is %v", name, v))
		}
	}
	for name := range e {
		if _, known := rules[name]; !known && !slices.Contains([]string{"type", "id", "at"}, name) {
			out = append(out, name+" is unknown")
		}
	}
	return out
}

func TestEveryLineKeepsTheContractUnlessLabelledMalformed(t *testing.T) {
	events, labels, _ := run(t, Options{Seed: 5, Scale: .25})
	var l truth
	if err := json.Unmarshal(labels, &l); err != nil {
		t.Fatal(err)
	}
	bad := map[int]Malformed{}
	for _, m := range l.Malformed {
		bad[m.Line] = m
	}
	kinds := map[string]bool{}
	for n, line := range bytes.Split(bytes.TrimSuffix(events, []byte("\n")), []byte("\n")) {
		m, broken := bad[n+1]
		f := faults(line)
		if broken != (len(f) > 0) {
			t.Errorf("line %d: labelled malformed %v, faults %v\n%s", n+1, broken, f, line)
		}
		if broken {
			kinds[m.Reason] = true
			if !bytes.Contains(line, []byte(m.ID)) {
				t.Errorf("line %d does not hold id %s", n+1, m.ID)
			}
		}
	}
	if len(kinds) != len(manglings()) {
		t.Errorf("kinds of malformed lines: %v", kinds)
	}
}

func TestTheStreamMakesSense(t *testing.T) {
	events, l := world1(t, 6)
	c := gaoping()
	claims, orders, left := map[string]event{}, map[string]event{}, map[string]int64{}
	merchants, used := map[string]bool{}, map[string]string{}
	perRound := map[string]int{}
	var spent [4][vw.Categories]vw.Fen
	for _, e := range events {
		day := vw.DayOf(vw.Millis(e.when.UnixMilli()), 480)
		switch e.Type {
		case "merchant":
			merchants[e.Merchant] = true
		case "claim":
			claims[e.Voucher] = e
			if e.VoucherType != "love" {
				perRound[fmt.Sprint(e.Customer, c.RoundOn(day))]++
			}
		case "refund":
			o, ok := orders[e.Target]
			if !ok && e.when.Before(events[len(events)-1].when.Add(-48*time.Hour)) {
				t.Errorf("refund %s of a redemption that has not arrived", e.ID)
			}
			if ok && (o.Merchant != e.Merchant || o.Customer != e.Customer) {
				t.Errorf("refund %s names others than its redemption", e.ID)
			}
		case "redemption":
			orders[e.ID], left[e.ID] = e, e.Order
			rule := l.Violations[e.ID]
			cl, claimed := claims[e.Voucher]
			if claimed != (rule != "C05") {
				t.Errorf("%s (%s): claim before arrival: %v", e.ID, rule, claimed)
			}
			if claimed && (cl.when.After(e.when) != (rule == "X-early") || cl.Customer != e.Customer || cl.VoucherType != e.VoucherType) {
				t.Errorf("%s (%s): claim %s of %s at %s for a redemption of %s at %s", e.ID, rule, cl.VoucherType, cl.Customer, cl.At, e.Customer, e.At)
			}
			if other, again := used[e.Voucher]; again && e.VoucherType != "love" && rule != "T18" && l.Violations[other] != "T18" {
				t.Errorf("%s: voucher used twice", e.ID)
			}
			used[e.Voucher] = e.ID
			if merchants[e.Merchant] == (rule == "T12") {
				t.Errorf("%s (%s): merchant registered: %v", e.ID, rule, merchants[e.Merchant])
			}
			v := c.Vouchers[c.VoucherIndex(e.VoucherType)]
			minute := e.when.Hour()*60 + e.when.Minute()
			if (minute < 600 || minute >= 1439) != (rule == "X-expired") {
				t.Errorf("%s (%s): used at %s", e.ID, rule, e.At)
			}
			if (e.Order < int64(v.Threshold)) != (rule == "X-threshold") {
				t.Errorf("%s (%s): order %d of %s", e.ID, rule, e.Order, v.Code)
			}
			if !v.Balance && (e.Discount != int64(v.Face)) != (rule == "X-discount") {
				t.Errorf("%s (%s): discount %d of %s", e.ID, rule, e.Discount, v.Code)
			}
			if (e.Order != e.Discount+e.Paid) != (rule == "X-sum") {
				t.Errorf("%s (%s): %d != %d + %d", e.ID, rule, e.Order, e.Discount, e.Paid)
			}
			sum := int64(0)
			for _, line := range e.Lines {
				sum += line.Amount
			}
			if len(e.Lines) > 0 && sum != e.Order {
				t.Errorf("%s (%s): lines add up to %d of %d", e.ID, rule, sum, e.Order)
			}
			if r := c.RoundOn(day); !v.Balance && r >= 0 {
				spent[r][v.Category] += vw.Fen(e.Discount)
			}
		}
		if t.Failed() && len(orders) > 2000 {
			t.FailNow()
		}
	}
	over := 0
	for _, n := range perRound {
		if n > c.ClaimLimit {
			over++
		}
	}
	labelled := 0
	for _, rule := range l.Violations {
		if rule == "T03" {
			labelled++
		}
	}
	if over != labelled || labelled == 0 {
		t.Errorf("%d customers claim too often, %d are labelled T03", over, labelled)
	}
	for r := range spent {
		for k, s := range spent[r] {
			if s > c.Rounds[r].Budget[k] {
				t.Errorf("round %d %v: spent %v of %v", r+1, vw.Category(k), s.Yuan(), c.Rounds[r].Budget[k].Yuan())
			}
		}
	}
}

// roundTrip decodes a line strictly into its wire type and compares it with what was encoded.
func roundTrip[T any](t *testing.T, want T, line []byte) {
	t.Helper()
	var got T
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v\n%s", err, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, line)
	}
}

func FuzzEncodingSurvivesTheJSONPackage(f *testing.F) {
	f.Add("r1", "高平市\"老李\"\n\\超市", int64(5000), 25.13, uint8(1), true)
	f.Add("", "\x00\xff\u2028", int64(-1), 1e-7, uint8(2), false)
	f.Fuzz(func(t *testing.T, id, name string, n int64, q float64, style uint8, flag bool) {
		id, name = strings.ToValidUTF8(id, "\uFFFD"), strings.ToValidUTF8(name, "\uFFFD")
		if q != q || q > 1e300 || q < -1e300 {
			q = 0
		}
		gone := absence(style % 3)
		place := &q
		if flag {
			place = nil
		}
		r := vw.Redemption{Type: "redemption", ID: id, At: name, VoucherID: id, VoucherType: name, CustomerID: id, MerchantID: id, OrderFen: n, DiscountFen: n, PaidFen: -n / 2,
			DeviceID: id, CardID: name, OrderID: name, Lon: place, Lat: place}
		if flag {
			r.Lines = []vw.ReceiptLine{{SKU: id, Name: name, Quantity: q, UnitPriceFen: n, AmountFen: n, Kind: "goods"}, {SKU: name}}
		} else if gone == empty {
			r.Lines = []vw.ReceiptLine{}
		}
		roundTrip(t, r, appendRedemption(nil, gone, &r))
		m := vw.Merchant{Type: "merchant", ID: id, Name: name, Category: name, Dishonest: flag, Lon: place, Lat: place, Seats: &n, Terminals: []string{id, name}, OwnerCustomerIDs: []string{name}}
		roundTrip(t, m, appendMerchant(nil, gone, &m))
		c := vw.Claim{Type: "claim", ID: id, VoucherID: name, IPToken: id, Lon: place, Lat: place}
		roundTrip(t, c, appendClaim(nil, gone, &c))
		x := vw.Refund{Type: "refund", ID: id, RedemptionID: name, RefundFen: n, VoucherReturned: flag}
		roundTrip(t, x, appendRefund(nil, &x))
		p := vw.Price{Type: "price", ID: id, MerchantID: "*", SKU: name, PriceFen: n, Kind: "cap", Name: name}
		roundTrip(t, p, appendPrice(nil, &p))
		k := vw.Complaint{Type: "complaint", ID: id, Kind: name, Text: name}
		roundTrip(t, k, appendComplaint(nil, gone, &k))
		b := vw.Beneficiary{Type: "beneficiary", ID: id, LimitFen: n, Status: name, AgentCustomerIDs: []string{id}}
		roundTrip(t, b, appendBeneficiary(nil, &b))
		l := vw.CreditList{Type: "credit_list", ID: id, USCC: name, Status: id, Basis: name}
		roundTrip(t, l, appendCreditList(nil, &l))
	})
}

func TestTimesAreWrittenAsTheyAre(t *testing.T) {
	for _, offset := range []int{480, 0, -330} {
		for _, at := range []int64{1663639200123, 0, 1709164799999, 4102444800000} {
			got := string(appendTime(nil, vw.Millis(at), offset))
			want := time.UnixMilli(at).In(time.FixedZone("", offset*60)).Format("2006-01-02T15:04:05.000Z07:00")
			if got != want {
				t.Errorf("time %d at %d: %s, want %s", at, offset, got, want)
			}
		}
	}
}
