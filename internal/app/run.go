package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"voucherwatch/cases/sqlite"
	"voucherwatch/detectors"
	"voucherwatch/rules"
	"voucherwatch/stream"
	"voucherwatch/stream/kafka"

	vw "voucherwatch"
)

// RunOptions are those of Run.
type RunOptions struct {
	Config   *Config
	Password string // of kafka.sasl, from the environment
	// UntilEnd has it stop where the topics end when it has come there, and close the baselines as replay
	// does. The saved state is that of before.
	UntilEnd bool
	Logger   *slog.Logger
	Now      func() time.Time
	// Listening, if set, is told the address when the server answers.
	Listening func(net.Addr)

	// Where a test breaks the rule that results come before the state that says they are done.
	hasty bool
}

// Run scores what comes through Kafka: of all processes of the group one holds every partition and the
// engine, the others stand by. Results are published and acknowledged before the state says so, and the
// state is saved before the group's offsets are. It ends when ctx does.
func Run(ctx context.Context, o RunOptions) error {
	c := o.Config
	campaign, policy, err := plan(c.Campaign, c.Policy)
	if err != nil {
		return err
	}
	client, err := c.Client(o.Password, o.Now)
	if err != nil {
		return err
	}
	defer client.Close()
	inputs := c.Layout().Inputs()
	if _, err := client.Partitions(ctx, slices.Concat(inputs, c.Layout().Outputs())); err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	l := &lane{o: o, c: c, campaign: campaign, policy: policy, client: client, metrics: newMetrics(reg), own: newRunMetrics(reg, o.Now)}
	l.status.Store(&standingBy)
	decoder, err := newDecoder(campaign, o.Now)
	if err != nil {
		return err
	}
	l.reader = kafka.NewReader(kafka.ReaderOptions{Client: client, Decoder: decoder, Bytes: c.Kafka.FetchBytes, Logger: o.Logger, Metrics: reg})
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return &vw.Error{Op: "app.Run", Code: vw.Unavailable, Hint: "choose another address with listen", Err: err}
	}
	web := &http.Server{Handler: l.handler(reg), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	if o.Listening != nil {
		o.Listening(listener.Addr())
	}
	o.Logger.Info("listening", slog.String("address", listener.Addr().String()))
	if l.group, err = kafka.NewGroup(kafka.GroupOptions{Client: client, ID: c.Kafka.Group, Topics: inputs, Session: c.Kafka.Session, Logger: o.Logger, Metrics: reg}); err != nil {
		_ = listener.Close()
		return err
	}
	group, running := errgroup.WithContext(ctx)
	finished, finish := context.WithCancel(running)
	defer finish()
	group.Go(func() error {
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-finished.Done()
		return web.Close()
	})
	group.Go(func() error {
		defer finish()
		return l.group.Run(running, l.hold)
	})
	return group.Wait()
}

var (
	standingBy = "standing by: another process of the group holds the partitions"
	loading    = "loading the state"
	repeating  = "repeating what came after the saved state"
	catchingUp = "reading what was there at the start; not caught up yet"
	readyNow   = "ready"
)

// lane is this process's part in the group: while it holds the partitions, it is the one owner of all
// lanes. Lanes over several processes would each hold a part of the partitions of re-keyed topics here.
type lane struct {
	o        RunOptions
	c        *Config
	campaign *vw.Campaign
	policy   *rules.Policy
	client   *kafka.Client
	group    *kafka.Group
	reader   *kafka.Reader
	metrics  *metrics
	own      *runMetrics
	status   atomic.Pointer[string]

	// while it holds
	vault     *stateStore
	run       *run
	parts     []kafka.Partition
	names     []string
	merger    *stream.Merger
	publisher *publisher
	results   results
	saved     time.Time
	unsaved   int // records since
}

func (l *lane) handler(reg *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s := l.status.Load(); s != &readyNow {
			http.Error(w, *s, http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, readyNow+"\n")
	})
	return mux
}

// lockPatience is how often a process that should take over asks for the directory.
const lockPatience = time.Second

