package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"voucherwatch/internal/freeze"
	"voucherwatch/stream"

	vw "voucherwatch"
)

// snapshotVersion is the version of the form of snapshots.
const snapshotVersion = 1

// snapshot is where a run goes on from: the next offset of each partition, what the merger knew, and what
// was found. The engine's own state follows it in the file.
type snapshot struct {
	Version    uint64
	Partitions []string
	Next       []int64
	Last       vw.Millis
	Cases      int
	Findings   map[string]vw.Finding
	DeadBy     map[string]int64
}

// stateStore is the directory of a run's state: state-N is a snapshot, order-N the journal of what came after
// it. The last two generations are kept.
type stateStore struct {
	dir        string
	generation int
	journal    *journal
	lock       *os.File
	bytes      int64 // of the last snapshot
}

// openVault takes the directory for this process; it is vw.Conflict while another one has it.
func openVault(dir string) (*stateStore, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &vw.Error{Op: "app.Run", Code: vw.Unavailable, Hint: "choose a state.directory that you may write to", Err: err}
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, &vw.Error{Op: "app.Run", Code: vw.Unavailable, Hint: "choose a state.directory that you may write to", Err: err}
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		return nil, &vw.Error{Op: "app.Run", Code: vw.Conflict, Hint: "another process has the directory; it is let go when that one ends", Err: fmt.Errorf("lock %s: %w", dir, err)}
	}
	return &stateStore{dir: dir, lock: f}, nil
}

func (v *stateStore) close() {
	if v.journal != nil {
		_ = v.journal.file.Close()
	}
	_ = v.lock.Close()
}

func (v *stateStore) path(kind string, generation int) string {
	return filepath.Join(v.dir, kind+"-"+strconv.Itoa(generation))
}

// generations are those with a snapshot, the newest first.
func (v *stateStore) generations() []int {
	names, _ := filepath.Glob(filepath.Join(v.dir, "state-*"))
	var list []int
	for _, name := range names {
		_, n, _ := strings.Cut(filepath.Base(name), "-")
		if g, err := strconv.Atoi(n); err == nil {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b int) int { return b - a })
	return list
}

// load puts a run that has seen nothing into the newest snapshot that is whole. None at all is nil. A run
// that load has failed on must not be used: make gives another.
func (v *stateStore) load(make func() (*run, error), logger *slog.Logger) (*run, *snapshot, error) {
	var errs []error
	for _, g := range v.generations() {
		r, err := make()
		if err != nil {
			return nil, nil, err
		}
		s, err := v.read(g, r)
		if err == nil {
			v.generation = g
			return r, s, nil
		}
		r.engine.Close()
		logger.Warn("a snapshot is of no use", slog.String("file", v.path("state", g)), slog.Any("err", err))
		errs = append(errs, err)
	}
	return nil, nil, errors.Join(errs...)
}

func (v *stateStore) read(generation int, r *run) (*snapshot, error) {
	f, err := os.Open(v.path("state", generation))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil {
		v.bytes = info.Size()
	}
	d := freeze.NewDecoder(f)
	var s snapshot
	if d.Decode(&s.Version); d.Err() == nil && s.Version != snapshotVersion {
		return nil, fmt.Errorf("the snapshot has form %d, this build reads %d", s.Version, snapshotVersion)
	}
	if err := d.Decode(&s); err != nil {
		return nil, err
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	if len(r.caseIDs) < s.Cases {
		return nil, fmt.Errorf("the store has %d cases, %d when the state was saved", len(r.caseIDs), s.Cases)
	}
	if err := r.engine.Load(d.Rest()); err != nil {
		return nil, err
	}
	r.findings, r.deadBy = s.Findings, s.DeadBy
	return &s, nil
}

// save writes the next snapshot and begins its journal. The caller has seen to it that all results before
// it are where they belong.
func (v *stateStore) save(r *run, names []string, m *stream.Merger) error {
	s := snapshot{Version: snapshotVersion, Partitions: names, Next: m.Offsets(), Last: m.Last(), Cases: len(r.caseIDs), Findings: r.findings, DeadBy: r.deadBy}
	next := v.generation + 1
	p, err := newPart(v.path("state", next))
	if err != nil {
		return err
	}
	defer p.abandon()
	e := freeze.NewEncoder(p.file)
	e.Encode(&s.Version)
	e.Encode(&s)
	if err := e.Close(); err != nil {
		return err
	}
	if err := r.engine.Save(p.file); err != nil {
		return err
	}
	size, _ := p.file.Seek(0, io.SeekEnd)
	if err := p.complete(); err != nil {
		return err
	}
	// The journal is there before the snapshot has its name: what follows a snapshot is never without one.
	j, err := os.OpenFile(v.path("order", next), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := p.publish(); err != nil {
		_ = j.Close()
		return err
	}
	if err := syncDir(v.dir); err != nil {
		_ = j.Close()
		return err
	}
	if v.journal != nil {
		_ = v.journal.file.Close()
	}
	v.journal, v.generation, v.bytes = newJournal(j, len(names)), next, size
	for _, kind := range []string{"state", "order"} {
		old, _ := filepath.Glob(filepath.Join(v.dir, kind+"-*"))
		for _, name := range old {
			_, n, _ := strings.Cut(filepath.Base(name), "-")
			if g, err := strconv.Atoi(n); err == nil && g < next-1 {
				_ = os.Remove(name)
			}
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// again gives the cuts that were made after the snapshot that was loaded, in order. A newer snapshot that
// was of no use has a journal, too, that goes on from where the one before it ends.
func (v *stateStore) again(partitions int, each func(order, follow []stream.Step) error) error {
	for g := v.generation; ; g++ {
		f, err := os.Open(v.path("order", g))
		if errors.Is(err, os.ErrNotExist) {
			v.generation = max(v.generation, g-1)
			return nil
		}
		if err != nil {
			return err
		}
		size, err := readJournal(f, partitions, each)
		info, stat := f.Stat()
		_ = f.Close()
		if err = errors.Join(err, stat); err != nil {
			return err
		}
		if info.Size() > size {
			v.generation = g
			return nil // torn by a kill: no result of what follows has left
		}
	}
}
