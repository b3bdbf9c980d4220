package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"voucherwatch/stream/ingest"

	vw "voucherwatch"
)

// Salvage writes the intact events of a damaged log of serve to w, those that were consumed included:
// serve rebuilds its state from all of them. dir is the log's, or serve's own. The log is not changed.
func Salvage(dir string, w io.Writer) (damage []*ingest.CorruptError, err error) {
	const op = "app.Salvage"
	segments, err := segmentsIn(dir)
	if err == nil && len(segments) == 0 {
		segments, err = segmentsIn(filepath.Join(dir, "log"))
	}
	if err == nil && len(segments) == 0 || errors.Is(err, os.ErrNotExist) {
		return nil, &vw.Error{Op: op, Code: vw.NotFound, Hint: "name the folder of the log: serve keeps it as log in its --dir", Err: fmt.Errorf("there is no log in %s", dir)}
	} else if err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "check the path and its permissions", Err: err}
	}
	// The ingest package passes over what was committed. A folder that shows the segments without the
	// commit file has committed nothing.
	bare, err := os.MkdirTemp("", "voucherwatch-salvage-")
	if err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
	}
	defer func() { _ = os.RemoveAll(bare) }()
	for _, s := range segments {
		if s, err = filepath.Abs(s); err == nil {
			err = os.Symlink(s, filepath.Join(bare, filepath.Base(s)))
		}
		if err != nil {
			return nil, &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
		}
	}
	damage, err = ingest.Salvage(bare, w)
	home := filepath.Dir(segments[0])
	for _, d := range damage {
		d.File = filepath.Join(home, filepath.Base(d.File))
	}
	if e, ok := errors.AsType[*vw.Error](err); ok {
		e.Err, e.Hint = errors.New(strings.ReplaceAll(e.Err.Error(), bare, home)), "see the error; what was written before it is intact"
	}
	return damage, err
}

// segmentsIn are the paths of the segment files in a folder.
func segmentsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var segments []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".segment" {
			segments = append(segments, filepath.Join(dir, e.Name()))
		}
	}
	return segments, err
}
