package detectors_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
	"voucherwatch/campaign"
	"voucherwatch/detectors"
	"voucherwatch/simulate"
	"voucherwatch/stream"
)

func gaoping(t testing.TB) *vw.Campaign {
	t.Helper()
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// worldOf is a simulated campaign, decoded. Malformed lines are left out.
func worldOf(t testing.TB, o simulate.Options) vw.Batch {
	t.Helper()
	var events, labels bytes.Buffer
	if _, err := simulate.Run(t.Context(), o, &events, &labels); err != nil {
		t.Fatal(err)
	}
	return decode(t, o.Campaign, events.Bytes())
}

// decode reads NDJSON, one event per line.
func decode(t testing.TB, c *vw.Campaign, ndjson []byte) vw.Batch {
	t.Helper()
	types := make([]string, len(c.Vouchers))
	for i := range types {
		types[i] = c.Vouchers[i].Code
	}
	d, err := stream.NewDecoder(stream.Options{VoucherTypes: types, Now: func() time.Time { return time.Date(2023, 12, 31, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	all := vw.Batch{Sources: []string{"in.ndjson"}}
	line := int64(0)
	for raw := range bytes.Lines(ndjson) {
		line++
		raw = bytes.TrimSpace(raw)
		if len(raw) == 0 {
			continue
		}
		at := vw.Text{Off: uint32(len(all.Data)), Len: uint32(len(raw))}
		all.Data = append(all.Data, raw...)
		d.Decode(&all, 0, line, at)
	}
	return all
}

// everyDetector is settings in which all detectors speak and every reason is told.
func everyDetector() detectors.Settings {
	s := detectors.Settings{Version: "engine", Prior: -5.3, Review: 600, High: 850, Detectors: map[string]detectors.Setting{}, Hard: map[string]float64{}}
	for _, spec := range detectors.Specs() {
		s.Detectors[spec.Name] = detectors.Setting{Enabled: true, Weight: .6, Cap: 8}
		for _, typology := range spec.Typologies {
			s.Hard[typology] = 6
		}
	}
	return s
}

// only leaves one detector enabled.
func only(name string, s detectors.Settings) detectors.Settings {
	for n, d := range s.Detectors {
		d.Enabled = n == name
		s.Detectors[n] = d
	}
	return s
}

// ran is all that a run put out.
type ran struct {
	scores   []byte
	findings []vw.Finding          // as they were given out
	last     map[string]vw.Finding // the last revision of each
	dead     []vw.DeadLetter
	stats    detectors.Stats
}

func (r *ran) take(out *detectors.Outcome) {
	r.scores = append(r.scores, bytes.Join(out.Scores, nil)...)
	for _, f := range out.Findings {
		r.findings = append(r.findings, f)
		r.last[f.FindingID] = f
	}
	r.dead = append(r.dead, out.Dead...)
}

func newEngine(t testing.TB, c *vw.Campaign, s detectors.Settings, slots int) *detectors.Engine {
	t.Helper()
	e, err := detectors.New(detectors.Options{Campaign: c, Settings: s, Slots: slots})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (r *ran) reset() { *r = ran{last: map[string]vw.Finding{}} }

// feed gives an engine events in batches.
func (r *ran) feed(e *detectors.Engine, all vw.Batch, batch int) {
	r.feedAhead(e, all, nil, batch)
}

// feedAhead is feed when others follow.
func (r *ran) feedAhead(e *detectors.Engine, all vw.Batch, after []vw.Event, batch int) {
	var out detectors.Outcome
	for start := 0; start < len(all.Events); start += batch {
		b := all
		b.Events = all.Events[start:min(start+batch, len(all.Events))]
		ahead := all.Events[start+len(b.Events):]
		if len(ahead) == 0 && after != nil {
			ahead = after
		}
		e.Process(&b, ahead, &out)
		r.take(&out)
	}
}

func runAll(t testing.TB, c *vw.Campaign, all vw.Batch, s detectors.Settings, slots, batch int) *ran {
	t.Helper()
	e := newEngine(t, c, s, slots)
	defer e.Close()
	r := &ran{last: map[string]vw.Finding{}}
	r.feed(e, all, batch)
	var out detectors.Outcome
	e.Finish(&out)
	r.take(&out)
	r.stats = e.Stats()
	return r
}

func scoresOf(t testing.TB, ndjson []byte) []vw.Score {
	t.Helper()
	var scores []vw.Score
	for line := range bytes.Lines(ndjson) {
		var s vw.Score
		if err := json.Unmarshal(line, &s, json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("score is not JSON of the contract: %v\n%s", err, line)
		}
		scores = append(scores, s)
	}
	return scores
}

// The heart of the engine: what it says of a county does not depend on how many slots work on it, nor on
// where its events are cut into batches, and all of it keeps the contract.
func TestEngineOnSimulatedCampaigns(t *testing.T) {
	for _, o := range []simulate.Options{{Seed: 1, Scale: .1}, {Seed: 2, Scale: .05}} {
		t.Run(fmt.Sprintf("seed %d", o.Seed), func(t *testing.T) {
			o.Campaign = gaoping(t)
			all := worldOf(t, o)
			settings := everyDetector()
			base := runAll(t, o.Campaign, all, settings, 1, 4096)
			checkScores(t, all, base, settings)
			checkFindings(t, o.Campaign, all, base)
			checkStats(t, all, base)
			for _, cut := range []struct{ slots, batch int }{{2, 4096}, {3, 4096}, {8, 4096}, {1, 613}, {4, 97}, {3, len(all.Events)}, {1, 1}} {
				got := runAll(t, o.Campaign, all, settings, cut.slots, cut.batch)
				name := fmt.Sprintf("%d slots and batches of %d", cut.slots, cut.batch)
				if !bytes.Equal(base.scores, got.scores) {
					t.Errorf("%s: other scores: %s", name, firstDifference(base.scores, got.scores))
				}
				if diff := cmp.Diff(base.last, got.last); diff != "" {
					t.Errorf("%s: findings (-1 slot +got):\n%.4000s", name, diff)
				}
				if cut.batch == 4096 {
					if diff := cmp.Diff(base.findings, got.findings); diff != "" {
						t.Errorf("%s: findings as given out (-1 slot +got):\n%.4000s", name, diff)
					}
				}
				if diff := cmp.Diff(base.stats, got.stats); diff != "" {
					t.Errorf("%s: counts (-1 slot +got):\n%s", name, diff)
				}
				if diff := cmp.Diff(base.dead, got.dead); diff != "" {
					t.Errorf("%s: dead letters (-1 slot +got):\n%.2000s", name, diff)
				}
			}
		})
	}
}

func firstDifference(a, b []byte) string {
	x, y := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(x), len(y)) {
		if !bytes.Equal(x[i], y[i]) {
			return fmt.Sprintf("line %d\n%s\n%s", i+1, x[i], y[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(x), len(y))
}

func checkScores(t *testing.T, all vw.Batch, r *ran, s detectors.Settings) {
	t.Helper()
	distinct := map[string]bool{} // all redemptions, scored or not yet
	for i := range all.Events {
		if e := &all.Events[i]; e.Type == vw.RedemptionEvent {
			distinct[all.String(e.ID.Text)] = false
		}
	}
	reasons := 0
	for _, x := range scoresOf(t, r.scores) {
		if done, ok := distinct[x.RedemptionID]; !ok || done {
			t.Fatalf("%s is scored although it is unknown or was scored before", x.RedemptionID)
		}
		distinct[x.RedemptionID] = true
		if x.PolicyVersion != s.Version || x.Score < 0 || x.Score > 1000 {
			t.Fatalf("policy version %q, score %d", x.PolicyVersion, x.Score)
		}
		if want := map[bool]vw.Band{true: vw.High, false: vw.Review}[x.Score >= s.High]; x.Score >= s.Review && x.Band != want || x.Score < s.Review && x.Band != vw.Low {
			t.Fatalf("score %d is in band %s", x.Score, x.Band)
		}
		if !slices.IsSortedFunc(x.Reasons, func(a, b vw.Reason) int {
			return int(math.Copysign(1, b.Weight-a.Weight)) * map[bool]int{true: 0, false: 1}[a.Weight == b.Weight]
		}) {
			t.Errorf("%s: reasons are not in order of weight", x.RedemptionID)
		}
		logit, cut := s.Prior, len(x.Reasons) > 11
		soft := map[string]float64{}
		for _, reason := range x.Reasons {
			reasons++
			checkReason(t, &reason, distinct)
			detector, _, ok := strings.Cut(reason.Code, ".")
			if _, known := s.Detectors[detector]; !ok || !known {
				t.Errorf("code %q does not begin with a detector", reason.Code)
			}
			logit += reason.Weight
			if reason.Weight != s.Hard[reason.Typology] {
				if soft[detector] += reason.Weight; math.Abs(soft[detector]) > .6*8-.01 {
					cut = true
				}
			}
		}
		if want := 1000 / (1 + math.Exp(-logit)); !cut && math.Abs(want-float64(x.Score)) > 2 {
			t.Errorf("%s: score %d, but prior and weights come to %.1f: %+v", x.RedemptionID, x.Score, want, x.Reasons)
		}
	}
	for id, done := range distinct {
		if !done {
			t.Errorf("redemption %s has no score", id)
		}
	}
	if reasons < 100 {
		t.Errorf("%d reasons in all: the world shows nothing", reasons)
	}
}

// checkReason looks at a reason's evidence: redemptions that exist, each once, at most 20.
func checkReason(t *testing.T, r *vw.Reason, known map[string]bool) {
	t.Helper()
	if len(r.Evidence) > 20 {
		t.Errorf("%s: %d redemptions as evidence", r.Code, len(r.Evidence))
	}
	for i, id := range r.Evidence {
		if _, ok := known[id]; !ok && r.Code != "rules_refund.unknown" { // which is about what does not exist
			t.Errorf("%s: the evidence %q does not exist", r.Code, id)
		}
		if slices.Contains(r.Evidence[:i], id) {
			t.Errorf("%s: the evidence names %s twice", r.Code, id)
		}
	}
	if r.Text.Zh == "" || r.Text.En == "" || strings.Contains(r.Text.En+r.Text.Zh, "%!") || strings.Contains(r.Text.En+r.Text.Zh, "NaN") {
		t.Errorf("%s says %q, %q", r.Code, r.Text.Zh, r.Text.En)
	}
}

func checkFindings(t *testing.T, c *vw.Campaign, all vw.Batch, r *ran) {
	t.Helper()
	known := map[string]bool{}
	for i := range all.Events {
		if e := &all.Events[i]; e.Type == vw.RedemptionEvent {
			known[all.String(e.ID.Text)] = true
		}
	}
	revision := map[string]int{}
	about := map[[5]string]string{}
	for _, f := range r.findings {
		if f.Revision <= revision[f.FindingID] {
			t.Errorf("%s %s %s: revision %d after %d", f.Typology, f.Subject.ID, f.Period, f.Revision, revision[f.FindingID])
		}
		revision[f.FindingID] = f.Revision
		key := [5]string{f.Typology, f.Subject.Kind, f.Subject.ID, f.Subject.With, f.Period}
		sum := sha256.Sum256([]byte(strings.Join(append([]string{c.ID}, key[:]...), "\x00")))
		if want := "f" + hex.EncodeToString(sum[:8]); f.FindingID != want {
			t.Errorf("finding %v has id %s, want %s", key, f.FindingID, want)
		}
		if have, ok := about[key]; ok && have != f.FindingID {
			t.Errorf("%v is both %s and %s", key, have, f.FindingID)
		}
		about[key] = f.FindingID
		for i := range f.Reasons {
			checkReason(t, &f.Reasons[i], known)
		}
		for i, id := range f.RedemptionIDs {
			if !known[id] || slices.Contains(f.RedemptionIDs[:i], id) {
				t.Errorf("%v rests on %q, which does not exist or is named twice", key, id)
			}
		}
		if len(f.Reasons) == 0 || f.FirstAt == "" || f.FirstAt > f.LastAt || f.Score < 0 || f.Score > 1000 || f.SubsidyFen < 0 || !slices.IsSorted(f.MerchantIDs) {
			t.Errorf("%v: %+v", key, f)
		}
	}
	if len(revision) < 10 {
		t.Errorf("%d findings in all: the world shows nothing", len(revision))
	}
}

func checkStats(t *testing.T, all vw.Batch, r *ran) {
	t.Helper()
	s := r.stats
	if got := s.Scored + s.Applied + s.Duplicates + s.Conflicts; got != int64(len(all.Events)) {
		t.Errorf("%d events are counted of %d: %+v", got, len(all.Events), s)
	}
	distinct := int64(0)
	for _, n := range s.Events {
		distinct += n
	}
	if distinct != s.Scored+s.Applied || s.Bands[0]+s.Bands[1]+s.Bands[2] != s.Scored || s.AtRisk > s.Subsidy {
		t.Errorf("the counts do not add up: %+v", s)
	}
	if s.Duplicates == 0 {
		t.Error("no duplicates: the world shows nothing")
	}
}

func TestDeliveringEverythingAgainChangesNothing(t *testing.T) {
	c := gaoping(t)
	all := worldOf(t, simulate.Options{Campaign: c, Seed: 3, Scale: .05, Days: 14})
	once := runAll(t, c, all, everyDetector(), 2, 500)
	for _, at := range []int{len(all.Events) / 3, len(all.Events) / 2, len(all.Events)} {
		twice := all
		twice.Events = slices.Concat(all.Events[:at], all.Events[:at], all.Events[at:])
		got := runAll(t, c, twice, everyDetector(), 2, 500)
		if !bytes.Equal(once.scores, got.scores) {
			t.Errorf("redelivery at %d: other scores: %s", at, firstDifference(once.scores, got.scores))
		}
		if diff := cmp.Diff(once.last, got.last); diff != "" {
			t.Errorf("redelivery at %d: findings (-once +twice):\n%.3000s", at, diff)
		}
		if got.stats.Duplicates != once.stats.Duplicates+int64(at) || len(got.dead) != len(once.dead) {
			t.Errorf("redelivery at %d: %d duplicates and %d dead, want %d and %d", at, got.stats.Duplicates, len(got.dead), once.stats.Duplicates+int64(at), len(once.dead))
		}
	}
}

const (
	oneRegistered = `{"type":"merchant","id":"m1","at":"2021-03-01T09:00:00+08:00","merchant_id":"shop","name":"小店","category":"retail","status":"active","dishonest":false,"uscc":"91140581MA0XXXXX1A","district":"140581"}`
	oneRedemption = `{"type":"redemption","id":"r1","at":"2022-09-21T11:00:00+08:00","voucher_id":"v1","voucher_type":"retail-50-10","customer_id":"li","merchant_id":"shop","order_fen":5860,"discount_fen":1000,"paid_fen":4860}`
)

func redemption(id, at, customer, merchant string) string {
	return fmt.Sprintf(`{"type":"redemption","id":%q,"at":"%s+08:00","voucher_id":"v-%s","voucher_type":"retail-50-10","customer_id":%q,"merchant_id":%q,"order_fen":5860,"discount_fen":1000,"paid_fen":4860}`, id, at, id, customer, merchant)
}

func TestSameIDWithOtherContentIsADeadLetter(t *testing.T) {
	c := gaoping(t)
	for _, tt := range []struct {
		name, again           string
		duplicates, conflicts int64
	}{
		{"the same line", oneRedemption, 1, 0},
		{"its fields in another order", `{"order_fen":5860,"discount_fen":1000,"paid_fen":4860,"customer_id":"li","merchant_id":"shop","voucher_id":"v1","voucher_type":"retail-50-10","type":"redemption","id":"r1","at":"2022-09-21T11:00:00+08:00"}`, 1, 0},
		{"another amount", strings.NewReplacer("5860", "6860", "4860", "5860").Replace(oneRedemption), 0, 1},
		{"another customer", strings.Replace(oneRedemption, `"li"`, `"wang"`, 1), 0, 1},
		{"another merchant", strings.Replace(oneRedemption, `"shop"`, `"mall"`, 1), 0, 1},
		{"another voucher", strings.Replace(oneRedemption, `"v1"`, `"v2"`, 1), 0, 1},
		{"another second", strings.Replace(oneRedemption, "11:00:00", "11:00:01", 1), 0, 1},
		{"another type with the same id", strings.NewReplacer(`"type":"redemption"`, `"type":"claim"`, `,"order_fen":5860,"discount_fen":1000,"paid_fen":4860,"merchant_id":"shop"`, "", `,"merchant_id":"shop","order_fen":5860,"discount_fen":1000,"paid_fen":4860`, "").Replace(oneRedemption), 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, batch := range []int{1, 10} {
				all := decode(t, c, []byte(oneRedemption+"\n"+tt.again+"\n"))
				for _, d := range all.Dead {
					t.Fatalf("the test has a line that is %s: %s", d.Code, d.Reason)
				}
				r := runAll(t, c, all, everyDetector(), 2, batch)
				if r.stats.Duplicates != tt.duplicates || r.stats.Conflicts != tt.conflicts || len(r.dead) != int(tt.conflicts) {
					t.Fatalf("%d duplicates, %d conflicts, %d dead letters", r.stats.Duplicates, r.stats.Conflicts, len(r.dead))
				}
				if n := len(scoresOf(t, r.scores)); n != 1 {
					t.Errorf("%d scores", n)
				}
				for _, d := range r.dead {
					if d.Code != "conflicting_id" || string(d.Raw) != tt.again || d.Position != 2 || d.Source != "in.ndjson" {
						t.Errorf("dead letter %+v", d)
					}
				}
			}
		})
	}
}

// A registry row or a list may be dated years back. That must not make the engine forget that it has
// seen it: to apply it again would undo what came after.
func TestRedeliveryOfOldRowsIsKnown(t *testing.T) {
	c := gaoping(t)
	lines := []string{oneRegistered, oneRedemption}
	for day := 22; day < 27; day++ {
		lines = append(lines, redemption(fmt.Sprint("d", day), fmt.Sprintf("2022-09-%dT11:00:00", day), "li", "shop"))
	}
	lines = append(lines, oneRegistered)
	for _, batch := range []int{1, 100} {
		r := runAll(t, c, decode(t, c, []byte(strings.Join(lines, "\n"))), everyDetector(), 1, batch)
		if r.stats.Duplicates != 1 {
			t.Errorf("batches of %d: %d duplicates, want the registry row of 2021 that came again days later", batch, r.stats.Duplicates)
		}
	}
}

func TestEngineTakesWhatItKnowsNothingAbout(t *testing.T) {
	c := gaoping(t)
	for name, lines := range map[string]string{
		"nothing": "",
		"a redemption at a merchant that is not registered, of a voucher without claim": redemption("r1", "2022-09-21T11:00:00", "li", "unknown"),
		"a redemption long before the campaign":                                         redemption("r1", "1999-01-01T00:00:00", "li", "shop"),
		"a refund of what never was":                                                    `{"type":"refund","id":"x","at":"2022-09-21T12:00:00+08:00","redemption_id":"never","merchant_id":"shop","customer_id":"li","refund_fen":100,"voucher_returned":true}`,
		"a refund before its redemption": `{"type":"refund","id":"x","at":"2022-09-21T12:00:00+08:00","redemption_id":"r1","merchant_id":"shop","customer_id":"li","refund_fen":5860,"voucher_returned":true}
` + oneRedemption,
		"a complaint about nobody known": `{"type":"complaint","id":"k","at":"2022-09-21T12:00:00+08:00","merchant_id":"nobody","kind":"no_goods"}`,
		"an order of nothing":            strings.NewReplacer("5860", "0", "4860", "0", ":1000", ":0").Replace(oneRedemption),
		"the largest order there is":     strings.NewReplacer("5860", "9007199254740991", "4860", "9007199254739991").Replace(oneRedemption),
		"identifiers that need escapes":  strings.NewReplacer(`"r1"`, `"r\"\\\u0007高平"`, `"li"`, `"李\n"`).Replace(oneRedemption),
		"an identifier with a quote":     strings.Replace(oneRedemption, `"r1"`, `"r\"1"`, 1),
		"a merchant that turns up later": oneRedemption + "\n" + oneRegistered + "\n" + redemption("r2", "2022-09-21T11:30:00", "li", "shop"),
	} {
		t.Run(name, func(t *testing.T) {
			all := decode(t, c, []byte(lines))
			want := 0
			for i := range all.Events {
				if all.Events[i].Type == vw.RedemptionEvent {
					want++
				}
			}
			for _, slots := range []int{1, 3} {
				if got := len(scoresOf(t, runAll(t, c, all, everyDetector(), slots, 1).scores)); got != want {
					t.Errorf("%d slots: %d scores, want %d", slots, got, want)
				}
			}
		})
	}
}

func TestLateRedemptionsAreScored(t *testing.T) {
	c := gaoping(t)
	var lines []string
	for i := range 20 {
		lines = append(lines, redemption(fmt.Sprint("r", i), fmt.Sprintf("2022-09-21T15:%02d:00", i), fmt.Sprint("u", i), "shop"))
	}
	lines = append(lines, redemption("in-time", "2022-09-21T13:20:00", "a", "shop"), redemption("late", "2022-09-21T13:18:00", "b", "shop"), redemption("days-late", "2022-09-20T13:00:00", "c", "shop"))
	r := runAll(t, c, decode(t, c, []byte(strings.Join(lines, "\n"))), everyDetector(), 2, 7)
	if r.stats.Late != 2 || r.stats.Scored != 23 || len(scoresOf(t, r.scores)) != 23 {
		t.Errorf("%d late of %d scored, want 2 of 23", r.stats.Late, r.stats.Scored)
	}
}

func TestARedemptionDatedIntoTheFutureCountsAsNow(t *testing.T) {
	c := gaoping(t)
	var lines []string
	for i := range 40 {
		lines = append(lines, redemption(fmt.Sprint("r", i), fmt.Sprintf("2022-09-21T15:%02d:00", i), fmt.Sprint("u", i), "shop"))
	}
	lines[20] = redemption("ahead", "2022-10-29T15:00:00", "u", "shop")
	r := runAll(t, c, decode(t, c, []byte(strings.Join(lines, "\n"))), everyDetector(), 2, 7)
	if r.stats.Future != 1 || r.stats.Late != 0 || r.stats.Scored != 40 {
		t.Errorf("%d future, %d late, %d scored, want 1, 0, 40", r.stats.Future, r.stats.Late, r.stats.Scored)
	}
	if got := r.stats.Clock.Time(c.Zone).Format(time.RFC3339); got != "2022-09-21T15:39:00+08:00" {
		t.Errorf("the clock ends at %s", got)
	}
}

func TestCloseEndsTheGoroutines(t *testing.T) {
	c := gaoping(t)
	all := decode(t, c, []byte(oneRegistered+"\n"+oneRedemption))
	for _, slots := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) { // panics when a goroutine is left
			e := newEngine(t, c, everyDetector(), slots)
			(&ran{last: map[string]vw.Finding{}}).feed(e, all, 1)
			e.Close()
			e.Close() // again is harmless
		})
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	c := gaoping(t)
	for _, tt := range []struct {
		name string
		o    detectors.Options
		want string
	}{
		{"no campaign", detectors.Options{Settings: everyDetector()}, "no campaign"},
		{"a negative number of slots", detectors.Options{Campaign: c, Settings: everyDetector(), Slots: -1}, "-1 slots"},
		{"too many slots", detectors.Options{Campaign: c, Settings: everyDetector(), Slots: 257}, "257 slots"},
		{"a detector that does not exist", detectors.Options{Campaign: c, Settings: detectors.Settings{Detectors: map[string]detectors.Setting{"splits": {Enabled: true}}}}, `"splits" that does not exist`},
		{"a detector that does not exist, switched off", detectors.Options{Campaign: c, Settings: detectors.Settings{Detectors: map[string]detectors.Setting{"splits": {}}}}, `"splits" that does not exist`},
		{"parameters that a detector refuses", detectors.Options{Campaign: c, Settings: detectors.Settings{Params: func(string, any) error { return fmt.Errorf("no such parameter") }}}, "no such parameter"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := detectors.New(tt.o)
			if err == nil {
				e.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if !strings.HasPrefix(tt.want, "no such") && vw.CodeOf(err) != vw.Invalid {
				t.Errorf("code %s", vw.CodeOf(err))
			}
		})
	}
}

// State is bounded by horizons: when nothing has happened for longer than the longest of them, next to
// nothing is held. What stays is the registry and the lists, which are valid until they are changed.
func TestStateLeavesWithItsHorizon(t *testing.T) {
	c := gaoping(t)
	all := worldOf(t, simulate.Options{Campaign: c, Seed: 4, Scale: .05})
	e := newEngine(t, c, everyDetector(), 3)
	defer e.Close()
	r := &ran{last: map[string]vw.Finding{}}
	r.feed(e, all, 2000)
	full := e.Size()
	for i, day := range []string{"2023-01-20", "2023-01-21", "2023-03-25", "2023-03-26"} {
		r.feed(e, decode(t, c, []byte(redemption(fmt.Sprint("spring", i), day+"T11:00:00", "li", "shop"))), 1)
	}
	empty := e.Size()
	for name, was := range full {
		is := empty[name]
		switch name {
		case "merchants", "rules_merchant", "rules_voucher", "pair": // the registry, the lists, the beneficiaries, merchants' habits
			if is[0] > was[0]+3 {
				t.Errorf("%s holds %d keys after five months of silence, %d before", name, is[0], was[0])
			}
			continue
		}
		if is[0] > 10 || is[1] > was[1] {
			t.Errorf("%s holds %d keys in %d bytes after five months of silence, %d in %d before", name, is[0], is[1], was[0], was[1])
		}
	}
	for _, name := range []string{"split", "cashout", "ledger", "refund_loop", "seen", "rules_refund", "rules_customer", "device", "price"} {
		if full[name][0] < 5 {
			t.Errorf("%s held %d keys at the end of the campaign: the test shows nothing of it", name, full[name][0])
		}
	}
}

// What the policy says of a detector is what scores and findings show.
func TestWeightsAndCapsTakeEffect(t *testing.T) {
	c := gaoping(t)
	x := &told{c: c}
	for i := range 4 {
		x.buy(2, 1140+2*i, 0, "zhang", "lou", "hospitality-200-40", 20_000, "")
	}
	all := x.batch(t)
	for _, tt := range []struct {
		name    string
		setting detectors.Setting
		score   int // of the last part
		found   bool
	}{
		{"in full", detectors.Setting{Enabled: true, Weight: 1, Cap: 12}, 949, true},
		{"cut at 4", detectors.Setting{Enabled: true, Weight: 1, Cap: 4}, 214, false},
		{"cut at 8, by half", detectors.Setting{Enabled: true, Weight: .5, Cap: 8}, 214, false},
		{"without weight", detectors.Setting{Enabled: true, Cap: 12}, 5, false},
		{"switched off", detectors.Setting{Weight: 1, Cap: 12}, 5, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := only("split", everyDetector())
			s.Detectors["split"] = tt.setting
			r := runAll(t, c, all, s, 1, 100)
			scores := scoresOf(t, r.scores)
			if got := scores[len(scores)-1].Score; got != tt.score {
				t.Errorf("score %d, want %d", got, tt.score)
			}
			if got := len(r.last) > 0; got != tt.found {
				t.Errorf("found %v, want %v", got, tt.found)
			}
		})
	}
}
