package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	vw "voucherwatch"
	"voucherwatch/alerts"
	"voucherwatch/alerts/alertstest"
	"voucherwatch/alerts/sqlite"
)

// receiver is an agency behind a line on which 30% of the requests fail: half of those before they
// arrive, half after, when only the answer is lost. It honours the idempotency key, as webhook
// receivers are asked to.
type receiver struct {
	mu       sync.Mutex
	tries    map[string]int
	seen     map[string][]string // keys by case, in the order in which they were first seen
	repeated int                 // requests with a key that was seen before
	failed   int
	requests int
	stop     func(requests int)
}

func (r *receiver) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if r.stop != nil {
		r.stop(r.requests)
	}
	n := r.tries[m.Key]
	r.tries[m.Key]++
	dice := xxh3.HashStringSeed(fmt.Sprint(m.Key, n), 7) % 100
	if dice >= 15 { // it arrives
		if known := r.seen[m.Case]; len(known) > 0 && contains(known, m.Key) {
			r.repeated++
		} else {
			r.seen[m.Case] = append(known, m.Key)
		}
	}
	if dice < 30 {
		r.failed++
		return alerts.Receipt{}, &vw.Error{Op: "test", Code: vw.Unavailable, Err: errors.New("connection reset")}
	}
	return alerts.Receipt{Status: 200, Code: "ok"}, nil
}

func contains(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

// mortal is a store whose next Record is the last thing that the process does not do.
type mortal struct {
	*sqlite.Store
	dead func() bool
}

func (m mortal) Record(ctx context.Context, ds []alerts.Delivery) error {
	if m.dead() {
		return &vw.Error{Op: "test", Code: vw.Unavailable, Err: errors.New("killed")}
	}
	return m.Store.Record(ctx, ds)
}

// TestTenThousandAlertsThroughAFlakyChannel: each is delivered once in sight of the receiver, none is
// lost, each case is told in order, and twice in the middle the process dies after it has sent and
// before it has written that down.
func TestTenThousandAlertsThroughAFlakyChannel(t *testing.T) {
	const cases, waves = 1000, 10
	p, err := alerts.Parse("test.yaml", []byte(`{name: test, zone: "+08:00", channels: {gx: {type: webhook}}, receivers: {gx: {title: 工信局, channels: [gx]}}, route: {receivers: [gx], interval: 1s}, retry: {base: 1s, longest: 1m, attempts: 50}}`))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "alerts.db")
	now := time.Date(2022, 9, 20, 10, 0, 0, 0, time.UTC)
	far := &receiver{tries: map[string]int{}, seen: map[string][]string{}}
	deaths := 0
	dying := false
	far.stop = func(n int) {
		if n == 4000 || n == 9001 {
			dying = true
		}
	}
	box := &alerts.Waiting{}
	var store *sqlite.Store
	var router *alerts.Router
	var courier *alerts.Courier
	begin := func() {
		if store, err = sqlite.Open(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if router, err = alerts.NewRouter(t.Context(), p, store, now); err != nil {
			t.Fatal(err)
		}
		ledger := mortal{store, func() bool { far.mu.Lock(); defer far.mu.Unlock(); return dying }}
		if courier, err = alerts.NewCourier(alerts.Options{Policy: p, Ledger: ledger, Channels: map[string]alerts.Channel{"gx": far}, Now: func() time.Time { return now }, Seed: 1}); err != nil {
			t.Fatal(err)
		}
	}
	restart := func() {
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		dying, deaths = false, deaths+1
		begin()
	}
	begin()
	rest := func() { // until nothing is left to do
		for range 10_000 {
			if _, err := router.Tick(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			next, err := courier.Drain(t.Context())
			if err != nil {
				restart()
				continue
			}
			if next.IsZero() {
				return
			}
			now = next.Add(time.Second) // as a program would that looks every second
		}
		t.Fatal("it does not come to rest")
	}
	for wave := 1; wave <= waves; wave++ {
		for c := range cases {
			a := alertstest.Alert(fmt.Sprintf("case-%03d", c), wave)
			a.At = now
			box.Put(a)
		}
		if _, err := router.Drain(t.Context(), box, now); err != nil {
			t.Fatal(err)
		}
		if wave%3 == 0 || wave == waves {
			rest()
		} else if _, err := router.Tick(t.Context(), now); err != nil { // the next wave comes while this one is under way
			t.Fatal(err)
		}
		now = now.Add(2 * time.Second)
	}
	rest()
	if deaths != 2 {
		t.Fatalf("the process died %d times, want 2", deaths)
	}
	// What the receiver saw, against what the log says was to be sent.
	told := map[string]int{} // alert id: times
	all, err := store.Deliveries(t.Context(), alerts.Filter{Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != cases*waves {
		t.Errorf("%d deliveries, want %d", len(all), cases*waves)
	}
	byKey := map[string]alerts.Delivery{}
	for _, d := range all {
		if d.State != alerts.Sent {
			t.Errorf("%s is %s", d.ID, d.State)
		}
		byKey[d.ID] = d
	}
	for c, keys := range far.seen {
		last := int64(0)
		for _, key := range keys {
			d := byKey[key]
			for _, id := range d.Alerts {
				told[id]++
			}
			if d.Seq <= last {
				t.Fatalf("%s was told out of order", c)
			}
			last = d.Seq
		}
	}
	for c := range cases {
		for wave := 1; wave <= waves; wave++ {
			if n := told[alertstest.Alert(fmt.Sprintf("case-%03d", c), wave).ID]; n != 1 {
				t.Fatalf("alert %d of case %d was seen %d times", wave, c, n)
			}
		}
	}
	t.Logf("%d requests, %d failed (%.1f%%), %d came again with a known key, %d restarts", far.requests, far.failed, 100*float64(far.failed)/float64(far.requests), far.repeated, deaths)
	if far.failed*100 < far.requests*28 || far.repeated < 1000 {
		t.Error("the line was not flaky enough to prove anything")
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
