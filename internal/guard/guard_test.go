package guard

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestTheHouseKeepsItsRules reads the module's own files, so a change to any of them runs it again.
func TestTheHouseKeepsItsRules(t *testing.T) {
	tree, err := Read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Go) < 50 || tree.GoMod == "" || len(tree.Docs) == 0 {
		t.Fatalf("read %d Go files, %d documents and %d bytes of go.mod: this is not the module", len(tree.Go), len(tree.Docs), len(tree.GoMod))
	}
	for _, f := range Check(tree) {
		t.Error(f)
	}
}

// ok is a file that keeps every rule.
const ok = "// Package x is an example.\npackage x\n"

// body is a file with imports and the body of a function.
func body(imports, code string) string {
	return "// Package x is an example.\npackage x\n\nimport (\n" + imports + "\n)\n\nfunc f() {\n" + code + "\n}\n"
}

func TestEachRuleCatchesItsBadExample(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  []string // pieces of the faults, in order
	}{
		{"a clean tree", map[string]string{"x.go": ok, "go.mod": "module voucherwatch\n\ngo 1.26.0\n"}, nil},

		{"a part may import the root, a leaf, and nothing else of ours",
			map[string]string{"cases/x.go": body(`v "voucherwatch"; y "voucherwatch/internal/yamlfile"`, "_, _ = v.A, y.A")}, nil},
		{"a part imports another part", map[string]string{"cases/x.go": body(`"voucherwatch/detectors"`, "detectors.A()")}, []string{"cases/x.go:5: arrow: imports voucherwatch/detectors"}},
		{"a part imports its adapter", map[string]string{"cases/x.go": body(`"voucherwatch/cases/sqlite"`, "sqlite.A()")}, []string{"imports voucherwatch/cases/sqlite: the arrow goes up"}},
		{"an adapter imports its own part", map[string]string{"cases/sqlite/x.go": body(`"voucherwatch/cases"`, "cases.A()")}, nil},
		{"an adapter imports another part", map[string]string{"cases/sqlite/x.go": body(`"voucherwatch/rules"`, "rules.A()")}, []string{"an adapter knows its own part only"}},
		{"a part imports the app", map[string]string{"cases/x.go": body(`"voucherwatch/internal/app"`, "app.A()")}, []string{"imports voucherwatch/internal/app"}},
		{"a leaf imports a part", map[string]string{"internal/y/x.go": body(`"voucherwatch/cases"`, "cases.A()")}, []string{"imports voucherwatch/cases"}},
		{"the root imports a leaf", map[string]string{"x.go": body(`"voucherwatch/internal/y"`, "y.A()")}, []string{"imports voucherwatch/internal/y"}},
		{"the app imports parts and adapters", map[string]string{"internal/app/x.go": body(`"voucherwatch/cases"; "voucherwatch/cases/sqlite"`, "cases.A(); sqlite.A()")}, nil},
		{"a command may look into a part by itself", map[string]string{"cmd/v/x.go": body(`"voucherwatch/cases"`, "cases.A()")}, nil},
		{"the app imports a command", map[string]string{"internal/app/x.go": body(`"voucherwatch/cmd/v"`, "v.A()")}, []string{"the arrow goes up"}},
		{"a test may import what it likes of ours", map[string]string{"x.go": ok, "cases/x.go": ok, "cases/x_test.go": body(`"voucherwatch/detectors"`, "detectors.A()")}, nil},

		{"json/v2 of the standard library", map[string]string{"x.go": body(`"encoding/json/v2"`, "json.A()")}, []string{"import: imports encoding/json/v2 (needs GOEXPERIMENT"}},
		{"log", map[string]string{"x.go": body(`"log"`, "log.A()")}, []string{"imports log"}},
		{"log/slog is another package", map[string]string{"x.go": body(`"log/slog"`, "_ = slog.New(nil)")}, nil},
		{"math/rand, also in a test", map[string]string{"x.go": ok, "x_test.go": body(`"math/rand"`, "rand.A()")}, []string{"imports math/rand"}},
		{"math/rand/v2 is another package", map[string]string{"x.go": body(`"math/rand/v2"`, "rand.A()")}, nil},
		{"unsafe for a size", map[string]string{"x.go": body(`"unsafe"`, "_ = unsafe.Sizeof(1)")}, nil},
		{"unsafe for a string over bytes", map[string]string{"x.go": body(`"unsafe"`, "_ = unsafe.String(p, unsafe.Sizeof(1))")}, []string{"unsafe for more than sizes"}},
		{"unsafe where a reason is given", map[string]string{"detectors/table.go": body(`"unsafe"`, "_ = unsafe.SliceData(p)")}, nil},
		{"net/smtp", map[string]string{"x.go": body(`"net/smtp"`, "smtp.A()")}, []string{"imports net/smtp"}},
		{"a package below a banned module", map[string]string{"x.go": ok, "x_test.go": body(`"github.com/stretchr/testify/assert"`, "assert.A()")}, []string{"imports github.com/stretchr/testify/assert"}},

		{"a clock in a part", map[string]string{"cases/x.go": body(`"time"`, "_ = time.Now()")}, []string{"cases/x.go:9: clock: uses time.Now"}},
		{"a clock as a default, under another name", map[string]string{"cases/x.go": body(`t "time"`, "now := t.Now; _ = now")}, []string{"uses time.Now"}},
		{"sleep in a part", map[string]string{"cases/x.go": body(`"time"`, "time.Sleep(1)")}, []string{"uses time.Sleep"}},
		{"a clock in a test", map[string]string{"x.go": ok, "x_test.go": body(`"time"`, "_ = time.Since(time.Time{})")}, []string{"uses time.Since"}},
		{"durations and dates are no clock", map[string]string{"cases/x.go": body(`"time"`, "_ = time.Unix(1, 0).Add(time.Hour)")}, nil},
		{"a clock where it may be", map[string]string{"cmd/v/x.go": body(`"time"`, "_ = time.Now()"), "stream/ingest/x.go": body(`"time"`, "_ = time.Now()")}, nil},
		{"a folder whose name only begins the same", map[string]string{"stream/ingestor/x.go": body(`"time"`, "_ = time.Now()")}, []string{"uses time.Now"}},
		{"a test that sleeps, even there", map[string]string{"cmd/v/x.go": ok, "cmd/v/x_test.go": body(`"time"`, "time.Sleep(1)")}, []string{"a test sleeps"}},
		{"sleep in a bubble takes no time", map[string]string{"x.go": ok, "x_test.go": body(`"time"; "testing/synctest"`, "synctest.Wait(); time.Sleep(1)")}, nil},

		{"a log key that names a person", map[string]string{"x.go": body(`"log/slog"`, `slog.Info("voucher used", "customer_id", "c1")`)}, []string{`log: log key "customer_id"`}},
		{"the same after a good one, in another file's logger, with a context",
			map[string]string{"x.go": body("", `s.opts.Logger.ErrorContext(ctx, "not stored", "err", err, "body", b)`)}, []string{`log key "body"`}},
		{"the same as an attribute", map[string]string{"x.go": body(`"log/slog"`, `log.Warn("not stored", slog.String("token", "t"))`)}, []string{`log key "token"`}},
		{"a key that is computed", map[string]string{"x.go": body("", `log.Info("stored", key, 1)`)}, []string{"a log key is not a literal"}},
		{"a message that is computed", map[string]string{"x.go": body(`"fmt"`, `log.Info(fmt.Sprint("stored ", id))`)}, []string{"a log message is not a literal"}},
		{"keys of the set", map[string]string{"x.go": body(`"log/slog"`, `log.With("campaign", 1).Info("x"); log.Info("stored", "bytes", 1, slog.Int("segment", 2), "err", nil)`)}, nil},
		{"an Error that is no logger's", map[string]string{"x.go": body("", `t.Error("customer", "x", c.Error("y", "z"))`)}, nil},

		{"a package called util", map[string]string{"util/x.go": "// Package util is an example.\npackage util\n"}, []string{"name: the package is called util"}},
		{"a package that is called so only inside", map[string]string{"cases/x.go": "// Package types is an example.\npackage types\n"}, []string{"the package is called types"}},
		{"a file called helpers.go", map[string]string{"helpers.go": ok}, []string{"the file is called helpers"}},

		{"a file of 801 lines", map[string]string{"x.go": ok + strings.Repeat("\n", 799)}, []string{"size: has 801 lines"}},
		{"a file of 800 lines", map[string]string{"x.go": ok + strings.Repeat("\n", 798)}, nil},

		{"a package without a comment", map[string]string{"x.go": "package x\n", "y.go": "package x\n"}, []string{"x.go:0: comment: the package has no comment"}},
		{"a package with two comments", map[string]string{"x.go": ok, "y.go": ok}, []string{"y.go:1: comment: the package has a second"}},
		{"a comment about something else", map[string]string{"x.go": "// Example for all.\npackage x\n"}, []string{"does not begin with Package x"}},
		{"a license above is no comment", map[string]string{"x.go": "// Copyright.\n\npackage x\n"}, []string{"the package has no comment"}},
		{"a program's comment begins as it likes", map[string]string{"cmd/v/x.go": "// Command v is an example.\npackage main\n"}, nil},
		{"testdata is not looked at", map[string]string{"x.go": ok, "testdata/x.go": "package util\n", ".git/x.go": "no Go"}, nil},

		{"a replaced module", map[string]string{"x.go": ok, "go.mod": "module voucherwatch\n\nreplace a => b\n"}, []string{"go.mod:3: go.mod: has replace a => b"}},
		{"replaced modules", map[string]string{"x.go": ok, "go.mod": "module voucherwatch\n\nreplace (\n"}, []string{"has replace ("}},

		{"a document that names a test that is gone",
			map[string]string{"x.go": ok, "x_test.go": body("", ""), "README.md": "1\nheld by `TestGone`\n"}, []string{"README.md:2: document: names a test that does not exist: TestGone"}},
		{"a document that names a test and its row", map[string]string{"x.go": ok, "x_test.go": "package x\n\nfunc TestThere() {}\n", "README.md": "held by `TestThere/a row`"}, nil},
		{"a link to nowhere", map[string]string{"x.go": ok, "docs/a.md": "[b](../docs/b.md#top)"}, []string{"docs/a.md:1: document: links to a file that does not exist: ../docs/b.md"}},
		{"links to files and to the world", map[string]string{"x.go": ok, "docs/a.md": "[x](../x.go) [y](https://example.org) [z](#here)"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			tree, err := Read(root)
			if err != nil {
				t.Fatal(err)
			}
			faults := Check(tree)
			if len(faults) != len(tt.want) {
				t.Fatalf("%d faults, want %d: %v", len(faults), len(tt.want), faults)
			}
			for i, want := range tt.want {
				if got := faults[i].String(); !strings.Contains(got, want) {
					t.Errorf("fault %d is %q, want %q in it", i, got, want)
				}
			}
		})
	}
}
