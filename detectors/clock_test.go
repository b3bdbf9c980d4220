package detectors

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

// redeemedAt is a run of redemptions at the given minutes of a campaign day.
func redeemedAt(minutes ...int) []vw.Event {
	events := make([]vw.Event, len(minutes))
	for i, m := range minutes {
		events[i] = vw.Event{Type: vw.RedemptionEvent, At: clockStart + vw.Millis(m)*vw.Minute}
	}
	return events
}

const clockStart = vw.Millis(1_663_632_000_000) // 2022-09-20 00:00 UTC

// every makes n minutes from first on, step apart.
func every(first, step, n int) (minutes []int) {
	for i := range n {
		minutes = append(minutes, first+i*step)
	}
	return minutes
}

// clockRun lets a clock see the events in batches of the given size, each with what follows it, and
// returns the clock's minute after each event and which events were held to be in the future.
func clockRun(events []vw.Event, batch int) (now []int, future []int) {
	var c clock
	for start := 0; start < len(events); start += batch {
		end := min(start+batch, len(events))
		for i := range events[start:end] {
			at, ahead := c.see(events[start:end], i, events[end:])
			if ahead {
				future = append(future, start+i)
				if at != c.now {
					panic("an event in the future has another time than the clock")
				}
			}
			m := -1
			if c.now != 0 {
				m = int((c.now - clockStart) / vw.Minute)
			}
			now = append(now, m)
		}
	}
	return now, future
}

