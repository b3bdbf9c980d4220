package app

import (
	"bufio"
	"bytes"
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
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"voucherwatch/cases"
	"voucherwatch/stream"
	"voucherwatch/stream/ingest"

	vw "voucherwatch"
)

// ServeOptions are those of Serve.
type ServeOptions struct {
	Campaign string
	Policy   string
	Listen   string // host:port
	Dir      string // of the log, the cases and the results
	// Cases is where cases are kept: a file, or the URL of Elasticsearch; empty: cases.db in Dir.
	Cases  string
	Tokens []string
	Slots  int
	Logger *slog.Logger
	Now    func() time.Time
	// Listening, if set, is told the address when the server answers.
	Listening func(net.Addr)

	// Where a test holds up the consumer, and has the state saved more often.
	consuming  func()
	saveEvery  int64
	maxBacklog int64
}

// Serve takes events over HTTP, scores them and opens cases, on one machine. Events are durable in a
// log before they are acknowledged. The state is saved now and then, and when the server stops; a start
// goes on from there, or reads the whole log again, which rebuilds the state and the same scores, findings
// and cases. It ends when ctx does.
func Serve(ctx context.Context, o ServeOptions) error {
	c, p, err := plan(o.Campaign, o.Policy)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return &vw.Error{Op: "app.Serve", Code: vw.Unavailable, Hint: "choose a directory that you may write to with --dir", Err: err}
	}
	reg := prometheus.NewRegistry()
	events, err := ingest.OpenLog(ingest.Options{Dir: filepath.Join(o.Dir, "log"), RetainBytes: 1 << 62, MaxBacklog: o.maxBacklog, Metrics: reg, Logger: o.Logger})
	if err != nil {
		return err
	}
	defer func() { _ = events.Close() }()
	handler, err := ingest.NewHandler(ingest.HandlerOptions{Log: events, Tokens: o.Tokens, Metrics: reg, Logger: o.Logger})
	if err != nil {
		return err
	}
	store, err := OpenArchive(ctx, cmp.Or(o.Cases, filepath.Join(o.Dir, "cases.db")), forever)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	office, err := newOffice(store, filepath.Join(o.Dir, "evidence"), o.Now, map[string]cases.Port{cases.VerdictMessage: verdicts{events}})
	if err != nil {
		return err
	}
	r, at, err := resumed(o.Dir, events.End(), func() (*run, error) {
		r, err := newRun(c, p, max(1, o.Slots), store, o.Now)
		if err == nil {
			err = r.recall(ctx)
		}
		return r, err
	}, o.Logger)
	if err != nil {
		return err
	}
	r.alerts = store
	defer r.engine.Close()
	s := &server{run: r, log: events, logger: o.Logger, metrics: newMetrics(reg), dir: o.Dir, consuming: o.consuming, saveEvery: cmp.Or(o.saveEvery, saveEvery)}
	if err := s.open(at); err != nil {
		return err
	}
	defer s.close()

	mux := http.NewServeMux()
	mux.Handle("/v1/events", handler)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			http.Error(w, "reading the log again; not caught up yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return &vw.Error{Op: "app.Serve", Code: vw.Unavailable, Hint: "choose another address with --listen", Err: err}
	}
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	if o.Listening != nil {
		o.Listening(listener.Addr())
	}
	o.Logger.Info("listening", slog.String("address", listener.Addr().String()))

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
		defer cancel()
		if err := web.Shutdown(stop); err != nil {
			o.Logger.Warn("connections cut off", slog.Any("err", err))
			return web.Close()
		}
		return nil
	})
	group.Go(func() error {
		err := s.consume(ctx, at)
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	group.Go(func() error { return rounds(ctx, office, o.Logger) })
	return group.Wait()
}

// server is the consumer of the log.
type server struct {
	run     *run
	log     *ingest.Log
	logger  *slog.Logger
	metrics *metrics
	dir     string
	ready   atomic.Bool
	// consuming, if set, is called before each batch.
	consuming func()
	saveEvery int64
	files     [2]*os.File
	scores    *bufio.Writer
	dead      *bufio.Writer
}

// open takes up the result files where the saved state left them: reading on from there writes what
// followed again. Without one they begin anew.
func (s *server) open(at *resume) error {
	var sizes [2]int64
	if at != nil {
		sizes = [2]int64{at.Scores, at.Dead}
	}
	for i, name := range []string{"scores.ndjson", "dead_letters.ndjson"} {
		f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			s.files[i] = f
			if err = f.Truncate(sizes[i]); err == nil {
				_, err = f.Seek(sizes[i], io.SeekStart)
			}
		}
		if err != nil {
			return &vw.Error{Op: "app.Serve", Code: vw.Unavailable, Hint: "choose a directory that you may write to with --dir", Err: err}
		}
	}
	s.scores, s.dead = bufio.NewWriterSize(s.files[0], 1<<16), bufio.NewWriterSize(s.files[1], 1<<16)
	s.run.scores, s.run.dead = s.scores, stream.NewDeadLetterWriter(s.dead)
	return nil
}

