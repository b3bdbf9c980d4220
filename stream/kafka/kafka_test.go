//go:build integration

package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	kafkago "github.com/segmentio/kafka-go"

	"voucherwatch/internal/javanode"
	"voucherwatch/stream"
	"voucherwatch/test/kafkanode"

	vw "voucherwatch"
)

// broker is the node of these tests; why says why there is none.
var (
	broker *kafkanode.Node
	why    error
)

func TestMain(m *testing.M) {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "voucherwatch-kafka-")
	if err == nil {
		if why = kafkanode.Prepare(ctx, javanode.Dir()); why == nil {
			broker, why = kafkanode.Start(ctx, javanode.Dir(), home, 0)
		}
	}
	code := m.Run()
	if broker != nil {
		_ = broker.Kill()
	}
	_ = os.RemoveAll(home)
	os.Exit(code)
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	if why != nil {
		t.Skipf("no Kafka broker: %v", why)
	}
	if o.Brokers == nil {
		o.Brokers = []string{broker.Plain}
	}
	o.Now = time.Now
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// topic makes a topic for the test and fills its one partition.
func topic(t *testing.T, c *Client, of Topic, records ...kafkago.Message) Partition {
	t.Helper()
	of.Name = "t-" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	of.Partitions, of.Replication, of.MaxBytes = 1, 1, large
	if _, err := c.CreateTopics(t.Context(), []Topic{of}); err != nil {
		t.Fatal(err)
	}
	produce(t, of.Name, records...)
	return Partition{Topic: of.Name}
}

func produce(t *testing.T, to string, records ...kafkago.Message) {
	t.Helper()
	if len(records) == 0 {
		return
	}
	w := &kafkago.Writer{Addr: kafkago.TCP(broker.Plain), Transport: &kafkago.Transport{}, Topic: to, RequiredAcks: kafkago.RequireAll, BatchTimeout: time.Millisecond, BatchSize: 1000, BatchBytes: large, Compression: kafkago.Zstd}
	if err := w.WriteMessages(context.Background(), records...); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
}

func event(n int, padding int) kafkago.Message {
	return kafkago.Message{Key: []byte("m"), Value: fmt.Appendf(nil, `{"type":"claim","id":"c%d","at":"2022-09-01T09:%02d:00+08:00","voucher_id":"v%d","voucher_type":"v","customer_id":"c","more":%q}`, n, n%60, n, noise(n, padding))}
}

// noise does not compress well.
func noise(seed, size int) string {
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = 'a' + byte(rng.IntN(26))
	}
	return string(b)
}

func events(from, to int) (list []kafkago.Message) {
	for n := from; n < to; n++ {
		list = append(list, event(n, 0))
	}
	return list
}

// reading is a reader at work on one partition.
type reading struct {
	t      *testing.T
	reader *Reader
	merger *stream.Merger
	stop   context.CancelFunc
	wait   sync.WaitGroup
	err    error
	logs   bytes.Buffer
}

