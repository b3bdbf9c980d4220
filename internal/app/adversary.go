package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"runtime"
	"time"

	"voucherwatch/cases"
	"voucherwatch/detectors"
	"voucherwatch/rules"
	"voucherwatch/simulate"
	"voucherwatch/stream"

	vw "voucherwatch"
)

// SimulateAgainst writes a world like SimulateFiles, in which gangs hear what a policy blocks: simulator
// and engine run in lockstep, a day each. Policy "" is the default. All scores are kept in memory.
func SimulateAgainst(ctx context.Context, o simulate.Options, policy, events, labels string) (simulate.Summary, error) {
	p, err := rules.Load(policy)
	if err != nil {
		return simulate.Summary{}, err
	}
	// The world lies in the campaign's own time: judged now, or from its end on, makes no difference.
	over := time.Unix(int64(o.Campaign.End+60)*86400, 0)
	r, err := newRun(o.Campaign, p, runtime.GOMAXPROCS(0), cases.NewMemory(), func() time.Time { return over })
	if err != nil {
		return simulate.Summary{}, err
	}
	defer r.engine.Close()
	f := newBlocker(ctx, r)
	o.Adversary, o.Feedback = true, f.withholds
	s, err := simulateFiles(ctx, o, events, labels, f)
	if f.err != nil {
		return s, f.err
	}
	return s, err
}

// office is what the gangs of a simulation are up against: it withholds the money of what is in review
// or above, by itself or in a finding, and of everything at a merchant with a finding in high.
type office struct {
	ctx      context.Context
	run      *run
	unread   bytes.Buffer
	shop     map[string]string // redemption to merchant
	blocked  map[string]bool   // redemptions
	excluded map[string]bool   // merchants
	err      error
}

func newBlocker(ctx context.Context, r *run) *office {
	f := &office{ctx: ctx, run: r, shop: map[string]string{}, blocked: map[string]bool{}, excluded: map[string]bool{}}
	r.scored = f.scored
	return f
}

// Write takes in events; they are judged when somebody asks.
func (f *office) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.unread.Write(b)
}

// withholds judges what has come in since it was last asked, then answers. After a failure it answers
// false, and the next Write fails.
func (f *office) withholds(id string) bool {
	if f.unread.Len() > 0 && f.err == nil {
		f.err = f.judge()
		f.unread.Reset()
	}
	return f.blocked[id] || f.excluded[f.shop[id]]
}

func (f *office) judge() error {
	files, err := stream.NewFiles(stream.FilesOptions{Paths: []string{"-"}, Stdin: &f.unread})
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	pipe := stream.NewPipeline(files, f.run.decoder, max(1, f.run.slots-1), 4)
	for b, err := range pipe.Batches(f.ctx) {
		if err != nil {
			return err
		}
		if err := f.run.batch(f.ctx, b, nil); err != nil {
			return err
		}
		pipe.Release(b)
	}
	policy := &f.run.policy.Score
	for _, found := range f.run.findings {
		if found.Score < policy.Review {
			continue
		}
		for _, id := range found.RedemptionIDs {
			f.blocked[id] = true
		}
		if found.Score >= policy.High && found.Subject.Kind == "merchant" {
			f.excluded[found.Subject.ID] = true
		}
	}
	return nil
}

// scored keeps what the engine said at the time.
func (f *office) scored(_ *vw.Batch, out *detectors.Outcome) error {
	for _, piece := range out.Scores {
		dec := json.NewDecoder(bytes.NewReader(piece))
		for {
			var s struct {
				ID       string `json:"redemption_id"`
				Merchant string `json:"merchant_id"`
				Score    int    `json:"score"`
			}
			if err := dec.Decode(&s); err == io.EOF {
				break
			} else if err != nil {
				return &vw.Error{Op: "app.SimulateAgainst", Code: vw.Internal, Err: err}
			}
			f.shop[s.ID] = s.Merchant
			if s.Score >= f.run.policy.Score.Review {
				f.blocked[s.ID] = true
			}
		}
	}
	return nil
}
