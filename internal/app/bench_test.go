package app

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"voucherwatch/campaign"
	"voucherwatch/detectors"
	"voucherwatch/rules"
	"voucherwatch/stream"

	vw "voucherwatch"
)

// traffic is a stream of redemptions over the whole campaign as bytes, cut into chunks of whole lines,
// preceded by the registry: merchants and customers with long tails, every optional field given.
type traffic struct {
	registry []byte
	chunks   [][]byte
	n        int
}

// hot is the share of the traffic of one merchant, 0 for none.
func makeTraffic(redemptions, merchants, customers int, hot float64) traffic {
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		panic(err)
	}
	r := rand.New(rand.NewPCG(1, uint64(redemptions)))
	var t traffic
	codes := []string{"retail", "hospitality", "fuel", "appliance"}
	for m := range merchants {
		t.registry = fmt.Appendf(t.registry, `{"type":"merchant","id":"m%d","at":"2022-09-19T12:00:00.000+08:00","merchant_id":"%015d","name":"店%d","category":"%s","status":"active","dishonest":false,"district":"140581","lon":112.9%02d,"lat":35.8%02d,"terminals":["T%d","U%d"]}`+"\n",
			m, m, m, codes[category(m)], m%100, m%97, m, m)
	}
	zipfM, zipfC := rand.NewZipf(r, 1.2, 30, uint64(merchants-1)), rand.NewZipf(r, 1.1, 3000, uint64(customers-1))
	start := time.Unix(int64(c.Start)*86400, 0).UTC().Add(2 * time.Hour) // 10:00 in Shanghai
	days := c.End - c.Start + 1
	perDay := max(1, min(redemptions, 1_400_000/days)) // a county's day: 33,000
	used := map[[2]uint64]int{}
	var buf []byte
	for i := range redemptions {
		m := int(zipfM.Uint64())
		if hot > 0 && r.Float64() < hot {
			m = 0
		}
		day, within := min(i/perDay, days-1), float64(i%perDay)/float64(perDay)
		u := zipfC.Uint64()
		for tries := 0; tries < 1000 && used[[2]uint64{u, uint64(max(0, day-1) / 10)}] >= 3; tries++ { // the campaign's limit: heavy users spill over
			u = r.Uint64N(uint64(customers))
		}
		used[[2]uint64{u, uint64(max(0, day-1) / 10)}]++
		v := pick(r, c, codes[category(m)])
		at := start.Add(time.Duration(day)*24*time.Hour + time.Duration(within*13.9*float64(time.Hour))).In(c.Zone)
		order := int64(v.Threshold) + int64(r.ExpFloat64()*.3*float64(v.Threshold))
		sku := r.Int64N(60)
		buf = fmt.Appendf(buf, `{"type":"redemption","id":"r%014x","at":"%s","voucher_id":"v%014x","voucher_type":"%s","customer_id":"u%014x","merchant_id":"%015d","order_fen":%d,"discount_fen":%d,"paid_fen":%d,"device_id":"d%014x","card_id":"k%014x","claimed_at":"%s","terminal_id":"%s%d","mcc":"%s","district":"140581","cashier_id":"c%07x","order_id":"%s-%d","lon":112.9%02d,"lat":35.8%02d,"channel":"qr","lines":[{"sku":"S%03d","name":"商品%03d","quantity":1,"unit_price_fen":%d,"amount_fen":%d,"kind":"goods"},{"sku":"W0","name":"散称","quantity":%d.%02d,"unit_price_fen":100,"amount_fen":%d,"kind":"goods"}]}`+"\n",
			i, at.Format("2006-01-02T15:04:05.000Z07:00"), i, v.Code, u*2654435761, m, order, v.Face, order-int64(v.Face), u*2654435761+7, u*2654435761+9,
			at.Add(-time.Duration(30+r.IntN(90))*time.Minute).Format("2006-01-02T15:04:05.000Z07:00"), "TU"[r.IntN(2):][:1], m, map[string]string{"retail": "5411", "hospitality": "5812", "fuel": "5541", "appliance": "5732"}[codes[category(m)]],
			m, at.Format("20060102T150405"), r.IntN(10000), m%100, m%97, sku, sku, 500+sku, 500+sku, (order-500-sku)/100, (order-500-sku)%100, order-500-sku)
		if len(buf) > 250<<10 {
			t.chunks = append(t.chunks, buf)
			buf = nil
		}
	}
	if len(buf) > 0 {
		t.chunks = append(t.chunks, buf)
	}
	t.n = redemptions
	return t
}

