package detectors

import vw "voucherwatch"

// clock is event time as the stream has shown it: the latest moment that was not alone. One event
// dated far ahead of its neighbours must not close every window, so a jump of more than an hour counts
// only when the events behind it agree. The same input gives the same clock, whatever the slots.
type clock struct {
	now vw.Millis // 0 until the first accepted event
}

const (
	clockJump  = vw.Hour      // what needs agreement
	clockNight = 26 * vw.Hour // what is believed when too few events follow to ask
	clockAsk   = 16           // how many following events are asked
	clockFew   = 4
	// Lateness is how far behind the clock an event may be and still count in the windows.
	Lateness = 2 * vw.Hour
)

// see moves the clock for event i of the run and returns the effective time of the event: its own, or
// the clock's if it is dated into the future.
func (c *clock) see(events []vw.Event, i int) (t vw.Millis, future bool) {
	at := events[i].At
	if at <= c.now {
		return at, false
	}
	if c.now == 0 || at-c.now > clockJump {
		asked, agree := 0, 0
		for j := i + 1; j < len(events) && asked < clockAsk; j++ {
			asked++
			if events[j].At >= at-clockJump {
				agree++
			}
		}
		believed := 2*agree >= asked
		if asked < clockFew {
			believed = c.now == 0 || at-c.now <= clockNight
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
