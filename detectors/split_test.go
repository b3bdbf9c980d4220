package detectors

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
	"voucherwatch/campaign"
	"voucherwatch/simulate"
	"voucherwatch/stream"
)

// splitParts lets one customer pay n times, gap apart, over the threshold by the given share, and returns
// the session's evidence after each part.
func splitParts(t *testing.T, n int, gap vw.Millis, over float64) []float64 {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "split", c)
	d := got.(*split)
	at := rulesMoment(t, "2022-09-22 11:00:00")
	var llrs []float64
	for i := range n {
		v := rulesVisit(c, rulesBatch(), 1, at+vw.Millis(i)*gap)
		v.Over = over
		v.Event.OrderFen = v.Voucher.Threshold + vw.Fen(over*float64(v.Voucher.Threshold))
		v.Event.Voucher.Key, v.Event.ID.Key = uint64(100+i), uint64(200+i)
		d.Visit(v)
		llrs = append(llrs, d.sessions.Find(pairKey(v.Event.Customer.Key, v.Event.Merchant.Key)).llr)
	}
	return llrs
}

// Property: under the same conditions a further part never makes a split less likely, where splitters
// are: soon after and near the threshold.
func TestMorePartsAreMoreEvidence(t *testing.T) {
	for _, gap := range []vw.Millis{10 * vw.Second, 2 * vw.Minute, 9 * vw.Minute, 20 * vw.Minute, 45 * vw.Minute} {
		for _, over := range []float64{0, .001, .008, .015, .04, .09} {
			llrs := splitParts(t, 12, gap, over)
			for i := 1; i < len(llrs); i++ {
				if llrs[i] < llrs[i-1] || llrs[i] > 20 {
					t.Fatalf("parts %v apart, %g over: evidence %.2f", time.Duration(gap)*time.Millisecond, over, llrs)
				}
			}
			if llrs[3] < 3 {
				t.Errorf("parts %v apart, %g over: four parts are evidence of %.2f only", time.Duration(gap)*time.Millisecond, over, llrs[3])
			}
		}
	}
}

func TestFarFromTheThresholdAndHoursApartIsLessEvidence(t *testing.T) {
	last := math.Inf(1)
	for _, over := range []float64{0, .03, .3, .9} {
		llrs := splitParts(t, 3, 5*vw.Minute, over)
		if llrs[2] > last {
			t.Errorf("%g over the threshold is evidence of %.2f, nearer it was %.2f", over, llrs[2], last)
		}
		last = llrs[2]
	}
	last = math.Inf(1)
	for _, gap := range []vw.Millis{2 * vw.Minute, 20 * vw.Minute, 2 * vw.Hour, 5 * vw.Hour} {
		llrs := splitParts(t, 3, gap, .2)
		if llrs[2] > last {
			t.Errorf("%v apart is evidence of %.2f, sooner it was %.2f", time.Duration(gap)*time.Millisecond, llrs[2], last)
		}
		last = llrs[2]
	}
}

func TestASessionEndsWithTheDay(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "split", c)
	d := got.(*split)
	v := rulesVisit(c, rulesBatch(), 1, rulesMoment(t, "2022-09-22 23:58:00"))
	d.Visit(v)
	late := rulesVisit(c, rulesBatch(), 1, rulesMoment(t, "2022-09-23 00:02:00"))
	d.Visit(late)
	if s := d.sessions.Find(pairKey(v.Event.Customer.Key, v.Event.Merchant.Key)); s.n != 1 || s.orders != late.Event.OrderFen {
		t.Errorf("the session of the new day has %d parts", s.n)
	}
	d.Sweep(rulesMoment(t, "2022-09-24 01:59:00"))
	if keys, _ := d.Size(); keys != 1 {
		t.Errorf("%d sessions while late redemptions of the day may still come, want 1", keys)
	}
	d.Sweep(rulesMoment(t, "2022-09-24 02:01:00"))
	if keys, _ := d.Size(); keys != 0 {
		t.Errorf("%d sessions of yesterday", keys)
	}
}

// The state loses what the merged bill would not have earned: the faces, less the best single voucher.
func TestStakeOfASplit(t *testing.T) {
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	d := &split{env: &Env{Campaign: c}}
	v := &Visit{Voucher: &c.Vouchers[c.VoucherIndex("hospitality-50-10")]}
	for _, tt := range []struct {
		name              string
		orders, discounts vw.Fen
		want              vw.Fen
	}{
		{"a ladder of three, merged into the dearest", 75_000, 15_000, 5_000},
		{"ten small ones, merged into the dearest", 50_000, 10_000, 0},
		{"four small ones, merged into the middle", 20_000, 4_000, 0},
		{"three small ones, merged into one", 15_000, 3_000, 2_000},
		{"never below nothing", 50_000, 1_000, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := d.stake(&session{orders: tt.orders, discounts: tt.discounts}, v); got != tt.want {
				t.Errorf("%s, want %s", got.Yuan(), tt.want.Yuan())
			}
		})
	}
}

