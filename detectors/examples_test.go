package detectors_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	vw "voucherwatch"
	"voucherwatch/campaign"
	"voucherwatch/detectors"
	"voucherwatch/stream"
)

var update = flag.Bool("update", false, "write what the detectors say into the examples")

// An example is testdata/<detector>/<what it shows>.txtar:
//
//	the story, in words
//	-- campaign --     optional: settings that differ from gaoping-2022-2, "refund_policy: no_return_net"
//	-- params.yaml --  optional: parameters of the detector
//	-- in.ndjson --    events in order of arrival; lines that begin with # are remarks
//	-- want --         redemptions with reasons, findings, and how often it was blind; by go test -update
//
// Every registered detector has one at least. The detector runs alone, with 1, 2 and 8 slots and several
// cuts into batches, and must say the same each time.
func TestExamples(t *testing.T) {
	for _, spec := range detectors.Specs() {
		files, err := filepath.Glob(filepath.Join("testdata", spec.Name, "*.txtar"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no examples in testdata/%s", spec.Name, spec.Name)
		}
		for _, file := range files {
			t.Run(spec.Name+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				a, err := txtar.ParseFile(file)
				if err != nil {
					t.Fatal(err)
				}
				x := readExample(t, a)
				got := replay(t, spec.Name, x, 1, 1000)
				if *update {
					a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
					a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
					if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
						t.Fatal(err)
					}
					x.want = got
				}
				if diff := cmp.Diff(x.want, got); diff != "" {
					t.Errorf("results (-want +got):\n%s", diff)
				}
				for _, cut := range []struct{ slots, batch int }{{1, 1}, {2, 3}, {2, 1000}, {8, 1}, {8, 17}, {8, 1000}} {
					if diff := cmp.Diff(got, replay(t, spec.Name, x, cut.slots, cut.batch)); diff != "" {
						t.Errorf("%d slots and batches of %d say something else (-want +got):\n%s", cut.slots, cut.batch, diff)
					}
				}
			})
		}
	}
}

type example struct {
	campaign *vw.Campaign
	params   []byte
	lines    [][]byte
	want     string
}

func readExample(t *testing.T, a *txtar.Archive) example {
	t.Helper()
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	x := example{campaign: c}
	for _, f := range a.Files {
		switch f.Name {
		case "campaign":
			for line := range strings.Lines(string(f.Data)) {
				setCampaign(t, c, strings.TrimSpace(line))
			}
		case "params.yaml":
			x.params = f.Data
		case "in.ndjson":
			for line := range bytes.Lines(f.Data) {
				if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
					x.lines = append(x.lines, line)
				}
			}
		case "want":
			x.want = string(f.Data)
		default:
			t.Fatalf("unknown section %q", f.Name)
		}
	}
	return x
}

// setCampaign changes one setting: "refund_policy: P", "claim_limit: N", "claims_per: campaign",
// "round_budget: retail 20000" (fen, of every round), "love_budget: 20000".
func setCampaign(t *testing.T, c *vw.Campaign, line string) {
	t.Helper()
	key, value, _ := strings.Cut(line, ": ")
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	switch key {
	case "refund_policy":
		c.RefundPolicy = vw.RefundPolicy(value)
	case "claim_limit":
		c.ClaimLimit = int(number(value))
	case "claims_per":
		c.ClaimPerCampaign = value == "campaign"
	case "round_budget":
		name, fen, _ := strings.Cut(value, " ")
		category, ok := vw.ParseCategory(name)
		if !ok {
			t.Fatalf("no category in %q", line)
		}
		for i := range c.Rounds {
			c.Rounds[i].Budget[category] = vw.Fen(number(fen))
		}
	case "love_budget":
		c.Vouchers[c.VoucherIndex("love")].Budget = vw.Fen(number(value))
	default:
		t.Fatalf("unknown setting %q", line)
	}
}

// exampleSettings let only the named detector speak, with the same log-odds for every hard rule.
func exampleSettings(name string, params []byte) detectors.Settings {
	s := detectors.Settings{
		Version: "examples", Prior: -5, Review: 300, High: 700, MinWeight: 0.05,
		Detectors: map[string]detectors.Setting{}, Hard: map[string]float64{},
	}
	for _, spec := range detectors.Specs() {
		s.Detectors[spec.Name] = detectors.Setting{Enabled: spec.Name == name, Weight: 1, Cap: 12}
		for _, typology := range spec.Typologies {
			s.Hard[typology] = 6
		}
	}
	if params != nil {
		s.Params = func(_ string, into any) error {
			d := yaml.NewDecoder(bytes.NewReader(params))
			d.KnownFields(true)
			return d.Decode(into)
		}
	}
	return s
}

