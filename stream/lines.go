package stream

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

const (
	chunkBytes     = 512 << 10 // at some 700 bytes a redemption, 750 of them
	chunkLines     = 1000
	defaultMaxLine = 1 << 20
)

// Lines is a Source that cuts one reader into chunks of at most 128 KiB and 1,000 lines, or one longer
// line. It holds no more than one chunk beyond that. A line longer than the limit is passed over and
// reported as a dead letter with its first 64 KiB and its full length. A read error ends the input: the
// whole lines before it are delivered, then a dead letter says where it broke off.
type Lines struct {
	name    string
	in      io.Reader
	maxLine int
	carry   []byte // read, but not delivered
	line    int64  // number of the line that carry begins with
	end     error  // io.EOF, or why the input broke off
	done    bool
}

// NewLines reads from in, under the name that dead letters will give. maxLine is in bytes without the
// line end; 0 is 1 MiB.
func NewLines(name string, in io.Reader, maxLine int) *Lines {
	if maxLine <= 0 {
		maxLine = defaultMaxLine
	}
	return &Lines{name: name, in: in, maxLine: maxLine, line: 1}
}

// Fault is why the input broke off, once Next has said io.EOF; nil when it was read to its end.
func (l *Lines) Fault() error {
	if l.end == nil || l.end == io.EOF {
		return nil
	}
	return fmt.Errorf("read %s: line %d: %w", l.name, l.line, l.end)
}

// Next is Source's. A read that blocks is not interrupted by ctx.
func (l *Lines) Next(ctx context.Context, c *Chunk) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.done {
		return io.EOF
	}
	c.Source, c.First, c.Dead = l.name, l.line, c.Dead[:0]
	c.Data = append(c.Data[:0], l.carry...)
	l.carry = l.carry[:0]
	whole := l.fill(c)
	if l.line == 1 && bytes.HasPrefix(c.Data, []byte("\ufeff")) {
		copy(c.Data, "   ") // a byte order mark, which some Windows programs put first
	}
	if cut := nthLine(c.Data[:whole], chunkLines); cut < whole {
		whole = cut
	}
	l.line += int64(bytes.Count(c.Data[:whole], []byte{'\n'}))
	rest := c.Data[whole:]
	switch {
	case l.end != nil && bytes.IndexByte(rest, '\n') < 0:
		l.last(c, whole, rest)
	case whole == 0:
		l.skip(c, rest)
	default:
		l.carry = append(l.carry, rest...)
		c.Data = c.Data[:whole]
	}
	return nil
}

// fill reads until there is a chunk, or a line, or more than a line may have, or the end. whole is
// the length of the whole lines.
func (l *Lines) fill(c *Chunk) (whole int) {
	size := min(chunkBytes, l.maxLine+1)
	whole = bytes.LastIndexByte(c.Data, '\n') + 1
	for l.end == nil && (len(c.Data) < size || whole == 0 && len(c.Data) <= l.maxLine) {
		if len(c.Data) >= size {
			size = min(2*len(c.Data), l.maxLine+1)
		}
		if cap(c.Data) < size {
			c.Data = append(make([]byte, 0, size+size/8), c.Data...) // room for unescaped strings
		}
		n := l.read(c.Data[len(c.Data):size])
		if i := bytes.LastIndexByte(c.Data[len(c.Data):len(c.Data)+n], '\n'); i >= 0 {
			whole = len(c.Data) + i + 1
		}
		c.Data = c.Data[:len(c.Data)+n]
	}
	return whole
}

// read reads at least one byte, or sets end.
func (l *Lines) read(p []byte) (n int) {
	for range 100 {
		if n, l.end = l.in.Read(p); n > 0 || l.end != nil {
			return n
		}
	}
	l.end = io.ErrNoProgress
	return 0
}

// last delivers the line that has no end, or tells where the input broke off.
func (l *Lines) last(c *Chunk, whole int, rest []byte) {
	l.done = true
	if l.end == io.EOF && len(rest) <= l.maxLine {
		return
	}
	code, reason := TooLong, l.tooLong()
	if l.end != io.EOF {
		code, reason = TruncatedInput, "the input breaks off or is corrupt here: "+l.end.Error()
	}
	c.Dead = append(c.Dead, NewDeadLetter(l.name, l.line, code, reason, rest))
	c.Data = c.Data[:whole]
}

func (l *Lines) tooLong() string {
	return fmt.Sprintf("the line is longer than %d bytes: send shorter records or raise the limit", l.maxLine)
}

// skip passes over a line that is too long, of which head has been read.
func (l *Lines) skip(c *Chunk, head []byte) {
	dead := NewDeadLetter(l.name, l.line, TooLong, l.tooLong(), head)
	buf := c.Data[:min(cap(c.Data), l.maxLine+1)]
	for l.end == nil {
		n := l.read(buf)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			dead.RawBytes += int64(i)
			l.carry = append(l.carry, buf[i+1:n]...)
			break
		}
		dead.RawBytes += int64(n)
	}
	l.line++
	c.Dead, c.Data = append(c.Dead, dead), c.Data[:0]
}

// nthLine is the length of the first n lines, or of all of them.
func nthLine(data []byte, n int) (length int) {
	for ; n > 0 && length < len(data); n-- {
		i := bytes.IndexByte(data[length:], '\n')
		if i < 0 {
			return len(data)
		}
		length += i + 1
	}
	return length
}
