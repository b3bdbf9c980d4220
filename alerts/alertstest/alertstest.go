// Package alertstest holds the contract of Board, Ledger and PackStore as tests: Run makes every
// implementation prove the same.
package alertstest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	vw "voucherwatch"
	"voucherwatch/alerts"
)

// Store is all that is kept.
type Store interface {
	alerts.Board
	alerts.Ledger
	alerts.PackStore
}

var start = time.Date(2022, 9, 20, 10, 0, 0, 0, time.FixedZone("", 8*3600))

// Run tests what open gives. What open gives twice for the same test is the same store, reopened where
// it persists.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Run("what is committed is loaded again", func(t *testing.T) { loads(t, open) })
	t.Run("a line is told in order", func(t *testing.T) { lines(t, open(t)) })
	t.Run("a digest goes first", func(t *testing.T) { digests(t, open(t)) })
	t.Run("a conversation is found again", func(t *testing.T) { threads(t, open(t)) })
	t.Run("lists choose and page", func(t *testing.T) { lists(t, open(t)) })
	t.Run("health sums up", func(t *testing.T) { health(t, open(t)) })
	t.Run("a sealed pack stays as it is", func(t *testing.T) { packs(t, open(t)) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Alert is a plausible alert of a case.
func Alert(caseID string, sequence int) alerts.Alert {
	return alerts.Alert{ID: alerts.NewID(caseID, alerts.Opened, fmt.Sprint(sequence)), Case: caseID, Sequence: sequence, What: alerts.Opened, At: start,
		Typologies: []string{"T06"}, Agencies: []string{"GX", "GA"}, Severity: "high", District: "140581", MerchantID: "m-" + caseID, Merchant: "老王面馆", SubsidyFen: 184_000, Redemptions: 46}
}

// Delivery is a queued delivery.
func Delivery(channel, line string, n int) alerts.Delivery {
	id := fmt.Sprintf("%s-%s-%d", channel, line, n)
	return alerts.Delivery{ID: id, Receiver: "gx", Channel: channel, Line: line, State: alerts.Queued, NextAt: start, Made: start.Add(time.Duration(n) * time.Second),
		Alerts: []string{id}, Message: alerts.Message{Key: id, Kind: alerts.News, Case: line, At: start, Severity: "high", Title: "题", Sentence: "句",
			Items: []alerts.Item{{Case: line, Merchant: "老王面馆", SubsidyFen: 100, Severity: "high", Sentence: "句"}}}}
}

func loads(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	a, b := Alert("case-1", 1), Alert("case-2", 1)
	g := alerts.Group{Key: "g1", Route: "root/police", Labels: map[string]string{"case": "case-1"}, Cases: []string{"case-1"}, Pending: []alerts.Alert{a}, Due: start, Step: 2, StepDue: start.Add(time.Hour)}
	closed := alerts.Group{Key: "g2", Closed: true}
	x := alerts.Silence{ID: "s1", Match: alerts.Match{Typology: []string{"T06"}, AmountFrom: 300_000}, Who: "张三", Why: "系统升级期间", From: start, Until: start.Add(time.Hour)}
	d := Delivery("c", "case-1", 1)
	must(t, s.Commit(t.Context(), alerts.Change{Alerts: []alerts.Alert{a, b}, Groups: []alerts.Group{g, closed}, Silences: []alerts.Silence{x}, Deliveries: []alerts.Delivery{d}}))
	changed := d
	changed.Message.Title = "another"
	must(t, s.Commit(t.Context(), alerts.Change{Deliveries: []alerts.Delivery{changed}, Closed: []string{"case-2"}})) // a delivery that is there stays
	s = open(t)
	got, err := s.Load(t.Context(), start)
	must(t, err)
	same(t, "state", alerts.State{Groups: []alerts.Group{g}, Alerts: []alerts.Alert{a}, Silences: []alerts.Silence{x}}, got)
	if got, err := s.Load(t.Context(), x.Until); err != nil || len(got.Silences) != 0 {
		t.Errorf("silences that have ended = %v, %v", got.Silences, err)
	}
	known, err := s.Known(t.Context(), []string{a.ID, b.ID, "nobody"})
	must(t, err)
	same(t, "known", map[string]bool{a.ID: true, b.ID: true}, known)
	ready, _, err := s.Ready(t.Context(), "c", start, 10)
	must(t, err)
	d.Seq = 1
	same(t, "ready", []alerts.Delivery{d}, ready)
}

func ids(ds []alerts.Delivery) (s []string) {
	for _, d := range ds {
		s = append(s, d.ID)
	}
	return s
}

func lines(t *testing.T, s Store) {
	ds := []alerts.Delivery{Delivery("c", "a", 1), Delivery("c", "b", 1), Delivery("c", "a", 2), Delivery("other", "a", 1), Delivery("c", "d", 1)}
	ds[4].NextAt = start.Add(time.Minute)
	must(t, s.Record(t.Context(), ds))
	ready, _, err := s.Ready(t.Context(), "c", start, 10)
	must(t, err)
	same(t, "the heads of the lines", []string{"c-a-1", "c-b-1"}, ids(ready))
	ready, _, err = s.Ready(t.Context(), "c", start, 1)
	must(t, err)
	same(t, "with a limit", []string{"c-a-1"}, ids(ready))
	ds[0].NextAt = start.Add(2 * time.Minute) // it failed: the one behind it waits, too
	ds[1].State = alerts.Sent
	must(t, s.Record(t.Context(), ds[:2]))
	ready, next, err := s.Ready(t.Context(), "c", start, 10)
	must(t, err)
	if len(ready) != 0 || !next.Equal(start.Add(time.Minute)) {
		t.Errorf("ready %v, next %v; want none, a minute on", ids(ready), next)
	}
	ds[0].State = alerts.Dead
	must(t, s.Record(t.Context(), ds[:1]))
	ready, _, err = s.Ready(t.Context(), "c", start, 10)
	must(t, err)
	same(t, "behind a dead one", []string{"c-a-2"}, ids(ready))
	if _, next, err := s.Ready(t.Context(), "nothing", start, 10); err != nil || !next.IsZero() {
		t.Errorf("a channel without deliveries: %v, %v", next, err)
	}
}

func digests(t *testing.T, s Store) {
	sum := Delivery("c", "sum", 9)
	sum.Message.Kind = alerts.Digest
	sum.NextAt = start.Add(time.Hour)
	must(t, s.Record(t.Context(), []alerts.Delivery{Delivery("c", "a", 1), sum}))
	ready, next, err := s.Ready(t.Context(), "c", start, 10)
	must(t, err)
	if len(ready) != 0 || !next.Equal(sum.NextAt) {
		t.Errorf("while a digest waits: ready %v, next %v", ids(ready), next)
	}
	ready, _, err = s.Ready(t.Context(), "c", sum.NextAt, 10)
	must(t, err)
	same(t, "when it is due", []string{"c-sum-9"}, ids(ready))
}

func threads(t *testing.T, s Store) {
	ds := []alerts.Delivery{Delivery("c", "a", 1), Delivery("c", "a", 2), Delivery("other", "a", 1)}
	ds[0].State, ds[0].Attempts = alerts.Sent, []alerts.Attempt{{At: start, OK: true, Code: "ok", Thread: "1663.001", LatencyMS: 5}}
	must(t, s.Record(t.Context(), ds))
	ready, _, err := s.Ready(t.Context(), "c", start, 10)
	must(t, err)
	if len(ready) != 1 || ready[0].Message.Thread != "1663.001" {
		t.Errorf("the second message of the case has no thread: %+v", ready)
	}
	ready, _, err = s.Ready(t.Context(), "other", start, 10)
	must(t, err)
	if len(ready) != 1 || ready[0].Message.Thread != "" {
		t.Errorf("another channel's thread: %+v", ready)
	}
}

func lists(t *testing.T, s Store) {
	var ds []alerts.Delivery
	for i := range 5 {
		d := Delivery("c", fmt.Sprint("case-", i%2), i)
		if i == 3 {
			d.State, d.Batch, d.Message.Kind = alerts.Dead, "drill-1", alerts.Exercise
		}
		ds = append(ds, d)
	}
	must(t, s.Record(t.Context(), ds))
	for _, tt := range []struct {
		name string
		f    alerts.Filter
		want []string
	}{
		{"all", alerts.Filter{}, []string{"c-case-0-4", "c-case-1-3", "c-case-0-2", "c-case-1-1", "c-case-0-0"}},
		{"a page", alerts.Filter{Limit: 2}, []string{"c-case-0-4", "c-case-1-3"}},
		{"the next page", alerts.Filter{Limit: 2, Before: 4}, []string{"c-case-0-2", "c-case-1-1"}},
		{"the oldest first", alerts.Filter{Limit: 2, Oldest: true}, []string{"c-case-0-0", "c-case-1-1"}},
		{"a case", alerts.Filter{Case: "case-1"}, []string{"c-case-1-3", "c-case-1-1"}},
		{"dead letters", alerts.Filter{State: alerts.Dead}, []string{"c-case-1-3"}},
		{"a batch", alerts.Filter{Batch: "drill-1"}, []string{"c-case-1-3"}},
		{"a kind", alerts.Filter{Kind: alerts.Exercise}, []string{"c-case-1-3"}},
		{"another channel", alerts.Filter{Channel: "x"}, nil},
	} {
		got, err := s.Deliveries(t.Context(), tt.f)
		must(t, err)
		same(t, tt.name, tt.want, ids(got))
	}
}

func health(t *testing.T, s Store) {
	sent, dead, queued, drill := Delivery("c", "a", 1), Delivery("c", "b", 2), Delivery("c", "d", 3), Delivery("c", "e", 4)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	sent.State, sent.Attempts = alerts.Sent, []alerts.Attempt{{At: at(5), Code: "ok", OK: true, LatencyMS: 1000}}
	dead.State, dead.Attempts = alerts.Dead, []alerts.Attempt{{At: at(7), Code: "310000", LatencyMS: 2000}, {At: at(9), Code: "resend", Who: "张三"}}
	drill.State, drill.Message.Kind, drill.Attempts = alerts.Sent, alerts.Exercise, []alerts.Attempt{{At: at(6), Code: "ok", OK: true}}
	must(t, s.Record(t.Context(), []alerts.Delivery{sent, dead, queued, drill, Delivery("b", "a", 1)}))
	got, err := s.Health(t.Context())
	must(t, err)
	same(t, "health", []alerts.Health{
		{Channel: "b", Queued: 1, Oldest: at(1)},
		{Channel: "c", Queued: 1, Dead: 1, Sent: 2, Oldest: at(3), LastSent: at(6), LastFailed: at(7), LastCode: "310000", LastLatencyMS: 2000, LastDrill: at(6)},
	}, got)
	if got[0].Word() != "untested" || got[1].Word() != "failing" {
		t.Errorf("words: %s, %s", got[0].Word(), got[1].Word())
	}
}

func packs(t *testing.T, s Store) {
	p := alerts.Pack{Number: "case-1-GA", Version: 1, Case: "case-1", Agency: "GA", Bytes: 10, SHA256: "aa", SM3: "bb", Sealed: start, By: "张三"}
	second := p
	second.Version, second.SHA256 = 2, "cc"
	must(t, s.PutPack(t.Context(), p))
	must(t, s.PutPack(t.Context(), p))
	other := p
	other.SHA256 = "dd"
	for _, bad := range []alerts.Pack{other, {Number: "case-1-GA", Version: 4}, {Number: "case-9-GA", Version: 0}} {
		if code := vw.CodeOf(s.PutPack(t.Context(), bad)); code != vw.Conflict {
			t.Errorf("version %d again: %q, want conflict", bad.Version, code)
		}
	}
	must(t, s.PutPack(t.Context(), second))
	p.Returns = []alerts.Returned{{Outcome: alerts.Accepted, Number: "高公（经）受字〔2022〕7号", At: start, Who: "李四"}}
	must(t, s.PutPack(t.Context(), p))
	without := p
	without.Returns = nil
	if code := vw.CodeOf(s.PutPack(t.Context(), without)); code != vw.Conflict {
		t.Errorf("a return was taken back: %q", code)
	}
	got, err := s.Packs(t.Context(), "case-1-GA")
	must(t, err)
	same(t, "packs", []alerts.Pack{p, second}, got)
}
