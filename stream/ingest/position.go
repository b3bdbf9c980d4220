package ingest

import (
	"cmp"
	"fmt"
)

// Position is a place between two records of a log. It is opaque and comparable; the zero Position is
// before everything that is still kept. Its text form survives restarts.
type Position struct {
	segment uint64
	offset  int64
	seq     uint64 // of the record that starts here
}

// Compare is negative when p lies before q, positive when after, and 0 when no record lies between:
// the end of a segment and the start of the next are two Positions for one place. So a consumer has
// caught up when Record.Next.Compare(log.End()) is 0.
func (p Position) Compare(q Position) int { return cmp.Compare(p.seq, q.seq) }

// String is the text form: segment, offset and sequence number, "3-4096-17".
func (p Position) String() string { return fmt.Sprintf("%d-%d-%d", p.segment, p.offset, p.seq) }

// MarshalText gives the text form.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the text form, and only its canonical spelling.
func (p *Position) UnmarshalText(text []byte) error {
	var q Position
	if _, err := fmt.Sscanf(string(text), "%d-%d-%d", &q.segment, &q.offset, &q.seq); err != nil || q.String() != string(text) || q.offset < 0 {
		return fmt.Errorf("parse position %.80q: want segment-offset-sequence", text)
	}
	*p = q
	return nil
}
