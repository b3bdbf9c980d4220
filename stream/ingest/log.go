package ingest

import (
	"bufio"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	vw "voucherwatch"
)

// Options are those of OpenLog. Only Dir is required.
type Options struct {
	Dir          string // made if absent; one process at a time
	SegmentBytes int64  // a segment is closed at this size; default 64 MiB, 4 KiB to 1 GiB
	MaxBacklog   int64  // bytes appended and not committed at which Append refuses; default 256 MiB
	RetainBytes  int64  // consumed segments kept, in bytes, for reading again; default 0
	// Sync makes a file or folder durable; default (*os.File).Sync. Only storage that survives a power
	// cut by itself justifies another.
	Sync    func(*os.File) error
	Rand    io.Reader             // seeds of checksums; default crypto/rand
	Now     func() time.Time      // for the sync histogram alone; default time.Now
	Metrics prometheus.Registerer // may be nil
	Logger  *slog.Logger          // default discards

	// Where a test makes the disk full or ill.
	write    func(f *os.File, b []byte, off int64) (int, error)
	truncate func(f *os.File, size int64) error
}

func (o *Options) setDefaults() error {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.MaxBacklog == 0 {
		o.MaxBacklog = 256 << 20
	}
	if o.Sync == nil {
		o.Sync = (*os.File).Sync
	}
	if o.Rand == nil {
		o.Rand = crand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.write == nil {
		o.write = (*os.File).WriteAt
	}
	if o.truncate == nil {
		o.truncate = (*os.File).Truncate
	}
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(o.Dir != "", "dir", "is required")
	need(o.SegmentBytes >= 4<<10 && o.SegmentBytes <= 1<<30, "segment_bytes", "must be 4 KiB to 1 GiB")
	need(o.MaxBacklog > 0, "max_backlog", "must be positive")
	need(o.RetainBytes >= 0, "retain_bytes", "must not be negative")
	return errors.Join(errs...)
}

// Log is a durable queue of batches with one consumer position. Its methods may be called
// concurrently; Commit is meant for one consumer.
type Log struct {
	opts Options
	lock *os.File
	sync prometheus.Histogram

	// writer has room for one token: who put it there writes. It guards the fields below it.
	writer chan struct{}
	file   *os.File // the last segment; nil when that is poisoned
	rotate bool     // a new segment was begun, so nothing may be added to the last one
	out    *bufio.Writer

	commit sync.Mutex // one Commit at a time; taken before mu

	mu        sync.Mutex
	segments  []segment // oldest first, at least one; only the writer touches the last one's end
	next      uint64    // sequence number of the next record
	committed Position
	pending   []*appending
	queued    int64         // bytes of pending and of those being written
	grown     chan struct{} // closed and replaced when there is more to read
	closed    bool
}

// segment is a file and the end of what was acknowledged in it.
type segment struct {
	segmentHeader
	end int64
}

// appending is a call of Append that waits.
type appending struct {
	payload []byte
	done    chan struct{} // closed when at and err are set
	at      Position
	err     error
}

func (a *appending) bytes() int64 { return recordHeaderBytes + int64(len(a.payload)) }

// Append makes batch durable and gives the position where it begins. It blocks for the disk; calls
// that wait at the same time share one fsync. The caller may reuse batch afterwards. Errors are
// vw.Unavailable when a retry can help (wrapping ErrBacklog, or the disk's error) and vw.Invalid for
// a batch that is empty or can never fit. After an error the batch is not in the log, unless the
// machine stops before the file is cut back: then it may be read as if it had been accepted.
func (l *Log) Append(batch []byte) (Position, error) {
	const op = "ingest.Append"
	a := &appending{payload: batch, done: make(chan struct{})}
	if len(batch) == 0 || a.bytes() > min(maxRecord, l.opts.MaxBacklog) {
		return Position{}, &vw.Error{Op: op, Code: vw.Invalid, Hint: "split the batch",
			Err: fmt.Errorf("batch has %d bytes, want 1 to %d", len(batch), min(maxRecord, l.opts.MaxBacklog)-recordHeaderBytes)}
	}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return Position{}, errClosed(op)
	case l.backlog()+l.queued+a.bytes() > l.opts.MaxBacklog:
		l.mu.Unlock()
		return Position{}, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "see why the consumer does not commit, or raise max_backlog", Err: ErrBacklog}
	}
	l.pending = append(l.pending, a)
	l.queued += a.bytes()
	l.mu.Unlock()
	for {
		select {
		case <-a.done:
			return a.at, a.err
		default:
		}
		select {
		case <-a.done:
		case l.writer <- struct{}{}: // nobody writes: this call does, for all that wait
			l.flush()
			<-l.writer
		}
	}
}

