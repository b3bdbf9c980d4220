package alerts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	vw "voucherwatch"
	"voucherwatch/alerts"
	"voucherwatch/alerts/alertstest"
)

var anyOrder = cmpopts.SortSlices(func(a, b string) bool { return a < b })

// desk is a router over a policy, with a clock that is set by hand and the deliveries that it made.
type desk struct {
	t      *testing.T
	policy *alerts.Policy
	store  *alerts.Memory
	router *alerts.Router
	now    time.Time
	seen   int64
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04:05", s, time.FixedZone("", 8*3600))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newDesk(t *testing.T, policy string) *desk {
	t.Helper()
	p, err := alerts.Parse("test.yaml", []byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, policy: p, store: alerts.NewMemory(), now: at(t, "2022-09-20 10:00:00")} // a Tuesday
	d.restart()
	return d
}

// restart throws the router away; the next one knows what the store knows.
func (d *desk) restart() {
	d.t.Helper()
	r, err := alerts.NewRouter(d.t.Context(), d.policy, d.store, d.now)
	if err != nil {
		d.t.Fatal(err)
	}
	d.router = r
}

func (d *desk) take(as ...alerts.Alert) {
	d.t.Helper()
	if err := d.router.Take(d.t.Context(), as, d.now); err != nil {
		d.t.Fatal(err)
	}
}

// until moves the clock, ticking whenever the router asked for it, and returns what was made:
// "15:04:05 channel kind cases".
func (d *desk) until(s string) (told []string) {
	d.t.Helper()
	end := at(d.t, s)
	for i := 0; ; i++ {
		if i > 1000 {
			d.t.Fatal("the router does not come to rest")
		}
		next, err := d.router.Tick(d.t.Context(), d.now)
		if err != nil {
			d.t.Fatal(err)
		}
		all, err := d.store.Deliveries(d.t.Context(), alerts.Filter{Limit: 10_000})
		if err != nil {
			d.t.Fatal(err)
		}
		for i := len(all) - 1; i >= 0; i-- {
			if x := all[i]; x.Seq > d.seen {
				d.seen = x.Seq
				var cases []string
				for _, it := range x.Message.Items {
					cases = append(cases, it.Case)
				}
				told = append(told, fmt.Sprintf("%s %s %s %s", x.Made.Format("02 15:04:05"), x.Channel, x.Message.Kind, strings.Join(cases, "+")))
			}
		}
		if next.IsZero() || next.After(end) {
			d.now = end
			return told
		}
		d.now = next
	}
}

func (d *desk) want(s string, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, d.until(s)); diff != "" {
		d.t.Errorf("told until %s (-want +got):\n%s", s, diff)
	}
}

const small = `name: test
zone: "+08:00"
calendars:
  office: {days: [mon, tue, wed, thu, fri], from: "08:30", to: "18:00"}
channels: {gx: {type: log}, ga: {type: log}, cz: {type: log}, boss: {type: log}, zhang: {type: log}, li: {type: log}}
rosters:
  desk: {start: 2022-09-19, days: 1, hand_over: "09:00", people: [zhang, li], swaps: [{from: 2022-09-22, to: 2022-09-22, who: zhang}]}
receivers:
  gx: {title: 工信局, channels: [gx]}
  ga: {title: 公安局, channels: [ga]}
  cz: {title: 财政局, channels: [cz]}
  boss: {title: 领导, channels: [boss]}
  duty: {title: 值班, duty: desk}
route:
  receivers: [gx]
  wait: 30s
  interval: 10m
  repeat: 1h
  routes:
    - {name: police, match: {typology: [T06]}, receivers: [ga], continue: true}
    - {name: money, match: {amount_from: 3000元}, receivers: [cz], hours: office}
    - {name: urgent, match: {severity: [critical]}, receivers: [duty], escalate: up}
inhibit:
  - {source: {severity: [critical]}, target: {severity: [low]}, equal: [merchant], for: 24h}
escalations:
  up:
    steps:
      - {after: 10m, notify: [duty]}
      - {after: 20m, notify: [boss], hours: office}
    repeat: 1
`

