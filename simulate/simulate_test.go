package simulate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

func TestSameSeedGivesSameBytesAndAnotherSeedOthers(t *testing.T) {
	e1, l1, s1 := run(t, Options{Seed: 11, Scale: .2})
	e2, l2, s2 := run(t, Options{Seed: 11, Scale: .2})
	if !bytes.Equal(e1, e2) || !bytes.Equal(l1, l2) || !cmp.Equal(s1, s2) {
		t.Error("two runs of one seed differ")
	}
	e3, l3, _ := run(t, Options{Seed: 12, Scale: .2})
	if bytes.Equal(e1, e3) || bytes.Equal(l1, l3) {
		t.Error("two seeds give the same world")
	}
	if bytes.Equal(firstRedemption(e1), firstRedemption(e3)) {
		t.Error("two seeds share their first redemption")
	}
}

func firstRedemption(events []byte) []byte {
	at := bytes.Index(events, []byte(`{"type":"redemption"`))
	return events[at : at+60]
}

// missing are the lines of part that do not follow each other in whole.
func missing(part, whole []byte) (n int, first []byte) {
	rest := bytes.Split(whole, []byte("\n"))
	for _, line := range bytes.Split(part, []byte("\n")) {
		i := 0
		for i < len(rest) && !bytes.Equal(rest[i], line) {
			i++
		}
		if i == len(rest) {
			if n == 0 {
				first = line
			}
			n++
			if n > 3 {
				return n, first
			}
			continue
		}
		rest = rest[i+1:]
	}
	return n, first
}

func TestFraudIsAddedBesideHonestLinesWithoutTouchingThem(t *testing.T) {
	for _, seed := range []uint64{21, 22} {
		honest, _, _ := run(t, Options{Seed: seed, Scale: .2, NoFraud: true})
		for name, chosen := range map[string][]string{"all typologies": nil, "two typologies": {"ring", "price-raise"}} {
			all, _, _ := run(t, Options{Seed: seed, Scale: .2, Typologies: chosen})
			if n, line := missing(honest, all); n > 0 {
				t.Errorf("seed %d, %s: honest lines are gone or out of order, first:\n%s", seed, name, line)
			}
			if len(all) <= len(honest) {
				t.Errorf("seed %d, %s: no fraud was added", seed, name)
			}
		}
	}
}

func TestAPlaceboHasNoFraudAndStillItsViolations(t *testing.T) {
	events, labels, s := run(t, Options{Seed: 4, Scale: .2, NoFraud: true})
	_, l := read(t, events, labels)
	if !l.Placebo || len(l.Redemptions) != 0 || len(l.Cases) != 0 || len(s.Violations) != len(violations()) {
		t.Errorf("placebo %v, %d frauds, %d cases, violations %v", l.Placebo, len(l.Redemptions), len(l.Cases), s.Violations)
	}
}

func TestLabelsSpeakOfWhatIsThere(t *testing.T) {
	events, l := world1(t, 8)
	seen, counts := map[string]event{}, map[string]int{}
	for _, e := range events {
		counts[e.Type]++
		if e.Type == "redemption" {
			seen[e.ID] = e
		}
	}
	if diff := cmp.Diff(l.Counts.Distinct, counts); diff != "" {
		t.Errorf("counts (-labels +events):\n%s", diff)
	}
	for kind, n := range l.Counts.Events {
		if n != l.Counts.Distinct[kind]+l.Counts.Duplicates[kind] {
			t.Errorf("%s: %d events are not %d + %d", kind, n, l.Counts.Distinct[kind], l.Counts.Duplicates[kind])
		}
	}
	labelled := map[string]string{}
	claim := func(what, id string) {
		if _, ok := seen[id]; !ok {
			t.Errorf("%s %s is not in the events", what, id)
		}
		if other, twice := labelled[id]; twice {
			t.Errorf("%s is %s and %s", id, other, what)
		}
		labelled[id] = what
	}
	for id := range l.Redemptions {
		claim("fraud", id)
	}
	for id := range l.Violations {
		claim("violation", id)
	}
	for id := range l.HardNegatives {
		claim("look-alike", id)
	}
	for _, id := range l.Fillers {
		claim("filler", id)
	}
	total := 0
	for _, c := range l.Cases {
		stake, pairs := int64(0), 0
		for _, id := range c.RedemptionIDs {
			r := l.Redemptions[id]
			stake += r.Stake
			if r.Case != c.Case || r.Typology != c.Typology || r.Family != c.Family {
				t.Errorf("case %s lists %s, labelled %+v", c.Case, id, r)
			}
			if !slices.Contains(c.Merchants, seen[id].Merchant) || !slices.Contains(c.Customers, seen[id].Customer) {
				t.Errorf("case %s does not name the parties of %s", c.Case, id)
			}
		}
		for _, p := range c.Pairs {
			pairs += int(p[2].(float64))
		}
		if stake != c.Stake || pairs != len(c.RedemptionIDs) {
			t.Errorf("case %s: stake %d of %d, pairs %d of %d", c.Case, c.Stake, stake, pairs, len(c.RedemptionIDs))
		}
		total += len(c.RedemptionIDs)
	}
	if total != len(l.Redemptions) {
		t.Errorf("cases list %d redemptions, %d are labelled", total, len(l.Redemptions))
	}
	if share := float64(len(l.Redemptions)) / float64(counts["redemption"]); share < .005 || share > .06 {
		t.Errorf("fraud is %.3f of the redemptions", share)
	}
}