// flush writes what is pending as one group, as far as it fits the segment. The caller holds writer.
func (l *Log) flush() {
	l.mu.Lock()
	if len(l.pending) == 0 {
		l.mu.Unlock()
		return
	}
	last, first := l.segments[len(l.segments)-1], l.pending[0].bytes()
	l.mu.Unlock()

	var err error
	if l.file == nil || l.rotate || last.end > segmentHeaderBytes && last.end+first > l.opts.SegmentBytes {
		last, err = l.startSegment(last)
	}

	l.mu.Lock()
	n, size := 1, first
	for n < len(l.pending) && (err != nil || last.end+size+l.pending[n].bytes() <= l.opts.SegmentBytes) {
		size += l.pending[n].bytes()
		n++
	}
	group, seq := l.pending[:n:n], l.next
	l.pending = l.pending[n:]
	l.mu.Unlock()

	if err == nil {
		err = l.writeGroup(last, seq, group)
	}

	l.mu.Lock()
	l.queued -= size
	if err == nil {
		at := Position{last.number, last.end, seq}
		for _, a := range group {
			a.at = at
			at.offset, at.seq = at.offset+a.bytes(), at.seq+1
		}
		l.segments[len(l.segments)-1].end, l.next = at.offset, at.seq
		close(l.grown)
		l.grown = make(chan struct{})
	}
	l.mu.Unlock()
	for _, a := range group {
		if err != nil {
			a.err = unavailable("ingest.Append", err)
		}
		close(a.done)
	}
}

// writeGroup adds the group at the end of the last segment and syncs it. After an error nothing of it
// will be read.
func (l *Log) writeGroup(last segment, seq uint64, group []*appending) error {
	w := &writerAt{l.opts.write, l.file, last.end}
	l.out.Reset(w)
	for i, a := range group {
		h := encodeRecordHeader(last.seed, seq+uint64(i), last.end, a.payload)
		l.out.Write(h[:]) // the writer keeps its first error for Flush
		l.out.Write(a.payload)
	}
	if err := l.out.Flush(); err != nil {
		if terr := l.opts.truncate(l.file, last.end); terr != nil {
			l.poison(last, terr)
		}
		return fmt.Errorf("write segment %d: %w", last.number, err)
	}
	start := l.opts.Now()
	err := l.opts.Sync(l.file)
	l.sync.Observe(l.opts.Now().Sub(start).Seconds())
	if err != nil {
		l.poison(last, err)
		return fmt.Errorf("sync segment %d: %w", last.number, err)
	}
	return nil
}

// poison gives a segment up for writing. After a failed fsync the kernel may have dropped the pages
// and marked them clean: a second fsync would succeed with nothing on the disk, and reading back shows
// the cache and proves nothing. So the log neither retries nor verifies. What earlier fsyncs covered
// ends at last.end and stays; the next Append goes on in a new segment, whose header records that
// end, so that whatever the disk kept beyond it is never taken for acknowledged data.
func (l *Log) poison(last segment, cause error) {
	l.opts.Logger.Error("segment given up", "segment", last.number, "end", last.end, "err", cause)
	_ = l.opts.truncate(l.file, last.end) // tidiness only, see above
	_ = l.file.Close()
	l.file = nil
}

