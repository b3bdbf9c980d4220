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

// splitParts lets one customer pay n times, gap apart, over the threshold by the given share, at a shop where
// others paid amounts of all kinds, and returns the session's evidence after each part.
func splitParts(t *testing.T, n int, gap vw.Millis, over float64) []float64 {
	t.Helper()
	d, visit := splitShopOf(t, 20, func(i int) float64 { return .07 * float64(i+1) })
	at := rulesMoment(t, "2022-09-22 11:00:00")
	var llrs []float64
	for i := range n {
		v := visit(99, at+vw.Millis(i)*gap, over)
		if i > 0 {
			llrs = append(llrs, d.total(d.days[v.Day&1].again.Find(pairKey(v.Event.Customer.Key, v.Event.Merchant.Key))))
		}
	}
	return llrs
}

// splitShopOf makes a shop where so many customers paid the day before, over the threshold by what over says,
// and hands back the detector and a way to pay there.
func splitShopOf(t *testing.T, customers int, over func(i int) float64) (*split, func(customer uint64, at vw.Millis, over float64) *Visit) {
	t.Helper()
	c := rulesCampaign()
	got, _ := rulesDetector(t, "split", c)
	d := got.(*split)
	ids := uint64(0)
	visit := func(customer uint64, at vw.Millis, over float64) *Visit {
		ids++
		v := rulesVisit(c, rulesBatch(), customer, at)
		v.Over = over
		v.Event.OrderFen = v.Voucher.Threshold + vw.Fen(over*float64(v.Voucher.Threshold))
		v.Event.Voucher.Key, v.Event.ID.Key = 100+ids, 1000+ids
		d.Visit(v)
		return v
	}
	for i := range customers {
		visit(uint64(i+1), rulesMoment(t, "2022-09-21 11:00:00")+vw.Millis(i)*vw.Minute, over(i))
	}
	return d, visit
}

// Property: under the same conditions a further part never makes a split less likely, where splitters
// are: soon after and near the threshold.
func TestMorePartsAreMoreEvidence(t *testing.T) {
	for _, gap := range []vw.Millis{10 * vw.Second, 2 * vw.Minute, 9 * vw.Minute, 20 * vw.Minute, 45 * vw.Minute} {
		for _, over := range []float64{0, .001, .008, .015, .04, .09} {
			llrs := splitParts(t, 12, gap, over)
			for i := 1; i < len(llrs); i++ {
				if llrs[i] < llrs[i-1] || llrs[i] > 45 {
					t.Fatalf("parts %v apart, %g over: evidence %.2f", time.Duration(gap)*time.Millisecond, over, llrs)
				}
			}
			if llrs[2] < 4 {
				t.Errorf("parts %v apart, %g over: four parts are evidence of %.2f only", time.Duration(gap)*time.Millisecond, over, llrs[2])
			}
		}
	}
}

func TestFarFromTheThresholdAndHoursApartIsLessEvidence(t *testing.T) {
	last := math.Inf(1)
	for _, over := range []float64{0, .03, .3, .9} {
		llrs := splitParts(t, 3, 5*vw.Minute, over)
		if llrs[1] > last {
			t.Errorf("%g over the threshold is evidence of %.2f, nearer it was %.2f", over, llrs[1], last)
		}
		last = llrs[1]
	}
	last = math.Inf(1)
	for _, gap := range []vw.Millis{2 * vw.Minute, 20 * vw.Minute, 2 * vw.Hour, 5 * vw.Hour} {
		llrs := splitParts(t, 3, gap, .2)
		if llrs[1] > last {
			t.Errorf("%v apart is evidence of %.2f, sooner it was %.2f", time.Duration(gap)*time.Millisecond, llrs[1], last)
		}
		last = llrs[1]
	}
}

