package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"voucherwatch/campaign"
	"voucherwatch/evaluate"
	"voucherwatch/rules"
	"voucherwatch/simulate"
	"voucherwatch/stream"

	vw "voucherwatch"
)

// WorldFiles are the files of a world that was replayed.
type WorldFiles struct {
	Name    string // for people; "" is the name of the results' folder
	Events  string
	Labels  string // "": nothing in it is fraud, and nothing else is known
	Results string // folder of a replay
}

// WorldsIn are the worlds of a folder: NAME.ndjson and NAME.labels.json, each plain or .gz, and the folder
// NAME of the results. Without labels a world is taken for one without fraud when placebo is set.
func WorldsIn(dir string, placebo bool) ([]WorldFiles, error) {
	fail := func(hint string, err error) ([]WorldFiles, error) {
		return nil, &vw.Error{Op: "app.WorldsIn", Code: vw.Invalid, Hint: hint, Err: err}
	}
	const layout = "a folder of worlds has NAME.ndjson, NAME.labels.json (both may be .gz) and the folder NAME of results, for each NAME"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fail(layout, err)
	}
	there := func(names ...string) string {
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return filepath.Join(dir, name)
			}
		}
		return ""
	}
	var out []WorldFiles
	for _, e := range entries {
		name, ok := strings.CutSuffix(strings.TrimSuffix(e.Name(), ".gz"), ".ndjson")
		if !ok || e.IsDir() {
			continue
		}
		w := WorldFiles{name, filepath.Join(dir, e.Name()), there(name+".labels.json", name+".labels.json.gz"), filepath.Join(dir, name)}
		if w.Labels == "" && !placebo {
			return fail(layout+"; --placebo takes worlds without labels for worlds without fraud", fmt.Errorf("%s: there is no %s.labels.json beside it", w.Events, name))
		}
		out = append(out, w)
	}
	if len(out) == 0 {
		return fail(layout, fmt.Errorf("%s: holds no NAME.ndjson", dir))
	}
	return out, nil
}

// SeedOptions say which worlds to simulate and replay.
type SeedOptions struct {
	Campaign string
	Policy   string
	Seeds    []uint64
	World    simulate.Options // scale, days, typologies, no fraud; Seed and Campaign are set from here
	Dir      string           // for the files of a world
	Slots    int              // of the replay; 0: one per processor
	Now      func() time.Time
	Progress func(world string)
}

