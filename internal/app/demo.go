package app

import (
	"bytes"
	"cmp"
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
	"strings"
	"time"

	"voucherwatch/cases"
	"voucherwatch/cases/sqlite"
	"voucherwatch/detectors"
	"voucherwatch/simulate"
	"voucherwatch/stream"

	vw "voucherwatch"
)

// DemoOptions are those of Demo.
type DemoOptions struct {
	Campaign string
	Policy   string
	Seed     uint64
	Scale    float64 // see simulate.Options
	// Speed is how many times faster than life the campaign passes; 0 is as fast as it goes.
	Speed float64
	Dir   string // for the events and the cases; made if it is not there
	Now   func() time.Time
	// Wait sleeps, for Speed; it returns early when ctx ends.
	Wait     func(ctx context.Context, d time.Duration) error
	Progress func(Progress)
	// Scored, if set, is called between the last Progress and the account.
	Scored func()
	Say    io.Writer
}

// Demo simulates a campaign with labelled fraud and honest look-alikes, streams it through the real
// pipeline into an SQLite file of cases, and says what was caught, missed and wrongly accused.
func Demo(ctx context.Context, o DemoOptions) error {
	c, p, err := plan(o.Campaign, o.Policy)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return &vw.Error{Op: "app.Demo", Code: vw.Unavailable, Hint: "choose a directory that you may write to with --dir", Err: err}
	}
	events, labels := filepath.Join(o.Dir, "events.ndjson"), filepath.Join(o.Dir, "labels.json")
	fmt.Fprintf(o.Say, "模拟 %s · simulating %s, seed %d …\n", c.Name, c.ID, o.Seed)
	if _, err := SimulateFiles(ctx, simulate.Options{Campaign: c, Seed: o.Seed, Scale: o.Scale}, events, labels); err != nil {
		return err
	}
	truth, err := readTruth(labels)
	if err != nil {
		return err
	}
	database := filepath.Join(o.Dir, "cases.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(database + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return &vw.Error{Op: "app.Demo", Code: vw.Unavailable, Hint: "the demo starts with an empty case file; move the old one away", Err: err}
		}
	}
	store, err := sqlite.Open(ctx, sqlite.Options{Path: database})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	files, err := stream.NewFiles(stream.FilesOptions{Paths: []string{events}})
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	// A campaign that is still to come is played as if it were over.
	over := time.Unix(int64(c.End+60)*86400, 0)
	r, err := newRun(c, p, runtime.GOMAXPROCS(0), store, func() time.Time {
		if now := o.Now(); now.After(over) {
			return now
		}
		return over
	})
	if err != nil {
		return err
	}
	defer r.engine.Close()
	r.alerts = store
	t := &tally{truth: truth, review: p.Score.Review, scores: map[string]int{}}
	r.scored = t.scored
	started, first := o.Now(), time.Time{}
	r.progress = o.Progress
	if o.Speed > 0 {
		inner := r.scored
		r.scored = func(b *vw.Batch, out *detectors.Outcome) error {
			clock := r.engine.Stats().Clock.Time(c.Zone)
			if first.IsZero() || first.Year() < clock.Year()-1 {
				first = clock
			}
			due := time.Duration(float64(clock.Sub(first)) / o.Speed)
			if wait := due - o.Now().Sub(started); wait > 0 {
				if err := o.Wait(ctx, wait); err != nil {
					return err
				}
			}
			return inner(b, out)
		}
	}
	if err := r.consume(ctx, files); err != nil {
		return err
	}
	if o.Scored != nil {
		o.Scored()
	}
	return t.report(ctx, o, r, database)
}

// SimulateFiles writes a world's events and labels. The files get their names when both are complete.
func SimulateFiles(ctx context.Context, o simulate.Options, events, labels string) (simulate.Summary, error) {
	return simulateFiles(ctx, o, events, labels, io.Discard)
}

// simulateFiles writes the events to one more place.
func simulateFiles(ctx context.Context, o simulate.Options, events, labels string, also io.Writer) (simulate.Summary, error) {
	fail := func(err error) (simulate.Summary, error) {
		return simulate.Summary{}, &vw.Error{Op: "app.Simulate", Code: vw.Unavailable, Hint: "choose files that you may write to, on a disk with room", Err: err}
	}
	e, err := newPart(events)
	if err != nil {
		return fail(err)
	}
	defer e.abandon()
	l, err := newPart(labels)
	if err != nil {
		return fail(err)
	}
	defer l.abandon()
	s, err := simulate.Run(ctx, o, io.MultiWriter(e.file, also), l.file)
	if err != nil {
		return s, err
	}
	for _, finish := range []func() error{e.complete, l.complete, e.publish, l.publish} {
		if err := finish(); err != nil {
			return fail(err)
		}
	}
	return s, nil
}