func alert(caseID string, sequence int, change func(a *alerts.Alert)) alerts.Alert {
	a := alertstest.Alert(caseID, sequence)
	a.Typologies, a.Agencies, a.Severity, a.SubsidyFen = []string{"T11"}, []string{"GX"}, "medium", 100_00
	if change != nil {
		change(&a)
	}
	return a
}

func TestWhatBelongsTogetherIsToldTogetherThenRepeatedUntilSomebodyTakesItUp(t *testing.T) {
	d := newDesk(t, small)
	d.take(alert("c1", 1, nil))
	d.want("2022-09-20 10:00:20")
	d.take(alert("c1", 2, nil), alert("c2", 1, nil))
	d.want("2022-09-20 10:01:00", "20 10:00:30 gx news c1+c1", "20 10:00:50 gx news c2")
	d.take(alert("c1", 3, nil)) // within the interval
	d.want("2022-09-20 10:20:00", "20 10:10:30 gx news c1")
	d.take(alert("c1", 3, nil)) // the same alert again changes nothing
	d.want("2022-09-20 11:30:00", "20 11:00:50 gx repeat c2", "20 11:10:30 gx repeat c1")
	if err := d.router.TakeUp(t.Context(), "c1", "张三", d.now); err != nil {
		t.Fatal(err)
	}
	d.restart()
	d.want("2022-09-20 12:30:00", "20 12:00:50 gx repeat c2")
	d.take(alert("c1", 4, nil)) // news of a case that somebody works on is told once
	d.want("2022-09-20 13:30:00", "20 12:30:00 gx news c1", "20 13:00:50 gx repeat c2")
	if err := d.router.Close(t.Context(), "c2", d.now); err != nil {
		t.Fatal(err)
	}
	d.want("2022-09-25 12:00:00")
}

func TestABranchContinuesOrEndsTheWay(t *testing.T) {
	d := newDesk(t, small)
	d.take(
		alert("both", 1, func(a *alerts.Alert) { a.Typologies, a.SubsidyFen = []string{"T06"}, 5000_00 }),
		alert("police", 1, func(a *alerts.Alert) { a.Typologies = []string{"T01", "T06"} }),
		alert("money", 1, func(a *alerts.Alert) { a.SubsidyFen, a.Severity = 3000_00, "critical" }), // money has no continue
		alert("rest", 1, nil),
	)
	got := d.until("2022-09-20 10:05:00")
	want := []string{"20 10:00:30 ga news both", "20 10:00:30 cz news both", "20 10:00:30 ga news police", "20 10:00:30 cz news money", "20 10:00:30 gx news rest"}
	if diff := cmp.Diff(want, got, anyOrder); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestOutsideWorkingHoursItWaits(t *testing.T) {
	d := newDesk(t, small)
	d.now = at(t, "2022-09-23 17:59:45") // Friday
	d.take(alert("c", 1, func(a *alerts.Alert) { a.SubsidyFen = 5000_00 }))
	d.want("2022-09-26 10:00:00", "26 08:30:00 cz news c", "26 09:30:00 cz repeat c")
}

func TestEscalationClimbsAndSurvivesARestart(t *testing.T) {
	d := newDesk(t, small)
	d.now = at(t, "2022-09-20 17:40:00")
	d.take(alert("c", 1, func(a *alerts.Alert) { a.Severity = "critical" }))
	d.want("2022-09-20 17:45:00", "20 17:40:30 li news c") // the second day of the roster
	d.restart()
	d.want("2022-09-20 18:00:00", "20 17:50:30 li escalation c")
	d.restart()
	// The boss is asked in office hours; the hour's repeats go on meanwhile.
	d.want("2022-09-20 18:45:00", "20 18:40:30 li repeat c")
	d.restart()
	var climbed []string
	for _, s := range d.until("2022-09-21 10:00:00") {
		if strings.Contains(s, "escalation") {
			climbed = append(climbed, s)
		}
	}
	// 09:00 hands over to zhang, after the first step of the second round.
	if diff := cmp.Diff([]string{"21 08:30:00 boss escalation c", "21 08:40:00 li escalation c", "21 09:00:00 boss escalation c"}, climbed); diff != "" {
		t.Errorf("climbed (-want +got):\n%s", diff)
	}
	if err := d.router.TakeUp(t.Context(), "c", "李四", d.now); err != nil {
		t.Fatal(err)
	}
	d.want("2022-09-23 10:00:00")
}

func TestTakingItUpEndsTheLadder(t *testing.T) {
	d := newDesk(t, small)
	d.take(alert("c", 1, func(a *alerts.Alert) { a.Severity = "critical" }))
	d.want("2022-09-20 10:05:00", "20 10:00:30 li news c")
	if err := d.router.TakeUp(t.Context(), "c", "system", d.now); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("a machine took it up: %v", err)
	}
	if err := d.router.TakeUp(t.Context(), "c", "李四", d.now); err != nil {
		t.Fatal(err)
	}
	d.want("2022-09-21 10:00:00")
}