// replay runs the lines through one detector and writes down what it said.
func replay(t *testing.T, name string, x example, slots, batch int) string {
	t.Helper()
	types := make([]string, len(x.campaign.Vouchers))
	for i := range types {
		types[i] = x.campaign.Vouchers[i].Code
	}
	decoder, err := stream.NewDecoder(stream.Options{VoucherTypes: types, Now: func() time.Time { return time.Date(2022, 12, 31, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := detectors.New(detectors.Options{Campaign: x.campaign, Settings: exampleSettings(name, x.params), Slots: slots})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	said := saying{blind: map[string]int{}, findings: map[string]*vw.Finding{}}
	var all vw.Batch
	for i, line := range x.lines {
		at := vw.Text{Off: uint32(len(all.Data)), Len: uint32(len(line))}
		all.Data = append(all.Data, line...)
		decoder.Decode(&all, 0, int64(i+1), at)
	}
	for _, dead := range all.Dead {
		t.Fatalf("the example has a line that is %s: %s\n%s", dead.Code, dead.Reason, dead.Raw)
	}
	var out detectors.Outcome
	for start := 0; start < len(all.Events); start += batch {
		b := all
		b.Events = all.Events[start:min(start+batch, len(all.Events))]
		engine.Process(&b, all.Events[start+len(b.Events):], &out)
		said.take(t, &out)
	}
	engine.Finish(&out)
	said.take(t, &out)
	return said.String()
}

// saying is what a run has said, as an example shows it.
type saying struct {
	scores   []string
	blind    map[string]int
	order    []string
	findings map[string]*vw.Finding // the last revision of each
}

func (s *saying) take(t *testing.T, out *detectors.Outcome) {
	t.Helper()
	for line := range bytes.Lines(bytes.Join(out.Scores, nil)) {
		var score vw.Score
		if err := json.Unmarshal(line, &score); err != nil {
			t.Fatalf("score is not JSON: %v\n%s", err, line)
		}
		for _, b := range score.Blind {
			s.blind[b.Detector+": no "+b.Field]++
		}
		if len(score.Reasons) > 0 {
			s.scores = append(s.scores, fmt.Sprintf("%s %s %d\n%s", score.RedemptionID, score.Band, score.Score, reasonText(score.Reasons)))
		}
	}
	for i := range out.Findings {
		f := &out.Findings[i]
		if s.findings[f.FindingID] == nil {
			s.order = append(s.order, f.FindingID)
		}
		s.findings[f.FindingID] = new(*f)
	}
}

func reasonText(reasons []vw.Reason) string {
	var b strings.Builder
	for _, r := range reasons {
		fmt.Fprintf(&b, "    %s %s weight %g, observed %g", r.Typology, r.Code, r.Weight, r.Observed)
		if r.Expected != nil {
			fmt.Fprintf(&b, ", expected %g", *r.Expected)
		}
		if r.PValue != nil {
			fmt.Fprintf(&b, ", p %g", *r.PValue)
		}
		if r.Peers != "" {
			fmt.Fprintf(&b, ", peers: %s", r.Peers)
		}
		fmt.Fprintf(&b, ", evidence %v\n    %s\n    %s\n", r.Evidence, r.Text.Zh, r.Text.En)
	}
	return b.String()
}

func (s *saying) String() string {
	var b strings.Builder
	for _, line := range s.scores {
		b.WriteString(line)
	}
	for _, id := range s.order {
		f := s.findings[id]
		fmt.Fprintf(&b, "finding %s %s %s", f.Typology, f.Subject.Kind, f.Subject.ID)
		if f.Subject.With != "" {
			fmt.Fprintf(&b, " with %s", f.Subject.With)
		}
		fmt.Fprintf(&b, ", %s: score %d, %s at stake, revision %d, merchants %v, rests on %v\n%s",
			f.Period, f.Score, f.SubsidyFen.Yuan(), f.Revision, f.MerchantIDs, f.RedemptionIDs, reasonText(f.Reasons))
	}
	var blind []string
	for what, n := range s.blind {
		blind = append(blind, fmt.Sprintf("blind %d times, %s\n", n, what))
	}
	slices.Sort(blind)
	return b.String() + strings.Join(blind, "")
}
