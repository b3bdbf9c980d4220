// Package yamlfile reads the YAML files that people write, and says what is wrong with one in terms of
// its lines: an unknown field, a wrong type, a key given twice, a second document. All faults of a
// file are reported at once, those found by the caller's own checks among them.
//
// It does not know what the files mean, and it accepts less than YAML: no anchors, aliases, merge keys
// or tags of one's own, no empty values, so that what a file says is what stands in it.
//
// In: the bytes of one file. Out: Go values by their yaml tags, faults of the form
// "file:line: path.to.field: what is wrong, what is allowed", and a canonical form to hash.
package yamlfile

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is a file as read. It is not changed after Parse and may be shared.
type File struct {
	name  string
	root  *yaml.Node // nil when there is nothing to decode
	lines map[string]int
	nodes map[string]*yaml.Node
}

// Parse reads one YAML document. It never fails: what is wrong with the text is already in the Check
// that it returns, to which the caller adds by Decode and Fault, and whose Err is the verdict.
func Parse(name string, data []byte) (*File, *Check) {
	f := &File{name: name, lines: map[string]int{}, nodes: map[string]*yaml.Node{}}
	c := f.Check()
	in := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, second yaml.Node
	switch err := in.Decode(&doc); {
	case errors.Is(err, io.EOF):
		c.add(1, "", "is empty: write a YAML mapping")
		return f, c
	case err != nil:
		c.syntax(err)
		return f, c
	}
	f.root = doc.Content[0]
	f.index(f.root, "", c)
	switch err := in.Decode(&second); {
	case err == nil:
		c.add(second.Line, "", "a second document begins here: put one document in a file")
		c.faults[len(c.faults)-1].aside = true
	case !errors.Is(err, io.EOF):
		c.syntax(err)
	}
	return f, c
}

// Check is a fresh list of faults of the file.
func (f *File) Check() *Check { return &Check{file: f} }

// index notes where every path stands, and what no path can stand for.
func (f *File) index(n *yaml.Node, path string, c *Check) {
	if _, ok := f.lines[path]; !ok {
		f.lines[path] = n.Line
	}
	f.nodes[path] = n
	if n.Anchor != "" {
		c.add(n.Line, path, "has an anchor (&%s): anchors are not allowed, write the value out", n.Anchor)
	}
	switch n.Kind {
	case yaml.AliasNode:
		c.add(n.Line, path, "is an alias (*%s): aliases are not allowed, write the value out", n.Value)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			f.index(item, path+"["+strconv.Itoa(i)+"]", c)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			p := join(path, key.Value)
			if key.Kind != yaml.ScalarNode {
				c.add(key.Line, path, "has a key that is not a word")
				continue
			}
			if first, ok := f.lines[p]; ok {
				c.add(key.Line, p, "is given twice: first on line %d", first)
				continue
			}
			f.lines[p] = key.Line
			f.index(value, p, c)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// line is where a path stands, or the nearest thing around it that is written down.
func (f *File) line(path string) int {
	for {
		if line, ok := f.lines[path]; ok {
			return line
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return max(f.lines[""], 1)
		}
		path = path[:cut]
	}
}

// Canonical is what the file says without how it says it: comments, layout, quotes, the order of keys
// and the spelling of numbers leave it the same, any other change changes it.
func (f *File) Canonical() []byte {
	if f.root == nil {
		return nil
	}
	return appendCanonical(nil, f.root)
}

var (
	syntaxLine = regexp.MustCompile(`^yaml: line (\d+): `)
	// parserError are the errors whose line the yaml package counts from 0, and all others from 1.
	parserError = regexp.MustCompile(`^did not find expected (key|node content|'-' indicator|',' or|<)`)
)

func (c *Check) syntax(err error) {
	text, line := err.Error(), 1
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
		if parserError.MatchString(text) {
			line++
		}
	}
	c.add(line, "", "is not YAML from here on: %s", strings.TrimPrefix(text, "yaml: "))
}

// Fault is one thing that is wrong, where.
type Fault struct {
	File string
	Line int    // 1-based
	Path string // "rounds[2].budget.retail"; empty: the whole file
	Text string // what is wrong, what is allowed

	aside bool // beside the document, not around every path in it
}

func (f *Fault) Error() string {
	if f.Path == "" {
		return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Path, f.Text)
}