// SimulateWorlds simulates and replays a world per seed, into NAME.ndjson, NAME.labels.json and NAME/.
func SimulateWorlds(ctx context.Context, o SeedOptions) ([]WorldFiles, error) {
	c, err := campaign.Load(o.Campaign)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, &vw.Error{Op: "app.SimulateWorlds", Code: vw.Unavailable, Hint: "choose a directory that you may write to with --dir", Err: err}
	}
	var out []WorldFiles
	for _, seed := range o.Seeds {
		name := fmt.Sprintf("seed-%d", seed)
		if o.Progress != nil {
			o.Progress(name)
		}
		w := WorldFiles{name, filepath.Join(o.Dir, name+".ndjson"), filepath.Join(o.Dir, name+".labels.json"), filepath.Join(o.Dir, name)}
		s := o.World
		s.Campaign, s.Seed = c, seed
		if _, err := SimulateFiles(ctx, s, w.Events, w.Labels); err != nil {
			return nil, err
		}
		if _, err := Replay(ctx, ReplayOptions{Campaign: o.Campaign, Policy: o.Policy, Events: []string{w.Events}, Out: w.Results, Slots: o.Slots, Now: o.Now}); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// EvaluateOptions say what to evaluate, and by which campaign and policy.
type EvaluateOptions struct {
	Campaign string // "": the one that each world's summary names
	Policy   string // thresholds, exact rules and weights; "" is the default
	Settle   time.Duration
	Worlds   []WorldFiles
	Now      func() time.Time
	Progress func(world string)
}

// Evaluate holds the results of replays against labels, a report per world and the spread over
// them. Faults of the files are vw.Invalid or vw.NotFound errors that name file and line.
func Evaluate(ctx context.Context, o EvaluateOptions) (*evaluate.Result, error) {
	// A policy of another build may name detectors that this one does not have: here it is only read.
	p, err := rules.Load(o.Policy)
	if err != nil {
		return nil, err
	}
	var out []*evaluate.Report
	for _, f := range o.Worlds {
		if f.Name == "" {
			f.Name = filepath.Base(f.Results)
		}
		if o.Progress != nil {
			o.Progress(f.Name)
		}
		r, err := evaluateWorld(ctx, o, p, f)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return evaluate.Together(out), nil
}

func evaluateOptions(c *vw.Campaign, p *rules.Policy, settle time.Duration) evaluate.Options {
	o := evaluate.Options{Campaign: c, Review: p.Score.Review, High: p.Score.High, Exact: map[string]bool{}, Weights: map[string]float64{}, Prior: p.Score.PriorLogOdds, Settle: vw.Millis(settle.Milliseconds())}
	for code, t := range p.Typologies {
		o.Exact[code] = t.Hard
	}
	for name, d := range p.Detectors {
		o.Weights[name] = d.Weight
	}
	return o
}

func evaluateWorld(ctx context.Context, o EvaluateOptions, p *rules.Policy, f WorldFiles) (*evaluate.Report, error) {
	fail := func(hint string, err error) (*evaluate.Report, error) {
		code := vw.Invalid
		if errors.Is(err, fs.ErrNotExist) {
			code = vw.NotFound
		}
		return nil, &vw.Error{Op: "app.Evaluate", Code: code, Hint: hint, Err: err}
	}
	// summary.json comes last, so where it is the files beside it belong together.
	var done Summary
	path := filepath.Join(f.Results, "summary.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return fail("give the folder of a replay that ended (voucherwatch replay --out DIR EVENTS)", err)
	}
	if err := json.Unmarshal(text, &done); err != nil {
		return fail("replay the events again", fmt.Errorf("%s: %w", path, err))
	}
	name := o.Campaign
	if name == "" {
		name = done.Campaign
	}
	c, err := campaign.Load(name)
	if err != nil {
		return nil, err
	}
	labels := evaluate.NoFraud()
	if f.Labels != "" {
		if labels, err = readLabels(f.Labels); err != nil {
			return nil, err
		}
	}
	w, err := evaluate.NewWorld(f.Name, labels, evaluateOptions(c, p, o.Settle))
	if err != nil {
		return nil, err
	}
	if err := eachBatch(ctx, c, f.Events, o.Now, w.Events); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		name string
		take func(string, io.Reader) error
	}{{"scores.ndjson", w.Scores}, {"findings.ndjson", w.Findings}} {
		path := filepath.Join(f.Results, x.name)
		file, err := os.Open(path)
		if err != nil {
			return fail("give the folder of a replay that ended (voucherwatch replay --out DIR EVENTS)", err)
		}
		err = x.take(path, bufio.NewReaderSize(file, 1<<20))
		_ = file.Close() // it was only read
		if err != nil {
			return nil, err
		}
	}
	if n := w.FindingCount(); n != done.Findings {
		return fail("the results are cut short, or of two runs; replay the events again", fmt.Errorf("%s:%d: the file ends here, the summary promises %d findings", filepath.Join(f.Results, "findings.ndjson"), n, done.Findings))
	}
	r := w.Report()
	if r.PolicyVersion != "" && r.PolicyVersion != p.Version {
		r.Notes = append(r.Notes, fmt.Sprintf("the results are of policy %s; thresholds, exact rules and weights are taken from %s", r.PolicyVersion, p.Version))
	}
	return r, nil
}

// readLabels reads a labels file, which may be packed with gzip.
func readLabels(path string) (*evaluate.Labels, error) {
	file, err := os.Open(path)
	if err != nil {
		code := vw.Unavailable
		if errors.Is(err, fs.ErrNotExist) {
			code = vw.NotFound
		}
		return nil, &vw.Error{Op: "app.Evaluate", Code: code, Hint: "name the labels file of the world, or --placebo when nothing in it is fraud", Err: err}
	}
	defer func() { _ = file.Close() }()
	in := bufio.NewReaderSize(file, 1<<20)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &vw.Error{Op: "app.Evaluate", Code: vw.Invalid, Hint: "get the file again", Err: fmt.Errorf("%s: %w", path, err)}
		}
		return evaluate.ReadLabels(path, z)
	}
	return evaluate.ReadLabels(path, in)
}

// eachBatch decodes a file of events. Input that breaks off is an error: a part of a world is no world.
func eachBatch(ctx context.Context, c *vw.Campaign, path string, now func() time.Time, take func(*vw.Batch) error) error {
	files, err := stream.NewFiles(stream.FilesOptions{Paths: []string{path}})
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	d, err := newDecoder(c, now)
	if err != nil {
		return err
	}
	pipe := stream.NewPipeline(files, d, runtime.GOMAXPROCS(0), 4)
	for b, err := range pipe.Batches(ctx) {
		if err != nil {
			return err
		}
		if err := take(b); err != nil {
			return err
		}
		pipe.Release(b)
	}
	if err := errors.Join(files.Faults()...); err != nil {
		return &vw.Error{Op: "app.Evaluate", Code: vw.Invalid, Hint: "get the events again, whole", Err: err}
	}
	return nil
}

// WriteFile writes a file, which gets its name when it is complete.
func WriteFile(name string, write func(io.Writer) error) error {
	fail := func(err error) error {
		return &vw.Error{Op: "app.WriteFile", Code: vw.Unavailable, Hint: "choose a file that you may write to, on a disk with room", Err: err}
	}
	p, err := newPart(name)
	if err != nil {
		return fail(err)
	}
	defer p.abandon()
	w := bufio.NewWriter(p.file)
	if err := errors.Join(write(w), w.Flush()); err != nil {
		return fail(err)
	}
	if err := errors.Join(p.complete(), p.publish()); err != nil {
		return fail(err)
	}
	return nil
}