// startSegment makes the segment after last and makes it durable. The caller holds writer.
func (l *Log) startSegment(last segment) (segment, error) {
	// A half-made file can survive a crash with a valid header. That header says where last ends, so
	// from now on last must not grow, even if this attempt fails.
	l.rotate = true
	s := segment{segmentHeader{number: last.number + 1, firstSeq: l.nextSeq(), prevEnd: last.end}, segmentHeaderBytes}
	var seed [4]byte
	if _, err := io.ReadFull(l.opts.Rand, seed[:]); err != nil {
		return s, fmt.Errorf("seed segment %d: %w", s.number, err)
	}
	s.seed = binary.LittleEndian.Uint32(seed[:])
	name := l.path(s.number)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a failed attempt
		return s, fmt.Errorf("start segment %d: %w", s.number, err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return s, fmt.Errorf("start segment %d: %w", s.number, err)
	}
	_, err = l.opts.write(f, s.encode(), 0)
	if err == nil {
		err = l.opts.Sync(f)
	}
	if err == nil {
		err = l.syncDir()
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(name)
		return s, fmt.Errorf("start segment %d: %w", s.number, err)
	}
	if l.file != nil {
		_ = l.file.Close() // synced already
	}
	l.file, l.rotate = f, false
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.mu.Unlock()
	return s, nil
}

// Backlog is the bytes appended and not committed, and the most there may be.
func (l *Log) Backlog() (bytes, limit int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backlog(), l.opts.MaxBacklog
}

// Committed is where reading goes on after a start.
func (l *Log) Committed() Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed
}

// End is behind the last durable record.
func (l *Log) End() Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end()
}

// Close waits for the group being written, fails the calls that still wait, and notes the end as
// durable. Read ends with an error.
func (l *Log) Close() error {
	l.writer <- struct{}{}
	defer func() { <-l.writer }()
	l.commit.Lock()
	defer l.commit.Unlock()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	waiting, p := l.pending, progress{l.committed, l.end()}
	l.pending = nil
	close(l.grown)
	l.mu.Unlock()
	for _, a := range waiting {
		a.err = errClosed("ingest.Append")
		close(a.done)
	}
	err := l.writeProgress(p)
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	if err = errors.Join(err, l.lock.Close()); err != nil {
		return unavailable("ingest.Close", err)
	}
	return nil
}

func errClosed(op string) error {
	return &vw.Error{Op: op, Code: vw.Unavailable, Hint: "the service is stopping", Err: os.ErrClosed}
}

// The rest is called with mu held, but for path and syncDir, which need nothing.

func (l *Log) end() Position {
	last := &l.segments[len(l.segments)-1]
	return Position{last.number, last.end, l.next}
}

func (l *Log) backlog() int64 {
	var n int64
	for i := len(l.segments) - 1; i >= 0; i-- {
		s := &l.segments[i]
		if s.number == l.committed.segment {
			return n + s.end - l.committed.offset
		}
		n += s.end - segmentHeaderBytes
	}
	return n
}

// find is the index of a segment, or -1.
func (l *Log) find(number uint64) int {
	for i := range l.segments {
		if l.segments[i].number == number {
			return i
		}
	}
	return -1
}

func (l *Log) nextSeq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

func (l *Log) path(number uint64) string { return segmentPath(l.opts.Dir, number) }

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d.segment", number))
}

func (l *Log) syncDir() error {
	d, err := os.Open(l.opts.Dir)
	if err != nil {
		return err
	}
	return errors.Join(l.opts.Sync(d), d.Close())
}

// writerAt writes on from off.
type writerAt struct {
	write func(*os.File, []byte, int64) (int, error)
	file  *os.File
	off   int64
}

func (w *writerAt) Write(b []byte) (int, error) {
	n, err := w.write(w.file, b, w.off)
	w.off += int64(n)
	return n, err
}

func newSyncHistogram(reg prometheus.Registerer) prometheus.Histogram {
	return promauto.With(reg).NewHistogram(prometheus.HistogramOpts{
		Name:    "vw_ingest_sync_seconds",
		Help:    "Time of one fsync of the ingest log, shared by a group of batches.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	})
}