// hold is what the holder does until ctx ends.
func (l *lane) hold(ctx context.Context) (err error) {
	defer l.status.Store(&standingBy)
	l.status.Store(&loading)
	for waiting := false; ; {
		l.vault, err = openVault(l.c.State.Directory)
		if err == nil {
			break
		}
		if vw.CodeOf(err) != vw.Conflict {
			return err
		}
		if !waiting {
			l.o.Logger.Warn("waiting for the state", slog.Any("err", err))
			waiting = true
		}
		if pause(ctx, lockPatience) != nil {
			return nil
		}
	}
	defer l.vault.close()
	store, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(l.c.State.Directory, "cases.db")})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	fresh := func() (*run, error) {
		r, err := newRun(l.campaign, l.policy, l.c.Slots, store, l.o.Now)
		if err == nil {
			err = r.recall(ctx)
		}
		return r, err
	}
	from, last, err := l.begin(ctx, fresh)
	if err != nil {
		return stopped(ctx, err)
	}
	defer func() { l.run.engine.Close() }()
	l.run.dead = stream.NewDeadLetterWriter(&l.results.dead)
	l.run.told = l.results.told
	l.run.scored = func(_ *vw.Batch, out *detectors.Outcome) error {
		l.results.scores(out.Scores)
		return nil
	}
	l.merger = stream.NewMerger(stream.MergerOptions{Names: l.names, From: from, Last: last, Wait: l.c.Order.Wait, Patience: l.c.Order.Patience, Now: l.o.Now})
	l.publisher = newPublisher()
	writer := l.client.NewWriter(l.c.Topics.Prefix, l.o.Logger)
	defer func() { _ = writer.Close() }()

	// When ctx ends reading stops at once; what was scored is still published and saved, within the
	// time that a stop may take.
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = pause(late, stopWithin)
		cancel()
	})
	defer stop()
	sending, _ := errgroup.WithContext(late)
	sending.Go(func() error { return l.publisher.run(late, writer) })
	reading, readCtx := errgroup.WithContext(ctx)
	for i, p := range l.parts {
		reading.Go(func() error { return l.reader.Read(readCtx, p, from[i], l.merger.Feed(i)) })
	}
	reading.Go(func() error {
		if err := l.follow(readCtx, late); err != nil {
			return err
		}
		return errFollowed // ends the readers
	})
	err = reading.Wait()
	if errors.Is(err, errFollowed) {
		err = nil
	}
	if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = l.end(late)
	}
	close(l.publisher.queue)
	if err != nil {
		cancel() // nothing more is to leave
	}
	if sent := sending.Wait(); err == nil {
		err = sent
	}
	return err
}

// stopWithin is how long a stop may take.
const stopWithin = 7 * time.Second

var errFollowed = errors.New("followed to the end")

// stopped is no error when it is only that ctx has ended.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// begin makes the run, in its saved state where there is one, and finds out from where to read. The
// snapshot says that, not the group: what it has committed may be ahead of the state.
func (l *lane) begin(ctx context.Context, fresh func() (*run, error)) (from []int64, last vw.Millis, err error) {
	if l.parts, err = l.client.Partitions(ctx, l.c.Layout().Inputs()); err != nil {
		return nil, 0, err
	}
	r, s, err := l.vault.load(fresh, l.o.Logger)
	if err != nil {
		if l.c.State.Unusable != rebuild {
			return nil, 0, &vw.Error{Op: "app.Run", Code: vw.Conflict, Hint: "run the build, policy and campaign that saved it; or set state.unusable: rebuild to read the topics from their beginning", Err: fmt.Errorf("the state in %s is of no use: %w", l.vault.dir, err)}
		}
		s = nil
	}
	if s == nil {
		if r, err = fresh(); err != nil {
			return nil, 0, err
		}
	}
	l.run = r
	close := func(err error) ([]int64, vw.Millis, error) {
		r.engine.Close()
		return nil, 0, err
	}
	if s != nil {
		if l.parts, err = rejoin(s.Partitions, l.parts); err != nil {
			return close(err)
		}
		last = s.Last
	}
	l.names = nil
	for _, p := range l.parts {
		l.names = append(l.names, p.String())
	}
	committed, err := l.client.Committed(ctx, l.c.Kafka.Group, l.parts)
	if err != nil {
		return close(err)
	}
	from = make([]int64, len(l.parts))
	var gone []error
	for i, p := range l.parts {
		first, end, err := l.client.Bounds(ctx, p)
		if err != nil {
			return close(err)
		}
		switch {
		case s != nil && i < len(s.Next):
			from[i] = s.Next[i]
		default:
			if from[i] = first; first > 0 && committed[i] > 0 && !p.Compact {
				gone = append(gone, fmt.Errorf("%v: the group has read to %d, but the state is lost and the log begins at %d", p, committed[i], first))
			}
		}
		if from[i] < first {
			if !p.Compact {
				gone = append(gone, fmt.Errorf("%v: the records from %d to %d are gone: the log begins at %d", p, from[i], first-1, first))
			}
			from[i] = first
		}
		if from[i] > end {
			return close(&vw.Error{Op: "app.Run", Code: vw.Conflict, Hint: "the topic was made anew or lost its end; restore it, or move the state's directory away to begin with what is there",
				Err: fmt.Errorf("%v: the log ends at %d, it was read to %d", p, end, from[i])})
		}
	}
	if err := errors.Join(gone...); err != nil {
		if l.c.State.Gap != accept {
			return close(&vw.Error{Op: "app.Run", Code: vw.Conflict, Hint: "restore a newer copy of " + l.vault.dir + "; or set state.gap: accept, which leaves these records out of all judgements, and raise topics.retention", Err: err})
		}
		l.o.Logger.Warn("records are gone, and that is accepted", slog.Any("err", err))
	}
	return from, last, nil
}

