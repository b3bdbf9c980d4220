package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	vw "voucherwatch"
)

// FilesOptions say what to read.
type FilesOptions struct {
	// Paths are read one after another; "-" is Stdin. Gzip and zstd are known by their first bytes,
	// whatever the name.
	Paths []string
	Stdin io.Reader
	// MaxLine is the longest line in bytes, without its end; 0 is 1 MiB.
	MaxLine int
}

// Files is a Source of event files. A file that breaks off or is corrupt does not end it: what could
// be read is delivered, then a dead letter, then the next file; Faults tells in the end.
type Files struct {
	options FilesOptions
	next    int // index of the path to open next
	lines   *Lines
	close   func() error
	faults  []error
}

// maxWindow is the memory that a zstd file may ask for: what zstd --long=27 writes.
const maxWindow = 128 << 20

// NewFiles checks that every path can be read, before anything is. A path that cannot is a
// vw.NotFound or vw.Invalid error that names it; all of them are named at once.
func NewFiles(o FilesOptions) (*Files, error) {
	var errs []error
	code, hint := vw.Invalid, "name one or more event files, or - for standard input"
	if len(o.Paths) == 0 {
		errs = append(errs, errors.New("no event files"))
	}
	stdins := 0
	for _, path := range o.Paths {
		if path == "-" {
			if stdins++; stdins > 1 || o.Stdin == nil {
				errs = append(errs, errors.New("-: standard input can be read once, if there is one"))
			}
			continue
		}
		if err := readable(path); err != nil {
			errs = append(errs, err)
			hint = "check the path and its permissions; directories are not read, name the files in them"
			if errors.Is(err, fs.ErrNotExist) {
				code = vw.NotFound
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &vw.Error{Op: "stream.NewFiles", Code: code, Hint: hint, Err: err}
	}
	return &Files{options: o}, nil
}

func readable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("open %s: is a directory", path)
	case !info.Mode().IsRegular():
		return nil // opening a pipe and closing it would end its writer
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// Next is Source's. Besides ctx's its only error is io.EOF.
func (f *Files) Next(ctx context.Context, c *Chunk) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.lines == nil {
			if f.next == len(f.options.Paths) {
				return io.EOF
			}
			f.open(f.options.Paths[f.next])
			f.next++
		}
		err := f.lines.Next(ctx, c)
		if err != io.EOF {
			return err
		}
		if err := f.lines.Fault(); err != nil {
			f.faults = append(f.faults, err)
		}
		_ = f.Close() // it was only read
	}
}

// Faults are the files that broke off or were corrupt, once Next has said io.EOF. Each of them has
// also given a dead letter.
func (f *Files) Faults() []error { return f.faults }

// Close closes the file that is open. It is needed only when Next has not said io.EOF.
func (f *Files) Close() error {
	f.lines = nil
	if f.close == nil {
		return nil
	}
	c := f.close
	f.close = nil
	return c()
}

// open makes path the current file. One that cannot be opened any more breaks off at its first line.
func (f *Files) open(path string) {
	name, in := path, f.options.Stdin
	if path == "-" {
		name = "stdin"
	} else if file, err := os.Open(path); err != nil {
		in = broken{err}
	} else {
		in, f.close = file, file.Close
	}
	in, err := unpacked(in)
	if err != nil {
		in = broken{err}
	}
	f.lines = NewLines(name, in, f.options.MaxLine)
}

// unpacked is the plain text of a reader that may be compressed.
func unpacked(in io.Reader) (io.Reader, error) {
	r := bufio.NewReaderSize(in, 64<<10)
	magic, err := r.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return &unzstd{z}, nil
	}
	return r, nil
}

// unzstd frees the decoder's memory with the last read.
type unzstd struct{ z *zstd.Decoder }

func (u *unzstd) Read(p []byte) (int, error) {
	n, err := u.z.Read(p)
	if err != nil {
		u.z.Close()
	}
	return n, err
}

// broken is a reader that never gives anything.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

var (
	_ Source = (*Files)(nil)
	_ Source = (*Lines)(nil)
)
