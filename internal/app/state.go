package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"voucherwatch/internal/freeze"
	"voucherwatch/stream/ingest"

	vw "voucherwatch"
)

// saveEvery is how much of the log is consumed between two saves of the state: reading that much again
// is what a start after a kill takes, some seconds.
const saveEvery = 256 << 20

// resume is where a server goes on from: the place in the log, the results written until there, and what
// was found. The engine's own state follows it in the file.
type resume struct {
	Next         string // ingest.Position, as text
	next         ingest.Position
	Line         int64 // number of the next line
	Scores, Dead int64 // length of the result files, bytes
	Cases        int
	Findings     map[string]vw.Finding
	DeadBy       map[string]int64
}

func stateFile(dir string) string { return filepath.Join(dir, "state") }

// save makes the state durable. The results come first: a state never says more than they hold.
func (s *server) save(next ingest.Position, line int64) error {
	at := resume{Next: next.String(), Line: line, Cases: len(s.run.caseIDs), Findings: s.run.findings, DeadBy: s.run.deadBy}
	if err := errors.Join(s.scores.Flush(), s.dead.Flush()); err != nil {
		return err
	}
	for i, size := range []*int64{&at.Scores, &at.Dead} {
		n, err := s.files[i].Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if err := s.files[i].Sync(); err != nil {
			return err
		}
		*size = n
	}
	p, err := newPart(stateFile(s.dir))
	if err != nil {
		return err
	}
	defer p.abandon()
	e := freeze.NewEncoder(p.file)
	e.Encode(&at)
	if err := e.Close(); err != nil {
		return err
	}
	if err := s.run.engine.Save(p.file); err != nil {
		return err
	}
	if err := p.complete(); err != nil {
		return err
	}
	return p.publish()
}

// load puts a run that has seen nothing into the saved state of a directory. A state that is not there is
// no error and gives nil. After any other error the run must not be used.
func (r *run) load(dir string, end ingest.Position) (*resume, error) {
	f, err := os.Open(stateFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var at resume
	d := freeze.NewDecoder(f)
	if err := d.Decode(&at); err != nil {
		return nil, err
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	for name, want := range map[string]int64{"scores.ndjson": at.Scores, "dead_letters.ndjson": at.Dead} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if info.Size() < want {
			return nil, fmt.Errorf("%s has %d bytes, %d when the state was saved", name, info.Size(), want)
		}
	}
	var next ingest.Position
	if err := next.UnmarshalText([]byte(at.Next)); err != nil {
		return nil, err
	}
	if next.Compare(end) > 0 {
		return nil, fmt.Errorf("the log ends at %v, it had come to %v when the state was saved", end, next)
	}
	at.next = next
	if len(r.caseIDs) < at.Cases {
		return nil, fmt.Errorf("the store has %d cases, %d when the state was saved", len(r.caseIDs), at.Cases)
	}
	if err := r.engine.Load(d.Rest()); err != nil {
		return nil, err
	}
	r.findings, r.deadBy = at.Findings, at.DeadBy
	return &at, nil
}

// resumed is the run to serve with: in the saved state of the directory where that can be used, else new,
// to read the log from its beginning.
func resumed(dir string, end ingest.Position, make func() (*run, error), logger *slog.Logger) (*run, *resume, error) {
	r, err := make()
	if err != nil {
		return nil, nil, err
	}
	at, err := r.load(dir, end)
	if err == nil {
		return r, at, nil
	}
	logger.Warn("the saved state is of no use: reading the whole log again", slog.Any("err", err))
	r.engine.Close()
	r, err = make()
	return r, nil, err
}
