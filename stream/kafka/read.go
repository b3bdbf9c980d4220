package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	vw "voucherwatch"
	"voucherwatch/stream"
)

// ReaderOptions configure a Reader.
type ReaderOptions struct {
	Client  *Client
	Decoder *stream.Decoder
	// Bytes is how much is asked for at a time, per partition; three times as much may wait. 0 is 512 KiB.
	Bytes   int
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: none
}

// Reader reads partitions into feeds. It is safe for concurrent use, one goroutine for each partition.
type Reader struct {
	o       ReaderOptions
	lag     *prometheus.GaugeVec
	missing *prometheus.CounterVec
	redials *prometheus.CounterVec
}

// maxRecord is what a record may have: as a line of a file, see stream.Lines.
const maxRecord = 1 << 20

// poll is how long a broker holds a question that it has nothing to say to.
const poll = 250 * time.Millisecond

// NewReader makes a reader.
func NewReader(o ReaderOptions) *Reader {
	if o.Bytes == 0 {
		o.Bytes = 512 << 10
	}
	r := &Reader{o: o,
		lag:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "vw_kafka_lag_records", Help: "Records of a partition that are not read."}, []string{"topic", "partition"}),
		missing: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vw_kafka_missing_records_total", Help: "Offsets passed over because no record has them: normal in compacted topics, else a finding for the operator."}, []string{"topic"}),
		redials: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vw_kafka_redials_total", Help: "Connections made again after a failure."}, []string{"topic"}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(r.lag, r.missing, r.redials)
	}
	return r
}