func TestClockBelievesTheCompanyAnEventKeeps(t *testing.T) {
	const day = 24 * 60
	join := func(parts ...[]int) (all []int) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, tt := range []struct {
		name    string
		minutes []int
		last    int   // the clock after all of them
		future  []int // indexes
	}{
		{"one event dated ten days ahead does not move it", join(every(600, 1, 20), []int{10 * day}, every(620, 1, 20)), 639, []int{20}},
		{"nor do two that are dated alike", join(every(600, 1, 20), []int{10 * day, 10*day + 1}, every(620, 1, 20)), 639, []int{20, 21}},
		{"nor do two some way apart", join(every(600, 1, 20), []int{10 * day}, every(620, 1, 5), []int{12 * day}, every(625, 1, 30)), 654, []int{20, 26}},
		{"nor one that is the first of all", join([]int{10 * day}, every(600, 1, 30)), 629, nil},
		{"a night of ten hours is believed", join(every(600, 1, 20), every(1220, 1, 20)), 1239, nil},
		{"a week without redemptions is believed", join(every(600, 1, 20), every(600+7*day, 1, 20)), 619 + 7*day, nil},
		{"the last redemption of all is believed", join(every(600, 1, 20), []int{600 + 7*day}), 600 + 7*day, nil},
		{"a morning whose events are out of order is believed", join(every(600, 1, 20), []int{1224, 1220, 1222, 1221, 1190, 1223}, every(1224, 1, 20)), 1243, nil},
		{"a terminal ahead of the others by half an hour is believed", join(every(600, 1, 20), []int{1250}, every(1215, 1, 20)), 1250, nil},
		{"stragglers of yesterday do not hold up the morning", join(every(600, 1, 20), []int{2000, 619, 2001, 618, 2002, 617, 2003}, every(2004, 1, 20)), 2023, nil},
		{"late events do not turn it back", join(every(600, 1, 20), []int{30, 40}, every(620, 1, 3)), 622, nil},
		{"less than an hour needs no agreement", []int{600, 659, 600, 600, 600, 600, 600}, 659, nil},
		{"a lonely evening is not the future", join(every(600, 1, 20), []int{1300}, every(1301, 59, 20)), 1301 + 19*59, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events := redeemedAt(tt.minutes...)
			now, future := clockRun(events, len(events))
			if got := now[len(now)-1]; got != tt.last {
				t.Errorf("the clock ends at minute %d, want %d", got, tt.last)
			}
			if diff := cmp.Diff(tt.future, future); diff != "" {
				t.Errorf("in the future (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClockOfBatchesWithUnknownSequel(t *testing.T) {
	see := func(now vw.Millis, events []vw.Event) bool {
		c := clock{now: now}
		_, future := c.see(events, 0, nil)
		return !future
	}
	now := clockStart + 600*vw.Minute
	if !see(now, redeemedAt(600+25*60)) {
		t.Error("a day later is not believed when nobody can be asked")
	}
	if see(now, redeemedAt(600+27*60)) {
		t.Error("more than a day later is believed when nobody can be asked and more may follow")
	}
	if !see(0, redeemedAt(600)) {
		t.Error("the first event of all is not believed when nobody can be asked")
	}
}

func TestRegistryListsCapsAndCostsDoNotMoveTheClock(t *testing.T) {
	for _, tt := range []struct {
		name  string
		event vw.Event
		moves bool
	}{
		{"a registry row", vw.Event{Type: vw.MerchantEvent}, false},
		{"a list of the dishonest", vw.Event{Type: vw.CreditListEvent}, false},
		{"a beneficiary", vw.Event{Type: vw.BeneficiaryEvent}, false},
		{"a verdict", vw.Event{Type: vw.VerdictEvent}, false},
		{"a complaint", vw.Event{Type: vw.ComplaintEvent}, false},
		{"a price cap announced ahead", vw.Event{Type: vw.PriceEvent, Kind: vw.Cap}, false},
		{"a cost", vw.Event{Type: vw.PriceEvent, Kind: vw.Cost}, false},
		{"a reference price", vw.Event{Type: vw.PriceEvent, Kind: vw.Reference}, false},
		{"a shelf price", vw.Event{Type: vw.PriceEvent, Kind: vw.Shelf}, true},
		{"an inspection", vw.Event{Type: vw.PriceEvent, Kind: vw.Inspection}, true},
		{"a claim", vw.Event{Type: vw.ClaimEvent}, true},
		{"a redemption", vw.Event{Type: vw.RedemptionEvent}, true},
		{"a refund", vw.Event{Type: vw.RefundEvent}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.event.At = clockStart + 30*vw.Minute
			c := clock{now: clockStart}
			at, future := c.see([]vw.Event{tt.event}, 0, []vw.Event{})
			if at != tt.event.At || future {
				t.Errorf("its time is %d (future %v), want its own", at, future)
			}
			if (c.now != clockStart) != tt.moves {
				t.Errorf("the clock is at %d, want moved: %v", c.now, tt.moves)
			}
			// Nor is it asked: what is announced for next month does not vouch for a redemption dated next month.
			c = clock{now: clockStart}
			ahead := []vw.Event{{Type: vw.RedemptionEvent, At: clockStart + 30*vw.Day}}
			for range 8 {
				tt.event.At = clockStart + 30*vw.Day
				ahead = append(ahead, tt.event)
			}
			ahead = append(ahead, redeemedAt(every(1, 1, 12)...)...)
			_, future = c.see(ahead, 0, []vw.Event{})
			if future == tt.moves {
				t.Errorf("a redemption dated next month among eight of these is future: %v", future)
			}
		})
	}
}

// Property: given what follows, the clock after each event does not depend on where batches are cut.
func TestClockDoesNotDependOnBatches(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 9))
		var minutes []int
		at := 600
		for range 150 {
			switch x := r.IntN(100); {
			case x < 4:
				at += r.IntN(3000) // nights and gaps
			case x < 8:
				minutes = append(minutes, at+r.IntN(20_000)) // the future
				continue
			case x < 15:
				minutes = append(minutes, at-r.IntN(400)) // late
				continue
			}
			at += r.IntN(9)
			minutes = append(minutes, at)
		}
		events := redeemedAt(minutes...)
		for i := range events {
			if r.IntN(10) == 0 {
				events[i].Type = vw.MerchantEvent
			}
		}
		now, future := clockRun(events, len(events))
		for _, batch := range []int{1, 2, 3, 7, 16, 17, 64} {
			gotNow, gotFuture := clockRun(events, batch)
			if diff := cmp.Diff(now, gotNow); diff != "" {
				t.Fatalf("seed %d, batches of %d: clock (-want +got):\n%s", seed, batch, diff)
			}
			if diff := cmp.Diff(future, gotFuture); diff != "" {
				t.Fatalf("seed %d, batches of %d: future (-want +got):\n%s", seed, batch, diff)
			}
		}
		for i := 1; i < len(now); i++ {
			if now[i] < now[i-1] {
				t.Fatalf("seed %d: the clock goes back from %d to %d", seed, now[i-1], now[i])
			}
		}
	}
}