func TestASessionEndsWithTheDay(t *testing.T) {
	d, visit := splitShopOf(t, 0, nil)
	keys := func() int { n, _ := d.Size(); return n - d.shops.Len() }
	visit(1, rulesMoment(t, "2022-09-22 23:58:00"), .1)
	v := visit(1, rulesMoment(t, "2022-09-23 00:02:00"), .1)
	if again := &d.days[v.Day&1].again; again.Len() != 0 {
		t.Error("the visit after midnight joins the session of yesterday")
	}
	visit(1, rulesMoment(t, "2022-09-22 23:59:00"), .1) // late, but not too late
	if again := &d.days[(v.Day-1)&1].again; again.Len() != 1 {
		t.Error("the late visit of yesterday does not join its session")
	}
	d.Sweep(rulesMoment(t, "2022-09-23 00:00:00"))
	if keys() != 3 {
		t.Errorf("%d sessions while late redemptions of the day may still come, want 3", keys())
	}
	d.Sweep(rulesMoment(t, "2022-09-24 00:00:00"))
	if keys() != 1 {
		t.Errorf("%d sessions after the day before yesterday ended, want 1", keys())
	}
	visit(1, rulesMoment(t, "2022-09-28 00:02:00"), .1)
	if keys() != 1 {
		t.Errorf("%d sessions after days without any, want 1", keys())
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
	head := receiptOf([]byte("L2022-0417")).head
	for _, tt := range []struct {
		id   string
		want uint32
		same bool // the same head as L2022-0417
	}{
		{"L2022-0417", 417, true}, {"L2022-0418", 418, true}, {"L2023-0418", 418, false}, {"L2022-", 0, false}, {"", 0, false}, {"12345678901", 345678901, false},
	} {
		r := receiptOf([]byte(tt.id))
		if r.number != tt.want || (r.head == head) != tt.same {
			t.Errorf("%q: number %d, same series %v", tt.id, r.number, r.head == head)
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
					one["split"] = fmt.Sprint(*d.null)
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
	if len(base) != 6 {
		t.Fatalf("%d nulls, want 6", len(base))
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
	before := d.null.category[vw.Fuel].first
	learnSplit([]Detector{d}, &Tick{Campaign: c})
	once := fmt.Sprint(*d.null)
	if got := d.null.category[vw.Fuel].first - before; got != 10*shopUnits {
		t.Fatalf("learned %d/%d first visits, want 10", got, shopUnits)
	}
	learnSplit([]Detector{d}, &Tick{Campaign: c})
	if twice := fmt.Sprint(*d.null); twice != once {
		t.Errorf("learned twice\n%s\nonce\n%s", twice, once)
	}
}

// tableMap prints in order of keys, as fmt does with maps.
func tableMap[V any](t *Table[V]) map[uint64]V {
	m := map[uint64]V{}
	t.Each(func(key uint64, v *V) { m[key] = *v })
	return m
}

// A shop whose one price is the threshold cannot be known for one at first. Until its habit shows, a second
// ticket bought there must accuse nobody; where others paid other sums, the same two payments do.
func TestAColdStartAtAFixedPriceAccusesNobody(t *testing.T) {
	for _, others := range []int{0, 1, 2, 5} {
		for _, gap := range []vw.Millis{30 * vw.Second, 2 * vw.Minute, 8 * vw.Minute} {
			d, visit := splitShopOf(t, others, func(int) float64 { return 0 })
			at := rulesMoment(t, "2022-09-22 11:00:00")
			visit(98, at, 0)
			visit(98, at+gap, 0)
			if n := len(*d.env.found); n != 0 {
				t.Errorf("two tickets %v apart, %d others before: %d findings", time.Duration(gap)*time.Millisecond, others, n)
			}
		}
	}
	d, visit := splitShopOf(t, 0, nil)
	at := rulesMoment(t, "2022-09-22 11:00:00")
	for customer, tickets := range []int{2, 3, 1, 3, 2} {
		*d.env.found = nil
		for i := range tickets {
			visit(uint64(customer+1), at+vw.Millis(customer)*vw.Hour+vw.Millis(2*i)*vw.Minute, 0)
		}
	}
	if len(*d.env.found) != 0 {
		t.Error("two tickets are held against a customer because others bought three")
	}
	d, visit = splitShopOf(t, 20, func(i int) float64 { return .07 * float64(i+1) })
	visit(98, at, 0)
	visit(98, at+2*vw.Minute, 0)
	if len(*d.env.found) != 1 {
		t.Errorf("two payments of the very threshold at a shop of other prices: %d findings, want 1", len(*d.env.found))
	}
}

// A finding says when each part was paid, not only when the first and the last.
func TestAFindingHasTheTimesOfAllParts(t *testing.T) {
	d, visit := splitShopOf(t, 20, func(i int) float64 { return .07 * float64(i+1) })
	at := rulesMoment(t, "2022-09-22 11:00:00")
	want := []vw.Millis{at, at + 3*vw.Minute, at + 4*vw.Minute, at + 9*vw.Minute}
	for _, t := range want {
		visit(98, t, 0)
	}
	if len(*d.env.found) == 0 {
		t.Fatal("no finding")
	}
	var got []vw.Millis
	for _, r := range (*d.env.found)[len(*d.env.found)-1].Redemptions {
		got = append(got, r.At)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("times of the parts (-want +got):\n%s", diff)
	}
}

// What looked honest as two parts and did not as three must not have taught that honest people do so.
func TestAThirdPartTakesBackWhatTheSecondTaught(t *testing.T) {
	d, visit := splitShopOf(t, 20, func(i int) float64 { return .07 * float64(i+1) })
	at := rulesMoment(t, "2022-09-22 11:00:00")
	taught := func() (n int32) {
		for _, g := range d.shops.Find(7<<20 | 1).gaps {
			n += g
		}
		return n
	}
	visit(98, at, .03)
	visit(98, at+25*vw.Minute, .03)
	two := taught()
	visit(98, at+27*vw.Minute, 0)
	visit(98, at+29*vw.Minute, 0)
	if four := taught(); two < whole/2 || four > 1 {
		t.Errorf("%d/16 repeats taught by two parts, %d/16 left after four", two, four)
	}
}

// The same three payments say more at a shop where nobody else is than at the height of a sale, once there
// are shops of both kinds.
func TestRepeatsAmongACrowdAreLessEvidence(t *testing.T) {
	crowd := repeatCount{visits: [trafficBins]int64{500, 0, 0, 0, 0, 9500}, shops: [trafficBins]int64{90 * shopWeight, 0, 0, 0, 0, 10 * shopWeight}}
	got := contextOf(&crowd)
	if got[0] < .5 || got[trafficBins-1] > -1 {
		t.Errorf("evidence by traffic %.2f: want above 0.5 where nobody is, below -1 in a crowd", got)
	}
	if got := contextOf(&repeatCount{visits: crowd.visits}); math.Abs(got[0]) > .01 || math.Abs(got[trafficBins-1]) > .01 {
		t.Errorf("evidence %.2f without a shop", got)
	}
}

func TestOthersWithinTheHour(t *testing.T) {
	at := rulesMoment(t, "2022-09-22 11:00:00")
	s := splitShop{eighth: int32(at / eighth)}
	for i := range 300 {
		if i == 3 && s.others(at+20*vw.Minute) != 3 {
			t.Errorf("%d others after 20 minutes, want 3", s.others(at+20*vw.Minute))
		}
		s.come()
	}
	for _, tt := range []struct {
		after vw.Millis
		want  int
	}{{30 * vw.Minute, 258}, {61 * vw.Minute, 255}, {85 * vw.Minute, 0}, {10 * vw.Hour, 0}} {
		if got := s.others(at + tt.after); got != tt.want {
			t.Errorf("%v later %d others, want %d", time.Duration(tt.after)*time.Millisecond, got, tt.want)
		}
	}
}

// Honest redemptions are nearly all there are: they cost no garbage.
func TestHonestFirstVisitsAllocateNothing(t *testing.T) {
	c := rulesCampaign()
	got, _ := rulesDetector(t, "split", c)
	d := got.(*split)
	v := rulesVisit(c, rulesBatch(), 1, rulesMoment(t, "2022-09-22 11:00:00"))
	v.Batch.Data = append(v.Batch.Data, "L-0001"...)
	v.Event.Order.Text = vw.Text{Off: uint32(len(v.Batch.Data) - 6), Len: 6}
	n := uint64(0)
	step := func() {
		n++
		v.Event.Customer.Key, v.n, v.keeps = n%300_000<<21|3, 0, 0
		if n%300_000 == 0 {
			d.turn(d.day + 2)
		}
		d.Visit(v)
	}
	for range 600_000 {
		step()
	}
	if got := testing.AllocsPerRun(20_000, step); got >= .01 {
		t.Errorf("%g allocations per redemption", got)
	}
}