func TestReceiptNumber(t *testing.T) {
	_, head := receiptNumber([]byte("L2022-0417"))
	for _, tt := range []struct {
		id   string
		want uint64
		same bool // the same head as L2022-0417
	}{
		{"L2022-0417", 417, true}, {"L2022-0418", 418, true}, {"L2023-0418", 418, false}, {"L2022-", 0, false}, {"", 0, false}, {"12345678901", 345678901, false},
	} {
		n, h := receiptNumber([]byte(tt.id))
		if n != tt.want || (h == head) != tt.same {
			t.Errorf("%q: number %d, same series %v", tt.id, n, h == head)
		}
	}
}

func TestWordsForSpansAndShares(t *testing.T) {
	got := []string{spanEn(.4), spanEn(39), spanEn(150), spanZh(.4), spanZh(39), spanZh(150), percent(.55), percent(.0123), percent(.00123), percent(.00012)}
	want := []string{"a minute", "39 min", "2.5 h", "1 分钟", "39 分钟", "2.5 小时", "55%", "1.2%", "0.12%", "0.012%"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Slots count on their own and learn together: afterwards all of them hold the same nulls, and the same as
// a single slot that saw everything.
func TestNullsAreTheSameForAnyNumberOfSlots(t *testing.T) {
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	var events, labels bytes.Buffer
	if _, err := simulate.Run(t.Context(), simulate.Options{Campaign: c, Seed: 5, Scale: .05}, &events, &labels); err != nil {
		t.Fatal(err)
	}
	types := make([]string, len(c.Vouchers))
	for i := range types {
		types[i] = c.Vouchers[i].Code
	}
	decoder, err := stream.NewDecoder(stream.Options{VoucherTypes: types, Now: func() time.Time { return time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	var all vw.Batch
	line := int64(0)
	for raw := range bytes.Lines(events.Bytes()) {
		line++
		raw = bytes.TrimSpace(raw)
		at := vw.Text{Off: uint32(len(all.Data)), Len: uint32(len(raw))}
		all.Data = append(all.Data, raw...)
		decoder.Decode(&all, 0, line, at)
	}
	learned := func(slots int) []map[string]any {
		e, err := New(Options{Campaign: c, Slots: slots})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		var out Outcome
		e.Process(&all, []vw.Event{}, &out)
		e.Finish(&out)
		var nulls []map[string]any
		for _, s := range e.slots {
			one := map[string]any{}
			for _, d := range s.detectors {
				switch d := d.(type) {
				case *split:
					one["split.over"], one["split.category"], one["split.merchant"] = d.null.over, fmt.Sprint(d.null.category), tableMap(&d.null.merchant)
				case *cashout:
					one["cashout"] = fmt.Sprint(*d.null)
				case *pair:
					one["pair.category"], one["pair.histogram"], one["pair.merchant"] = fmt.Sprint(d.rates.category), d.rates.histogram, tableMap(&d.rates.merchant)
				case *refundLoop:
					one["refund_loop"] = *d.null
				}
			}
			nulls = append(nulls, one)
		}
		return nulls
	}
	base := learned(1)[0]
	if len(base) != 8 {
		t.Fatalf("%d nulls, want 8", len(base))
	}
	for _, slots := range []int{2, 5} {
		for i, got := range learned(slots) {
			for name, want := range base {
				if fmt.Sprint(want) != fmt.Sprint(got[name]) {
					t.Errorf("slot %d of %d: null %s differs", i, slots, name)
				}
			}
		}
	}
}

func TestLearningTwiceTeachesNothingNew(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "split", c)
	d := got.(*split)
	at := rulesMoment(t, "2022-09-22 11:00:00")
	for n := range uint64(20) {
		d.Visit(rulesVisit(c, rulesBatch(), n/2+1, at+vw.Millis(n)*vw.Hour/4))
	}
	learnSplit([]Detector{d}, &Tick{Campaign: c})
	once := fmt.Sprint(d.null.over, d.null.category, tableMap(&d.null.merchant))
	if m := d.null.merchant.Find(7<<20 | 1); m == nil || m.first != 10 {
		t.Fatalf("the shop's null is %+v, want 10 first visits", m)
	}
	learnSplit([]Detector{d}, &Tick{Campaign: c})
	if twice := fmt.Sprint(d.null.over, d.null.category, tableMap(&d.null.merchant)); twice != once {
		t.Errorf("learned twice\n%s\nonce\n%s", twice, once)
	}
}

// tableMap prints in order of keys, as fmt does with maps.
func tableMap[V any](t *Table[V]) map[uint64]V {
	m := map[uint64]V{}
	t.Each(func(key uint64, v *V) { m[key] = *v })
	return m
}
