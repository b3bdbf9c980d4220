package evaluate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"voucherwatch/campaign"
	"voucherwatch/stream"

	vw "voucherwatch"
)

// small is a world that a reader can hold in the head. Times are "20 10:00" of September 2022.
type small struct {
	events, scores, findings []string
	labels                   map[string]any
}

func at(s string) string {
	day, clock, _ := strings.Cut(s, " ")
	return "2022-09-" + day + "T" + clock + ":00.000+08:00"
}

// pay is a redemption of 满50减10 with its score.
func (s *small) pay(id, merchant, customer, when string, orderFen, score int) {
	s.events = append(s.events, fmt.Sprintf(`{"type":"redemption","id":%q,"at":%q,"voucher_id":"v%s","voucher_type":"retail-50-10","customer_id":%q,"merchant_id":%q,"order_fen":%d,"discount_fen":1000,"paid_fen":%d}`, id, at(when), id, customer, merchant, orderFen, orderFen-1000))
	s.scores = append(s.scores, fmt.Sprintf(`{"redemption_id":%q,"at":%q,"merchant_id":%q,"customer_id":%q,"score":%d,"band":"low","reasons":[],"blind":[],"policy_version":"p@1"}`, id, at(when), merchant, customer, score))
}

func (s *small) shelf(merchant, sku, when string, fen int) {
	s.events = append(s.events, fmt.Sprintf(`{"type":"price","id":"p%d","at":%q,"merchant_id":%q,"sku":%q,"price_fen":%d,"kind":"shelf"}`, len(s.events), at(when), merchant, sku, fen))
}

// find is a finding; about is "merchant m1", "pair m1 c1" or "ring x".
func (s *small) find(code, about, when string, score int, redemptions string, merchants ...string) {
	part := append(strings.Fields(about), "")
	text, err := json.Marshal(map[string]any{
		"finding_id": fmt.Sprintf("f%d", len(s.findings)), "typology": code, "subject": map[string]string{"kind": part[0], "id": part[1], "with": part[2]}, "detected_at": at(when),
		"score": score, "redemption_ids": strings.Fields(redemptions), "merchant_ids": merchants, "reasons": []any{map[string]any{"typology": code, "code": "split.session", "weight": 6.0}}, "policy_version": "p@1",
	})
	if err != nil {
		panic(err)
	}
	s.findings = append(s.findings, string(text))
}

// fraud labels redemptions as one case, "r1:1000 r2:500" with their stakes.
func (s *small) fraud(name, typology, family, codes, merchants, customers, first, redemptions string) {
	if s.labels == nil {
		s.labels = map[string]any{"cases": []any{}, "redemptions": map[string]any{}, "violations": map[string]string{}, "hard_negatives": map[string][]string{}, "fillers": []string{}}
	}
	var ids []string
	for _, r := range strings.Fields(redemptions) {
		id, stake, _ := strings.Cut(r, ":")
		ids = append(ids, id)
		s.labels["redemptions"].(map[string]any)[id] = map[string]any{"case": name, "family": family, "typology": typology, "stake_fen": json.Number(stake)}
	}
	s.labels["cases"] = append(s.labels["cases"].([]any), map[string]any{"case": name, "typology": typology, "family": family, "codes": strings.Fields(codes), "merchants": strings.Fields(merchants),
		"customers": strings.Fields(customers), "first_fraud_at": at(first), "redemption_ids": ids, "stake_fen": 0})
}

func options(t *testing.T) Options {
	t.Helper()
	c, err := campaign.Load("gaoping-2022-2")
	if err != nil {
		t.Fatal(err)
	}
	return Options{Campaign: c, Review: 600, High: 850, Exact: map[string]bool{"C03": true, "T22": true}, Weights: map[string]float64{"split": 1}, Prior: -5.3}
}

// decode reads events as the stream does; one that does not decode fails the test.
func decode(t *testing.T, c *vw.Campaign, lines []string) *vw.Batch {
	t.Helper()
	o := stream.Options{Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }}
	for _, v := range c.Vouchers {
		o.VoucherTypes = append(o.VoucherTypes, v.Code)
	}
	d, err := stream.NewDecoder(o)
	if err != nil {
		t.Fatal(err)
	}
	b := &vw.Batch{Sources: []string{"events"}}
	for i, l := range lines {
		raw := vw.Text{Off: uint32(len(b.Data)), Len: uint32(len(l))}
		b.Data = append(b.Data, l...)
		d.Decode(b, 0, int64(i+1), raw)
	}
	for _, dead := range b.Dead {
		t.Fatalf("event %d: %s", dead.Position, dead.Reason)
	}
	return b
}

