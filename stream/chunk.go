package stream

import (
	"bytes"
	"context"

	vw "voucherwatch"
)

// Chunk is a run of whole lines of one source. Dead are records after those lines that the source
// itself gave up.
type Chunk struct {
	Source string
	First  int64  // the 1-based number of the first line in Data
	Data   []byte // lines with their line ends, which the last one of a source may lack
	Dead   []vw.DeadLetter
}

// Source gives its lines chunk by chunk.
//
// Next fills c, whose memory it reuses: all of it is the caller's again when Next returns, and the
// source keeps nothing of it. It blocks until there is a chunk, ctx ends (its error) or no more can come
// (io.EOF); what is in c after an error means nothing. A source is used by one goroutine.
type Source interface {
	Next(ctx context.Context, c *Chunk) error
}

// DecodeChunk makes b the events of the chunk, in order; what was in b is gone. Blank lines are passed
// over. Nothing is copied: c.Data becomes b.Data and c gets b's old memory for the next chunk.
func DecodeChunk(d *Decoder, c *Chunk, b *vw.Batch) {
	b.Reset()
	b.Data, c.Data = c.Data, b.Data
	b.Sources = append(b.Sources[:0], c.Source)
	line, end := c.First, len(b.Data)
	for start := 0; start < end; line++ {
		next, stop := end, end
		if i := bytes.IndexByte(b.Data[start:end], '\n'); i >= 0 {
			next, stop = start+i+1, start+i
		}
		if stop > start && b.Data[stop-1] == '\r' {
			stop--
		}
		if stop > start && (b.Data[start] > ' ' || len(bytes.TrimSpace(b.Data[start:stop])) > 0) {
			d.Decode(b, 0, line, vw.Text{Off: uint32(start), Len: uint32(stop - start)})
		}
		start = next
	}
	b.Dead = append(b.Dead, c.Dead...)
}