func TestTheRosterTurnsAtTheHandOver(t *testing.T) {
	p, err := alerts.Parse("test.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for when, want := range map[string]string{
		"2022-09-01 12:00:00": "zhang", "2022-09-19 08:59:59": "zhang", "2022-09-20 08:59:59": "zhang", "2022-09-20 09:00:00": "li",
		"2022-09-21 09:00:00": "zhang", "2022-09-22 09:00:00": "zhang", "2022-09-23 08:59:59": "zhang", "2022-09-23 09:00:00": "zhang", "2022-09-24 09:00:00": "li",
	} {
		roster := p.Rosters["desk"]
		if got := roster.On(at(t, when), time.FixedZone("", 8*3600)); got != want {
			t.Errorf("on duty at %s: %s, want %s", when, got, want)
		}
	}
}

func TestAGreaterAlertHoldsALesserOfTheSameMerchantBack(t *testing.T) {
	low := func(merchant string, later time.Duration) func(a *alerts.Alert) {
		return func(a *alerts.Alert) { a.Severity, a.MerchantID, a.At = "low", merchant, a.At.Add(later) }
	}
	d := newDesk(t, small)
	d.take(alert("big", 1, func(a *alerts.Alert) { a.Severity, a.MerchantID, a.SubsidyFen = "critical", "m1", 5000_00 }))
	d.take(alert("same", 1, low("m1", time.Hour)), alert("other", 1, low("m2", time.Hour)), alert("unknown", 1, low("", time.Hour)), alert("late", 1, low("m1", 25*time.Hour)))
	got := d.until("2022-09-20 10:05:00")
	want := []string{"20 10:00:30 cz news big", "20 10:00:30 gx news late", "20 10:00:30 gx news other", "20 10:00:30 gx news unknown"}
	if diff := cmp.Diff(want, got, anyOrder); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if err := d.router.Close(t.Context(), "big", d.now); err != nil {
		t.Fatal(err)
	}
	d.restart()
	d.take(alert("same", 2, low("m1", 2*time.Hour)))
	if told := d.until("2022-09-20 10:15:00"); len(told) != 1 || !strings.HasSuffix(told[0], "gx news same") {
		t.Errorf("after the greater case was closed: %v", told)
	}
}

func TestASilenceHoldsBackAndTellsWhenItEnds(t *testing.T) {
	d := newDesk(t, small)
	d.take(alert("c1", 1, nil), alert("c2", 1, nil))
	s, err := d.router.Silence(t.Context(), alerts.Silence{Match: alerts.Match{Case: []string{"c1"}}, Who: "张三", Why: "商户系统割接", Until: at(t, "2022-09-20 12:00:00")}, d.now)
	if err != nil || s.Matching != 1 {
		t.Fatalf("%d match now, %v", s.Matching, err)
	}
	d.restart()
	d.take(alert("c1", 2, nil))
	if running := d.router.Running(d.now); len(running) != 1 || running[0].Matching != 2 || running[0].Who != "张三" {
		t.Errorf("running: %+v", running)
	}
	d.want("2022-09-20 10:30:00", "20 10:00:30 gx news c2")
	if err := d.router.Close(t.Context(), "c2", d.now); err != nil {
		t.Fatal(err)
	}
	d.want("2022-09-20 12:10:00", "20 12:00:00 gx news c1+c1")
	if running := d.router.Running(d.now); len(running) != 0 {
		t.Errorf("it ended and still runs: %+v", running)
	}
}

