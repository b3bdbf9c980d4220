package app

import (
	"errors"
	"fmt"
	"os"
)

// part is a file that is written as NAME.part and gets its name when it is complete, so that what has
// the name is never half a file.
type part struct {
	name string
	file *os.File
	// direct is for a device or a pipe, which is written as it is.
	direct bool
	done   bool
}

func newPart(name string) (*part, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0) // a folder fails here
		return &part{name: name, file: f, direct: true}, err
	}
	// What a killed process left is removed, not written into: if that process lives after all, each
	// has a file of its own, and publish tells the one that lost.
	if err := os.Remove(name + ".part"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	return &part{name: name, file: f}, err
}

// complete makes the content durable.
func (p *part) complete() error {
	if p.direct {
		return nil
	}
	return p.file.Sync()
}

// publish gives the file its name.
func (p *part) publish() error {
	if p.direct {
		p.done = true
		return p.file.Close()
	}
	if !p.mine() {
		return fmt.Errorf("write %s: another process writes it too", p.name)
	}
	if err := os.Rename(p.name+".part", p.name); err != nil {
		return err
	}
	p.done = true
	return p.file.Close()
}

// abandon drops what was not published.
func (p *part) abandon() {
	if p.done {
		return
	}
	if !p.direct && p.mine() {
		_ = os.Remove(p.name + ".part")
	}
	_ = p.file.Close()
	p.done = true
}

// mine tells whether NAME.part is still the file that was made.
func (p *part) mine() bool {
	there, err := os.Stat(p.name + ".part")
	if err != nil {
		return false
	}
	own, err := p.file.Stat()
	return err == nil && os.SameFile(there, own)
}
