package detectors

import vw "voucherwatch"

// clock is event time as the stream has shown it: the latest moment that was not alone. One event
// dated far ahead of its neighbours must not close every window, so a jump of more than an hour counts
// only when the events behind it agree. The same input gives the same clock, whatever the slots.
type clock struct {
	now vw.Millis // 0 until the first accepted event
	// repeats tells redeliveries, which have no say: of the events ahead, or those of the batch by index.
	repeats func(ev *vw.Event, ahead bool, i int) bool
}

const (
	clockJump  = vw.Hour      // what needs agreement
	clockNight = 26 * vw.Hour // what is believed when too few events follow to ask
	clockAsk   = 16           // how many following events are asked
	clockFew   = 4
	// Lateness is how far behind the clock an event may be and still count in the windows.
	Lateness = 2 * vw.Hour
)

// moves tells whether an event is an observation of the present. Registry rows, lists, caps and costs
// may be announced ahead of their day.
func moves(e *vw.Event) bool {
	switch e.Type {
	case vw.RedemptionEvent, vw.ClaimEvent, vw.RefundEvent:
		return true
	case vw.PriceEvent:
		return e.Kind == vw.Shelf || e.Kind == vw.Online || e.Kind == vw.Inspection
	}
	return false
}

// see moves the clock for event i of the run, which is followed by ahead, and returns the effective time
// of the event: its own, or the clock's if it is dated into the future. A nil ahead is unknown, an empty
// one means that nothing follows, and then nothing can be harmed by believing.
func (c *clock) see(events []vw.Event, i int, ahead []vw.Event) (t vw.Millis, future bool) {
	at := events[i].At
	if at <= c.now || !moves(&events[i]) {
		return at, false
	}
	if c.now == 0 || at-c.now > clockJump {
		asked, agree := 0, 0
		for k, next := range [2][]vw.Event{events[i+1:], ahead} {
			for j := 0; j < len(next) && asked < clockAsk; j++ {
				if moves(&next[j]) && (c.repeats == nil || !c.repeats(&next[j], k == 1, i+1+j)) {
					asked++
					if next[j].At >= at-clockJump {
						agree++
					}
				}
			}
		}
		believed := 2*agree >= asked
		if asked < clockFew {
			believed = ahead != nil || c.now == 0 || at-c.now <= clockNight
		}
		if !believed {
			if c.now == 0 {
				return at, false // nothing to compare with yet; the clock waits for the next event
			}
			return c.now, true
		}
	}
	c.now = at
	return at, false
}
