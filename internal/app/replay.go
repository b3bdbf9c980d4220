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

	"voucherwatch/campaign"
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
	WallSeconds   float64                    `json:"wall_seconds"`
	PerSecond     float64                    `json:"redemptions_per_second"`
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
	c, err := campaign.Load(o.Campaign)
	if err != nil {
		return Summary{}, err
	}
	p, err := rules.Load(o.Policy)
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
	out, err := newResultFiles(o.Out)
	if err != nil {
		return Summary{}, err
	}
	defer out.abandon()
	r, err := newRun(c, p, o.Slots, cases.NewMemory(), o.Now)
	if err != nil {
		return Summary{}, err
	}
	defer r.engine.Close()
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
	scores   io.Writer // may be nil
	dead     *stream.DeadLetterWriter
	findings map[string]vw.Finding
	caseIDs  map[string]bool
	deadBy   map[string]int64
	progress func(Progress)
	outcome  detectors.Outcome
	slots    int
	// scored, if set, sees the batch's scores.
	scored func(b *vw.Batch, out *detectors.Outcome) error
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
	return r.dead.Write(dead)
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

// resultFiles are the outputs of a replay. They get their names when they are complete: a replay that
// fails leaves the last results as they were.
type resultFiles struct {
	dir          string
	scores, dead *bufio.Writer
	open         []*os.File
}

func newResultFiles(dir string) (*resultFiles, error) {
	const op = "app.Replay"
	if dir == "" {
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Hint: "name a directory with --out", Err: errors.New("no output directory")}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "choose a directory that you may write to", Err: err}
	}
	f := &resultFiles{dir: dir}
	for _, w := range []struct {
		name string
		into **bufio.Writer
	}{{"scores.ndjson", &f.scores}, {"dead_letters.ndjson", &f.dead}} {
		file, err := os.Create(filepath.Join(dir, w.name+".part"))
		if err != nil {
			f.abandon()
			return nil, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "choose a directory that you may write to", Err: err}
		}
		f.open = append(f.open, file)
		*w.into = bufio.NewWriterSize(file, 1<<20)
	}
	return f, nil
}

func writeError(what string, err error) error {
	return &vw.Error{Op: "app.Replay", Code: vw.Unavailable, Hint: "make room on the disk and replay again; the inputs are untouched", Err: fmt.Errorf("write %s: %w", what, err)}
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
	file, err := os.Create(filepath.Join(f.dir, name+".part"))
	if err != nil {
		return writeError(name, err)
	}
	f.open = append(f.open, file)
	w := bufio.NewWriterSize(file, 1<<20)
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
	for _, w := range []*bufio.Writer{f.scores, f.dead} {
		if err := w.Flush(); err != nil {
			return writeError("results", err)
		}
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return writeError("summary", err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "summary.json.part"), append(text, '\n'), 0o644); err != nil {
		return writeError("summary", err)
	}
	names := []string{"summary.json"}
	for _, file := range f.open {
		if err := file.Close(); err != nil {
			return writeError("results", err)
		}
		names = append(names, filepath.Base(file.Name()[:len(file.Name())-len(".part")]))
	}
	f.open = nil
	for _, name := range names {
		if err := os.Rename(filepath.Join(f.dir, name+".part"), filepath.Join(f.dir, name)); err != nil {
			return writeError(name, err)
		}
	}
	return nil
}

// abandon drops what is not complete.
func (f *resultFiles) abandon() {
	for _, file := range f.open {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}
	f.open = nil
}
