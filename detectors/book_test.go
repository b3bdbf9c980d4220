package detectors

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

func bookFound(logOdds float64, code string, ids ...string) *Found {
	f := &Found{
		Typology: "T06", Subject: vw.Subject{Kind: "merchant", ID: "m1"}, Period: "campaign", At: 1000, LogOdds: logOdds, Subsidy: SumOfDiscounts,
		Merchants: []string{"m1"}, Reasons: []vw.Reason{{Code: code, Weight: logOdds}},
	}
	for i, id := range ids {
		f.Redemptions = append(f.Redemptions, FoundRedemption{ID: id, At: vw.Millis(1000 * (len(ids) - i)), Discount: 500})
	}
	return f
}

func bookOf() *book { return newBook(rulesCampaign(), &Settings{Version: "v1"}) }

func TestWhatIsFoundAgainRevisesTheFinding(t *testing.T) {
	type want struct {
		Revision, Score int
		IDs             []string
		Subsidy         vw.Fen
		Codes           []string
	}
	replace := bookFound(1, "a", "r9")
	replace.Replace = true
	stake := bookFound(1, "a", "r1")
	stake.Subsidy = 77
	for _, tt := range []struct {
		name  string
		found []*Found
		want  want
	}{
		{"once", []*Found{bookFound(1, "a", "r2", "r1")}, want{1, 731, []string{"r1", "r2"}, 1000, []string{"a"}}},
		{"the same again is no revision", []*Found{bookFound(1, "a", "r1"), bookFound(1, "a", "r1")}, want{1, 731, []string{"r1"}, 500, []string{"a"}}},
		{"further redemptions are added", []*Found{bookFound(1, "a", "r1"), bookFound(1, "a", "r2")}, want{2, 731, []string{"r1", "r2"}, 1000, []string{"a"}}},
		{"stronger evidence takes the place of weaker", []*Found{bookFound(1, "a", "r1"), bookFound(2, "a", "r1")}, want{2, 881, []string{"r1"}, 500, []string{"a"}}},
		{"weaker evidence does not", []*Found{bookFound(2, "a", "r1"), bookFound(1, "a", "r1")}, want{1, 881, []string{"r1"}, 500, []string{"a"}}},
		{"another kind of reason is added even when it is weaker", []*Found{bookFound(2, "a", "r1"), bookFound(1, "b", "r1")}, want{2, 881, []string{"r1"}, 500, []string{"a", "b"}}},
		{"a replacement forgets the redemptions before", []*Found{bookFound(1, "a", "r1", "r2"), replace}, want{2, 731, []string{"r9"}, 500, []string{"a"}}},
		{"the stake as it was last said", []*Found{bookFound(1, "a", "r1"), stake}, want{2, 731, []string{"r1"}, 77, []string{"a"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bookOf()
			for _, f := range tt.found {
				b.add(f)
			}
			list := b.take(true, nil)
			if len(list) != 1 {
				t.Fatalf("%d findings, want 1", len(list))
			}
			f := list[0]
			got := want{Revision: f.Revision, Score: f.Score, IDs: f.RedemptionIDs, Subsidy: f.SubsidyFen}
			for _, r := range f.Reasons {
				got.Codes = append(got.Codes, r.Code)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again := b.take(true, nil); len(again) != 0 {
				t.Errorf("%d findings are given out although nothing changed", len(again))
			}
		})
	}
}

// Findings given out belong to the caller: what is found later must not show in them.
func TestFindingsGivenOutStayAsTheyWere(t *testing.T) {
	b := bookOf()
	b.add(bookFound(1, "a", "r1"))
	first := b.take(true, nil)[0]
	was := fmt.Sprintf("%+v", first)
	for i := range 20 {
		f := bookFound(2+float64(i), "a", fmt.Sprint("s", i))
		f.Merchants = []string{"a-merchant"}
		f.Reasons = append(f.Reasons, vw.Reason{Code: fmt.Sprint("c", i)})
		b.add(f)
		b.take(true, nil)
	}
	if now := fmt.Sprintf("%+v", first); now != was {
		t.Errorf("it was\n%s\nand is\n%s", was, now)
	}
}

func TestReasonsOfAFindingAreBounded(t *testing.T) {
	b := bookOf()
	for i := range 50 {
		b.add(bookFound(1, fmt.Sprint("code", i), "r1"))
	}
	if n := len(b.take(true, nil)[0].Reasons); n != maxReasons {
		t.Errorf("%d reasons, want %d", n, maxReasons)
	}
}

func TestNewFindingsAreToldAtOnceAndChangesByTheHour(t *testing.T) {
	b := bookOf()
	b.add(bookFound(1, "a", "r1"))
	if n := len(b.take(false, nil)); n != 1 {
		t.Fatalf("%d new findings, want 1", n)
	}
	b.add(bookFound(1, "a", "r2"))
	if n := len(b.take(false, nil)); n != 0 {
		t.Fatalf("%d findings before the hour, want none", n)
	}
	list := b.take(true, nil)
	if len(list) != 1 || list[0].Revision != 2 || len(list[0].RedemptionIDs) != 2 {
		t.Fatalf("at the hour: %+v", list)
	}
}

func TestFindingsAreForgottenAfterTheirHorizonAndOnceTold(t *testing.T) {
	b := bookOf()
	b.add(bookFound(1, "a", "r1"))
	b.sweep(findingHorizon + 2000)
	if len(b.entries) != 1 {
		t.Fatal("a finding is forgotten that was never told")
	}
	b.take(true, nil)
	b.sweep(findingHorizon + 1000)
	if len(b.entries) != 1 {
		t.Fatal("a finding is forgotten within its horizon")
	}
	b.sweep(findingHorizon + 1001)
	if len(b.entries) != 0 {
		t.Error("a finding is kept beyond its horizon")
	}
}

func TestFindingIDNamesWhatTheFindingIsAbout(t *testing.T) {
	id := func(campaign, typology, kind, id, with, period string) string {
		return findingID(campaign, typology, vw.Subject{Kind: kind, ID: id, With: with}, period)
	}
	base := id("c", "T01", "pair", "m", "u", "campaign")
	if base != id("c", "T01", "pair", "m", "u", "campaign") || len(base) != 17 {
		t.Errorf("id %q", base)
	}
	for _, other := range []string{
		id("d", "T01", "pair", "m", "u", "campaign"), id("c", "T02", "pair", "m", "u", "campaign"), id("c", "T01", "ring", "m", "u", "campaign"),
		id("c", "T01", "pair", "n", "u", "campaign"), id("c", "T01", "pair", "m", "v", "campaign"), id("c", "T01", "pair", "m", "u", "2022-09-20"),
		id("c", "T01", "pair", "mu", "", "campaign"), id("cT", "01", "pair", "m", "u", "campaign"),
	} {
		if other == base {
			t.Error("two things have the same id")
		}
	}
}

// Slots find side by side; the book gets it in order of events, then lanes, then detectors.
func TestWhatSlotsFindIsPutInOrder(t *testing.T) {
	e := &Engine{book: bookOf(), slots: []*slot{{}, {}, {}}}
	put := func(slot int, id string, event int32, lane Lane, detector uint8) {
		f := bookFound(1, "a", id)
		f.Subject.ID = id
		e.slots[slot].found = append(e.slots[slot].found, proposal{Found: *f, event: event, lane: lane, detector: detector})
	}
	put(0, "4", 7, CustomerLane, 0)
	put(0, "6", 9, MerchantLane, 0)
	put(1, "1", 3, CustomerLane, 5)
	put(1, "5", 7, CustomerLane, 2)
	put(2, "2", 7, MerchantLane, 8)
	put(2, "3", 7, MerchantLane, 9)
	e.collect()
	var got []string
	for _, f := range e.book.take(true, nil) {
		got = append(got, f.Subject.ID)
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "4", "5", "6"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if len(e.slots[0].found)+len(e.slots[1].found)+len(e.slots[2].found) != 0 {
		t.Error("what was collected is still there")
	}
}
