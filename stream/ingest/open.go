package ingest

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	vw "voucherwatch"
)

// OpenLog opens or makes a log and verifies all that is not consumed. A torn tail, the rest of a write
// that a crash interrupted and nobody was told of, is cut off with a log line. Errors: vw.Invalid for
// bad options, vw.Conflict when another process has the folder, vw.Internal with a *CorruptError for
// damage anywhere else, vw.Unavailable when the disk fails.
func OpenLog(opts Options) (*Log, error) {
	const op = "ingest.OpenLog"
	if err := opts.setDefaults(); err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Err: err}
	}
	l := &Log{opts: opts, writer: make(chan struct{}, 1), out: bufio.NewWriterSize(nil, 256<<10), grown: make(chan struct{})}
	if err := l.open(); err != nil {
		if l.file != nil {
			_ = l.file.Close()
		}
		if l.lock != nil {
			_ = l.lock.Close()
		}
		if c, ok := errors.AsType[*CorruptError](err); ok && error(c) == err {
			return nil, corrupt(op, c)
		}
		if _, ok := errors.AsType[*vw.Error](err); ok {
			return nil, err
		}
		return nil, unavailable(op, err)
	}
	l.sync = newSyncHistogram(opts.Metrics)
	promauto.With(opts.Metrics).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vw_ingest_backlog_bytes",
		Help: "Bytes in the ingest log that the consumer has not committed.",
	}, func() float64 { n, _ := l.Backlog(); return float64(n) })
	return l, nil
}

