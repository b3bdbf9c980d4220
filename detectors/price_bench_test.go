package detectors

import (
	"math/rand/v2"
	"testing"

	vw "voucherwatch"
)

// BenchmarkPrice is one redemption with two lines at one of 3,000 merchants with 100 items each: Touch, Visit and the share of
// the daily judgement and the weekly sweep, at 33,000 redemptions a day. labels is with a shelf price of each item
// every morning, whose cost is not in the figures.
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
			batch := &vw.Batch{Data: []byte("shop")}
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
			events := make([]vw.Event, perDay/block*block)
			batch.Lines = make([]vw.Line, 2*len(events))
			draw := func() { // a day's redemptions
				for i := range events {
					m := min(r.IntN(merchants), r.IntN(merchants))
					events[i] = vw.Event{Type: vw.RedemptionEvent, LineCount: 2, LineFirst: uint32(2 * i), Merchant: vw.Ref{Text: vw.Text{Len: 4}, Key: vw.Hash([]byte{byte(m), byte(m >> 8)})}, Customer: vw.Ref{Key: r.Uint64()}}
					for k := range 2 {
						s := r.IntN(items)
						batch.Lines[2*i+k] = vw.Line{SKU: vw.Ref{Key: uint64(s + 1)}, Quantity: 1, UnitFen: vw.Fen(500 + s), Fen: vw.Fen(500 + s)}
					}
				}
			}
			sink := uint64(0)
			run := func(n int) {
				for ; n > 0; n -= block {
					for i := range visits {
						v := &visits[i]
						v.Batch, v.Event, v.T, v.Day, v.n, v.blinds = batch, &events[n-block+i], vw.Millis(day)*vw.Day, day, 0, 0
						sink += d.Touch(v)
					}
					for i := range visits {
						d.Visit(&visits[i])
					}
				}
			}
			for range 20 {
				draw()
				run(len(events))
			}
			b.ResetTimer()
			for done := 0; done < b.N; done += len(events) {
				b.StopTimer()
				draw()
				b.StartTimer()
				run(min(len(events), (b.N-done+block-1)/block*block))
				b.StopTimer()
				day++
				if labels {
					morning(day)
				}
				b.StartTimer()
				learnPrices([]Detector{d}, &Tick{Day: day, NewDay: true, Campaign: c})
				if day%7 == 0 {
					d.Sweep(vw.Millis(day) * vw.Day)
				}
			}
			keys, bytes := d.Size()
			b.ReportMetric(float64(bytes)/float64(keys), "B/item")
			if len(*env.found) != 0 {
				b.Fatalf("%d findings of honest prices, %d", len(*env.found), sink)
			}
		})
	}
}
