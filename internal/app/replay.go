package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"voucherwatch/cases"
	"voucherwatch/detectors"
	"voucherwatch/rules"
	"voucherwatch/stream"

	vw "voucherwatch"
)

// ReplayOptions say what to replay.
type ReplayOptions struct {
	Campaign string   // built-in name or file
	Policy   string   // "" is the default
	Events   []string // files; "-" is Stdin
	Stdin    io.Reader
	Out      string // directory, made if it is not there
	Slots    int    // 0: one per processor
	Now      func() time.Time
	// Progress, if set, is called after each batch.
	Progress func(Progress)
}

// Progress is how far a replay has come.
type Progress struct {
	Events      int64
	Redemptions int64
	Findings    int
	Cases       int
	Clock       time.Time // event time
}

// Summary is summary.json.
type Summary struct {
	Campaign      string                     `json:"campaign"`
	PolicyVersion string                     `json:"policy_version"`
	Events        map[string]int64           `json:"events"` // distinct, by type
	Redemptions   int64                      `json:"redemptions"`
	Duplicates    int64                      `json:"duplicates"`
	Late          int64                      `json:"late"`
	Future        int64                      `json:"future_dated"`
	DeadLetters   map[string]int64           `json:"dead_letters"` // by code
	Bands         map[vw.Band]int64          `json:"bands"`
	Findings      int                        `json:"findings"`
	Cases         int                        `json:"cases"`
	Typologies    map[string]TypologySummary `json:"typologies"`
	SubsidyFen    vw.Fen                     `json:"subsidy_fen"`         // of all redemptions
	AtRiskFen     vw.Fen                     `json:"subsidy_at_risk_fen"` // of redemptions in review or above
	StakeFen      vw.Fen                     `json:"findings_subsidy_fen"`
	Faults        []string                   `json:"faults,omitempty"` // inputs that broke off
	State         map[string]StateSize       `json:"state"`            // at the end, by detector
	WallSeconds   float64                    `json:"wall_seconds"`
	PerSecond     float64                    `json:"redemptions_per_second"`
}

// StateSize is how much a detector remembers.
type StateSize struct {
	Keys  int `json:"keys"`
	Bytes int `json:"bytes"`
}

// TypologySummary counts the findings of one typology.
type TypologySummary struct {
	Findings    int    `json:"findings"`
	Review      int    `json:"review_or_above"`
	Redemptions int    `json:"redemptions"`
	SubsidyFen  vw.Fen `json:"subsidy_fen"`
}

// Replay reads event files, processes them as the stream would and writes scores, findings, cases,
// dead letters and the summary into a directory. The error is vw.Invalid for wrong options or files;
// input that broke off is an error too, after everything that could be read was written.
func Replay(ctx context.Context, o ReplayOptions) (Summary, error) {
	started := o.Now()
	c, p, err := plan(o.Campaign, o.Policy)
	if err != nil {
		return Summary{}, err
	}
	files, err := stream.NewFiles(stream.FilesOptions{Paths: o.Events, Stdin: o.Stdin})
	if err != nil {
		return Summary{}, err
	}
	defer func() { _ = files.Close() }()
	if o.Slots == 0 {
		o.Slots = runtime.GOMAXPROCS(0)
	}
	r, err := newRun(c, p, o.Slots, cases.NewMemory(), o.Now)
	if err != nil {
		return Summary{}, err
	}
	defer r.engine.Close()
	out, err := newResultFiles(o.Out)
	if err != nil {
		return Summary{}, err
	}
	defer out.abandon()
	r.scores = out.scores
	r.dead = stream.NewDeadLetterWriter(out.dead)
	r.progress = o.Progress
	if err := r.consume(ctx, files); err != nil {
		return Summary{}, err
	}
	if err := out.results(ctx, r); err != nil {
		return Summary{}, err
	}
	s := r.summary()
	for _, f := range files.Faults() {
		s.Faults = append(s.Faults, f.Error())
	}
	s.WallSeconds = o.Now().Sub(started).Seconds()
	s.PerSecond = float64(s.Redemptions) / max(s.WallSeconds, 1e-9)
	if err := out.close(s); err != nil {
		return s, err
	}
	if err := errors.Join(files.Faults()...); err != nil {
		return s, &vw.Error{Op: "app.Replay", Code: vw.Invalid, Hint: "everything before the fault was processed; get the file again and replay it, nothing will count twice", Err: err}
	}
	return s, nil
}

