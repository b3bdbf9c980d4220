//go:build integration

package app

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"voucherwatch/campaign"
	"voucherwatch/simulate"
	"voucherwatch/stream/kafka"
)

// BenchmarkKafka runs a world through the broker in one go: read only, by kafka-go's batches and by its
// Reader; then scored, published and acknowledged. Compare within one run: the machine's load is in all of
// them. CPU is this process's, without the broker's. VOUCHERWATCH_BENCH_SCALE: 1 is some 37,000 redemptions.
func BenchmarkKafka(b *testing.B) {
	needBroker(b)
	scale, err := strconv.ParseFloat(os.Getenv("VOUCHERWATCH_BENCH_SCALE"), 64)
	if err != nil {
		scale = 1
	}
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		b.Fatal(err)
	}
	var events, labels bytes.Buffer
	if _, err := simulate.Run(context.Background(), simulate.Options{Campaign: c, Seed: 7, Scale: scale}, &events, &labels); err != nil {
		b.Fatal(err)
	}
	records := bytes.Count(events.Bytes(), []byte{'\n'})
	redemptions := bytes.Count(events.Bytes(), []byte(`"type":"redemption"`))
	s := newSetting(b, 4, "  every: 24h\n  records: 1000000000\n")
	s.produce(events.Bytes())
	report := func(b *testing.B, d, cpu time.Duration) {
		b.ReportMetric(float64(records)/d.Seconds(), "events/s")
		b.ReportMetric(float64(redemptions)/d.Seconds(), "redemptions/s")
		b.ReportMetric(float64(cpu.Nanoseconds())/float64(records), "cpu-ns/event")
		b.ReportMetric(0, "ns/op")
	}
	for range 2 {
		b.Run("batches", func(b *testing.B) {
			for range b.N {
				d, cpu := timed(func() { s.drain(b, false) })
				report(b, d, cpu)
			}
		})
		b.Run("reader", func(b *testing.B) {
			for range b.N {
				d, cpu := timed(func() { s.drain(b, true) })
				report(b, d, cpu)
			}
		})
		b.Run("scored", func(b *testing.B) {
			for range b.N {
				if err := os.RemoveAll(s.config.State.Directory); err != nil {
					b.Fatal(err)
				}
				watch := &stopwatch{}
				if err := Run(context.Background(), RunOptions{Config: s.config, UntilEnd: true, Now: time.Now, Logger: slog.New(watch)}); err != nil {
					b.Fatal(err)
				}
				report(b, watch.end.Sub(watch.begin), watch.cpu)
			}
		})
	}
}

func timed(f func()) (wall, cpu time.Duration) {
	began, used := time.Now(), cpuTime()
	f()
	return time.Since(began), cpuTime() - used
}

// stopwatch takes the time between two lines of the log: what lies before is joining the group.
type stopwatch struct {
	mu         sync.Mutex
	begin, end time.Time
	cpu        time.Duration
}

func (w *stopwatch) WithAttrs([]slog.Attr) slog.Handler { return w }

func (w *stopwatch) WithGroup(string) slog.Handler { return w }

func (w *stopwatch) Enabled(context.Context, slog.Level) bool { return true }

func (w *stopwatch) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r.Message {
	case "going on from the saved state":
		w.begin, w.cpu = time.Now(), cpuTime()
	case "caught up":
		w.end, w.cpu = time.Now(), cpuTime()-w.cpu
	}
	return nil
}

// drain reads all input topics to their ends, one goroutine for each partition.
func (s *setting) drain(b *testing.B, reader bool) {
	ctx := context.Background()
	client, err := s.config.Client("", time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	parts, err := client.Partitions(ctx, s.config.Layout().Inputs())
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() {
			first, end, err := client.Bounds(ctx, p)
			if err != nil || first == end {
				return
			}
			if reader {
				readAll(b, p, first, end)
			} else {
				readBatches(b, p, first, end)
			}
		})
	}
	wg.Wait()
}

func readAll(b *testing.B, p kafka.Partition, next, end int64) {
	r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{broker.Plain}, Topic: p.Topic, Partition: p.ID, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond, QueueCapacity: 4096})
	defer func() { _ = r.Close() }()
	_ = r.SetOffset(next)
	for next < end {
		m, err := r.ReadMessage(context.Background())
		if err != nil {
			b.Error(err)
			return
		}
		next = m.Offset + 1
	}
}

func readBatches(b *testing.B, p kafka.Partition, next, end int64) {
	conn, err := kafkago.DialLeader(context.Background(), "tcp", broker.Plain, p.Topic, p.ID)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 1<<20)
	for next < end {
		_, _ = conn.Seek(next, kafkago.SeekAbsolute|kafkago.SeekDontCheck)
		batch := conn.ReadBatchWith(kafkago.ReadBatchConfig{MinBytes: 1, MaxBytes: 512 << 10, MaxWait: 100 * time.Millisecond})
		for {
			if _, err := batch.Read(buf); err != nil {
				break
			}
		}
		next = max(next, batch.Offset())
		_ = batch.Close()
	}
}
