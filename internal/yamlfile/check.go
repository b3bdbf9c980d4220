package yamlfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Check gathers the faults of a File. It is not safe for concurrent use.
type Check struct {
	file   *File
	faults []*Fault
}

// Fault records that the value at a path ("rounds[2].budget.retail") is wrong: say what is wrong and
// what is allowed. It is ignored when something in, at or around the path is already at fault, so that
// one mistake is told once.
func (c *Check) Fault(path, format string, args ...any) {
	if c.Sound(path) {
		c.add(c.file.line(path), path, format, args...)
	}
}

// Sound says that nothing in, at or around the paths is at fault: what was decoded from there can be
// relied on.
func (c *Check) Sound(paths ...string) bool {
	for _, path := range paths {
		for _, f := range c.faults {
			if !f.aside && (within(f.Path, path) || within(path, f.Path)) {
				return false
			}
		}
	}
	return true
}

// within says that path a is b or lies in it.
func within(a, b string) bool {
	rest, ok := strings.CutPrefix(a, b)
	return ok && (b == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Err is all the faults in the order of their lines, joined, each a *Fault; nil when there are none.
func (c *Check) Err() error {
	slices.SortStableFunc(c.faults, func(a, b *Fault) int { return a.Line - b.Line })
	errs := make([]error, len(c.faults))
	for i, f := range c.faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}

func (c *Check) add(line int, path, format string, args ...any) {
	c.faults = append(c.faults, &Fault{File: c.file.name, Line: line, Path: path, Text: fmt.Sprintf(format, args...)})
}