// run is one pass of events through decoder, engine and desk.
type run struct {
	campaign *vw.Campaign
	policy   *rules.Policy
	decoder  *stream.Decoder
	engine   *detectors.Engine
	desk     *cases.Desk
	store    cases.Store
	alerts   cases.AlertStore // may be nil: a replay has no queue
	scores   io.Writer        // may be nil
	dead     *stream.DeadLetterWriter
	findings map[string]vw.Finding
	caseIDs  map[string]bool
	deadBy   map[string]int64
	progress func(Progress)
	outcome  detectors.Outcome
	slots    int
	// scored, if set, sees the batch's scores.
	scored func(b *vw.Batch, out *detectors.Outcome) error
	// told, if set, sees the findings that were given out and the cases that changed.
	told func(findings []vw.Finding, changed []vw.Case) error
}

func newRun(c *vw.Campaign, p *rules.Policy, slots int, store cases.Store, now func() time.Time) (*run, error) {
	d, err := newDecoder(c, now)
	if err != nil {
		return nil, err
	}
	desk, err := NewDesk(c, p, store)
	if err != nil {
		return nil, err
	}
	e, err := NewEngine(c, p, slots)
	if err != nil {
		return nil, err
	}
	return &run{
		campaign: c, policy: p, decoder: d, engine: e, desk: desk, store: store, slots: slots,
		findings: map[string]vw.Finding{}, caseIDs: map[string]bool{}, deadBy: map[string]int64{},
	}, nil
}

// consume runs a source to its end and closes the baselines.
func (r *run) consume(ctx context.Context, source stream.Source) error {
	pipe := stream.NewPipeline(source, r.decoder, max(1, r.slots-1), 4)
	// A batch is processed when the next one is decoded, so that the clock can look ahead.
	var held *vw.Batch
	for b, err := range pipe.Batches(ctx) {
		if err != nil {
			return err
		}
		if held != nil {
			if err := r.batch(ctx, held, b.Events); err != nil {
				return err
			}
			pipe.Release(held)
		}
		held = b
	}
	if held != nil {
		if err := r.batch(ctx, held, []vw.Event{}); err != nil {
			return err
		}
	}
	r.engine.Finish(&r.outcome)
	return r.deliver(ctx)
}

// batch takes one batch to the end, ahead being what follows it: scores and dead letters are written, findings are in cases.
func (r *run) batch(ctx context.Context, b *vw.Batch, ahead []vw.Event) error {
	r.engine.Process(b, ahead, &r.outcome)
	if len(b.Dead) > 0 {
		if err := r.letters(b.Dead); err != nil {
			return err
		}
	}
	if r.scores != nil {
		for _, piece := range r.outcome.Scores {
			if _, err := r.scores.Write(piece); err != nil {
				return writeError("scores", err)
			}
		}
	}
	if r.scored != nil {
		if err := r.scored(b, &r.outcome); err != nil {
			return err
		}
	}
	return r.deliver(ctx)
}

func (r *run) letters(dead []vw.DeadLetter) error {
	for i := range dead {
		r.deadBy[dead[i].Code]++
	}
	if r.dead == nil {
		return nil
	}
	if err := r.dead.Write(dead); err != nil {
		return writeError("dead letters", err)
	}
	return nil
}

// deliver takes what the engine found to the desk.
func (r *run) deliver(ctx context.Context) error {
	if len(r.outcome.Dead) > 0 {
		if err := r.letters(r.outcome.Dead); err != nil {
			return err
		}
	}
	if len(r.outcome.Findings) > 0 {
		for _, f := range r.outcome.Findings {
			r.findings[f.FindingID] = f
		}
		changed, err := r.desk.Apply(ctx, r.outcome.Findings, r.eventTime())
		if err != nil {
			return err
		}
		for i := range changed {
			r.caseIDs[changed[i].CaseID] = true
		}
		if r.alerts != nil {
			if err := cases.RaiseAll(ctx, r.alerts, r.campaign.ID, r.outcome.Findings, changed); err != nil {
				return err
			}
		}
		if r.told != nil {
			if err := r.told(r.outcome.Findings, changed); err != nil {
				return err
			}
		}
	}
	if r.progress != nil {
		s := r.engine.Stats()
		r.progress(Progress{Events: s.Scored + s.Applied + s.Duplicates + s.Conflicts, Redemptions: s.Scored, Findings: len(r.findings), Cases: len(r.caseIDs), Clock: s.Clock.Time(r.campaign.Zone)})
	}
	return nil
}

func (r *run) eventTime() string {
	return r.engine.Stats().Clock.Time(r.campaign.Zone).Format("2006-01-02T15:04:05.000Z07:00")
}

// sortedFindings are all findings at their last revision, by id.
func (r *run) sortedFindings() []vw.Finding {
	list := make([]vw.Finding, 0, len(r.findings))
	for _, id := range slices.Sorted(maps.Keys(r.findings)) {
		list = append(list, r.findings[id])
	}
	return list
}