// rejoin puts the partitions into the order of the snapshot, new ones behind.
func rejoin(names []string, there []kafka.Partition) ([]kafka.Partition, error) {
	var list []kafka.Partition
	for _, name := range names {
		i := slices.IndexFunc(there, func(p kafka.Partition) bool { return p.String() == name })
		if i < 0 {
			return nil, &vw.Error{Op: "app.Run", Code: vw.Conflict, Hint: "restore the topic, or move the state's directory away to begin with what is there", Err: fmt.Errorf("the partition %s is gone", name)}
		}
		list = append(list, there[i])
	}
	for _, p := range there {
		if !slices.Contains(names, p.String()) {
			list = append(list, p)
		}
	}
	return list, nil
}

// follow repeats what came after the snapshot, then goes on until ctx ends or, where that was asked for,
// the topics do.
func (l *lane) follow(ctx, late context.Context) error {
	l.status.Store(&repeating)
	var cut stream.Cut
	repeated := 0
	err := l.vault.again(len(l.parts), func(order, follow []stream.Step) error {
		if err := l.merger.Again(ctx, order, follow, &cut); err != nil {
			return err
		}
		repeated += len(cut.Batch.Events)
		return l.judge(late, &cut, nil)
	})
	if err != nil {
		return err
	}
	if err := l.results.allCases(late, l.run.store); err != nil {
		return err
	}
	if err := l.publisher.add(late, delivery{messages: l.results.take()}); err != nil {
		return err
	}
	if err := l.save(late); err != nil {
		return err
	}
	l.o.Logger.Info("going on from the saved state", slog.Int("events", repeated), slog.Int64("redemptions", l.run.engine.Stats().Scored))
	l.status.Store(&catchingUp)
	target := make([]int64, len(l.parts))
	for i, p := range l.parts {
		if _, target[i], err = l.client.Bounds(ctx, p); err != nil {
			return err
		}
	}
	for {
		if err := l.merger.Next(ctx, l.c.Order.Batch, time.Second, &cut); err != nil {
			return err
		}
		if len(cut.Order) > 0 {
			if err := l.vault.journal.add(&cut); err != nil {
				return writeError("order", err)
			}
			if err := l.judge(late, &cut, l.vault.journal.file); err != nil {
				return err
			}
		}
		if l.unsaved > 0 && (l.unsaved >= l.c.State.Records || l.o.Now().Sub(l.saved) >= l.c.State.Every) {
			if err := l.save(late); err != nil {
				return err
			}
		}
		l.own.observe(l)
		if l.status.Load() == &catchingUp && reached(l.merger.Offsets(), target) && l.merger.Live() {
			l.o.Logger.Info("caught up", slog.Int64("redemptions", l.run.engine.Stats().Scored))
			l.status.Store(&readyNow)
		}
		if l.o.UntilEnd && l.status.Load() == &readyNow && l.merger.Live() {
			return nil
		}
	}
}

