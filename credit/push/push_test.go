package push_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
	"voucherwatch/credit"
	"voucherwatch/credit/credittest"
	"voucherwatch/credit/push"
	"voucherwatch/credit/sqlite"
)

const token = "platform-token-0123456789"

// line is a pusher, a platform at the other end and a clock that is set by hand.
type line struct {
	*push.Pusher
	t        *testing.T
	store    credit.Store
	outbox   credit.Outbox
	platform *credittest.Platform
	now      time.Time
}

func newLine(t *testing.T, store credit.Store, outbox credit.Outbox, rows int) *line {
	t.Helper()
	signer, _, _, err := credit.GenerateSigner("gaoping", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, sm, err := signer.Public()
	if err != nil {
		t.Fatal(err)
	}
	v, err := credit.NewVerifier(ed, sm)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, store: store, outbox: outbox, platform: credittest.NewPlatform(v, token), now: credittest.Now}
	srv := httptest.NewTLSServer(l.platform)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(srv.Close)
	l.Pusher, err = push.New(push.Options{Platform: "jincheng", Base: srv.URL, Token: token, Resource: "XZCF-2.0", Client: srv.Client(), Signer: signer, Store: store, Outbox: outbox, Now: func() time.Time { return l.now }, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *line) put(e credit.Entry) {
	l.t.Helper()
	if _, err := l.store.Put(l.t.Context(), &e); err != nil {
		l.t.Fatal(err)
	}
}

// revise writes the next revision of the n-th entry.
func (l *line) revise(n int, state credit.State) {
	l.t.Helper()
	first := credittest.Entry(credit.Record, n)
	e, err := l.store.Entry(l.t.Context(), first.ID)
	if err != nil {
		l.t.Fatal(err)
	}
	e.Revision++
	if e.State = state; state != credit.InForce {
		e.Ended = &credit.Ending{Kind: state, At: l.now, TellBy: l.now.Add(72 * time.Hour)}
	}
	l.put(e)
}

// rest pushes until nothing is left to do.
func (l *line) rest() {
	l.t.Helper()
	for range 500 {
		next, err := l.Push(l.t.Context())
		if err != nil {
			l.t.Fatal(err)
		}
		if next.IsZero() {
			return
		}
		if next.After(l.now) {
			l.now = next
		}
	}
	l.t.Fatal("it does not come to rest")
}

func (l *line) states() map[credit.Sending]int {
	l.t.Helper()
	all, err := l.outbox.Transmissions(l.t.Context(), "jincheng")
	if err != nil {
		l.t.Fatal(err)
	}
	n := map[credit.Sending]int{}
	for _, x := range all {
		n[x.State]++
		if x.State == credit.Accepted && (x.Receipt == "" || x.Has != x.Want || x.Batch != "") {
			l.t.Errorf("accepted, but %+v", x)
		}
	}
	return n
}

// agree fails when anybody broke the rules, or the two sides differ.
func (l *line) agree() {
	l.t.Helper()
	if len(l.platform.Violations) > 0 {
		l.t.Errorf("violations: %s", strings.Join(l.platform.Violations, "\n"))
	}
	for what, n := range l.platform.Applied {
		if n != 1 {
			l.t.Errorf("%s was applied %d times", what, n)
		}
	}
	diff, err := l.Reconcile(l.t.Context())
	if err != nil || len(diff) > 0 {
		l.t.Errorf("differences: %+v, %v", diff, err)
	}
}

// TestEverythingArrivesOnceThroughAPlatformThatBehavesBadly: inserts, updates and removals, with the
// process dying in the middle.
func TestEverythingArrivesOnceThroughAPlatformThatBehavesBadly(t *testing.T) {
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "credit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}()
	for name, l := range map[string]*line{"memory": newLine(t, credit.NewMemory(), credit.NewSent(), 7), "sqlite": newLine(t, file, file, 7)} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			moods := []string{"lose", "mute", "later", "twice", "refuse", "forget", "half", "", "mute", "lose", "later"}
			l.platform.Mood = func(n int) string { return moods[n%len(moods)] }
			const n = 60
			for i := range n {
				l.put(credittest.Entry(credit.Record, i))
				if i%5 == 0 {
					l.put(credittest.Entry(credit.Exclusion, i)) // never leaves
				}
			}
			for round := range 4 {
				for range 3 { // some pushes, then things change while batches are under way
					if _, err := l.Push(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				for i := range n {
					switch {
					case i%4 == round && i%8 != 7:
						l.revise(i, credit.InForce)
					case round == 2 && i%8 == 7:
						l.revise(i, credit.Revoked)
					}
				}
				// Another process goes on with what is in the outbox.
				l.now = l.now.Add(30 * time.Second)
			}
			l.rest()
			l.agree()
			if got := l.states(); got[credit.Accepted]+got[credit.Needless] != n {
				t.Errorf("states: %v", got)
			}
			if len(l.platform.Held) != n-7 {
				t.Errorf("the platform holds %d, want %d", len(l.platform.Held), n-7)
			}
			t.Logf("%d requests", l.platform.Requests())
		})
	}
}

func TestARejectedRowWaitsForAPersonAndHoldsNothingUp(t *testing.T) {
	l := newLine(t, credit.NewMemory(), credit.NewSent(), 10)
	bad := credittest.Entry(credit.Record, 1)
	l.platform.Reject = func(entry string) string {
		if entry == bad.ID {
			return "代码校验不通过"
		}
		return ""
	}
	for i := range 3 {
		l.put(credittest.Entry(credit.Record, i))
	}
	l.rest()
	ts, err := l.outbox.Transmissions(t.Context(), "jincheng", bad.ID)
	if err != nil || ts[0].State != credit.Rejected || ts[0].Reason != "E104 代码校验不通过" || l.states()[credit.Accepted] != 2 {
		t.Fatalf("%+v, %v", ts, err)
	}
	l.platform.Reject = func(string) string { return "" }
	l.rest()
	if l.states()[credit.Rejected] != 1 {
		t.Error("it was sent again without a person")
	}
	if err := l.Retry(t.Context(), bad.ID); err != nil {
		t.Fatal(err)
	}
	l.rest()
	if l.states()[credit.Accepted] != 3 {
		t.Errorf("after a person looked: %v", l.states())
	}
	if code := vw.CodeOf(l.Retry(t.Context(), bad.ID)); code != vw.NotFound {
		t.Errorf("nothing is rejected any more: %s", code)
	}
	l.agree()
}

func TestARemovalGoesFirstAndShowsWhenItIsLate(t *testing.T) {
	l := newLine(t, credit.NewMemory(), credit.NewSent(), 1)
	l.put(credittest.Entry(credit.Record, 50))
	l.rest()
	for i := range 5 {
		l.put(credittest.Entry(credit.Record, i))
	}
	l.revise(50, credit.Revoked)
	gone := credittest.Entry(credit.Record, 50).ID
	l.platform.Mood = func(n int) string {
		if _, there := l.platform.Held[gone]; n == 3 && there {
			t.Error("something else went before the removal")
		}
		return ""
	}
	l.rest()
	if _, there := l.platform.Held[gone]; there {
		t.Error("it is still there")
	}
	l.platform.Mood = func(int) string { return "refuse" }
	l.revise(0, credit.Revoked)
	for range 3 {
		if _, err := l.Push(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.now = l.now.Add(30 * time.Hour)
	}
	late, err := l.Late(t.Context())
	if err != nil || len(late) != 1 || late[0].Entry != credittest.Entry(credit.Record, 0).ID || late[0].Reason == "" {
		t.Errorf("late: %+v, %v", late, err)
	}
	diff, err := l.Reconcile(t.Context())
	if err != nil || len(diff) != 1 || diff[0].Kind != "extra" || !diff[0].Late {
		t.Errorf("differences: %+v, %v", diff, err)
	}
}

func TestWhatEndedBeforeItWasSentIsNotSent(t *testing.T) {
	l := newLine(t, credit.NewMemory(), credit.NewSent(), 10)
	l.put(credittest.Entry(credit.Record, 1))
	l.revise(1, credit.Revoked)
	l.rest()
	if l.platform.Requests() != 0 || l.states()[credit.Needless] != 1 {
		t.Errorf("%d requests, %v", l.platform.Requests(), l.states())
	}
	l.agree()
}

func TestReconciliationShowsEveryDifference(t *testing.T) {
	l := newLine(t, credit.NewMemory(), credit.NewSent(), 10)
	for i := range 25 {
		l.put(credittest.Entry(credit.Record, i))
	}
	l.rest()
	l.agree()
	id := func(n int) string { e := credittest.Entry(credit.Record, n); return e.ID }
	l.platform.Lose(id(1))
	l.platform.Put("cred-nobody", 1, credittest.Hex("x"))
	l.platform.Put(id(2), 1, credittest.Hex("changed"))
	l.revise(3, credit.InForce) // not pushed yet
	got, err := l.Reconcile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []push.Difference{
		{Entry: id(1), Kind: "missing", Ours: 1, State: credit.Accepted}, {Entry: id(2), Kind: "changed", Ours: 1, Theirs: 1, State: credit.Accepted},
		{Entry: id(3), Kind: "stale", Ours: 2, Theirs: 1, State: credit.Accepted}, {Entry: "cred-nobody", Kind: "extra", Theirs: 1},
	}
	slices.SortFunc(want, func(a, b push.Difference) int { return strings.Compare(a.Entry, b.Entry) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

func TestAStrangerIsNoPlatform(t *testing.T) {
	l := newLine(t, credit.NewMemory(), credit.NewSent(), 10)
	l.put(credittest.Entry(credit.Record, 1))
	l.platform.Token = "another"
	if _, err := l.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	ts, err := l.outbox.Transmissions(t.Context(), "jincheng")
	if err != nil || ts[0].State != credit.Under || ts[0].Reason != "HTTP status 401" {
		t.Errorf("%+v, %v", ts, err)
	}
	if _, err := l.Reconcile(t.Context()); vw.CodeOf(err) != vw.Unavailable {
		t.Errorf("%v", err)
	}
	if _, err := push.New(push.Options{Base: "http://credit.example", Token: "secret-value"}); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "base: must be an https address") || strings.Contains(fmt.Sprint(err), "secret-value") {
		t.Errorf("%v", err)
	}
}

func TestAPlatformThatIsDownIsAskedOncePerPush(t *testing.T) {
	l := newLine(t, credit.NewMemory(), credit.NewSent(), 1)
	for i := range 20 {
		l.put(credittest.Entry(credit.Record, i))
	}
	l.platform.Mood = func(int) string { return "refuse" }
	next, err := l.Push(t.Context())
	if err != nil || l.platform.Requests() != 1 || next.Sub(l.now) != time.Minute {
		t.Errorf("%d requests, next in %v, %v", l.platform.Requests(), next.Sub(l.now), err)
	}
	l.platform.Mood = func(int) string { return "" }
	l.rest()
	l.agree()
}
