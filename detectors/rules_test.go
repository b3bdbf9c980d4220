package detectors

import (
	"testing"
	"time"

	vw "voucherwatch"
)

// rulesCampaign is a small plan: one round of ten days, vouchers from 10:00 to midnight.
func rulesCampaign() *vw.Campaign {
	zone := time.FixedZone("", 8*3600)
	start, _ := vw.DayNumber("2022-09-20")
	c := &vw.Campaign{
		ID: "plan", Zone: zone, Start: start, End: start + 9, Districts: []string{"140581"}, ReleaseMinute: 600, ExpireMinute: 1440,
		ClaimLimit: 3, RefundPolicy: vw.RefundPolicyUnrecorded,
		Rounds: []vw.Round{{Number: 1, From: start, To: start + 9}},
		Vouchers: []vw.Voucher{
			{Code: "fuel-200-40", Category: vw.Fuel, Threshold: 20_000, Face: 4_000},
			{Code: "love", Balance: true, Limit: 100_000, From: start, Until: start + 9},
		},
	}
	c.Rounds[0].Budget[vw.Fuel] = 1 << 40
	return c
}

// rulesMoment is a moment of the plan's zone.
func rulesMoment(t *testing.T, s string) vw.Millis {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05", s, time.FixedZone("", 8*3600))
	if err != nil {
		t.Fatal(err)
	}
	return vw.Millis(at.UnixMilli())
}

// rulesDetector makes one instance of a registered detector outside an engine.
func rulesDetector(t *testing.T, name string, c *vw.Campaign) (Detector, *Env) {
	t.Helper()
	for i := range specs {
		if specs[i].Name != name {
			continue
		}
		env := &Env{
			Campaign: c, Offset: c.Offset(), Slots: 1, Arena: &Arena{}, Merchants: newMerchants(), Ledger: newLedger(), settings: &Settings{},
			spec: &specs[i], found: new([]proposal), said: &said{}, cause: new(int32), lane: specs[i].Lane,
		}
		d, err := specs[i].New(env)
		if err != nil {
			t.Fatal(err)
		}
		return d, env
	}
	t.Fatalf("no detector %q", name)
	return nil, nil
}

// rulesVisit is an honest purchase of fuel by customer n with voucher n.
func rulesVisit(c *vw.Campaign, b *vw.Batch, n uint64, at vw.Millis) *Visit {
	off := c.Offset()
	e := &vw.Event{
		Type: vw.RedemptionEvent, At: at, OrderFen: 20_500, DiscountFen: 4_000, PaidFen: 16_500, LineCount: 1,
		Has:      vw.FieldClaimedAt | vw.FieldLines | vw.FieldDistrict | vw.FieldMCC | vw.FieldLocation,
		ID:       vw.Ref{Text: vw.Text{Len: 12}, Key: n<<20 | 1},
		Merchant: vw.Ref{Text: vw.Text{Len: 4}, Key: 7<<20 | 1}, Customer: vw.Ref{Text: vw.Text{Len: 6}, Key: n<<21 | 3}, Voucher: vw.Ref{Text: vw.Text{Len: 8}, Key: n<<22 | 5},
		District: vw.Text{Off: 16, Len: 6}, MCC: vw.Text{Off: 22, Len: 4}, ClaimedAt: at - vw.Minute,
	}
	return &Visit{
		Batch: b, Event: e, T: at, Day: vw.DayOf(at, off), Minute: vw.MinuteOf(at, off), Voucher: &c.Vouchers[0], Round: c.RoundOn(vw.DayOf(at, off)),
		Merchant: &Profile{ID: "m", Key: e.Merchant.Key, Registered: true, Category: vw.Fuel, District: "140581"},
	}
}

func rulesBatch() *vw.Batch {
	return &vw.Batch{
		Data:  []byte("r-0123456789abcd1405815541"),
		Lines: []vw.Line{{SKU: vw.Ref{Key: 9}, Quantity: 25, UnitFen: 820, Fen: 20_500}},
	}
}

// Honest redemptions are nearly all there are, so they must cost no garbage, nor may anything be said
// of them.
func TestRulesSayNothingOfHonestTradeAndAllocateNothing(t *testing.T) {
	c := rulesCampaign()
	at := rulesMoment(t, "2022-09-22 12:00:00")
	for _, name := range []string{"rules_merchant", "rules_customer", "rules_voucher", "rules_price", "rules_refund", "budget"} {
		t.Run(name, func(t *testing.T) {
			d, env := rulesDetector(t, name, c)
			if a, ok := d.(Applier); ok && name == "rules_price" {
				a.Apply(nil, &vw.Event{Type: vw.PriceEvent, Kind: vw.Cap, SKU: vw.Ref{Key: 9}, Amount: 821, At: at - vw.Day}, at)
			}
			v := rulesVisit(c, rulesBatch(), 1, at)
			n := uint64(0)
			step := func() {
				// A hundred thousand vouchers and customers are in the tables already; these come again.
				n++
				k := n % 100_000
				v.Event.ID.Key, v.Event.Customer.Key, v.Event.Voucher.Key = n<<20|1, k<<21|3, n<<22|5
				v.n, v.said, v.blinds = 0, 0, 0
				if name == "rules_customer" {
					v.Event.Voucher.Key = k<<22 | 5
				}
				d.Visit(v)
				if v.n != 0 || len(*env.found) != 0 {
					t.Fatalf("%d signals and %d findings of an honest redemption", v.n, len(*env.found))
				}
			}
			for range 400_000 {
				step()
			}
			if got := testing.AllocsPerRun(20_000, step); got >= 0.01 {
				t.Errorf("%g allocations per redemption", got)
			}
		})
	}
}

func TestHistoryKeepsWhatHeldWhen(t *testing.T) {
	var h history[string]
	h = h.put(20, "second").put(10, "first").put(20, "corrected").put(30, "third")
	for _, tt := range []struct {
		at   vw.Millis
		want string
		ok   bool
	}{{9, "", false}, {10, "first", true}, {19, "first", true}, {20, "corrected", true}, {29, "corrected", true}, {99, "third", true}} {
		if got, ok := h.on(tt.at); got != tt.want || ok != tt.ok {
			t.Errorf("at %d: %q, %v; want %q, %v", tt.at, got, ok, tt.want, tt.ok)
		}
	}
}
