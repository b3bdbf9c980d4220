package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	vw "voucherwatch"
)

// Record is one accepted batch.
type Record struct {
	Seq  uint64 // 1 for the first batch of the log, without gaps
	At   Position
	Next Position // where the following record begins: what to Commit when this one is done
	Data []byte   // whole lines; valid until the iterator goes on
}

// Read gives the records from a position on, in order, and waits for new ones until ctx ends: then
// the iteration just ends. Only durable records are given. An error is the last thing given:
// vw.NotFound when the position was consumed and deleted, vw.Invalid when it is not of this log,
// vw.Internal with a *CorruptError for damage, vw.Unavailable when the disk fails or the log was
// closed. To resume after a start, read from Committed. Several may read at once.
func (l *Log) Read(ctx context.Context, from Position) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		r := reader{log: l, at: from}
		defer r.close()
		for {
			rec, err := r.next(ctx)
			if ctx.Err() != nil || !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

type reader struct {
	log  *Log
	at   Position
	file *os.File // of segment at.segment, or nil
	sc   *scanner
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

func (r *reader) next(ctx context.Context) (Record, error) {
	const op = "ingest.Read"
	for ctx.Err() == nil {
		if r.file == nil || r.sc.off == r.sc.end {
			wait, err := r.advance()
			if err != nil {
				return Record{}, err
			}
			if wait != nil {
				select {
				case <-wait:
				case <-ctx.Done():
				}
				continue
			}
		}
		data, err := r.sc.next()
		if why, ok := errors.AsType[damaged](err); ok {
			return Record{}, corrupt(op, &CorruptError{File: r.log.path(r.at.segment), Offset: r.at.offset, Reason: string(why)})
		}
		if err != nil {
			return Record{}, unavailable(op, fmt.Errorf("read segment %d: %w", r.at.segment, err))
		}
		rec := Record{Seq: r.at.seq, At: r.at, Next: Position{r.at.segment, r.sc.off, r.sc.seq}, Data: data}
		r.at = rec.Next
		return rec, nil
	}
	return Record{}, ctx.Err()
}

// advance sets the scanner on records that are there, or gives a channel to wait on until there are.
func (r *reader) advance() (wait <-chan struct{}, err error) {
	const op = "ingest.Read"
	l := r.log
	l.mu.Lock()
	if r.at == (Position{}) {
		r.at = l.segments[0].start()
	}
	i, oldest, end := l.find(r.at.segment), l.segments[0].number, l.end()
	var s segment
	if i >= 0 {
		s = l.segments[i]
		for r.at.offset == s.end && i+1 < len(l.segments) { // a segment that was given up may be empty
			i++
			s = l.segments[i]
			r.at = s.start()
			r.close()
		}
	}
	wait, closed := l.grown, l.closed
	l.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed(op)
	case i < 0 && r.at.segment < oldest:
		return nil, deleted(op, r.at)
	case i < 0 || r.at.offset > s.end || r.at.offset < segmentHeaderBytes || r.at.seq > end.seq:
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Err: fmt.Errorf("position %v is not in this log", r.at)}
	case r.at.offset == s.end:
		return wait, nil
	}
	if r.file != nil {
		r.sc.extend(s.end)
		return nil, nil
	}
	f, err := os.Open(l.path(s.number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, deleted(op, r.at)
	}
	if err != nil {
		return nil, unavailable(op, err)
	}
	r.file, r.sc = f, newScanner(f, s.seed, r.at, s.end)
	return nil, nil
}

func deleted(op string, at Position) error {
	return &vw.Error{Op: op, Code: vw.NotFound, Hint: "read from Committed, or raise retain_bytes", Err: fmt.Errorf("position %v was consumed and deleted", at)}
}

// Salvage writes every intact record that was not committed to w, in order, from a folder that no
// process uses and without changing it. It is for a log that OpenLog refuses. damage says what it had
// to pass over; a torn tail is among it. err is for the folder and w.
func Salvage(dir string, w io.Writer) (damage []*CorruptError, err error) {
	const op = "ingest.Salvage"
	p, err := readProgress(dir)
	if c, ok := errors.AsType[*CorruptError](err); ok {
		damage = append(damage, c) // then everything is salvaged
	} else if err != nil {
		return nil, unavailable(op, err)
	}
	numbers, err := segmentNumbers(dir)
	if err != nil {
		return damage, unavailable(op, err)
	}
	for i, n := range numbers {
		if n < p.committed.segment {
			continue
		}
		if i > 0 && n > p.committed.segment && numbers[i-1] != n-1 {
			damage = append(damage, &CorruptError{File: segmentPath(dir, n-1), Reason: "the file is missing"})
		}
		var end int64 // 0: the file's
		if i+1 < len(numbers) {
			if h, _, err := statSegment(segmentPath(dir, n+1), n+1); err == nil {
				end = h.prevEnd
			}
		}
		ds, err := salvageSegment(segmentPath(dir, n), n, p.committed, end, w)
		damage = append(damage, ds...)
		if err != nil {
			return damage, unavailable(op, err)
		}
	}
	return damage, nil
}

func salvageSegment(name string, number uint64, committed Position, end int64, w io.Writer) (damage []*CorruptError, err error) {
	h, size, err := statSegment(name, number)
	if why, ok := errors.AsType[damaged](err); ok {
		return []*CorruptError{{File: name, Reason: string(why)}}, nil // without its seed no record can be proved
	} else if err != nil {
		return nil, err
	}
	if end == 0 || end > size {
		end = size
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	at := h.start()
	if number == committed.segment {
		at = committed
	}
	for at.offset < end {
		sc := newScanner(f, h.seed, at, end)
		var data []byte
		for err = nil; err == nil; {
			if data, err = sc.next(); err == nil {
				if _, werr := w.Write(data); werr != nil {
					return damage, werr
				}
			}
		}
		why, bad := errors.AsType[damaged](err)
		if err == io.EOF {
			break
		} else if !bad {
			return damage, err
		}
		frames, err := sc.intactAfter(number)
		if err != nil {
			return damage, err
		}
		c := &CorruptError{File: name, Offset: sc.off, Reason: string(why)}
		damage = append(damage, c)
		for f := range frames {
			c.Next = f.at
			break
		}
		if c.Next == (Position{}) {
			break
		}
		at = c.Next
	}
	return damage, nil
}