func TestASilenceMayBeEndedEarly(t *testing.T) {
	d := newDesk(t, small)
	s, err := d.router.Silence(t.Context(), alerts.Silence{Match: alerts.Match{Case: []string{"c1"}}, Who: "张三", Why: "商户系统割接", Until: at(t, "2022-09-20 12:00:00")}, d.now)
	if err != nil {
		t.Fatal(err)
	}
	d.take(alert("c1", 1, nil))
	d.want("2022-09-20 11:00:00")
	if err := d.router.Unsilence(t.Context(), s.ID, "李四", d.now); err != nil {
		t.Fatal(err)
	}
	d.want("2022-09-20 11:01:00", "20 11:00:00 gx news c1")
	if code := vw.CodeOf(d.router.Unsilence(t.Context(), "none", "李四", d.now)); code != vw.NotFound {
		t.Errorf("an unknown silence: %q", code)
	}
}

func TestASilenceNeedsItsReasons(t *testing.T) {
	good := func() alerts.Silence {
		return alerts.Silence{Match: alerts.Match{Case: []string{"c"}}, Who: "张三", Why: "商户系统割接", Until: at(t, "2022-09-21 10:00:00")}
	}
	for _, tt := range []struct {
		name   string
		change func(s *alerts.Silence)
		want   string
	}{
		{"of everything", func(s *alerts.Silence) { s.Match = alerts.Match{} }, "match: must choose something"},
		{"by nobody", func(s *alerts.Silence) { s.Who = "" }, "who: is required"},
		{"a short reason", func(s *alerts.Silence) { s.Why = "割接 " }, "why: must be a reason"},
		{"in the past", func(s *alerts.Silence) { s.Until = at(t, "2022-09-20 09:00:00") }, "until: must lie in the future"},
		{"too long", func(s *alerts.Silence) { s.Until, s.Second = at(t, "2022-11-20 09:00:00"), "李四" }, "until: must be at most 720h"},
		{"a week and more alone", func(s *alerts.Silence) { s.Until = at(t, "2022-09-28 09:00:00") }, "second: a second person is required"},
		{"the same person twice", func(s *alerts.Silence) { s.Until, s.Second = at(t, "2022-09-28 09:00:00"), "张三" }, "second: must be another person"},
		{"many alerts alone", func(s *alerts.Silence) { s.Match = alerts.Match{Severity: []string{"medium"}} }, "second: a second person is required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, small)
			for i := range 51 {
				d.take(alert(fmt.Sprint("many-", i), 1, nil))
			}
			s := good()
			tt.change(&s)
			if _, err := d.router.Silence(t.Context(), s, d.now); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if _, err := d.router.Silence(t.Context(), good(), d.now); err != nil {
				t.Errorf("a good one: %v", err)
			}
		})
	}
}

func TestGraverNewsOfATakenCaseClimbsAgain(t *testing.T) {
	d := newDesk(t, small)
	d.take(alert("c", 1, nil))
	d.want("2022-09-20 10:01:00", "20 10:00:30 gx news c")
	if err := d.router.TakeUp(t.Context(), "c", "张三", d.now); err != nil {
		t.Fatal(err)
	}
	d.take(alert("c", 2, func(a *alerts.Alert) { a.Severity = "high" }))
	d.want("2022-09-20 11:20:00", "20 10:10:30 gx news c", "20 11:10:30 gx repeat c")
}