// WriteWorld says what a simulated world holds.
func WriteWorld(w io.Writer, s simulate.Summary) {
	fmt.Fprintf(w, "%d merchants, %d customers; %d redemptions with a look-alike tag\n", s.Merchants, s.Customers, s.LookAlikeAll)
	for _, t := range slices.Sorted(maps.Keys(s.Counts.Distinct)) {
		fmt.Fprintf(w, "  %-12s %8d\n", t, s.Counts.Distinct[t])
	}
	for _, t := range slices.Sorted(maps.Keys(s.Cases)) {
		fmt.Fprintf(w, "  %-22s %3d cases, %5d redemptions, %s improperly paid\n", t, s.Cases[t], s.Redemptions[t], s.StakeFen[t].Yuan())
	}
	for _, t := range slices.Sorted(maps.Keys(s.Violations)) {
		fmt.Fprintf(w, "  %-22s %3d breaches\n", t, s.Violations[t])
	}
}

// truth is what the labels say, as far as the demo's account needs it.
type truth struct {
	Redemptions map[string]struct {
		Typology string `json:"typology"`
		Family   string `json:"family"`
		Case     string `json:"case"`
		Stake    vw.Fen `json:"stake_fen"`
	} `json:"redemptions"`
	Cases []struct {
		Case      string   `json:"case"`
		Typology  string   `json:"typology"`
		Family    string   `json:"family"`
		IDs       []string `json:"redemption_ids"`
		Merchants []string `json:"merchants"`
		Stake     vw.Fen   `json:"stake_fen"`
	} `json:"cases"`
	Violations map[string]string   `json:"violations"`
	LookAlikes map[string][]string `json:"hard_negatives"`
	Fillers    []string            `json:"fillers"`
}

func readTruth(path string) (*truth, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &vw.Error{Op: "app.Demo", Code: vw.Unavailable, Err: err}
	}
	t := &truth{}
	if err := json.Unmarshal(data, t); err != nil {
		return nil, &vw.Error{Op: "app.Demo", Code: vw.Internal, Err: fmt.Errorf("read labels: %w", err)}
	}
	return t, nil
}

// tally holds scores against the truth.
type tally struct {
	truth  *truth
	review int
	scores map[string]int // redemptions in review or above, at the time
	total  int
}

func (t *tally) scored(b *vw.Batch, out *detectors.Outcome) error {
	for _, piece := range out.Scores {
		dec := json.NewDecoder(bytes.NewReader(piece))
		for {
			var s struct {
				ID    string `json:"redemption_id"`
				Score int    `json:"score"`
			}
			if err := dec.Decode(&s); err == io.EOF {
				break
			} else if err != nil {
				return &vw.Error{Op: "app.Demo", Code: vw.Internal, Err: err}
			}
			t.total++
			if s.Score >= t.review {
				t.scores[s.ID] = s.Score
			}
		}
	}
	return nil
}

// report says what was caught, missed and wrongly accused, and explains three cases.
func (t *tally) report(ctx context.Context, o DemoOptions, r *run, database string) error {
	risk := map[string]int{}
	for id, s := range t.scores {
		risk[id] = s
	}
	for _, f := range r.findings {
		for _, id := range f.RedemptionIDs {
			if f.Score >= t.review {
				risk[id] = max(risk[id], f.Score)
			}
		}
	}
	w := o.Say
	type row struct {
		name                        string
		cases, caught, n, atOnce, k int
		stake, found                vw.Fen
	}
	rows := map[string]*row{}
	for _, c := range t.truth.Cases {
		x := rows[c.Typology]
		if x == nil {
			x = &row{name: c.Typology}
			rows[c.Typology] = x
		}
		x.cases++
		hit := 0
		for _, id := range c.IDs {
			x.n++
			x.stake += t.truth.Redemptions[id].Stake
			if t.scores[id] > 0 {
				x.atOnce++
			}
			if risk[id] > 0 {
				hit++
				x.found += t.truth.Redemptions[id].Stake
			}
		}
		x.k += hit
		caught := hit > 0
		if len(c.IDs) == 0 || c.Family == "price" {
			for _, f := range r.findings {
				if f.Score >= t.review && slices.ContainsFunc(c.Merchants, func(m string) bool { return slices.Contains(f.MerchantIDs, m) }) && (f.Typology == "T19" || f.Typology == "T20" || f.Typology == "T21") {
					caught = true
				}
			}
		}
		if caught {
			x.caught++
		}
	}
	names := make([]string, 0, len(rows))
	for n := range rows {
		names = append(names, n)
	}
	slices.Sort(names)
	fmt.Fprintf(w, "\n抓到与漏掉 · caught and missed (%d redemptions)\n", t.total)
	fmt.Fprintf(w, "  %-24s %13s %22s %10s %22s\n", "typology", "cases found", "redemptions found", "at once", "improper subsidy found")
	for _, n := range names {
		x := rows[n]
		fmt.Fprintf(w, "  %-24s %6d of %-4d %12d of %-7d %10d %10s of %s\n", schemeTitle(n), x.caught, x.cases, x.k, x.n, x.atOnce, x.found.Yuan(), x.stake.Yuan())
	}
	violations, broken := 0, 0
	for id := range t.truth.Violations {
		broken++
		if risk[id] > 0 {
			violations++
		}
	}
	fmt.Fprintf(w, "  %s %13s %12d of %d\n", padded("硬规则 rules broken", 24), "", violations, broken)

	filler := map[string]bool{}
	for _, id := range t.truth.Fillers {
		filler[id] = true
	}
	wrong, byTag, honestTag := 0, map[string]int{}, map[string]int{}
	for _, tags := range t.truth.LookAlikes {
		for _, tag := range tags {
			honestTag[tag]++
		}
	}
	for id := range risk {
		_, fraud := t.truth.Redemptions[id]
		_, breach := t.truth.Violations[id]
		if fraud || breach || filler[id] {
			continue
		}
		wrong++
		for _, tag := range t.truth.LookAlikes[id] {
			byTag[tag]++
		}
	}
	honest := t.total - len(t.truth.Redemptions) - broken
	fmt.Fprintf(w, "\n冤枉 · wrongly accused: %d of %d honest redemptions (%.2f per 10,000)\n", wrong, honest, 1e4*float64(wrong)/float64(max(honest, 1)))
	tags := make([]string, 0, len(honestTag))
	for tag := range honestTag {
		tags = append(tags, tag)
	}
	slices.SortFunc(tags, func(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) })
	for _, tag := range tags {
		fmt.Fprintf(w, "  %-4s %s %4d of %d\n", tag, padded(lookAlikeTitle(tag), 44), byTag[tag], honestTag[tag])
	}

	return t.explain(ctx, w, r, database)
}