// Read feeds the records of a partition from an offset on, each once and in order. It blocks while the
// feed is full, and until ctx ends (nil). What cannot be reached is tried again for ever, with the feed
// left behind as it was. An offset that the log no longer has, or does not have yet, is vw.Conflict: nothing
// is ever skipped.
func (r *Reader) Read(ctx context.Context, p Partition, from int64, f *stream.Feed) error {
	pause := 100 * time.Millisecond
	next := from
	for attempt := 0; ctx.Err() == nil; attempt++ {
		was := next
		err := r.session(ctx, p, &next, f)
		if ctx.Err() != nil {
			return nil
		}
		if lasting(err) {
			return err
		}
		if next > was {
			pause = 100 * time.Millisecond
		}
		r.redials.WithLabelValues(p.Topic).Inc()
		r.o.Logger.Warn("partition not reached: trying again", slog.String("topic", p.Topic), slog.Int("partition", p.ID), slog.Int64("offset", next), slog.Any("err", err))
		sleep(ctx, pause)
		pause = min(2*pause, 3*time.Second)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// session reads over one connection until it fails.
func (r *Reader) session(ctx context.Context, p Partition, next *int64, f *stream.Feed) error {
	c := r.o.Client
	conn, err := c.leader(ctx, p.Topic, p.ID)
	if err != nil {
		return c.explain("kafka.Read", fmt.Errorf("%v: %w", p, err))
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(c.o.Now().Add(c.o.Timeout))
	first, end, err := conn.ReadOffsets()
	if err != nil {
		return c.explain("kafka.Read", fmt.Errorf("%v: %w", p, err))
	}
	if err := outside(p, *next, first, end); err != nil {
		return err
	}
	// Without asking the broker again, and without its jumping to where it likes.
	if _, err := conn.Seek(*next, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
		return c.explain("kafka.Read", fmt.Errorf("%v: %w", p, err))
	}
	long := false
	for ctx.Err() == nil {
		_ = conn.SetDeadline(c.o.Now().Add(poll + c.o.Timeout))
		b := conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: r.o.Bytes, MaxWait: poll})
		high := b.HighWaterMark()
		s, err := r.fill(ctx, b, p, next, f, long)
		// What lies behind the last record of a batch and was compacted away is passed over, too.
		if at := b.Offset(); err == nil && at > *next {
			r.gap(p, *next, at)
			*next = at
		}
		if closed := b.Close(); err == nil {
			err = ended(closed)
		}
		r.lag.WithLabelValues(p.Topic, partitionLabel(p.ID)).Set(float64(max(0, high-*next)))
		if s.Len() > 0 {
			if err := f.Put(ctx, s); err != nil {
				return err
			}
		}
		long = false
		switch {
		case errors.Is(err, io.ErrShortBuffer):
			long = true
			if _, err := conn.Seek(*next, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
				return c.explain("kafka.Read", fmt.Errorf("%v: %w", p, err))
			}
			continue
		case errors.Is(err, kafka.OffsetOutOfRange):
			first, end, _ := conn.ReadOffsets()
			if out := outside(p, *next, first, end); out != nil {
				return out
			}
			return c.explain("kafka.Read", fmt.Errorf("%v: %w", p, err))
		case err != nil:
			return c.explain("kafka.Read", fmt.Errorf("%v: %w", p, err))
		}
		if _, err := conn.Seek(*next, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
			return c.explain("kafka.Read", fmt.Errorf("%v: %w", p, err))
		}
		f.Behind(*next < high)
	}
	return nil
}

// outside is the error of an offset that the log does not have.
func outside(p Partition, want, first, end int64) error {
	switch {
	case want < first:
		return &vw.Error{Op: "kafka.Read", Code: vw.Conflict, Hint: "restore a newer copy of the state's directory; or set recovery.gap: accept, which leaves these records out of all judgements, and raise the retention of the topic",
			Err: fmt.Errorf("%v: the records from %d to %d are gone: the log begins at %d", p, want, first-1, first)}
	case want > end:
		return &vw.Error{Op: "kafka.Read", Code: vw.Conflict, Hint: "the topic was made anew or lost its end; restore it, or move the state's directory away to begin with what is there",
			Err: fmt.Errorf("%v: the log ends at %d, it was read to %d", p, end, want)}
	}
	return nil
}

// fill takes what a batch has; what is not put yet is in the stretch that it returns. Records before the one
// that is wanted are passed over: a broker sends whole batches. With long, one record of any length is taken.
func (r *Reader) fill(ctx context.Context, b *kafka.Batch, p Partition, next *int64, f *stream.Feed, long bool) (*stream.Stretch, error) {
	s := f.Get()
	if err := b.Err(); err != nil {
		return s, ended(err)
	}
	for {
		var n int
		var offset int64
		if long {
			m, err := b.ReadMessage()
			if err != nil {
				return s, ended(err)
			}
			if offset, n = m.Offset, len(m.Value); offset == *next && n > maxRecord {
				s.Reject(offset, stream.NewDeadLetter(p.String(), offset, stream.TooLong, fmt.Sprintf("the record has %d bytes, more than %d: send shorter ones", n, maxRecord), m.Value))
				*next = offset + 1
				return s, nil
			}
			copy(s.Room(n)[:n], m.Value)
		} else {
			var err error
			if n, err = b.Read(s.Room(roomBytes)); err != nil {
				return s, ended(err)
			}
			offset = b.Offset() - 1
		}
		if offset < *next {
			continue
		}
		r.gap(p, *next, offset)
		s.Decode(r.o.Decoder, offset, n)
		*next = offset + 1
		if long {
			return s, nil
		}
		// What was compressed may be many times as long.
		if s.Bytes() > r.o.Bytes {
			r.lag.WithLabelValues(p.Topic, partitionLabel(p.ID)).Set(float64(max(0, b.HighWaterMark()-*next)))
			if err := f.Put(ctx, s); err != nil {
				return s, err
			}
			s = f.Get()
		}
	}
}

// roomBytes is what a record may have to be read in the fast way.
const roomBytes = 64 << 10

// ended is nil where a batch has come to its end: kafka-go says that an empty one has timed out.
func ended(err error) error {
	if err == io.EOF || errors.Is(err, kafka.RequestTimedOut) {
		return nil
	}
	return err
}

// gap counts offsets without a record.
func (r *Reader) gap(p Partition, want, got int64) {
	if got <= want {
		return
	}
	r.missing.WithLabelValues(p.Topic).Add(float64(got - want))
	if !p.Compact {
		r.o.Logger.Warn("records are missing in a log that is not compacted", slog.String("topic", p.Topic), slog.Int("partition", p.ID), slog.Int64("offset", want), slog.Int64("count", got-want))
	}
}
