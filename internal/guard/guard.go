// Package guard keeps the rules of the house by tests that read the source: who may import whom, what
// may not be imported, where a clock may be read, what may be logged, how files and packages are named,
// and that the documents name tests and files that exist.
//
// It knows nothing of types and runs no command: go list would be cached by go test and go on passing
// after a violation, whereas files that a test opens are part of its cache key.
//
// In: a tree of files. Out: a Fault per violation, with the reason for the rule.
package guard

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Module is the module's path, with which imports of our own begin.
const Module = "voucherwatch"

// Fault is a violation of a rule.
type Fault struct {
	Rule  string
	File  string // slash-separated, from the root of the tree
	Line  int    // 0: the whole file
	What  string
	Cause string // why there is such a rule
}

func (f Fault) String() string {
	return fmt.Sprintf("%s:%d: %s: %s (%s)", f.File, f.Line, f.Rule, f.What, f.Cause)
}

// Tree is what the rules look at.
type Tree struct {
	Go    []*File
	Docs  map[string]string // Markdown files
	GoMod string
	has   func(name string) bool
}

// File is a parsed Go file.
type File struct {
	Name  string // path from the root
	Dir   string // "." is the root package
	Test  bool
	Lines int
	Tree  *ast.File
	fset  *token.FileSet
}

func (f *File) fault(rule string, at token.Pos, what, cause string) Fault {
	line := 0
	if at.IsValid() {
		line = f.fset.Position(at).Line
	}
	return Fault{rule, f.Name, line, what, cause}
}

// Read takes in a tree, but for testdata and for folders that begin with a dot or an underscore, as the
// go command does. A Go file that does not parse is an error.
func Read(root fs.FS) (*Tree, error) {
	t := &Tree{Docs: map[string]string{}, has: func(name string) bool {
		_, err := fs.Stat(root, name)
		return err == nil
	}}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")):
			return fs.SkipDir
		case d.IsDir() || base != "go.mod" && path.Ext(base) != ".go" && path.Ext(base) != ".md":
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		switch path.Ext(name) {
		case ".md":
			t.Docs[name] = string(text)
		case ".mod":
			if name == "go.mod" {
				t.GoMod = string(text)
			}
		case ".go":
			f := &File{Name: name, Dir: path.Dir(name), Test: strings.HasSuffix(name, "_test.go"), Lines: strings.Count(string(text), "\n"), fset: token.NewFileSet()}
			if f.Tree, err = parser.ParseFile(f.fset, name, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
				return err
			}
			t.Go = append(t.Go, f)
		}
		return nil
	})
	return t, err
}

// Check applies all rules and lists what is wrong in the order of the files.
func Check(t *Tree) []Fault {
	var all []Fault
	for _, rule := range []func(*Tree) []Fault{arrows, forbidden, clocks, logKeys, names, sizes, comments, replaces, documents} {
		all = append(all, rule(t)...)
	}
	slices.SortStableFunc(all, func(a, b Fault) int { return cmp.Or(cmp.Compare(a.File, b.File), a.Line-b.Line) })
	return all
}