func read(t *testing.T, c *Client, p Partition, from int64) *reading {
	t.Helper()
	d, err := stream.NewDecoder(stream.Options{VoucherTypes: []string{"v"}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	r := &reading{t: t}
	r.reader = NewReader(ReaderOptions{Client: c, Decoder: d, Bytes: 16 << 10, Logger: slog.New(slog.NewTextHandler(&r.logs, nil))})
	r.merger = stream.NewMerger(stream.MergerOptions{Names: []string{p.String()}, From: []int64{from}, Wait: time.Millisecond, Patience: time.Millisecond, Now: time.Now})
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	r.wait.Go(func() { r.err = r.reader.Read(ctx, p, from, r.merger.Feed(0)) })
	t.Cleanup(func() { r.end() })
	return r
}

func (r *reading) end() error {
	r.stop()
	r.wait.Wait()
	return r.err
}

// next gives so many records, each as its offset and the event's id or the dead letter's code.
func (r *reading) next(count int) (got []string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var c stream.Cut
	for len(got) < count {
		if err := r.merger.Next(ctx, count-len(got), time.Hour, &c); err != nil {
			r.t.Fatalf("after %v: %v\n%s", got, err, r.logs.String())
		}
		for i := range c.Batch.Events {
			e := &c.Batch.Events[i]
			got = append(got, fmt.Sprintf("%d:%s", e.Line, c.Batch.String(e.ID.Text)))
		}
		for _, d := range c.Batch.Dead {
			got = append(got, fmt.Sprintf("%d:%s", d.Position, d.Code))
		}
	}
	return got
}

func (r *reading) want(list ...string) {
	r.t.Helper()
	if got := r.next(len(list)); strings.Join(got, " ") != strings.Join(list, " ") {
		r.t.Errorf("read %v, want %v", got, list)
	}
}

// TestSource is what a source of records must do, whatever client is behind it.
func TestSource(t *testing.T) {
	t.Run("begins in the middle of a compressed batch", func(t *testing.T) {
		c := client(t, Options{})
		r := read(t, c, topic(t, c, Topic{}, events(0, 10)...), 7)
		r.want("7:c7", "8:c8", "9:c9")
	})
	t.Run("goes on where it left off", func(t *testing.T) {
		c := client(t, Options{})
		p := topic(t, c, Topic{}, events(0, 5)...)
		r := read(t, c, p, 0)
		r.want("0:c0", "1:c1")
		at := r.merger.Offsets()[0]
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		produce(t, p.Topic, events(5, 6)...)
		read(t, c, p, at).want("2:c2", "3:c3", "4:c4", "5:c5")
	})
	t.Run("takes what nobody can read as a dead letter, and no record for nothing", func(t *testing.T) {
		c := client(t, Options{})
		list := []kafkago.Message{event(0, 0), {Value: []byte(`{"type":"claim",`)}, {Key: []byte("k")}, event(3, 100<<10), event(4, 2<<20), event(5, 0)}
		r := read(t, c, topic(t, c, Topic{}, list...), 0)
		got := r.next(5)
		want := map[string]bool{"0:c0": true, "1:bad_json": true, "3:c3": true, "4:too_long": true, "5:c5": true}
		for _, g := range got {
			if !want[g] {
				t.Errorf("read %v", got)
			}
			delete(want, g)
		}
	})
	t.Run("refuses an offset that retention has deleted", func(t *testing.T) {
		c := client(t, Options{})
		old := events(0, 3)
		for i := range old {
			old[i].Time = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		p := topic(t, c, Topic{Retention: time.Second}, old...)
		await(t, "retention", func() bool {
			first, _, err := c.Bounds(t.Context(), p)
			return err == nil && first == 3
		})
		r := read(t, c, p, 1)
		r.wait.Wait()
		if vw.CodeOf(r.err) != vw.Conflict || !strings.Contains(r.err.Error(), "the records from 1 to 2 are gone") {
			t.Errorf("error %v", r.err)
		}
	})
	t.Run("refuses an offset that the log does not have yet", func(t *testing.T) {
		c := client(t, Options{})
		r := read(t, c, topic(t, c, Topic{}, events(0, 3)...), 9)
		r.wait.Wait()
		if vw.CodeOf(r.err) != vw.Conflict {
			t.Errorf("error %v", r.err)
		}
	})
	t.Run("counts what is missing in between", func(t *testing.T) {
		c := client(t, Options{})
		r := read(t, c, topic(t, c, Topic{}), 0)
		r.reader.gap(Partition{Topic: "claims"}, 4, 9)
		r.reader.gap(Partition{Topic: "merchants", Compact: true}, 1, 3)
		if n := testutil.ToFloat64(r.reader.missing.WithLabelValues("claims")); n != 5 {
			t.Errorf("%v are missing, want 5", n)
		}
		_ = r.end()
		if said := r.logs.String(); !strings.Contains(said, "topic=claims") || strings.Contains(said, "topic=merchants") {
			t.Errorf("said %q", said)
		}
	})
	t.Run("does not read on while nobody takes", func(t *testing.T) {
		c := client(t, Options{})
		var list []kafkago.Message
		for n := range 200 {
			list = append(list, event(n, 2000))
		}
		p := topic(t, c, Topic{})
		for i := 0; i < len(list); i += 5 {
			produce(t, p.Topic, list[i:i+5]...)
		}
		r := read(t, c, p, 0)
		lag := func() float64 { return testutil.ToFloat64(r.reader.lag.WithLabelValues(p.Topic, "0")) }
		var still float64
		await(t, "the reader to stand still", func() bool {
			was := still
			still = lag()
			return still > 0 && still == was
		})
		if still < 100 {
			t.Errorf("%v of 200 records are not read: more than three fetches wait", still)
		}
		r.next(200)
		await(t, "the rest", func() bool { return lag() == 0 })
	})
	t.Run("goes on when the broker comes back", func(t *testing.T) {
		c := client(t, Options{})
		p := topic(t, c, Topic{}, events(0, 3)...)
		r := read(t, c, p, 0)
		r.want("0:c0", "1:c1", "2:c2")
		if err := errors.Join(broker.Kill(), broker.Again(t.Context())); err != nil {
			t.Fatal(err)
		}
		produce(t, p.Topic, events(3, 5)...)
		r.want("3:c3", "4:c4")
	})
}

// await asks again and again until the answer is yes, and gives up after half a minute.
func await(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for !yes() {
		sleep(ctx, 300*time.Millisecond)
		if ctx.Err() != nil {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestOneMemberHoldsAllPartitions(t *testing.T) {
	c := client(t, Options{})
	p := topic(t, c, Topic{})
	type member struct {
		group *Group
		holds chan bool
		stop  context.CancelFunc
		done  chan error
	}
	join := func() *member {
		g, err := NewGroup(GroupOptions{Client: c, ID: p.Topic, Topics: []Topic{{Name: p.Topic}}, Session: 6 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		m := &member{g, make(chan bool, 9), cancel, make(chan error, 1)}
		go func() {
			m.done <- g.Run(ctx, func(ctx context.Context) error {
				m.holds <- true
				<-ctx.Done()
				m.holds <- false
				return nil
			})
		}()
		t.Cleanup(cancel)
		return m
	}
	first := join()
	if !<-first.holds {
		t.Fatal("the first member does not hold")
	}
	await(t, "a commit", func() bool { return first.group.Commit([]Partition{p}, []int64{0}) == nil })
	second := join()
	await(t, "the second to join", func() bool {
		return testutil.ToFloat64(second.group.rebalances) >= 1 && testutil.ToFloat64(first.group.rebalances) >= 2
	})
	if len(first.holds) > 0 || len(second.holds) > 0 {
		t.Error("the partitions moved when a member came")
	}
	if err := second.group.Commit([]Partition{p}, []int64{0}); err == nil && testutil.ToFloat64(second.group.held) == 1 {
		t.Error("who stands by says that it holds")
	}
	first.stop()
	if held := <-second.holds; !held || <-first.holds || <-first.done != nil {
		t.Error("the second did not take over in good order")
	}
}

func TestSecurity(t *testing.T) {
	if why != nil {
		t.Skipf("no Kafka broker: %v", why)
	}
	tls := &TLS{CA: broker.CA}
	mutual := &TLS{CA: broker.CA, Cert: broker.ClientCert, Key: broker.ClientKey}
	account := func(mechanism, user, password string) *SASL { return &SASL{mechanism, user, password} }
	for _, tt := range []struct {
		name string
		o    Options
		want vw.Code
		hint string
	}{
		{"TLS with a client certificate", Options{Brokers: []string{broker.TLS}, TLS: mutual}, "", ""},
		{"PLAIN", Options{Brokers: []string{broker.SASL}, SASL: account(Plain, kafkanode.Alice, kafkanode.Password)}, "", ""},
		{"SCRAM-SHA-256", Options{Brokers: []string{broker.SASL}, SASL: account(ScramSHA256, kafkanode.Alice, kafkanode.Password)}, "", ""},
		{"SCRAM-SHA-512", Options{Brokers: []string{broker.SASL}, SASL: account(ScramSHA512, kafkanode.Alice, kafkanode.Password)}, "", ""},
		{"PLAIN inside TLS", Options{Brokers: []string{broker.Both}, TLS: tls, SASL: account(Plain, kafkanode.Alice, kafkanode.Password)}, "", ""},
		{"SCRAM-SHA-512 inside TLS", Options{Brokers: []string{broker.Both}, TLS: tls, SASL: account(ScramSHA512, kafkanode.Alice, kafkanode.Password)}, "", ""},
		{"a wrong password", Options{Brokers: []string{broker.SASL}, SASL: account(ScramSHA256, kafkanode.Alice, "guess")}, vw.Invalid, "user and password"},
		{"a wrong password in PLAIN", Options{Brokers: []string{broker.SASL}, SASL: account(Plain, kafkanode.Alice, "guess")}, vw.Invalid, "user and password"},
		{"an authority that is not trusted", Options{Brokers: []string{broker.Both}, TLS: &TLS{}, SASL: account(Plain, kafkanode.Alice, kafkanode.Password)}, vw.Invalid, "kafka.tls"},
		{"no rights", Options{Brokers: []string{broker.SASL}, SASL: account(ScramSHA512, kafkanode.Bob, kafkanode.Password)}, vw.Invalid, "rights"},
		{"no TLS where it is wanted", Options{Brokers: []string{broker.TLS}, Timeout: 2 * time.Second}, vw.Unavailable, "listener"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plain := client(t, Options{})
			p := topic(t, plain, Topic{}, events(0, 2)...)
			c := client(t, tt.o)
			_, _, err := c.Bounds(t.Context(), p)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				read(t, c, p, 0).want("0:c0", "1:c1")
				w := c.NewWriter("", slog.New(slog.DiscardHandler))
				if err := w.Write(t.Context(), []Message{{Topic: p.Topic, Key: []byte("k"), Value: []byte("{}")}}); err != nil {
					t.Error(err)
				}
				_ = w.Close()
				return
			}
			var e *vw.Error
			if !errors.As(err, &e) || e.Code != tt.want || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("error %v, want %s with a hint at %q", err, tt.want, tt.hint)
			}
		})
	}
}

func TestTopicsThatDiffer(t *testing.T) {
	c := client(t, Options{})
	p := topic(t, c, Topic{Compact: true})
	differs, err := c.CheckTopics(t.Context(), []Topic{{Name: p.Topic, Partitions: 3, Replication: 2, Retention: time.Hour, MaxBytes: small}, {Name: "nowhere"}})
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(differs, "\n")
	for _, want := range []string{"1 partitions, want 3", "1 copies, want 2", "cleanup.policy is compact, want delete", "retention.ms is -1, want 3600000", "max.message.bytes is 8388608, want 1048576", "nowhere: is not there"} {
		if !strings.Contains(said, want) {
			t.Errorf("does not say %q:\n%s", want, said)
		}
	}
	if made, err := c.CreateTopics(t.Context(), []Topic{{Name: p.Topic, Partitions: 1, Replication: 1, MaxBytes: large}}); err != nil || len(made) > 0 {
		t.Errorf("a topic that is there was made: %v, %v", made, err)
	}
}

func TestAResultThatIsTooLongIsAnError(t *testing.T) {
	c := client(t, Options{})
	p := topic(t, c, Topic{})
	w := c.NewWriter("", slog.New(slog.DiscardHandler))
	defer func() { _ = w.Close() }()
	err := w.Write(t.Context(), []Message{{Topic: p.Topic, Value: make([]byte, 9<<20)}})
	if vw.CodeOf(err) != vw.Invalid {
		t.Errorf("error %v", err)
	}
}