func (l *Log) open() error {
	if err := os.MkdirAll(l.opts.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if l.lock, err = os.OpenFile(filepath.Join(l.opts.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := lockFile(l.lock); err != nil {
		return &vw.Error{Op: "ingest.OpenLog", Code: vw.Conflict, Hint: "stop the other process or give this one a folder of its own", Err: fmt.Errorf("lock %s: %w", l.opts.Dir, err)}
	}
	p, err := readProgress(l.opts.Dir)
	if err != nil {
		return err
	}
	numbers, err := segmentNumbers(l.opts.Dir)
	if err != nil {
		return err
	}
	var unfinished bool
	if l.segments, unfinished, err = readSegments(l.opts.Dir, numbers, p); err != nil {
		return err
	}
	if unfinished {
		name := l.path(numbers[len(numbers)-1])
		l.opts.Logger.Warn("unfinished segment removed", "file", name)
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	if len(l.segments) == 0 {
		l.next = 1
		first, err := l.startSegment(segment{})
		l.committed = first.start()
		return err
	}
	l.committed = p.committed
	if l.committed == (Position{}) {
		l.committed = l.segments[0].start()
	}
	if err := l.verify(p.durable); err != nil {
		return err
	}
	for _, n := range numbers {
		if n < l.segments[0].number { // left by a deletion that a crash interrupted
			if err := os.Remove(l.path(n)); err != nil {
				return err
			}
		}
	}
	l.drop()
	return nil
}

// segmentNumbers are those of the segment files in a folder, ascending.
func segmentNumbers(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".segment")
		n, err := strconv.ParseUint(digits, 10, 64)
		if ok && err == nil && segmentPath(dir, n) == filepath.Join(dir, e.Name()) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// readSegments reads the headers and says where each segment ends; the last one's end is its size,
// which verify may cut. unfinished says that the last file has no header yet and holds nothing. Faults
// before the committed segment are passed over: what lies there was consumed.
func readSegments(dir string, numbers []uint64, p progress) (segments []segment, unfinished bool, err error) {
	var prev int64 // size of the previous file
	for i, n := range numbers {
		name := segmentPath(dir, n)
		h, size, err := statSegment(name, n)
		why, bad := errors.AsType[damaged](err)
		switch {
		case err != nil && !bad:
			return nil, false, err
		case bad && n < p.committed.segment:
			segments = nil
			continue
		case bad && i == len(numbers)-1 && size <= segmentHeaderBytes && n > p.durable.segment:
			unfinished = true
			continue
		case bad:
			return nil, false, &CorruptError{File: name, Reason: string(why)}
		}
		if k := len(segments); k > 0 {
			last := &segments[k-1]
			switch last.end = h.prevEnd; {
			case n > p.committed.segment && n != last.number+1:
				return nil, false, missing(dir, last.number+1)
			case n > p.committed.segment && (h.prevEnd > prev || h.prevEnd < segmentHeaderBytes):
				return nil, false, &CorruptError{File: segmentPath(dir, last.number), Offset: prev, Reason: fmt.Sprintf("the file has %d of %d bytes", prev, h.prevEnd)}
			case n != last.number+1 || h.prevEnd > prev:
				segments = nil
			}
		}
		segments, prev = append(segments, segment{h, size}), size
	}
	var first, last uint64
	if len(segments) > 0 {
		first, last = segments[0].number, segments[len(segments)-1].number
	}
	if c := p.committed.segment; c != 0 && (c < first || c > last) {
		return nil, false, missing(dir, c)
	}
	if p.durable.segment > last {
		return nil, false, missing(dir, p.durable.segment)
	}
	return segments, unfinished, nil
}

func missing(dir string, number uint64) error {
	return &CorruptError{File: segmentPath(dir, number), Reason: "the file is missing"}
}

// statSegment reads the header and size of a segment file.
func statSegment(name string, number uint64) (segmentHeader, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return segmentHeader{}, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return segmentHeader{}, 0, err
	}
	h, err := readSegmentHeader(f, number)
	return h, info.Size(), err
}

// verify reads everything from the committed position on, cuts a torn tail, and opens the last segment
// for writing. durable is an end known to have been acknowledged.
func (l *Log) verify(durable Position) error {
	l.next = l.committed.seq
	for i := l.find(l.committed.segment); i < len(l.segments); i++ {
		s, last := &l.segments[i], i == len(l.segments)-1
		at := s.start()
		if s.number == l.committed.segment {
			at = l.committed
		}
		name := l.path(s.number)
		if at.seq != l.next {
			return &CorruptError{File: name, Reason: fmt.Sprintf("the segment begins with sequence number %d where %d is due", at.seq, l.next)}
		}
		if at.offset > s.end {
			return &CorruptError{File: name, Offset: s.end, Reason: fmt.Sprintf("the file ends before the committed position %v", at)}
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		sc := newScanner(f, s.seed, at, s.end)
		var floor int64
		if s.number == durable.segment {
			floor = durable.offset
		}
		cut, err := scanAll(sc, name, s.number, last, floor)
		if err == nil && last {
			l.file, s.end = f, sc.off
			l.next = sc.seq
			if cut != "" {
				l.opts.Logger.Warn("torn tail cut off", "file", name, "offset", sc.off, "bytes", sc.end-sc.off, "reason", string(cut))
			}
			return l.settle(sc)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			if c, ok := errors.AsType[*CorruptError](err); ok {
				return c
			}
			return err
		}
		l.next = sc.seq
	}
	return nil
}

// scanAll reads to the end of a segment. cut is the reason when there is a torn tail from sc.off on;
// everything else that is not intact is a *CorruptError. Nothing before floor can be torn.
func scanAll(sc *scanner, name string, number uint64, last bool, floor int64) (cut damaged, err error) {
	for err == nil {
		_, err = sc.next()
	}
	why, bad := errors.AsType[damaged](err)
	switch {
	case err == io.EOF && sc.off < floor:
		return "", &CorruptError{File: name, Offset: sc.off, Reason: fmt.Sprintf("the file ends before %d bytes", floor)}
	case err == io.EOF:
		return "", nil
	case !bad:
		return "", fmt.Errorf("read segment %d: %w", number, err)
	}
	frames, err := sc.intactAfter(number)
	if err != nil {
		return "", err
	}
	c := &CorruptError{File: name, Offset: sc.off, Reason: string(why)}
	torn := last && sc.off >= floor
	for f := range frames {
		c.Next = cmp.Or(c.Next, f.at)
		torn = torn && f.group <= sc.off // else sc.off was durable when f was written
	}
	if torn {
		return why, nil
	}
	return "", c
}

// settle cuts the file behind the last record and makes that record's group durable. A process that
// was killed before its fsync, or whose fsync failed, leaves records that are only in the page cache,
// perhaps marked clean. They are about to be read, committed, and written after; so they are written
// again, which marks them dirty, and synced.
func (l *Log) settle(sc *scanner) error {
	if sc.off < sc.end {
		if err := l.opts.truncate(l.file, sc.off); err != nil {
			return err
		}
	}
	b := make([]byte, sc.off-sc.group)
	if _, err := l.file.ReadAt(b, sc.group); err != nil {
		return err
	}
	if _, err := l.opts.write(l.file, b, sc.group); err != nil {
		return err
	}
	return errors.Join(l.opts.Sync(l.file), l.syncDir())
}