func (s *small) report(t *testing.T) (*Report, error) {
	t.Helper()
	text, err := json.Marshal(s.labels)
	if err != nil {
		t.Fatal(err)
	}
	labels, err := ReadLabels("labels.json", bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	o := options(t)
	w, err := NewWorld("small", labels, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Events(decode(t, o.Campaign, s.events)); err != nil {
		return nil, err
	}
	if err := w.Scores("scores.ndjson", strings.NewReader(strings.Join(s.scores, "\n"))); err != nil {
		return nil, err
	}
	if err := w.Findings("findings.ndjson", strings.NewReader(strings.Join(s.findings, "\n"))); err != nil {
		return nil, err
	}
	return w.Report(), nil
}

// twoSplits has two splits, one found late, an honest customer who came back within 20 minutes, a breach
// and a filler.
func twoSplits() *small {
	s := &small{}
	s.pay("r1", "m1", "c1", "20 10:00", 5000, 5)
	s.pay("r2", "m1", "c1", "20 10:02", 5010, 900)
	s.pay("r3", "m1", "c2", "20 10:00", 6000, 700)
	s.pay("r4", "m1", "c2", "20 10:20", 5000, 700)
	s.pay("r5", "m2", "c3", "20 11:00", 5000, 5)
	s.pay("r6", "m2", "c4", "20 11:30", 8000, 650)
	s.pay("r7", "m2", "c5", "20 11:40", 8000, 5)
	s.pay("r8", "m3", "c6", "20 12:00", 5040, 650)
	s.pay("r9", "m3", "c6", "20 12:40", 5400, 300)
	s.find("T01", "pair m1 c1", "20 10:02", 900, "r1 r2", "m1")
	s.find("T01", "pair m3 c6", "22 13:00", 620, "r8 r9", "m3")
	s.find("C03", "merchant m2", "20 11:30", 668, "r6", "m2")
	s.fraud("s1", "split", "split", "T01", "m1", "c1", "20 10:00", "r1:1000 r2:1000")
	s.fraud("s2", "split", "split", "T01", "m3", "c6", "20 12:00", "r8:500 r9:500")
	s.labels["violations"] = map[string]string{"r6": "X-sum"}
	s.labels["fillers"] = []string{"r7"}
	s.labels["hard_negatives"] = map[string][]string{"r3": {"H2"}, "r4": {"H2"}}
	return s
}

func ratio(k, n int) Share { return share(k, n) }

func TestAWorldThatCanBeCountedByHand(t *testing.T) {
	r, err := twoSplits().report(t)
	if err != nil {
		t.Fatal(err)
	}
	if r.Redemptions != 9 || r.Fraud != 4 || r.Honest != 3 || r.Days != 1 || r.StakeFen != 3000 || r.Placebo {
		t.Errorf("%d redemptions, %d fraud, %d honest, %d days, %d fen", r.Redemptions, r.Fraud, r.Honest, r.Days, r.StakeFen)
	}
	// Baskets by score: 900 fraud, 700 honest, 650 fraud, 5 honest. AP = 1/2·1 + 1/2·2/3.
	b := r.Boards[0]
	if b.Unit != "basket" || b.Items != 4 || b.Fraud != 2 {
		t.Fatalf("first board: %+v", b)
	}
	aps := map[string]float64{}
	for _, k := range b.Rankings {
		aps[k.By] = k.AP
	}
	want := map[string]float64{
		"score": .8333,
		// Payments within 30 minutes of the one before: 1, 1 (honest), 0, 0 (honest).
		"same pair within 30 min": .5,
		// 2, 1 (honest), 1, and a tenth for one payment alone (honest).
		"within 1 % above the threshold": .8333,
		// Only the first.
		"both": .75,
		// 2, 2 (honest), 2, 1 (honest).
		"redemptions of the pair": .6667,
	}
	if diff := cmp.Diff(want, aps); diff != "" {
		t.Errorf("average precision of baskets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Band{ratio(2, 3), ratio(2, 2)}, b.Review); diff != "" {
		t.Errorf("review (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Band{ratio(1, 1), ratio(1, 2)}, b.High); diff != "" {
		t.Errorf("high (-want +got):\n%s", diff)
	}
	// The second case was found two days later: r9 was paid out by then, r8 had been at review at once.
	typology := Typology{Name: "split", Family: "split", Cases: ratio(2, 2), AtTime: ratio(2, 4), After: ratio(4, 4), High: ratio(2, 4), Money: Money{3000, 2500, 3000},
		Delay: Delay{MedianHours: 24.517, MedianRedemptions: 1.5, LostFen: 2000, Hours: []float64{.033, 49}}}
	if diff := cmp.Diff(typology, r.Typologies[0]); diff != "" {
		t.Errorf("typology (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Tag{{"H2", ratio(2, 2), ratio(2, 2), ratio(0, 2), ratio(0, 2)}, {"any", ratio(2, 2), ratio(2, 2), ratio(0, 2), ratio(0, 2)}, {"none", ratio(0, 1), ratio(0, 1), ratio(0, 1), ratio(0, 1)}}, r.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if r.False.Rate != 6666.67 {
		t.Errorf("false alarms %v per 10,000, want 2 of 3", r.False.Rate)
	}
	// Squares of r1 .995, r2 .1, r3 .7, r4 .7, r5 .005, r8 .35, r9 .7, over 7.
	c := r.Calibration[0]
	bins := []Bin{{0, .005, ratio(1, 2)}, {300, .3, ratio(1, 1)}, {600, .65, ratio(1, 1)}, {700, .7, ratio(0, 2)}, {900, .9, ratio(1, 1)}}
	if diff := cmp.Diff(bins, c.Bins); diff != "" || c.Brier != .370364 || c.N != 7 {
		t.Errorf("calibration: Brier %v of %d, bins (-want +got):\n%s", c.Brier, c.N, diff)
	}
	if diff := cmp.Diff([]Exact{{"C03", ratio(1, 1), ratio(1, 1)}, {"all", ratio(1, 1), ratio(1, 1)}}, r.Exact); diff != "" {
		t.Errorf("exact rules (-want +got):\n%s", diff)
	}
	// Two frauds and a breach among the six customer-merchants; the filler is passed over.
	if diff := cmp.Diff(Budget{20, .15, .15, ratio(3, 3)}, r.Budget[0]); diff != "" {
		t.Errorf("budget (-want +got):\n%s", diff)
	}
	if r.PerDay.Findings != 2 || r.PerDay.Review != 2 || r.PerDay.False != 0 {
		t.Errorf("findings: %+v", r.PerDay)
	}
}

func TestMerchantsRingsAndPricesCountedByHand(t *testing.T) {
	s := &small{}
	for i := range 6 {
		s.pay(fmt.Sprint("r", i), fmt.Sprint("m", i), fmt.Sprint("c", i), "20 10:00", 5000+1000*(i%2), 5)
	}
	s.pay("r6", "m0", "c1", "21 10:00", 5000, 5)
	s.pay("r7", "m5", "c7", "21 10:00", 5000, 5)
	// m5 raised a price by a fifth before the start, m2 by a twentieth; m3 went back to what it was.
	for _, p := range []struct {
		m, when string
		fen     int
	}{{"m5", "10 08:00", 1000}, {"m5", "17 08:00", 1200}, {"m2", "10 08:00", 1000}, {"m2", "18 08:00", 1050}, {"m3", "05 08:00", 1000}, {"m3", "06 08:00", 800}, {"m3", "07 08:00", 1000}} {
		s.shelf(p.m, "a", p.when, p.fen)
	}
	s.fraud("ring", "ring", "pair_ring", "P01", "m0 m1", "c0 c1", "20 10:00", "r0:100 r1:100 r6:100")
	s.fraud("cash", "cash", "cashout", "T06", "m4", "c4", "20 10:00", "r4:100")
	s.fraud("price", "price", "price", "T19", "m5", "c5", "17 08:00", "r5:100")
	s.find("P01", "ring x", "21 10:00", 700, "r0 r2 r4", "m0", "m2", "m4")
	s.find("T06", "merchant m4", "20 12:00", 700, "", "m4")
	s.find("T06", "merchant m3", "20 12:00", 800, "r3", "m3")
	s.find("T19", "merchant m5", "17 09:00", 900, "", "m5")
	r, err := s.report(t)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]float64{}
	for _, b := range r.Boards {
		if b.Unit == "merchant" {
			for _, k := range b.Rankings {
				got[b.Family] = append(got[b.Family], k.AP)
			}
		}
	}
	// Cash-out: m3 800, m4 700 (fraud), m2 0; the ring's and the price's merchants are left out. Nobody has ten
	// redemptions, so the naive rule ties all three. Price: m5 900; only m5 is 15 % over.
	if diff := cmp.Diff(map[string][]float64{"cashout": {.5, .3333}, "price": {1, 1}}, got); diff != "" {
		t.Errorf("average precision of merchants (-want +got):\n%s", diff)
	}
	half := Band{ratio(1, 2), ratio(1, 2)}
	if diff := cmp.Diff([]Ring{{"ring", 1, half, half, F1{.5, .5}, 1}}, r.Rings); diff != "" {
		t.Errorf("rings (-want +got):\n%s", diff)
	}
	// The price was found, by its merchant, before its first redemption.
	for _, y := range r.Typologies {
		if y.Name == "price" && (y.Cases != ratio(1, 1) || y.Delay.MedianHours != 1 || y.Delay.LostFen != 0) {
			t.Errorf("price: %+v", y)
		}
	}
}

// TestTheOrderOfTheInputSaysNothing shuffles events, scores and findings.
func TestTheOrderOfTheInputSaysNothing(t *testing.T) {
	marshal := func(s *small) string {
		r, err := s.report(t)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := errors.Join(WriteJSON(&out, Together([]*Report{r, r})), WriteText(&out, Together([]*Report{r})), WriteHTML(&out, Together([]*Report{r, r}))); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	want := marshal(twoSplits())
	r := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		s := twoSplits()
		for _, lines := range [][]string{s.events, s.scores, s.findings} {
			r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		}
		if diff := cmp.Diff(want, marshal(s)); diff != "" {
			t.Fatalf("shuffled (-want +got):\n%s", diff)
		}
	}
}

func TestARedeliveryChangesNothing(t *testing.T) {
	s := twoSplits()
	s.events = append(s.events, s.events[1])
	r, err := s.report(t)
	if err != nil {
		t.Fatal(err)
	}
	if r.Redemptions != 9 || r.Boards[0].Rankings[0].AP != .8333 {
		t.Errorf("%d redemptions, AP %v", r.Redemptions, r.Boards[0].Rankings[0].AP)
	}
}

func TestFilesThatDoNotBelongTogether(t *testing.T) {
	for _, tt := range []struct {
		name   string
		spoil  func(s *small)
		want   string
		advice string
	}{
		{"labels of another world", func(s *small) {
			s.labels = nil
			s.fraud("x", "split", "split", "T01", "m", "c", "20 10:00", "other:1")
		}, "small: none of the 1 labelled redemptions (other is one) is among the 9 of the events", "give the labels that were written with these events"},
		{"events cut short", func(s *small) { s.events = s.events[:8] }, "small: 1 of the 8 labelled redemptions are not among the 8 of the events", "cut short"},
		{"scores of other events", func(s *small) { s.scores[2] = strings.Replace(s.scores[2], "r3", "r33", 1) }, "scores.ndjson:3: redemption r33 is not among the events", "replay these events"},
		{"scores of the same ids elsewhere", func(s *small) { s.scores[2] = strings.Replace(s.scores[2], "m1", "m2", 1) }, "scores.ndjson:3: redemption r3 has another merchant or customer", "replay these events"},
		{"scores cut short", func(s *small) { s.scores = s.scores[:7] }, "scores.ndjson:7: the file ends here, with scores of 7 of the 9 redemptions", "cut short"},
		{"scores cut within a line", func(s *small) { s.scores[8] = s.scores[8][:40] }, "scores.ndjson:9: ", "cut short or damaged"},
		{"a redemption scored twice", func(s *small) { s.scores[8] = s.scores[7] }, "scores.ndjson:9: redemption r8 has a second score", "replay the events again"},
		{"scores of two policies", func(s *small) { s.scores[4] = strings.Replace(s.scores[4], "p@1", "p@2", 1) }, "scores.ndjson:5: policy p@2 after p@1", "replay the events again"},
		{"a score without a number", func(s *small) { s.scores[0] = strings.Replace(s.scores[0], `"score":5`, `"points":5`, 1) }, "scores.ndjson:1: a score needs a redemption_id and a score of 0 to 1000", ""},
		{"findings of other events", func(s *small) { s.findings[1] = strings.Replace(s.findings[1], `"r8"`, `"r88"`, 1) }, "findings.ndjson:2: finding f1 lists redemption r88, which is not among the events", "replay these events"},
		{"findings of another policy", func(s *small) { s.findings[0] = strings.Replace(s.findings[0], "p@1", "p@2", 1) }, "findings.ndjson:1: finding f0 is of policy p@2, the scores are of p@1", ""},
		{"a finding twice", func(s *small) { s.findings[1] = s.findings[0] }, "findings.ndjson:2: finding f0 is given twice", ""},
		{"a finding without a time", func(s *small) { s.findings[0] = strings.Replace(s.findings[0], "2022-09-20T", "20.9.", 1) }, "findings.ndjson:1: detected_at", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := twoSplits()
			tt.spoil(s)
			_, err := s.report(t)
			e, ok := errors.AsType[*vw.Error](err)
			if !ok || e.Code != vw.Invalid || !strings.HasPrefix(e.Err.Error(), tt.want) || !strings.Contains(e.Hint, tt.advice) || e.Hint == "" {
				t.Errorf("error is %v\nwant %s … (… %s …)", err, tt.want, tt.advice)
			}
		})
	}
}

func TestNoFraud(t *testing.T) {
	s := twoSplits()
	o := options(t)
	w, err := NewWorld("placebo", NoFraud(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Events(decode(t, o.Campaign, s.events)), w.Scores("s", strings.NewReader(strings.Join(s.scores, "\n"))), w.Findings("f", strings.NewReader(strings.Join(s.findings, "\n")))); err != nil {
		t.Fatal(err)
	}
	r := w.Report()
	if !r.Placebo || len(r.Boards)+len(r.Typologies)+len(r.Rings) > 0 || r.Honest != 9 || r.PerDay.False != 2 || r.PerDay.FalseRate != 2222.222 {
		t.Errorf("placebo: %+v", r)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{}, {Review: 900, High: 800}, {Review: 600, High: 850}} {
		if _, err := NewWorld("x", NoFraud(), o); vw.CodeOf(err) != vw.Invalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestSpreadAddsUp holds the spread of two worlds against its definition.
func TestSpreadAddsUp(t *testing.T) {
	a, err := twoSplits().report(t)
	if err != nil {
		t.Fatal(err)
	}
	s := twoSplits()
	s.scores[1] = strings.Replace(s.scores[1], `"score":900`, `"score":500`, 1) // AP 1/2·1/2 + 1/2·2/3
	b, err := s.report(t)
	if err != nil {
		t.Fatal(err)
	}
	x := Together([]*Report{a, b})
	get := func(column string) Measure {
		i := slices.IndexFunc(x.Spread, func(m Measure) bool { return m.Table == unitTitles["basket"] && m.Column == column })
		return x.Spread[i]
	}
	// 650 fraud and 500 fraud behind 700 honest: 1/2·1/2 + 1/2·2/3 = .5833.
	if m := get("AP"); m.Worlds != 2 || m.Mean != .7083 || m.SD != .176777 || m.Worst != .5833 {
		t.Errorf("AP: %+v", m)
	}
	if m := get("R at review"); *m.Pooled != ratio(3, 4) || m.Mean != .75 || m.Worst != .5 {
		t.Errorf("recall: %+v pooled %+v", m, m.Pooled)
	}
	// r2 at 500 errs by .5 where it erred by .1 at 900: .24 more over 7 is worse.
	i := slices.IndexFunc(x.Spread, func(m Measure) bool { return m.Column == "Brier" })
	if m := x.Spread[i]; !m.Less || m.Worst != b.Calibration[0].Brier || m.Worst <= a.Calibration[0].Brier {
		t.Errorf("Brier: %+v of %v and %v", m, a.Calibration[0].Brier, b.Calibration[0].Brier)
	}
	if c := x.Reliability[0]; c.N != 14 || c.Bins[0].Observed != ratio(2, 4) {
		t.Errorf("pooled reliability: %+v", c)
	}
}
