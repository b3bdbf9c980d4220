package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
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

// town says what the traffic of a benchmark is like.
type town struct {
	redemptions, merchants, customers int
	hot                               float64 // share of the traffic of one merchant
	days                              int     // 0: as long as a county's 33,000 a day last
	once                              bool    // every customer comes once before any comes again
}

func makeTraffic(w town) traffic {
	redemptions, merchants, customers, hot := w.redemptions, w.merchants, w.customers, w.hot
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
	if w.days > 0 {
		perDay = (redemptions + w.days - 1) / w.days
	}
	used := map[[2]uint64]int{}
	var buf []byte
	for i := range redemptions {
		m := int(zipfM.Uint64())
		if hot > 0 && r.Float64() < hot {
			m = 0
		}
		day, within := min(i/perDay, days-1), float64(i%perDay)/float64(perDay)
		u := zipfC.Uint64()
		if w.once {
			u = uint64(i % customers)
		}
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
		if len(buf) > 500<<10 {
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

// pieces is a source of the chunks of a traffic.
type pieces struct {
	chunks [][]byte
	line   int64
}

func (p *pieces) Next(_ context.Context, c *stream.Chunk) error {
	if len(p.chunks) == 0 {
		return io.EOF
	}
	c.Source, c.First = "bench", p.line+1
	c.Data = append(c.Data[:0], p.chunks[0]...)
	p.line += int64(bytes.Count(p.chunks[0], []byte("\n")))
	p.chunks = p.chunks[1:]
	return nil
}

// measured is what a pass took, from the first chunk after the warm-up to the end.
type measured struct {
	redemptions int64
	wall, cpu   time.Duration
	mallocs     uint64
}

func (m measured) report(b *testing.B) {
	n := float64(m.redemptions)
	b.ReportMetric(n/m.wall.Seconds(), "redemptions/s")
	b.ReportMetric(float64(m.cpu.Nanoseconds())/n, "cpu-ns/redemption")
	b.ReportMetric(float64(m.mallocs)/n, "allocs/redemption")
}

// pass runs a traffic as replay does, bytes → decoder → all detectors → scores, on the given number of
// processors. The first warm chunks are not measured.
func (t traffic) pass(b *testing.B, processors, slots, warm int) (m measured, s *scorer) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
	s = newScorer(b, slots)
	s.score(t.registry)
	pipe := stream.NewPipeline(&pieces{chunks: t.chunks}, s.decoder, processors, 4)
	var before, after runtime.MemStats
	var start time.Time
	var cpu time.Duration
	i := 0
	for batch, err := range pipe.Batches(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		if i == warm {
			runtime.GC()
			runtime.ReadMemStats(&before)
			m.redemptions, cpu, start = s.engine.Stats().Scored, cpuTime(), time.Now()
		}
		i++
		s.engine.Process(batch, nil, &s.out)
		pipe.Release(batch)
	}
	m.wall, m.cpu = time.Since(start), cpuTime()-cpu
	runtime.ReadMemStats(&after)
	m.mallocs = after.Mallocs - before.Mallocs
	st := s.engine.Stats()
	m.redemptions = st.Scored - m.redemptions
	if st.Bands[1]+st.Bands[2] > st.Scored/50 {
		b.Fatalf("the traffic is not honest: %d of %d in review or above", st.Bands[1]+st.Bands[2], st.Scored)
	}
	return m, s
}

// BenchmarkScore is bytes → decode → all detectors → score, beside decoding alone, in one run. One op is
// the whole stream, of which the first quarter warms the tables up.
func BenchmarkScore(b *testing.B) {
	county := town{redemptions: 400_000, merchants: 3000, customers: 200_000}
	t := makeTraffic(county)
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
	county.hot = .2 // one merchant has a fifth of it
	hot := makeTraffic(county)
	for _, run := range []struct {
		name              string
		processors, slots int
		t                 traffic
	}{{"processors=1", 1, 1, t}, {"processors=2", 2, 2, t}, {"processors=2,slots=4", 2, 4, t}, {"processors=2,hot", 2, 2, hot}} {
		b.Run(run.name, func(b *testing.B) {
			for range b.N {
				m, _ := run.t.pass(b, run.processors, run.slots, len(run.t.chunks)/4)
				m.report(b)
			}
		})
	}
}

// BenchmarkKeys is the cost of a redemption when few and when many customers are known, each coming a
// second time, over as many days; and the bytes of state that a customer takes.
func BenchmarkKeys(b *testing.B) {
	for _, customers := range []int{10_000, 100_000, 1_000_000, 2_000_000} {
		if testing.Short() && customers > 100_000 {
			continue
		}
		b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
			t := makeTraffic(town{redemptions: customers + min(customers, 200_000), merchants: 3000, customers: customers, days: 20, once: true})
			warm := len(t.chunks) * customers / t.n
			b.ResetTimer()
			for range b.N {
				m, s := t.pass(b, 1, 1, warm)
				m.report(b)
				size := 0
				for _, z := range s.engine.Size() {
					size += z[1]
				}
				b.ReportMetric(float64(size)/float64(customers), "B/customer")
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
	traffic := makeTraffic(town{redemptions: 2000, merchants: 50, customers: 2000, hot: .2})
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
