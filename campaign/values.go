package campaign

import (
	"fmt"
	"strconv"
	"strings"
)

// plain is a code that may look like a number, as written.
type plain string

func (p *plain) UnmarshalText(text []byte) error { *p = plain(text); return nil }

// clock is a minute of the day, written "10:00".
type clock int

func (c *clock) UnmarshalText(text []byte) error {
	hour, minute, ok := strings.Cut(string(text), ":")
	h, errH := strconv.ParseUint(hour, 10, 8)
	m, errM := strconv.ParseUint(minute, 10, 8)
	if !ok || len(hour) != 2 || len(minute) != 2 || errH != nil || errM != nil || h > 23 || m > 59 {
		return fmt.Errorf("is %q: want a time of day from \"00:00\" to \"23:59\"", text)
	}
	*c = clock(h*60 + m)
	return nil
}

func (c clock) String() string { return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60) }

// codes is one merchant category code, 5411, or a run of them, 5200-5499.
type codes struct{ first, last int }

func (c *codes) UnmarshalText(text []byte) error {
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if len(first) != 4 || len(last) != 4 || errA != nil || errB != nil || b < a {
		return fmt.Errorf("is %q: want a merchant category code of 4 digits, or a range such as 5200-5499", text)
	}
	*c = codes{int(a), int(b)}
	return nil
}

func (c codes) String() string {
	if c.first == c.last {
		return fmt.Sprintf("%04d", c.first)
	}
	return fmt.Sprintf("%04d-%04d", c.first, c.last)
}
