package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	vw "voucherwatch"
)

const commitName = "committed"

// progress is what the commit file says: how far the consumer got, and an end up to which the log was
// known to be durable. Damage before that end is never taken for a torn tail.
type progress struct{ committed, durable Position }

func (p progress) encode() []byte {
	b := fmt.Appendf(nil, "voucherwatch ingest 1\ncommitted %v\ndurable %v\n", p.committed, p.durable)
	return fmt.Appendf(b, "crc32c %08x\n", castagnoli(0, b))
}

// readProgress is the zero progress when there is no commit file.
func readProgress(dir string) (progress, error) {
	name := filepath.Join(dir, commitName)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return progress{}, nil
	}
	if err != nil {
		return progress{}, fmt.Errorf("read the commit file: %w", err)
	}
	var p progress
	f := bytes.Fields(b)
	if len(f) != 9 || p.committed.UnmarshalText(f[4]) != nil || p.durable.UnmarshalText(f[6]) != nil || !bytes.Equal(p.encode(), b) {
		return progress{}, &vw.Error{Op: "ingest.OpenLog", Code: vw.Internal,
			Hint: "remove the file: everything kept is read again, and what was seen is deduplicated",
			Err:  &CorruptError{File: name, Reason: "it is not what Commit wrote"}}
	}
	return p, nil
}

// writeProgress replaces the commit file in one step that a crash cannot split.
func (l *Log) writeProgress(p progress) error {
	name := filepath.Join(l.opts.Dir, commitName)
	f, err := os.OpenFile(name+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = l.opts.write(f, p.encode(), 0)
	if err == nil {
		err = l.opts.Sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return err
	}
	return l.syncDir()
}

// Commit makes durable that everything before p was consumed: the next start reads on from p. Whole
// segments before p are deleted but for RetainBytes. It costs two fsyncs; a consumer calls it per
// some seconds or megabytes. A p before the last one committed changes nothing. Errors: vw.Invalid
// for a p the log never gave, vw.Unavailable when the disk fails; then the old position stays.
func (l *Log) Commit(p Position) error {
	l.commit.Lock()
	defer l.commit.Unlock()
	l.mu.Lock()
	closed, old, end := l.closed, l.committed, l.end()
	i := l.find(p.segment)
	known := i >= 0 && p.offset >= segmentHeaderBytes && p.offset <= l.segments[i].end && p.seq <= end.seq
	if known && i+1 < len(l.segments) && p.offset == l.segments[i].end {
		p = l.segments[i+1].start() // the same place, and the segment before it can go
	}
	l.mu.Unlock()
	switch {
	case closed:
		return errClosed("ingest.Commit")
	case p.Compare(old) <= 0:
		return nil
	case !known:
		return &vw.Error{Op: "ingest.Commit", Code: vw.Invalid, Err: fmt.Errorf("position %v is not in this log", p)}
	}
	if err := l.writeProgress(progress{p, end}); err != nil {
		return unavailable("ingest.Commit", fmt.Errorf("write the commit file: %w", err))
	}
	l.mu.Lock()
	l.committed = p
	l.mu.Unlock()
	l.drop()
	return nil
}

// drop deletes consumed segments, oldest first. A file that cannot be deleted costs space, not data:
// it is tried again at the next start.
func (l *Log) drop() {
	l.mu.Lock()
	var consumed int64
	keep := l.find(l.committed.segment)
	for keep > 0 && consumed+l.segments[keep-1].end <= l.opts.RetainBytes {
		keep--
		consumed += l.segments[keep].end
	}
	gone := l.segments[:keep]
	l.segments = append([]segment(nil), l.segments[keep:]...)
	l.mu.Unlock()
	if len(gone) == 0 {
		return
	}
	var errs []error
	for _, s := range gone {
		errs = append(errs, os.Remove(l.path(s.number)))
	}
	if err := errors.Join(append(errs, l.syncDir())...); err != nil {
		l.opts.Logger.Warn("consumed segments not deleted", "err", err)
	}
}
