package kafka

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"
)

// Message is a result on its way out.
type Message struct {
	Topic      string
	Key, Value []byte
}

// Writer publishes results. It belongs to one goroutine.
type Writer struct {
	client *Client
	logger *slog.Logger
	short  *kafka.Writer // scores: many and small
	long   *kafka.Writer
	prefix string
	queue  [2][]kafka.Message
}

// NewWriter makes a writer to topics with the prefix.
func (c *Client) NewWriter(prefix string, logger *slog.Logger) *Writer {
	make := func(bytes int64) *kafka.Writer {
		return &kafka.Writer{
			Addr: kafka.TCP(c.o.Brokers...), Transport: c.transport, Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll, Compression: kafka.Snappy,
			BatchSize: 4000, BatchBytes: bytes, BatchTimeout: 2 * time.Millisecond, WriteTimeout: c.o.Timeout, ReadTimeout: c.o.Timeout, MaxAttempts: 5,
		}
	}
	return &Writer{client: c, logger: logger, prefix: prefix, short: make(small - 64<<10), long: make(large - 64<<10)}
}

// Close ends the connections.
func (w *Writer) Close() error { return errors.Join(w.short.Close(), w.long.Close()) }

// Write returns when all replicas have all messages, of which those of one key keep their order. What the
// brokers do not take now is offered again for as long as it takes; a message may then be there twice. It
// ends with ctx, or when a message will never be taken.
func (w *Writer) Write(ctx context.Context, list []Message) error {
	for i := range w.queue {
		w.queue[i] = w.queue[i][:0]
	}
	for _, m := range list {
		i := 1
		if m.Topic == Scores {
			i = 0
		}
		w.queue[i] = append(w.queue[i], kafka.Message{Topic: w.prefix + m.Topic, Key: m.Key, Value: m.Value})
	}
	for i, to := range []*kafka.Writer{w.short, w.long} {
		if err := w.all(ctx, to, w.queue[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) all(ctx context.Context, to *kafka.Writer, list []kafka.Message) error {
	pause := 100 * time.Millisecond
	for len(list) > 0 {
		err := to.WriteMessages(ctx, list...)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var each kafka.WriteErrors
		var left []kafka.Message
		if errors.As(err, &each) && len(each) == len(list) {
			for i, e := range each {
				if e == nil {
					continue
				}
				left = append(left, list[i])
				err = e
				if why := w.client.explain("kafka.Write", e); lasting(why) && !errors.Is(e, kafka.UnknownTopicOrPartition) {
					return why
				}
			}
		} else {
			left = list
			if tooLarge, is := errors.AsType[kafka.MessageTooLargeError](err); is {
				return w.client.explain("kafka.Write", errors.Join(kafka.MessageSizeTooLarge, tooLarge))
			}
			if why := w.client.explain("kafka.Write", err); lasting(why) && !errors.Is(err, kafka.UnknownTopicOrPartition) {
				return why
			}
		}
		list = left
		w.logger.Warn("results not taken: trying again", slog.Int("count", len(list)), slog.Any("err", err))
		sleep(ctx, pause)
		pause = min(2*pause, 3*time.Second)
	}
	return nil
}