func TestPricesHaveFourWeeksOfHistory(t *testing.T) {
	events, _ := world1(t, 13)
	first := map[string]time.Time{}
	start := vw.Millis(gaoping().Start)*vw.Day - 8*vw.Hour
	for _, e := range events {
		if e.Type == "price" && e.Kind == "shelf" {
			if _, ok := first[e.Merchant]; !ok {
				first[e.Merchant] = e.when
			}
		}
	}
	late := 0
	for _, at := range first {
		if at.UnixMilli() > int64(start-28*vw.Day) {
			late++
		}
	}
	if len(first) < 10 || late > len(first)/5 { // shops that open in mid-campaign have less
		t.Errorf("%d of %d shops lack 28 days of prices before the start", late, len(first))
	}
}

func TestTheSummaryNamesEveryTypologyAndRule(t *testing.T) {
	_, _, s := run(t, Options{Seed: 2, Scale: .3})
	var b bytes.Buffer
	if err := s.Describe(&b); err != nil {
		t.Fatal(err)
	}
	for _, y := range Typologies() {
		if !strings.Contains(b.String(), y.Name) || !strings.Contains(b.String(), y.Text.Zh) {
			t.Errorf("no %s in\n%s", y.Name, b.String())
		}
	}
	for _, v := range violations() {
		if s.Violations[v.rule] == 0 {
			t.Errorf("no violation of %s", v.rule)
		}
	}
	if err := s.Describe(brokenWriter{}); err == nil {
		t.Error("a failing writer went unnoticed")
	}
}

func TestOptionsThatCannotBeAreRefusedTogether(t *testing.T) {
	_, err := Run(t.Context(), Options{Scale: -1, Typologies: []string{"nonsense"}}, io.Discard, io.Discard)
	if vw.CodeOf(err) != vw.Invalid {
		t.Fatalf("error = %v, want invalid", err)
	}
	for _, want := range []string{"scale", "nonsense", "campaign"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
}

// full takes so many bytes and no more.
type full struct{ left int }

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errors.New("disk is full")
	}
	return len(b), nil
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk is full") }

