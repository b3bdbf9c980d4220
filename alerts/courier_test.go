package alerts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
	"voucherwatch/alerts"
	"voucherwatch/alerts/alertstest"
)

// place is a channel whose answers are told to it, one for each message; then it says yes.
type place struct {
	mu      sync.Mutex
	answers []answer
	got     []alerts.Message
	send    func(ctx context.Context, m alerts.Message) (alerts.Receipt, error)
}

type answer struct {
	receipt alerts.Receipt
	err     error
}

func (p *place) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, m)
	if p.send != nil {
		return p.send(ctx, m)
	}
	if len(p.answers) == 0 {
		return alerts.Receipt{Status: 200, Code: "ok"}, nil
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	return a.receipt, a.err
}

func (p *place) keys() (s []string) {
	for _, m := range p.got {
		s = append(s, m.Key)
	}
	return s
}

func fails(code vw.Code, vendor string) answer {
	return answer{alerts.Receipt{Status: 200, Code: vendor}, &vw.Error{Op: "test.Send", Code: code, Err: errors.New("the vendor says " + vendor)}}
}

// round is a courier of one channel, gx, with a clock that is set by hand.
type round struct {
	*alerts.Courier
	t     *testing.T
	store *alerts.Memory
	place *place
	now   time.Time
}