// explain tells three cases in sentences: the strongest of three different typologies.
func (t *tally) explain(ctx context.Context, w io.Writer, r *run, database string) error {
	page, err := r.store.List(ctx, cases.Filter{Limit: 1000})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n案件 · %d cases; three of them:\n", len(r.caseIDs))
	told, seen := 0, map[string]bool{}
	for _, c := range page.Cases {
		fs, err := r.store.Findings(ctx, c.FindingIDs...)
		if err != nil {
			return err
		}
		slices.SortStableFunc(fs, func(a, b vw.Finding) int { return b.Score - a.Score })
		if len(fs) == 0 || r.policy.Typologies[fs[0].Typology].Hard || seen[fs[0].Typology] || len(fs[0].Reasons) == 0 {
			continue
		}
		seen[fs[0].Typology] = true
		name := r.policy.Typologies[fs[0].Typology]
		fmt.Fprintf(w, "\n  %s  %s %s · %s · %d · %s\n", c.CaseID, fs[0].Typology, name.Zh, name.En, c.Score, c.SubsidyFen.Yuan())
		fmt.Fprintf(w, "    %s\n    %s\n", fs[0].Reasons[0].Text.Zh, fs[0].Reasons[0].Text.En)
		if told++; told == 3 {
			break
		}
	}
	fmt.Fprintf(w, "\n接着看 · next:\n  voucherwatch case list --cases %s\n", database)
	if len(page.Cases) > 0 {
		fmt.Fprintf(w, "  voucherwatch case show --cases %s %s\n", database, page.Cases[0].CaseID)
	}
	return nil
}

func schemeTitle(id string) string {
	for _, x := range simulate.Typologies() {
		if x.Name == id {
			return x.Name
		}
	}
	return id
}

// padded fills a text up to a width in terminal columns; Chinese characters take two.
func padded(s string, width int) string {
	for _, r := range s {
		width--
		if r >= 0x2e80 {
			width--
		}
	}
	return s + strings.Repeat(" ", max(0, width))
}

// lookAlikeTitle names the honest look-alikes.
func lookAlikeTitle(tag string) string {
	names := map[string]string{
		"H1": "家人分别付款 family pays separately", "H2": "漏买再买 forgot an item", "H3": "食堂常客 canteen regulars", "H4": "加油整数 exact sums of petrol",
		"H5": "单一定价 fixed-price shop", "H6": "开抢与节日高峰 rush and holidays", "H7": "新店开业 opening promotion", "H8": "宴席团餐 banquet, team order",
		"H9": "促销结束、成本上涨 ended sale, cost shock", "H10": "宿舍楼办公楼 dormitory, office block", "H11": "市场共用账户 market street", "H12": "断网补传 outage catch-up",
		"H13": "小店进货 traders stock up", "H14": "店主亲属 relatives of the owner", "H15": "大店秒杀 flash sale of a giant", "H16": "代老人操作 neighbours helped",
		"H17": "两套价目 two price lists",
	}
	return names[tag]
}