func (s *server) close() {
	_ = s.scores.Flush()
	_ = s.dead.Flush()
	for _, f := range s.files {
		_ = f.Close()
	}
}

// commitEvery is how much of the log is consumed between two commits, which only free back-pressure.
const commitEvery = 4 << 20

// consume reads the log from its beginning, or from where the state was saved, and follows it until ctx
// ends.
func (s *server) consume(ctx context.Context, at *resume) (err error) {
	// What is committed is read again without holding up new events; what was acknowledged before the
	// stop and not yet consumed comes in its place.
	var batch vw.Batch
	chunk := stream.Chunk{Source: "ingest", First: 1}
	var from, next ingest.Position
	if at != nil {
		from = at.next
		chunk.First, next = at.Line, from
		s.metrics.observe(s.run)
		s.logger.Info("going on from the saved state", slog.String("position", at.Next), slog.Int64("redemptions", s.run.engine.Stats().Scored))
	}
	var unsaved, uncommitted int64
	defer func() {
		if ctx.Err() != nil && unsaved > 0 {
			if saved := s.save(next, chunk.First); saved != nil {
				s.logger.Warn("the state was not saved: the next start reads more of the log", slog.Any("err", saved))
			}
		}
	}()
	// Ready is when all is read that was there at the start; under steady load the end is never met.
	first, target := firstPosition(), s.log.End()
	if at != nil {
		first = from
	}
	if target.Compare(first) <= 0 {
		s.caughtUp()
	}
	for rec, err := range s.log.Read(ctx, from) {
		if err != nil {
			return err
		}
		if chunk.First == 1 && rec.At.Compare(first) > 0 {
			return &vw.Error{Op: "app.Serve", Code: vw.Internal, Hint: "restore the oldest files of the log from a copy; or move the whole directory away and post the events again",
				Err: fmt.Errorf("the log begins with batch %d: the state cannot be rebuilt without those before", rec.Seq)}
		}
		if s.consuming != nil {
			s.consuming()
		}
		chunk.Data = append(chunk.Data[:0], rec.Data...)
		lines := int64(bytes.Count(rec.Data, []byte{'\n'}))
		stream.DecodeChunk(s.run.decoder, &chunk, &batch)
		if err := s.run.batch(ctx, &batch, nil); err != nil {
			unsaved = 0 // the engine has the batch, the results have not
			return err
		}
		chunk.First += lines
		next = rec.Next
		atEnd := rec.Next.Compare(s.log.End()) == 0
		if uncommitted += int64(len(rec.Data)); atEnd || uncommitted > commitEvery {
			if err := errors.Join(s.scores.Flush(), s.dead.Flush()); err != nil {
				return writeError("results", err)
			}
			if rec.Next.Compare(s.log.Committed()) > 0 {
				if err := s.log.Commit(rec.Next); err != nil {
					return err
				}
			}
			uncommitted = 0
		}
		if unsaved += int64(len(rec.Data)); unsaved > s.saveEvery {
			if err := s.save(next, chunk.First); err != nil {
				return writeError("state", err)
			}
			unsaved = 0
		}
		s.metrics.observe(s.run)
		if rec.Next.Compare(target) >= 0 {
			s.caughtUp()
		}
	}
	return nil
}