func newRound(t *testing.T, settings string) *round {
	t.Helper()
	p, err := alerts.Parse("test.yaml", []byte(`{name: test, zone: "+08:00", channels: {gx: {type: log`+settings+`}}, receivers: {gx: {title: 工信局, channels: [gx]}}, route: {receivers: [gx]}, retry: {base: 2s, longest: 1m, attempts: 4}}`))
	if err != nil {
		t.Fatal(err)
	}
	r := &round{t: t, store: alerts.NewMemory(), place: &place{}, now: time.Date(2022, 9, 20, 10, 0, 0, 0, time.UTC)}
	r.Courier, err = alerts.NewCourier(alerts.Options{Policy: p, Ledger: r.store, Channels: map[string]alerts.Channel{"gx": r.place}, Now: func() time.Time { return r.now }, Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *round) put(ds ...alerts.Delivery) {
	r.t.Helper()
	for i := range ds {
		ds[i].NextAt = r.now
	}
	if err := r.store.Record(r.t.Context(), ds); err != nil {
		r.t.Fatal(err)
	}
}

func (r *round) drain() time.Duration {
	r.t.Helper()
	next, err := r.Drain(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if next.IsZero() {
		return -1
	}
	return next.Sub(r.now)
}

// finish drains until nothing is left, and fails when that takes too long.
func (r *round) finish() {
	r.t.Helper()
	for range 1000 {
		wait := r.drain()
		if wait < 0 {
			return
		}
		r.now = r.now.Add(wait)
	}
	r.t.Fatal("the courier does not come to rest")
}

func (r *round) states() map[string]string {
	r.t.Helper()
	all, err := r.store.Deliveries(r.t.Context(), alerts.Filter{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	m := map[string]string{}
	for _, d := range all {
		word := string(d.State)
		for _, a := range d.Attempts {
			word += " " + a.Code
		}
		m[d.ID] = word
	}
	return m
}

func TestACaseIsToldInOrderAndAFailureHoldsUpItsOwnCaseOnly(t *testing.T) {
	r := newRound(t, "")
	r.put(alertstest.Delivery("gx", "a", 1), alertstest.Delivery("gx", "a", 2), alertstest.Delivery("gx", "b", 1))
	r.place.answers = []answer{fails(vw.Unavailable, "500"), {alerts.Receipt{Code: "ok"}, nil}, fails(vw.Unavailable, "501")}
	first := r.drain() // a1 fails, b1 is told
	if first < time.Second || first > 3*time.Second {
		t.Errorf("the first pause is %v, want 1s to 3s", first)
	}
	r.now = r.now.Add(first)
	second := r.drain()
	if second < 2*time.Second || second > 6*time.Second {
		t.Errorf("the second pause is %v, want 2s to 6s", second)
	}
	r.finish()
	if diff := cmp.Diff([]string{"gx-a-1", "gx-b-1", "gx-a-1", "gx-a-1", "gx-a-2"}, r.place.keys()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"gx-a-1": "sent 500 501 ok", "gx-a-2": "sent ok", "gx-b-1": "sent ok"}, r.states()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestWhatIsRefusedOrFailsTooOftenIsDeadUntilAPersonSendsItAgain(t *testing.T) {
	r := newRound(t, "")
	r.put(alertstest.Delivery("gx", "a", 1), alertstest.Delivery("gx", "b", 1), alertstest.Delivery("gx", "a", 2))
	r.place.send = func(_ context.Context, m alerts.Message) (alerts.Receipt, error) {
		a := map[string]answer{"gx-a-1": fails(vw.Invalid, "310000"), "gx-b-1": fails(vw.Unavailable, "500"), "gx-a-2": {receipt: alerts.Receipt{Code: "0"}}}[m.Key]
		return a.receipt, a.err
	}
	r.finish()
	want := map[string]string{"gx-a-1": "dead 310000", "gx-a-2": "sent 0", "gx-b-1": "dead 500 500 500 500"}
	if diff := cmp.Diff(want, r.states()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	r.place.send = nil
	if err := r.Resend(t.Context(), "gx-b-1", "张三"); err != nil {
		t.Fatal(err)
	}
	r.finish()
	want["gx-b-1"] = "sent 500 500 500 500 resend ok"
	if diff := cmp.Diff(want, r.states()); diff != "" {
		t.Errorf("log after the re-send (-want +got):\n%s", diff)
	}
	for id, code := range map[string]vw.Code{"gx-b-1": vw.NotFound, "none": vw.NotFound} { // it is not dead any more
		if got := vw.CodeOf(r.Resend(t.Context(), id, "张三")); got != code {
			t.Errorf("re-send %s: %q, want %q", id, got, code)
		}
	}
	if got := vw.CodeOf(r.Resend(t.Context(), "gx-a-1", "")); got != vw.Invalid {
		t.Errorf("re-send by nobody: %q", got)
	}
}

func TestAVendorThatIsDownIsNotAskedAboutEveryMessage(t *testing.T) {
	r := newRound(t, "")
	for i := range 500 {
		r.put(alertstest.Delivery("gx", fmt.Sprint("case-", i), 1))
	}
	r.place.send = func(context.Context, alerts.Message) (alerts.Receipt, error) {
		a := fails(vw.Unavailable, "503")
		return a.receipt, a.err
	}
	r.drain()
	if n := len(r.place.got); n > 16 {
		t.Errorf("%d messages were tried on a dead vendor before it was left alone", n)
	}
	r.place.send = nil
	r.finish()
	for id, state := range r.states() {
		if !strings.HasPrefix(state, "sent") {
			t.Errorf("%s: %s", id, state)
		}
	}
}

func TestRetryAfterIsHeldForTheWholeChannel(t *testing.T) {
	r := newRound(t, "")
	r.put(alertstest.Delivery("gx", "a", 1))
	a := fails(vw.Unavailable, "ratelimited")
	a.receipt.RetryAfter = 45 * time.Second
	r.place.answers = []answer{a}
	r.drain()
	r.put(alertstest.Delivery("gx", "b", 1))
	if wait := r.drain(); wait != 45*time.Second || len(r.place.got) != 1 {
		t.Errorf("asked again after %v, %d sent", wait, len(r.place.got))
	}
	r.finish()
	if len(r.place.got) != 3 {
		t.Errorf("sent %v", r.place.keys())
	}
}

func TestALimitIsKeptAndWhatIsTooMuchComesAsADigest(t *testing.T) {
	r := newRound(t, ", per_minute: 5, digest_over: 3")
	for i := range 30 {
		r.put(alertstest.Delivery("gx", fmt.Sprint("case-", i%10), i))
	}
	var minute []time.Time
	r.place.send = func(context.Context, alerts.Message) (alerts.Receipt, error) {
		minute = append(minute, r.now)
		if n := len(minute); n > 5 && minute[n-6].After(r.now.Add(-time.Minute)) {
			t.Errorf("six messages within a minute: %v", minute[n-6:])
		}
		return alerts.Receipt{Code: "0"}, nil
	}
	r.finish()
	// Of ten cases five are told one by one; what then waits, 25 messages, is one digest.
	if len(r.place.got) != 6 {
		t.Fatalf("%d messages, want 6", len(r.place.got))
	}
	sum := r.place.got[5]
	if sum.Kind != alerts.Digest || len(sum.Items)+sum.More != 25 || sum.Title != "[高] 摘要：10 个案件，25 条消息" {
		t.Errorf("the digest: %s with %d items", sum.Title, len(sum.Items)+sum.More)
	}
	in, err := r.store.Deliveries(t.Context(), alerts.Filter{State: alerts.InDigest, Limit: 100})
	if err != nil || len(in) != 25 || in[0].Into != sum.Key {
		t.Errorf("%d deliveries are in the digest, %v", len(in), err)
	}
	if states := r.states(); len(states) != 31 {
		t.Errorf("%d deliveries in the log, want 31", len(states))
	}
}

func TestALimitIsKeptOverARestart(t *testing.T) {
	r := newRound(t, ", per_minute: 3")
	for i := range 5 {
		r.put(alertstest.Delivery("gx", fmt.Sprint("case-", i), 1))
	}
	if wait := r.drain(); wait != time.Minute || len(r.place.got) != 3 {
		t.Fatalf("%d sent, the next in %v", len(r.place.got), wait)
	}
	r.now = r.now.Add(20 * time.Second)
	c, err := alerts.NewCourier(r.Options)
	if err != nil {
		t.Fatal(err)
	}
	next, err := c.Drain(t.Context())
	if err != nil || len(r.place.got) != 3 || next.Sub(r.now) != 40*time.Second {
		t.Errorf("after the restart %d sent, next in %v, %v", len(r.place.got), next.Sub(r.now), err)
	}
}

func TestADigestTakesTheOldestSoThatEachCaseStaysInOrder(t *testing.T) {
	r := newRound(t, ", per_minute: 3, digest_over: 3")
	for n := range 8 { // 1,600 messages: more than one digest holds
		for c := range 200 {
			r.put(alertstest.Delivery("gx", fmt.Sprint("case-", c), n))
		}
	}
	r.finish()
	all, err := r.store.Deliveries(t.Context(), alerts.Filter{Limit: 10_000, Oldest: true})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int{} // by key: which message it came in
	for i, key := range r.place.keys() {
		told[key] = i + 1
	}
	last := map[string]int{}
	for _, d := range all {
		if d.Message.Kind == alerts.Digest {
			continue
		}
		in := told[d.ID]
		if d.State == alerts.InDigest {
			in = told[d.Into]
		}
		if in == 0 || in < last[d.Line] {
			t.Fatalf("%s came in message %d, after one in %d", d.ID, in, last[d.Line])
		}
		last[d.Line] = in
	}
	if len(r.place.got) > 15 {
		t.Errorf("%d messages", len(r.place.got))
	}
}

func TestWhatMayHaveArrivedIsNotPutIntoADigest(t *testing.T) {
	r := newRound(t, ", per_minute: 2, digest_over: 1")
	r.put(alertstest.Delivery("gx", "a", 1), alertstest.Delivery("gx", "a", 2), alertstest.Delivery("gx", "b", 1))
	for i := range 4 {
		r.put(alertstest.Delivery("gx", fmt.Sprint("c", i), 1))
	}
	r.place.answers = []answer{fails(vw.Unavailable, "timeout")}
	r.finish()
	if diff := cmp.Diff([]string{"gx-a-1", "gx-b-1"}, r.place.keys()[:2]); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if states := r.states(); states["gx-a-1"] != "sent timeout ok" || states["gx-a-2"] != "sent ok" || states["gx-c0-1"] != "digest" {
		t.Errorf("log: %v", states)
	}
}

func TestTheTestButtonTellsTheTruth(t *testing.T) {
	r := newRound(t, "")
	for _, tt := range []struct {
		name   string
		answer answer
		want   alerts.Progress
		code   string
	}{
		{"taken", answer{receipt: alerts.Receipt{Status: 200, Code: "0", ID: "m1"}}, alerts.Sent, "0"},
		{"status 200 with an error code", fails(vw.Invalid, "310000"), alerts.Dead, "310000"},
		{"no answer", answer{err: &vw.Error{Op: "x", Code: vw.Unavailable, Err: errors.New("connection refused")}}, alerts.Dead, "unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.place.answers = []answer{tt.answer}
			d, err := r.Test(t.Context(), "gx", "张三")
			if err != nil || d.State != tt.want || len(d.Attempts) != 1 || d.Attempts[0].Code != tt.code || !strings.HasPrefix(d.Message.Title, "【测试】") {
				t.Errorf("%+v, %v", d, err)
			}
			if logged, err := r.store.Deliveries(t.Context(), alerts.Filter{Batch: d.ID}); err != nil || len(logged) != 1 || logged[0].State != tt.want {
				t.Errorf("in the log: %+v, %v", logged, err)
			}
			r.now = r.now.Add(time.Minute)
		})
	}
	r.finish()
	if len(r.place.got) != 3 {
		t.Errorf("a test was tried again: %d", len(r.place.got))
	}
	if _, err := r.Test(t.Context(), "none", "张三"); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("an unknown channel: %v", err)
	}
}

func TestADrillGoesToEverybodyAndSaysSo(t *testing.T) {
	d := newDesk(t, small)
	batch, n, err := d.router.Exercise(t.Context(), "张三", d.now)
	if err != nil || n != 6 {
		t.Fatalf("%d messages, %v", n, err)
	}
	channels, places := map[string]alerts.Channel{}, map[string]*place{}
	for name := range d.policy.Channels {
		places[name] = &place{}
		channels[name] = places[name]
	}
	places["boss"].answers = []answer{fails(vw.Invalid, "invalid_auth")}
	c, err := alerts.NewCourier(alerts.Options{Policy: d.policy, Ledger: d.store, Channels: channels, Now: func() time.Time { return d.now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, p := range places {
		if len(p.got) != 1 || !strings.HasPrefix(p.got[0].Title, "【演练】") || !strings.Contains(p.got[0].Sentence, "演练") {
			t.Errorf("%s: %+v", name, p.got)
		}
	}
	failed, err := d.store.Deliveries(t.Context(), alerts.Filter{Batch: batch, State: alerts.Dead})
	if err != nil || len(failed) != 1 || failed[0].Channel != "boss" {
		t.Errorf("failed: %+v, %v", failed, err)
	}
}

func TestAnAttemptEndsAtItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRound(t, "")
		c, err := alerts.NewCourier(alerts.Options{Policy: r.Policy, Ledger: r.store, Now: time.Now, Timeout: 7 * time.Second,
			Channels: map[string]alerts.Channel{"gx": &place{send: func(ctx context.Context, _ alerts.Message) (alerts.Receipt, error) {
				<-ctx.Done()
				return alerts.Receipt{}, &vw.Error{Op: "x", Code: vw.Unavailable, Err: ctx.Err()}
			}}}})
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Test(t.Context(), "gx", "张三")
		if err != nil || d.Attempts[0].LatencyMS != 7000 || d.State != alerts.Dead {
			t.Errorf("%+v, %v", d.Attempts, err)
		}
	})
}

func TestWhatAStopCutsOffIsSentAgainAndCountsAsNoFailure(t *testing.T) {
	r := newRound(t, "")
	r.put(alertstest.Delivery("gx", "a", 1))
	ctx, stop := context.WithCancel(t.Context())
	r.place.send = func(ctx context.Context, _ alerts.Message) (alerts.Receipt, error) {
		stop()
		return alerts.Receipt{}, &vw.Error{Op: "x", Code: vw.Unavailable, Err: context.Canceled}
	}
	if _, err := r.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	r.place.send = nil
	r.finish()
	if diff := cmp.Diff(map[string]string{"gx-a-1": "sent interrupted ok"}, r.states()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestACourierWantsEveryChannelOfThePolicy(t *testing.T) {
	r := newRound(t, "")
	_, err := alerts.NewCourier(alerts.Options{Policy: r.Policy, Ledger: r.store})
	if want := "channels.gx: is missing\nnow: is required"; vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestPacksAreNumberedVersionedAndAnswered(t *testing.T) {
	reg := &alerts.Register{Store: alerts.NewMemory()}
	now := time.Date(2022, 9, 21, 9, 0, 0, 0, time.UTC)
	p := alerts.Pack{Number: alerts.PackNumber("case-1", "GA"), Version: 1, Case: "case-1", Agency: "GA", SHA256: strings.Repeat("a", 64), SM3: strings.Repeat("b", 64), Sealed: now, By: "张三"}
	for range 2 { // the same again changes nothing
		if err := reg.Seal(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	other := p
	other.SHA256 = strings.Repeat("c", 64)
	if err := reg.Seal(t.Context(), other); vw.CodeOf(err) != vw.Conflict || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("another pack under version 1: %v", err)
	}
	if err := reg.Seal(t.Context(), alerts.Pack{}); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("an empty pack: %v", err)
	}
	other.Version, _ = reg.Next(t.Context(), p.Number)
	if err := reg.Seal(t.Context(), other); err != nil || other.Version != 2 {
		t.Fatalf("version %d: %v", other.Version, err)
	}
	yes := alerts.Returned{Outcome: alerts.Accepted, Number: "高公（经）受字〔2022〕7号", At: now, Who: "李四"}
	for range 2 {
		if got, err := reg.Return(t.Context(), p.Number, 2, yes); err != nil || len(got.Returns) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	for name, bad := range map[string]alerts.Returned{"an unknown outcome": {Outcome: "maybe", At: now, Who: "x"}, "without number": {Outcome: alerts.Accepted, At: now, Who: "x"}, "by nobody": {Outcome: alerts.SentBack, At: now}} {
		if _, err := reg.Return(t.Context(), p.Number, 1, bad); vw.CodeOf(err) != vw.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := reg.Return(t.Context(), p.Number, 3, yes); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("a version that is not: %v", err)
	}
}