func (r *run) summary() Summary {
	st := r.engine.Stats()
	s := Summary{
		Campaign: r.campaign.ID, PolicyVersion: r.policy.Version, Events: map[string]int64{}, Redemptions: st.Scored, Duplicates: st.Duplicates,
		Late: st.Late, Future: st.Future, DeadLetters: r.deadBy, Findings: len(r.findings), Cases: len(r.caseIDs),
		Bands:      map[vw.Band]int64{vw.Low: st.Bands[0], vw.Review: st.Bands[1], vw.High: st.Bands[2]},
		Typologies: map[string]TypologySummary{}, SubsidyFen: st.Subsidy, AtRiskFen: st.AtRisk,
	}
	s.State = map[string]StateSize{}
	for name, size := range r.engine.Size() {
		s.State[name] = StateSize{size[0], size[1]}
	}
	for t := vw.MerchantEvent; t < vw.EventTypes; t++ {
		s.Events[t.String()] = st.Events[t]
	}
	for _, f := range r.findings {
		t := s.Typologies[f.Typology]
		t.Findings++
		if f.Score >= r.policy.Score.Review {
			t.Review++
		}
		t.Redemptions += len(f.RedemptionIDs)
		t.SubsidyFen += f.SubsidyFen
		s.Typologies[f.Typology] = t
		s.StakeFen += f.SubsidyFen
	}
	return s
}

// resultFiles are the outputs of a replay. They get their names when all of them are complete: a replay
// that fails leaves the last results as they were. summary.json goes first and comes last, so where it
// is, the files beside it belong together.
type resultFiles struct {
	dir          string
	scores, dead *bufio.Writer
	parts        []*part
}

func newResultFiles(dir string) (*resultFiles, error) {
	const op, hint = "app.Replay", "choose a directory that you may write to with --out"
	if dir == "" {
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Hint: hint, Err: errors.New("no output directory")}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Unavailable, Hint: hint, Err: err}
	}
	f := &resultFiles{dir: dir}
	for _, w := range []struct {
		name string
		into **bufio.Writer
	}{{"scores.ndjson", &f.scores}, {"dead_letters.ndjson", &f.dead}} {
		var err error
		if *w.into, err = f.begin(w.name); err != nil {
			f.abandon()
			return nil, &vw.Error{Op: op, Code: vw.Unavailable, Hint: hint, Err: err}
		}
	}
	return f, nil
}

func (f *resultFiles) begin(name string) (*bufio.Writer, error) {
	p, err := newPart(filepath.Join(f.dir, name))
	if err != nil {
		return nil, err
	}
	f.parts = append(f.parts, p)
	return bufio.NewWriterSize(p.file, 1<<20), nil
}

func writeError(what string, err error) error {
	if e, ok := errors.AsType[*vw.Error](err); ok {
		err = e.Err // one hint is enough
	}
	return &vw.Error{Op: "app.Replay", Code: vw.Unavailable, Hint: "make room on the disk, then run it again: the inputs and the last results are as they were", Err: fmt.Errorf("write %s: %w", what, err)}
}

// results writes findings and cases.
func (f *resultFiles) results(ctx context.Context, r *run) error {
	if err := f.lines("findings.ndjson", func(enc func(any) error) error {
		for _, x := range r.sortedFindings() {
			if err := enc(x); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return f.lines("cases.ndjson", func(enc func(any) error) error {
		for _, id := range slices.Sorted(maps.Keys(r.caseIDs)) {
			c, err := r.store.Case(ctx, id)
			if err != nil {
				return err
			}
			if err := enc(c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *resultFiles) lines(name string, write func(enc func(any) error) error) error {
	w, err := f.begin(name)
	if err != nil {
		return writeError(name, err)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := write(enc.Encode); err != nil {
		return writeError(name, err)
	}
	if err := w.Flush(); err != nil {
		return writeError(name, err)
	}
	return nil
}

// close completes the files and gives them their names.
func (f *resultFiles) close(s Summary) error {
	const summary = "summary.json"
	if err := errors.Join(f.scores.Flush(), f.dead.Flush()); err != nil {
		return writeError("scores and dead letters", err)
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return writeError(summary, err)
	}
	w, err := f.begin(summary)
	if err != nil {
		return writeError(summary, err)
	}
	_, _ = w.Write(append(text, '\n')) // the writer keeps its first error for Flush
	if err := w.Flush(); err != nil {
		return writeError(summary, err)
	}
	for _, p := range f.parts {
		if err := p.complete(); err != nil {
			return writeError("results", err)
		}
	}
	if err := os.Remove(filepath.Join(f.dir, summary)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return writeError(summary, err)
	}
	for _, p := range f.parts {
		if err := p.publish(); err != nil {
			return &vw.Error{Op: "app.Replay", Code: vw.Conflict, Hint: "give each replay an --out of its own, then run it again", Err: err}
		}
	}
	return nil
}

// abandon drops what is not complete.
func (f *resultFiles) abandon() {
	for _, p := range f.parts {
		p.abandon()
	}
}