// category is a merchant's: 60 % retail, 35 % hospitality, 4.5 % fuel, 0.5 % appliance, so that the
// budgets of the rounds hold.
func category(m int) int {
	switch x := m * 7919 % 200; {
	case x == 7:
		return 3
	case x < 10:
		return 2
	case x < 80:
		return 1
	}
	return 0
}

// pick draws a voucher of the category, mostly the smallest.
func pick(r *rand.Rand, c *vw.Campaign, category string) *vw.Voucher {
	var of []*vw.Voucher
	for i := range c.Vouchers {
		if v := &c.Vouchers[i]; v.Category.String() == category && !v.Balance {
			of = append(of, v)
		}
	}
	if r.Float64() < .95 {
		return of[0]
	}
	return of[r.IntN(len(of))]
}

// scorer runs chunks through decoder and engine.
type scorer struct {
	engine  *detectors.Engine
	decoder *stream.Decoder
	batch   vw.Batch
	chunk   stream.Chunk
	out     detectors.Outcome
	line    int64
}

func newScorer(tb testing.TB, slots int) *scorer {
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		tb.Fatal(err)
	}
	p, err := rules.Load("")
	if err != nil {
		tb.Fatal(err)
	}
	s := &scorer{line: 1}
	if s.engine, err = NewEngine(c, p, slots); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.engine.Close)
	if s.decoder, err = newDecoder(c, time.Now); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *scorer) decode(data []byte) {
	s.chunk.Source, s.chunk.First = "bench", s.line
	s.chunk.Data = append(s.chunk.Data[:0], data...)
	stream.DecodeChunk(s.decoder, &s.chunk, &s.batch)
	s.line += int64(len(s.batch.Events))
}

func (s *scorer) score(data []byte) {
	s.decode(data)
	s.engine.Process(&s.batch, nil, &s.out)
}

// BenchmarkScore is bytes → decode → all detectors → score, beside decoding alone, in one run. One op is
// the whole stream, of which the first quarter warms the tables up.
func BenchmarkScore(b *testing.B) {
	t := makeTraffic(400_000, 3000, 200_000, 0)
	b.Run("decode", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			s := newScorer(b, 1)
			n, cpu := 0, cpuTime()
			b.StartTimer()
			for _, c := range t.chunks {
				s.decode(c)
				n += len(s.batch.Events)
			}
			b.StopTimer()
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(n), "cpu-ns/redemption")
		}
	})
	hot := makeTraffic(400_000, 3000, 200_000, .2) // one merchant has a fifth of it
	for _, run := range []struct {
		name  string
		slots int
		t     traffic
	}{{"slots=1", 1, t}, {"slots=2", 2, t}, {"slots=2,hot", 2, hot}} {
		slots, t := run.slots, run.t
		b.Run(run.name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				s := newScorer(b, slots)
				s.score(t.registry)
				warm := len(t.chunks) / 4
				for _, c := range t.chunks[:warm] {
					s.score(c)
				}
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				n := s.engine.Stats().Scored
				cpu := cpuTime()
				start := time.Now()
				b.StartTimer()
				for _, c := range t.chunks[warm:] {
					s.score(c)
				}
				b.StopTimer()
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				n = s.engine.Stats().Scored - n
				if st := s.engine.Stats(); st.Bands[1]+st.Bands[2] > st.Scored/50 {
					b.Fatalf("the traffic is not honest: %d of %d in review or above", st.Bands[1]+st.Bands[2], st.Scored)
				}
				b.ReportMetric(float64(n)/took.Seconds(), "redemptions/s")
				b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(n), "allocs/redemption")
				b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(n), "cpu-ns/redemption")
			}
		})
	}
}

// cpuTime is the processor time of the process: on a shared machine it is steadier than the wall's.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestTrafficOfTheBenchmarkDecodes(t *testing.T) {
	traffic := makeTraffic(2000, 50, 2000, .2)
	s := newScorer(t, 1)
	s.score(traffic.registry)
	for _, c := range traffic.chunks {
		s.score(c)
		if len(s.batch.Dead) > 0 {
			t.Fatalf("dead letter: %s", s.batch.Dead[0].Reason)
		}
	}
	if got := s.engine.Stats().Scored; got != 2000 {
		t.Errorf("scored %d, want 2000", got)
	}
	if bytes.Count(s.out.Scores[0], []byte("\n")) == 0 {
		t.Error("no scores came out")
	}
}