func TestAWriterThatFailsEndsTheRun(t *testing.T) {
	events, labels, _ := run(t, Options{Scale: .02})
	for name, w := range map[string][2]io.Writer{"write events": {brokenWriter{}, io.Discard}, "events: disk": {&full{len(events) - 1}, io.Discard},
		"write labels": {io.Discard, brokenWriter{}}, "labels: disk": {io.Discard, &full{len(labels) - 1}}} {
		_, err := Run(t.Context(), Options{Campaign: gaoping(), Scale: .02}, w[0], w[1])
		if vw.CodeOf(err) != vw.Unavailable || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Options{Campaign: gaoping(), Scale: .02}, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}

func TestAnotherCampaignGivesAnotherWorld(t *testing.T) {
	c := gaoping()
	c.Vouchers = []vw.Voucher{{Code: "meal-30-6", Category: vw.Hospitality, Threshold: 3000, Face: 600}}
	c.ClaimPerCampaign, c.ReleaseMinute, c.Districts = true, 8*60, []string{"110101"}
	events, _, s := run(t, Options{Campaign: c, Seed: 3, Scale: .1, Days: 12})
	if s.Counts.Distinct["redemption"] < 100 {
		t.Errorf("%d redemptions", s.Counts.Distinct["redemption"])
	}
	for _, no := range []string{"retail-", "140581", `"category":"fuel"`, `"voucher_type":"love"`} {
		if bytes.Contains(events, []byte(no)) {
			t.Errorf("a campaign without it holds %s", no)
		}
	}
}

func TestSmallAndOddWorldsHoldTogether(t *testing.T) {
	for i, change := range []func(o *Options, c *vw.Campaign){
		func(o *Options, c *vw.Campaign) { o.Days = 1 },
		func(o *Options, c *vw.Campaign) { o.Days = 3; c.ClaimLimit = 1 },
		func(o *Options, c *vw.Campaign) { c.ClaimPerCampaign = true; c.ClaimLimit = 12 },
		func(o *Options, c *vw.Campaign) { c.Rounds = c.Rounds[1:3] },
		func(o *Options, c *vw.Campaign) { c.Vouchers = c.Vouchers[:2]; c.Districts = nil },
		func(o *Options, c *vw.Campaign) { o.Merchants, o.Customers = 20, 100 },
		func(o *Options, c *vw.Campaign) {
			c.MCC[vw.Retail] = []string{"5300"}
			c.RefundPolicy = vw.NoReturnNet
			c.Zone = time.UTC
		},
	} {
		for seed := range uint64(4) {
			o := Options{Seed: seed, Scale: .02, Campaign: gaoping()}
			change(&o, o.Campaign)
			events, labels, s := run(t, o)
			read(t, events, labels)
			if s.Counts.Distinct["merchant"] < 20 || s.Counts.Lines < 100 {
				t.Errorf("world %d, seed %d: %+v", i, seed, s.Counts)
			}
		}
	}
}

func TestSyntheticCreditCodesPassBothChecks(t *testing.T) {
	for i := range 200 {
		r := chance(i)
		code := uscc(&r, "140581")
		sum, weight := 0, 1
		for _, c := range code[:17] {
			sum += strings.IndexRune("0123456789ABCDEFGHJKLMNPQRTUWXY", c) * weight
			weight = weight * 3 % 31
		}
		if got := "0123456789ABCDEFGHJKLMNPQRTUWXY"[(31-sum%31)%31]; len(code) != 18 || got != code[17] {
			t.Fatalf("%s: check character %c", code, got)
		}
	}
}

func TestAPoolThatRunsDryStopsHonestClaims(t *testing.T) {
	c := gaoping()
	for i := range c.Rounds {
		c.Rounds[i].Budget = [vw.Categories]vw.Fen{vw.Retail: 9_000_00, vw.Hospitality: 5_000_00, vw.Appliance: 4_000_00, vw.Fuel: 3_000_00}
	}
	events, labels, _ := run(t, Options{Campaign: c, Seed: 5, Scale: .3, NoFraud: true})
	es, l := read(t, events, labels)
	spent := make([][vw.Categories]vw.Fen, len(c.Rounds))
	for _, e := range es {
		if e.Type == "redemption" && l.Violations[e.ID] == "" && e.VoucherType != "love" {
			r := c.RoundOn(vw.DayOf(vw.Millis(e.when.UnixMilli()), 480))
			spent[r][c.Vouchers[c.VoucherIndex(e.VoucherType)].Category] += vw.Fen(e.Discount)
		}
	}
	for r := range spent {
		if s, all := spent[r][vw.Retail], c.Rounds[r].Budget[vw.Retail]; s > all || s < all*9/10 {
			t.Errorf("round %d: honest customers spent %s of %s", r+1, s.Yuan(), all.Yuan())
		}
	}
}

// BenchmarkRun reports events a second.
func BenchmarkRun(b *testing.B) {
	lines := 0
	for b.Loop() {
		s, err := Run(b.Context(), Options{Campaign: gaoping(), Seed: 1}, io.Discard, io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		lines += s.Counts.Lines
	}
	b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkCounty is the size of the whole budget: 1.4 million redemptions of 200,000 customers.
func BenchmarkCounty(b *testing.B) {
	if testing.Short() {
		b.Skip("a minute")
	}
	for b.Loop() {
		s, err := Run(b.Context(), Options{Campaign: gaoping(), Seed: 1, Scale: 40, Merchants: 3000, Customers: 200_000}, io.Discard, io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(s.Counts.Distinct["redemption"]), "redemptions")
		b.ReportMetric(float64(s.Counts.Distinct["claim"]), "claims")
	}
}
