package stream

import vw "voucherwatch"

// cursor is the planned reader's place in the line. Each of its methods reads one thing and moves on,
// or says false: the line is not plain.
type cursor struct {
	data []byte // Batch.Data up to the end of the line
	i    int
	e    *vw.Event
	seen vw.Field // of the optional fields that the plan asks for twice
}

func (c *cursor) bytes(t vw.Text) []byte { return c.data[t.Off : t.Off+t.Len] }

// lit reads exactly these bytes.
func (c *cursor) lit(s string) bool {
	if len(c.data)-c.i < len(s) || string(c.data[c.i:c.i+len(s)]) != s {
		return false
	}
	c.i += len(s)
	return true
}

// end reads the end of the object and of the line.
func (c *cursor) end() bool { return c.i == len(c.data)-1 && c.data[c.i] == '}' }

// once says false when the field was there before.
func (c *cursor) once(f vw.Field) bool {
	before := c.seen
	c.seen |= f
	return before&f == 0
}

// string reads a plain string, perhaps empty.
func (c *cursor) string(t *vw.Text) bool {
	if c.i >= len(c.data) || c.data[c.i] != '"' {
		return false
	}
	end := textEnd(c.data, c.i+1)
	if end < 0 {
		return false
	}
	*t = vw.Text{Off: uint32(c.i + 1), Len: uint32(end - c.i - 1)}
	c.i = end + 1
	return true
}

// maybe reads a plain string or null, which leaves t as it is; empty is the zero Text.
func (c *cursor) maybe(t *vw.Text) bool {
	if c.lit("null") {
		return true
	}
	if !c.string(t) {
		return false
	}
	if t.Len == 0 {
		*t = vw.Text{}
	}
	return true
}

// id reads an identifier that must be there, of at most maxID bytes.
func (c *cursor) id(r *vw.Ref) bool {
	if !c.string(&r.Text) || r.Text.Len-1 >= maxID {
		return false
	}
	r.Key = vw.Hash(c.bytes(r.Text))
	return true
}

// ref reads an optional field with an identifier, if it is next.
func (c *cursor) ref(name string, r *vw.Ref, f vw.Field) bool {
	if !c.lit(name) {
		return true
	}
	if !c.once(f) || !c.maybe(&r.Text) || r.Text.Len > maxID {
		return false
	}
	if r.Text.Len > 0 {
		r.Key = vw.Hash(c.bytes(r.Text))
		c.e.Has |= f
	}
	return true
}

// short is ref for an identifier that nothing is keyed by.
func (c *cursor) short(name string, t *vw.Text, f vw.Field) bool {
	if !c.lit(name) {
		return true
	}
	if !c.once(f) || !c.maybe(t) || t.Len > maxID {
		return false
	}
	if t.Len > 0 {
		c.e.Has |= f
	}
	return true
}

// number reads a plain number.
func (c *cursor) number(t *vw.Text) bool {
	end := numberEnd(c.data, c.i)
	if end < 0 {
		return false
	}
	*t = vw.Text{Off: uint32(c.i), Len: uint32(end - c.i)}
	c.i = end
	return true
}

// money reads plain digits.
func (c *cursor) money(fen *vw.Fen) bool {
	start, n := c.i, int64(0)
	for ; c.i < len(c.data) && c.data[c.i]-'0' <= 9; c.i++ {
		n = n*10 + int64(c.data[c.i]-'0')
	}
	*fen = vw.Fen(n)
	digits := c.i - start
	return digits == 1 || digits > 1 && digits <= 15 && c.data[start] != '0'
}

// degrees reads an optional coordinate, if it is next; given is false for null.
func (c *cursor) degrees(name string, limit float64, f *float64) (given, ok bool) {
	if !c.lit(name) || c.lit("null") {
		return false, true
	}
	var t vw.Text
	if !c.number(&t) {
		return false, false
	}
	*f, ok = decimal(c.bytes(t))
	return true, ok && *f <= limit
}

// place reads lon and lat, both or neither.
func (c *cursor) place() bool {
	lon, ok := c.degrees(`,"lon":`, 180, &c.e.Lon)
	if !ok {
		return false
	}
	lat, ok := c.degrees(`,"lat":`, 90, &c.e.Lat)
	if lon && lat {
		c.e.Has |= vw.FieldLocation
	}
	return ok && lon == lat
}

func (c *cursor) channel() bool {
	if !c.lit(`,"channel":`) {
		return true
	}
	var t vw.Text
	if !c.maybe(&t) {
		return false
	}
	if c.e.Channel = channelOf(c.bytes(t)); c.e.Channel != vw.NoChannel {
		c.e.Has |= vw.FieldChannel
	}
	return true
}
