package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes a module with one test and goes there.
func module(t *testing.T, body string) {
	dir := t.TempDir()
	if body != "" {
		body = "import \"testing\"\n\n" + body
	}
	for name, text := range map[string]string{"go.mod": "module m\n\ngo 1.26\n", "m_test.go": "package m\n\n" + body} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		strict     bool
		code       int
		says       string
	}{
		{"what passes is a line per package", `func TestA(t *testing.T) { t.Log("quiet") }`, true, 0, "ok  \tm\t"},
		{"what fails is told and fails", `func TestA(t *testing.T) { t.Error("loud") }`, true, 1, "loud"},
		{"what does not build is told and fails", `func TestA(t *testing.T) { nonsense() }`, true, 1, "undefined: nonsense"},
		{"a skipped test fails where it counts", `func TestA(t *testing.T) { t.Run("b", func(t *testing.T) { t.Skip("why not") }) }`, true, 1, "why not"},
		{"a skipped test passes elsewhere", `func TestA(t *testing.T) { t.Skip("why not") }`, false, 0, "why not"},
		{"a package without tests is not a skipped test", ``, true, 0, "no test files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			module(t, tt.body)
			if tt.body == "" {
				if err := os.Rename("m_test.go", "m.go"); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs strings.Builder
			if code := run([]string{"./..."}, tt.strict, &out, &errs); code != tt.code {
				t.Errorf("exit %d, want %d", code, tt.code)
			}
			if got := out.String(); !strings.Contains(got, tt.says) || strings.Contains(got, "quiet") {
				t.Errorf("printed %q, want %q in it and nothing of what passed\n%s", got, tt.says, errs.String())
			}
		})
	}
}
