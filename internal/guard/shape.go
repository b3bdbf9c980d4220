package guard

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

var vague = []string{"base", "common", "helper", "helpers", "lib", "misc", "model", "models", "shared", "type", "types", "util", "utils"}

// names keeps packages and files named for what they provide.
func names(t *Tree) (faults []Fault) {
	const cause = "such a name says nothing of what is inside and attracts everything; name the one idea"
	seen := map[string]bool{}
	for _, f := range t.Go {
		base := strings.TrimSuffix(path.Base(f.Name), ".go")
		if slices.Contains(vague, base) {
			faults = append(faults, f.fault("name", 0, "the file is called "+base, cause))
		}
		for _, name := range []string{path.Base(f.Dir), f.Tree.Name.Name} {
			if slices.Contains(vague, name) && !seen[f.Dir] {
				seen[f.Dir] = true
				faults = append(faults, f.fault("name", 0, "the package is called "+name, cause))
			}
		}
	}
	return faults
}

const maxLines = 800

// sizes keeps files readable in one sitting.
func sizes(t *Tree) (faults []Fault) {
	for _, f := range t.Go {
		if f.Lines > maxLines {
			faults = append(faults, f.fault("size", 0, fmt.Sprintf("has %d lines", f.Lines), "400 is a smell, 800 a defect: it holds more than one idea"))
		}
	}
	return faults
}

// comments wants each package to say, in one place, what it is and is not, what goes in and out.
func comments(t *Tree) (faults []Fault) {
	first, said := map[string]*File{}, map[string]int{}
	for _, f := range t.Go {
		if f.Test {
			continue
		}
		if first[f.Dir] == nil {
			first[f.Dir] = f
		}
		if f.Tree.Doc == nil {
			continue
		}
		said[f.Dir]++
		text := f.Tree.Doc.Text()
		if name := f.Tree.Name.Name; name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
			faults = append(faults, f.fault("comment", f.Tree.Doc.Pos(), "the package comment does not begin with Package "+name, "go doc shows it so"))
		}
		if said[f.Dir] > 1 {
			faults = append(faults, f.fault("comment", f.Tree.Doc.Pos(), "the package has a second package comment", "a reader looks for one"))
		}
	}
	for dir, f := range first {
		if said[dir] == 0 {
			faults = append(faults, f.fault("comment", 0, "the package has no comment", "what, what not, data in, data out: a reader decides there whether to read on"))
		}
	}
	return faults
}

var (
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)")
	mdLink   = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)\s]*)?\)`)
)

// documents wants the tests and files that the documents name to exist: maps kept by hand rot.
func documents(t *Tree) (faults []Fault) {
	tests := map[string]bool{}
	for _, f := range t.Go {
		for _, d := range f.Tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.Test && fn.Recv == nil {
				tests[fn.Name.Name] = true
			}
		}
	}
	for name, text := range t.Docs {
		line := 0
		for l := range strings.Lines(text) {
			line++
			for _, m := range testName.FindAllStringSubmatch(l, -1) {
				if !tests[m[1]] {
					faults = append(faults, Fault{"document", name, line, "names a test that does not exist: " + m[1], "an invariant is held by a test or it is a wish"})
				}
			}
			for _, m := range mdLink.FindAllStringSubmatch(l, -1) {
				if target := path.Join(path.Dir(name), m[1]); !t.has(target) {
					faults = append(faults, Fault{"document", name, line, "links to a file that does not exist: " + m[1], "a reader follows it"})
				}
			}
		}
	}
	return faults
}