func TestAnAlertThatCannotBeRoutedIsSeenAndHoldsNothingUp(t *testing.T) {
	d := newDesk(t, small)
	box := &alerts.Waiting{}
	bad := alert("bad", 1, func(a *alerts.Alert) { a.Severity = "terrible" })
	box.Put(bad, alert("good", 1, nil))
	if n, err := d.router.Drain(t.Context(), box, d.now); n != 2 || err != nil {
		t.Fatalf("%d taken, %v", n, err)
	}
	dead, err := d.store.Deliveries(t.Context(), alerts.Filter{State: alerts.Dead})
	if err != nil || len(dead) != 1 || !strings.Contains(dead[0].Attempts[0].Error, "severity: must be one of low") {
		t.Errorf("dead letters %+v, %v", dead, err)
	}
	if left, _ := box.Pending(t.Context(), 10); len(left) != 0 {
		t.Errorf("left in the outbox: %v", left)
	}
}

// dies is a board whose next Commit fails, before or after it has written.
type dies struct {
	alerts.Board
	after bool
	armed bool
}

func (b *dies) Commit(ctx context.Context, c alerts.Change) error {
	if !b.armed {
		return b.Board.Commit(ctx, c)
	}
	b.armed = false
	if b.after {
		if err := b.Board.Commit(ctx, c); err != nil {
			return err
		}
	}
	return &vw.Error{Op: "test", Code: vw.Unavailable, Err: errors.New("the disk is full")}
}

func TestADeathBetweenAnyTwoWritesOfTheRouterChangesNothing(t *testing.T) {
	story := func(kill int, after bool) []string {
		d := newDesk(t, small)
		box := &alerts.Waiting{}
		for i := range 4 {
			box.Put(alert(fmt.Sprint("c", i), 1, func(a *alerts.Alert) { a.Severity = []vw.Severity{"medium", "critical"}[i%2] }))
		}
		writes := 0
		step := func(do func(r *alerts.Router) error) {
			b := &dies{Board: d.store, after: after, armed: writes == kill}
			writes++
			r, err := alerts.NewRouter(t.Context(), d.policy, b, d.now)
			if err != nil {
				t.Fatal(err)
			}
			if do(r) != nil { // it died: the next one does it again
				r, err = alerts.NewRouter(t.Context(), d.policy, d.store, d.now)
				if err != nil {
					t.Fatal(err)
				}
				if err := do(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		step(func(r *alerts.Router) error { _, err := r.Drain(t.Context(), box, d.now); return err })
		for _, s := range []string{"10:00:30", "10:10:30", "10:30:30", "11:00:30"} {
			d.now = at(t, "2022-09-20 "+s)
			step(func(r *alerts.Router) error { _, err := r.Tick(t.Context(), d.now); return err })
		}
		all, err := d.store.Deliveries(t.Context(), alerts.Filter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, x := range all {
			ids = append(ids, x.ID)
		}
		return ids
	}
	want := story(-1, false)
	if len(want) < 10 {
		t.Fatalf("the story is too short: %v", want)
	}
	for kill := range 5 {
		for _, after := range []bool{false, true} {
			if diff := cmp.Diff(want, story(kill, after)); diff != "" {
				t.Errorf("died at write %d, after it: %v (-want +got):\n%s", kill, after, diff)
			}
		}
	}
}

func TestWhatWasDueWhileTheProcessWasDownWaitsForTheOffice(t *testing.T) {
	d := newDesk(t, small)
	d.now = at(t, "2022-09-23 17:50:00") // Friday
	d.take(alert("c", 1, func(a *alerts.Alert) { a.SubsidyFen = 5000_00 }))
	d.now = at(t, "2022-09-24 12:00:00") // nobody was there at 17:50:30
	d.restart()
	d.want("2022-09-26 09:00:00", "26 08:30:00 cz news c")
}

func TestASilenceHoldsTheLadderToo(t *testing.T) {
	d := newDesk(t, small)
	d.take(alert("c", 1, func(a *alerts.Alert) { a.Severity = "critical" }))
	d.want("2022-09-20 10:05:00", "20 10:00:30 li news c")
	if _, err := d.router.Silence(t.Context(), alerts.Silence{Match: alerts.Match{Case: []string{"c"}}, Who: "张三", Why: "已电话告知", Until: at(t, "2022-09-20 10:30:00")}, d.now); err != nil {
		t.Fatal(err)
	}
	d.want("2022-09-20 10:40:00", "20 10:30:00 li escalation c")
}
