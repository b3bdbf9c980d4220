package stream

import (
	stdjson "encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	vw "voucherwatch"
)

// synthetic is a run of redemptions as the acquirer exports them, with receipts or without.
func synthetic(n int, receipts bool) []string {
	r := rand.New(rand.NewPCG(1, 2))
	token := func(prefix string) string { return fmt.Sprintf(`"%s%014x"`, prefix, r.Uint64()>>8) }
	lines := make([]string, n)
	for i := range lines {
		at := fmt.Sprintf("2022-09-%02dT%02d:%02d:%02d.%03d+08:00", 1+r.IntN(29), 10+r.IntN(13), r.IntN(60), r.IntN(60), r.IntN(1000))
		o := full[vw.RedemptionEvent].with("id", token("r"), "at", `"`+at+`"`, "voucher_id", token("v"), "customer_id", token("u"),
			"device_id", token("d"), "card_id", token("k"), "cashier_id", token("c"), "order_fen", fmt.Sprint(5000+r.IntN(90000)),
			"lon", fmt.Sprintf("%.6f", 112+r.Float64()), "lat", fmt.Sprintf("%.6f", 35+r.Float64())).without("lines")
		if receipts {
			row := func(int) string {
				return fmt.Sprintf(`{"sku":"S%03d","name":"商品%03d","quantity":%d,"unit_price_fen":%d,"amount_fen":%d,"kind":"goods"}`,
					r.IntN(1000), r.IntN(1000), 1+r.IntN(3), r.IntN(3000), r.IntN(9000))
			}
			o = o.with("lines", "["+row(0)+","+row(1)+"]")
		}
		lines[i] = o.String()
	}
	return lines
}

func BenchmarkDecode(b *testing.B) {
	d := newDecoder(b)
	for _, with := range []string{"plain", "receipt"} {
		lines := synthetic(512, with == "receipt")
		batch := &vw.Batch{Data: []byte(strings.Join(lines, ""))}
		var raws []vw.Text
		for _, l := range lines {
			off := uint32(0)
			if n := len(raws); n > 0 {
				off = raws[n-1].Off + raws[n-1].Len
			}
			raws = append(raws, vw.Text{Off: off, Len: uint32(len(l))})
		}
		size := int64(len(batch.Data) / len(lines))
		for _, how := range []string{"planned", "general", "strict"} {
			b.Run(how+"/"+with, func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if i%len(raws) == 0 {
						batch.Events, batch.Lines = batch.Events[:0], batch.Lines[:0]
					}
					d.decode(batch, 0, 1, raws[i%len(raws)], readers[how]...)
				}
				if len(batch.Dead) > 0 {
					b.Fatal(batch.Dead[0].Reason)
				}
			})
		}
		b.Run("encodingjson/"+with, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				var r vw.Redemption
				if err := stdjson.Unmarshal(batch.Bytes(raws[i%len(raws)]), &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