func reached(next, target []int64) bool {
	for i := range next {
		if next[i] < target[i] {
			return false
		}
	}
	return true
}

// judge takes a cut to the end and hands over what it came to.
func (l *lane) judge(ctx context.Context, cut *stream.Cut, journal *os.File) error {
	if err := l.run.batch(ctx, &cut.Batch, cut.Ahead); err != nil {
		return err
	}
	l.unsaved += len(cut.Batch.Events) + len(cut.Batch.Dead)
	l.metrics.observe(l.run)
	return l.publisher.add(ctx, delivery{messages: l.results.take(), order: journal})
}

// save makes the state durable, and then tells the group. Everything before it is acknowledged first.
func (l *lane) save(ctx context.Context) error {
	started := l.o.Now()
	if !l.o.hasty {
		if err := l.publisher.drain(ctx); err != nil {
			return err
		}
	}
	next := l.merger.Offsets()
	if err := l.vault.save(l.run, l.names, l.merger); err != nil {
		return &vw.Error{Op: "app.Run", Code: vw.Unavailable, Hint: "make room on the disk of state.directory", Err: fmt.Errorf("save the state: %w", err)}
	}
	l.saved, l.unsaved = l.o.Now(), 0
	l.own.savedAt(l.saved, l.saved.Sub(started), l.vault.bytes)
	if err := l.group.Commit(l.parts, next); err != nil {
		l.o.Logger.Warn("offsets not committed: the state has them", slog.Any("err", err))
	}
	there, err := l.client.Partitions(ctx, l.c.Layout().Inputs())
	if err == nil && len(there) != len(l.parts) {
		return &vw.Error{Op: "app.Run", Code: vw.Conflict, Hint: "start it again, it will read the new ones too", Err: fmt.Errorf("the topics have %d partitions now, %d are read", len(there), len(l.parts))}
	}
	return nil
}

// end saves what is done. Where the input has ended the baselines are closed after that.
func (l *lane) end(ctx context.Context) error {
	if l.vault.journal == nil {
		return nil // not even begun
	}
	if l.unsaved > 0 || l.o.UntilEnd {
		if err := l.save(ctx); err != nil {
			return err
		}
	}
	if !l.o.UntilEnd || l.status.Load() != &readyNow {
		return nil
	}
	l.run.engine.Finish(&l.run.outcome)
	if err := l.run.deliver(ctx); err != nil {
		return err
	}
	if err := l.publisher.add(ctx, delivery{messages: l.results.take()}); err != nil {
		return err
	}
	return l.publisher.drain(ctx)
}

// runMetrics are those of the stream as a whole.
type runMetrics struct {
	now                               func() time.Time
	delay, age, size, took, sinceFind prometheus.Gauge
	saved                             time.Time
	findings                          int
	found                             time.Time
}

func newRunMetrics(reg prometheus.Registerer, now func() time.Time) *runMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	return &runMetrics{
		now:       now,
		delay:     gauge("vw_run_watermark_delay_seconds", "How far event time is behind the wall clock."),
		age:       gauge("vw_run_snapshot_age_seconds", "Time since the state was saved."),
		size:      gauge("vw_run_snapshot_bytes", "Size of the saved state."),
		took:      gauge("vw_run_snapshot_duration_seconds", "Time that the last save took, in which nothing was scored."),
		sinceFind: gauge("vw_run_last_finding_age_seconds", "Time since a finding was new."),
	}
}

func (m *runMetrics) savedAt(at time.Time, took time.Duration, size int64) {
	m.saved = at
	m.took.Set(took.Seconds())
	m.size.Set(float64(size))
}

func (m *runMetrics) observe(l *lane) {
	now := m.now()
	if n := len(l.run.findings); n > m.findings {
		m.findings, m.found = n, now
	}
	m.age.Set(now.Sub(m.saved).Seconds())
	m.delay.Set(now.Sub(time.UnixMilli(int64(l.run.engine.Stats().Clock))).Seconds())
	m.sinceFind.Set(now.Sub(cmp.Or(m.found, m.saved)).Seconds())
}
