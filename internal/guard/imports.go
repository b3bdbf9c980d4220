package guard

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// rank is how high a folder is in the picture: an import goes from a higher one to a lower one.
func rank(dir string) int {
	top, rest, nested := strings.Cut(dir, "/")
	switch {
	case dir == ".":
		return 0 // the words of the domain
	case top == "cmd":
		return 5
	case top != "internal" && nested:
		return 3 // an adapter: cases/sqlite
	case top != "internal":
		return 2 // a part: cases
	case rest == "app" || strings.HasPrefix(rest, "app/"):
		return 4
	}
	return 1 // a leaf: internal/yamlfile
}

const arrowCause = "cmd → internal/app → adapters → parts → internal leaves → the root package, never up or aside: what joins parts is in internal/app, so that each part can be read, tested and replaced by itself"

// arrows holds the direction of imports in files that are no tests.
func arrows(t *Tree) (faults []Fault) {
	for _, f := range t.Go {
		if f.Test {
			continue
		}
		for _, spec := range f.Tree.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			to := "."
			if target != Module {
				var ours bool
				if to, ours = strings.CutPrefix(target, Module+"/"); !ours {
					continue
				}
			}
			if why := arrow(f.Dir, to); why != "" {
				faults = append(faults, f.fault("arrow", spec.Pos(), fmt.Sprintf("imports %s: %s", target, why), arrowCause))
			}
		}
	}
	return faults
}

// arrow says why one folder may not import another, "" when it may.
func arrow(from, to string) string {
	top := func(dir string) string { s, _, _ := strings.Cut(dir, "/"); return s }
	a, b := rank(from), rank(to)
	switch {
	case a <= b:
		return "the arrow goes up or aside"
	case a == 3 && b == 2 && top(from) != top(to):
		return "an adapter knows its own part only"
	}
	return ""
}

// banned are imports that nothing here may have, with the reason.
var banned = map[string]string{
	"C":                           "the program builds with CGO_ENABLED=0 and runs wherever it is copied to",
	"encoding/json/v2":            "needs GOEXPERIMENT=jsonv2; github.com/go-json-experiment/json is the same code (ADR 001)",
	"encoding/json/jsontext":      "needs GOEXPERIMENT=jsonv2; github.com/go-json-experiment/json is the same code (ADR 001)",
	"hash/maphash":                "its seed differs in every process, so a replay could give other bytes; use vw.Hash",
	"io/ioutil":                   "is deprecated; use io and os",
	"log":                         "writes to a global without level or keys; take a *slog.Logger",
	"math/rand":                   "may be seeded by itself; use math/rand/v2 with a seed from outside",
	"net/smtp":                    "is frozen and takes no context",
	"github.com/pkg/errors":       "fmt.Errorf wraps with %w, vw.Error carries codes",
	"github.com/stretchr/testify": "testing and go-cmp say the same with a readable diff",
	"gopkg.in/yaml.v3":            "is archived; go.yaml.in/yaml/v3 is its successor (ADR 006)",
	"github.com/mattn/go-sqlite3": "needs CGO; modernc.org/sqlite does not (ADR 005)",
}

func forbidden(t *Tree) (faults []Fault) {
	for _, f := range t.Go {
		for _, spec := range f.Tree.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			if target == "unsafe" && unsafeHomes[f.Name] == "" && pointers(f) {
				faults = append(faults, f.fault("import", spec.Pos(), "uses unsafe for more than sizes", "batches are reused: a string that aliases one changes under its reader"))
			}
			for name, cause := range banned {
				if target == name || strings.HasPrefix(target, name+"/") && strings.Contains(name, ".") {
					faults = append(faults, f.fault("import", spec.Pos(), "imports "+target, cause))
				}
			}
		}
	}
	return faults
}

// unsafeHomes are the files that may use unsafe for more than the size of a type, with the reason.
var unsafeHomes = map[string]string{
	"detectors/table.go":        "views a mapping as the table's places, which hold no pointers; the table keeps the mapping alive",
	"detectors/pages_linux.go":  "the base of such a mapping",
	"detectors/pages_other.go":  "the same, where there is nothing to ask",
	"internal/freeze/freeze.go": "writes unexported fields and values without pointers as they lie; what is read was hashed when written",
}

// pointers tells whether a file uses unsafe for anything but the size of a type.
func pointers(f *File) (found bool) {
	ast.Inspect(f.Tree, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		found = found || ok && isName(s.X, "unsafe") && s.Sel.Name != "Sizeof"
		return true
	})
	return found
}

// replaces keeps go.mod to what everybody else gets.
func replaces(t *Tree) (faults []Fault) {
	for i, line := range strings.Split(t.GoMod, "\n") {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); slices.Contains([]string{"replace", "replace(", "exclude", "exclude("}, word) {
			faults = append(faults, Fault{"go.mod", "go.mod", i + 1, "has " + strings.TrimSpace(line), "go install ignores it, so users would run other code than we test"})
		}
	}
	return faults
}
