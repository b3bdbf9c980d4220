package detectors

import (
	"math/rand/v2"
	"testing"
	"time"

	vw "voucherwatch"
)

// BenchmarkPrice is one redemption with two lines at one of 3,000 merchants with 100 items each: Touch, Visit and the share of
// the daily judgement and the weekly sweep, at 33,000 redemptions a day. labels is with a shelf price of each item
// every morning, whose cost is not in the figures. ns/op is the benchmark's own work and all.
func BenchmarkPrice(b *testing.B) {
	const merchants, items, perDay, block = 3000, 100, 33_000, 32
	for _, labels := range []bool{true, false} {
		b.Run(map[bool]string{true: "labels", false: "receipts"}[labels], func(b *testing.B) {
			c := rulesCampaign()
			env := &Env{Campaign: c, Offset: c.Offset(), Slots: 1, Arena: &Arena{}, Merchants: newMerchants(), settings: &Settings{}, spec: &Spec{Name: "price"}, found: new([]proposal), cause: new(int32)}
			got, err := newPrice(env)
			if err != nil {
				b.Fatal(err)
			}
			d := got.(*priceDetector)
			batch := &vw.Batch{Data: []byte("shop"), Lines: make([]vw.Line, 2*block)}
			r := rand.New(rand.NewPCG(1, 1))
			morning := func(day int) {
				for m := range merchants {
					for s := range items {
						d.Apply(batch, &vw.Event{Type: vw.PriceEvent, Kind: vw.Shelf, Merchant: vw.Ref{Text: vw.Text{Len: 4}, Key: vw.Hash([]byte{byte(m), byte(m >> 8)})}, SKU: vw.Ref{Key: uint64(s + 1)}, Amount: vw.Fen(500 + s)}, vw.Millis(day)*vw.Day)
					}
				}
			}
			day := c.Start - 1
			if labels {
				for back := 28; back >= 0; back -= 7 {
					morning(day - back)
				}
			}
			visits := make([]Visit, block)
			events := make([]vw.Event, block)
			n := 0
			var visiting, daily time.Duration
			step := func() {
				for i := range visits {
					m := min(r.IntN(merchants), r.IntN(merchants))
					events[i] = vw.Event{Type: vw.RedemptionEvent, LineCount: 2, LineFirst: uint32(2 * i), Merchant: vw.Ref{Text: vw.Text{Len: 4}, Key: vw.Hash([]byte{byte(m), byte(m >> 8)})}, Customer: vw.Ref{Key: r.Uint64()}}
					visits[i] = Visit{Batch: batch, Event: &events[i], T: vw.Millis(day) * vw.Day, Day: day}
					for k := range 2 {
						s := r.IntN(items)
						batch.Lines[2*i+k] = vw.Line{SKU: vw.Ref{Key: uint64(s + 1)}, Quantity: 1, UnitFen: vw.Fen(500 + s), Fen: vw.Fen(500 + s)}
					}
				}
				start := time.Now()
				for i := range visits {
					n += int(d.Touch(&visits[i]) & 1)
				}
				for i := range visits {
					d.Visit(&visits[i])
				}
				visiting += time.Since(start)
			}
			done := 0
			for range 20_000 {
				step()
			}
			b.ResetTimer()
			visiting, daily = 0, 0
			for done < b.N {
				step()
				done += block
				if done/perDay != (done-block)/perDay {
					day++
					if labels {
						morning(day)
					}
					start := time.Now()
					learnPrices([]Detector{d}, &Tick{Day: day, NewDay: true, Campaign: c})
					if day%7 == 0 {
						d.Sweep(vw.Millis(day) * vw.Day)
					}
					daily += time.Since(start)
				}
			}
			keys, bytes := d.Size()
			b.ReportMetric(float64(bytes)/float64(keys), "B/item")
			b.ReportMetric(float64(visiting.Nanoseconds())/float64(done), "ns/visit")
			b.ReportMetric(float64(daily.Nanoseconds())/float64(done), "ns/judgement")
			if len(*env.found) != 0 {
				b.Fatalf("%d findings of honest prices, %d", len(*env.found), n)
			}
		})
	}
}