func (s *server) caughtUp() {
	if s.ready.CompareAndSwap(false, true) {
		s.logger.Info("caught up", slog.Int64("redemptions", s.run.engine.Stats().Scored))
	}
}

// firstPosition lies at the first batch that a log ever had.
func firstPosition() (p ingest.Position) {
	_ = p.UnmarshalText([]byte("0-0-1")) // the spelling is right, which is all that can fail
	return p
}

// recall counts the cases that the store has from before a restart: reading the log again does not
// change them.
func (r *run) recall(ctx context.Context) error {
	f := cases.Filter{Limit: 1000}
	for {
		page, err := r.store.List(ctx, f)
		if err != nil {
			return err
		}
		for i := range page.Cases {
			r.caseIDs[page.Cases[i].CaseID] = true
		}
		if page.Next == "" {
			return nil
		}
		f.Cursor = page.Next
	}
}

// metrics are the engine's counts for Prometheus.
type metrics struct {
	events                                  *prometheus.GaugeVec
	redemptions, duplicates, late, future   prometheus.Gauge
	bands                                   *prometheus.GaugeVec
	findings, cases, clock, subsidy, atRisk prometheus.Gauge
	deadLetters                             *prometheus.GaugeVec
	stateKeys, stateBytes                   *prometheus.GaugeVec
	batches                                 int
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	vec := func(name, help, label string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{label})
		reg.MustRegister(g)
		return g
	}
	return &metrics{
		events:      vec("vw_engine_events", "Distinct events since the log began, by type.", "type"),
		redemptions: gauge("vw_engine_redemptions", "Redemptions scored since the log began."),
		duplicates:  gauge("vw_engine_duplicates", "Redelivered events that changed nothing."),
		late:        gauge("vw_engine_late_redemptions", "Redemptions later than the allowed lateness."),
		future:      gauge("vw_engine_future_events", "Events dated into the future, clamped."),
		bands:       vec("vw_engine_scores", "Scores by band.", "band"),
		findings:    gauge("vw_engine_findings", "Findings at their last revision."),
		cases:       gauge("vw_cases_opened", "Cases opened."),
		clock:       gauge("vw_engine_clock_seconds", "Event time, Unix seconds."),
		subsidy:     gauge("vw_engine_subsidy_fen", "Subsidy of all redemptions, fen."),
		atRisk:      gauge("vw_engine_subsidy_at_risk_fen", "Subsidy of redemptions in review or above, fen."),
		deadLetters: vec("vw_stream_dead_letters", "Records that could not be read, by reason.", "code"),
		stateKeys:   vec("vw_engine_state_keys", "Live keys of detector state.", "detector"),
		stateBytes:  vec("vw_engine_state_bytes", "Memory of detector state, bytes.", "detector"),
	}
}

func (m *metrics) observe(r *run) {
	s := r.engine.Stats()
	for t := vw.MerchantEvent; t < vw.EventTypes; t++ {
		m.events.WithLabelValues(t.String()).Set(float64(s.Events[t]))
	}
	m.redemptions.Set(float64(s.Scored))
	m.duplicates.Set(float64(s.Duplicates))
	m.late.Set(float64(s.Late))
	m.future.Set(float64(s.Future))
	for i, b := range []vw.Band{vw.Low, vw.Review, vw.High} {
		m.bands.WithLabelValues(string(b)).Set(float64(s.Bands[i]))
	}
	m.findings.Set(float64(len(r.findings)))
	m.cases.Set(float64(len(r.caseIDs)))
	m.clock.Set(float64(s.Clock) / 1000)
	m.subsidy.Set(float64(s.Subsidy))
	m.atRisk.Set(float64(s.AtRisk))
	for code, n := range r.deadBy {
		m.deadLetters.WithLabelValues(code).Set(float64(n))
	}
	if m.batches++; m.batches%64 == 1 {
		for name, z := range r.engine.Size() {
			m.stateKeys.WithLabelValues(name).Set(float64(z[0]))
			m.stateBytes.WithLabelValues(name).Set(float64(z[1]))
		}
	}
}
