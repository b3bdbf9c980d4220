package guard

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// clockHomes are the folders whose code may read the clock, with the reason. Elsewhere event time
// decides, or the time comes in as a func() time.Time.
var clockHomes = map[string]string{
	"cmd":           "main hands time.Now to the rest",
	"internal/app":  "the services that run by the wall clock live there",
	"stream/kafka":  "deadlines of connections",
	"stream/ingest": "read deadlines of connections, and the default clock of the sync histogram",
}

var clockFunctions = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

// clocks finds uses of the clock: in code outside clockHomes, and in any test outside a synctest bubble,
// where waiting makes it slow on one machine and flaky on the next.
func clocks(t *Tree) (faults []Fault) {
	for _, f := range t.Go {
		name, imported := imports(f, "time")
		_, bubble := imports(f, "testing/synctest")
		home := false
		for dir := range clockHomes {
			home = home || f.Dir == dir || strings.HasPrefix(f.Dir, dir+"/")
		}
		if !imported || f.Test && bubble {
			continue
		}
		ast.Inspect(f.Tree, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok || !isName(s.X, name) || !slices.Contains(clockFunctions, s.Sel.Name) {
				return true
			}
			switch {
			case f.Test && s.Sel.Name == "Sleep":
				faults = append(faults, f.fault("clock", s.Pos(), "a test sleeps", "waiting is slow here and too short there; use testing/synctest or wait for the event itself"))
			case !home:
				faults = append(faults, f.fault("clock", s.Pos(), "uses time."+s.Sel.Name, "the same input must give the same bytes: event time decides, and a clock comes in as func() time.Time"))
			}
			return true
		})
	}
	return faults
}

// imports tells whether a file imports a package, and under which name.
func imports(f *File, target string) (name string, ok bool) {
	for _, spec := range f.Tree.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p == target {
			if spec.Name != nil {
				return spec.Name.Name, true
			}
			return path.Base(target), true
		}
	}
	return "", false
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// logged are the keys that log lines may have. None of them holds an identifier of a person, a token or
// a piece of an event: who adds one thinks of what its values can be.
var logged = []string{
	"address", "alert", "attempt", "backlog_bytes", "batches", "bytes", "campaign", "case", "channel", "code", "count", "dead_letters", "directory",
	"duration", "end", "err", "events", "file", "findings", "generation", "method", "offset", "partition", "path", "policy_version", "position", "reason",
	"redemptions", "rate", "segment", "slots", "status", "topic", "version", "wait",
}

var (
	slogMethods = []string{"Debug", "DebugContext", "Info", "InfoContext", "Warn", "WarnContext", "Error", "ErrorContext", "With"}
	slogAttrs   = []string{"Any", "Bool", "Duration", "Float64", "Group", "Int", "Int64", "String", "Time", "Uint64"}
)

const logCause = "logs are read, copied and kept by more people than the data is: only keys from the closed set in internal/guard, as literals, below a constant message"

// logKeys looks at files that import log/slog: every key of a log call, and of an attribute, is a
// literal of the closed set.
func logKeys(t *Tree) (faults []Fault) {
	for _, f := range t.Go {
		slog, ok := imports(f, "log/slog")
		// A logger from another file of the package is used without the import, so the calls of every
		// file are looked at, attributes only where slog has a name.
		if f.Test {
			continue
		}
		key := func(e ast.Expr) {
			lit, literal := e.(*ast.BasicLit)
			if !literal {
				faults = append(faults, f.fault("log", e.Pos(), "a log key is not a literal", logCause))
				return
			}
			if k, _ := strconv.Unquote(lit.Value); !slices.Contains(logged, k) {
				faults = append(faults, f.fault("log", e.Pos(), fmt.Sprintf("log key %q is not in the set", k), logCause))
			}
		}
		ast.Inspect(f.Tree, func(n ast.Node) bool {
			call, _ := n.(*ast.CallExpr)
			if call == nil {
				return true
			}
			s, _ := call.Fun.(*ast.SelectorExpr)
			switch {
			case s == nil:
			case ok && isName(s.X, slog) && slices.Contains(slogAttrs, s.Sel.Name) && len(call.Args) > 0:
				key(call.Args[0])
			case slices.Contains(slogMethods, s.Sel.Name) && isLogger(s.X, slog):
				args := call.Args
				if strings.HasSuffix(s.Sel.Name, "Context") {
					args = args[min(1, len(args)):]
				}
				if s.Sel.Name != "With" && len(args) > 0 {
					if _, literal := args[0].(*ast.BasicLit); !literal {
						faults = append(faults, f.fault("log", args[0].Pos(), "a log message is not a literal", logCause))
					}
					args = args[1:]
				}
				for len(args) > 0 {
					if _, attr := args[0].(*ast.CallExpr); attr { // slog.String(…), looked at by itself
						args = args[1:]
						continue
					}
					key(args[0])
					args = args[min(2, len(args)):]
				}
			}
			return true
		})
	}
	return faults
}

// isLogger tells by its name whether an expression is a logger: slog itself, or something called log or
// logger, as all of ours are.
func isLogger(e ast.Expr, slog string) bool {
	name := ""
	switch e := e.(type) {
	case *ast.Ident:
		if slog != "" && e.Name == slog {
			return true
		}
		name = e.Name
	case *ast.SelectorExpr:
		name = e.Sel.Name
	}
	name = strings.ToLower(name)
	return name == "log" || name == "logger"
}
