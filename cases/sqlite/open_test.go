package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	vw "voucherwatch"
	"voucherwatch/cases"
	"voucherwatch/cases/sqlite"
)

func run(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.Exec(statements)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	write := func(t *testing.T, path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		make func(t *testing.T, dir string) (path string)
		want string // a part of the error
	}{
		{"no path", func(*testing.T, string) string { return "" }, "path: is required"},
		{"the directory is missing", func(_ *testing.T, dir string) string { return filepath.Join(dir, "none", "x.db") }, "make the directory"},
		{"the directory is a file", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "f"), "")
			return filepath.Join(dir, "f", "x.db")
		}, "is not a directory"},
		{"the path is a directory", func(_ *testing.T, dir string) string { return dir }, "is not a regular file"},
		{"the file is a text", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "x.db")
			write(t, path, strings.Repeat("not a database\n", 1000))
			return path
		}, "name another file"},
		{"the database is another program's", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "x.db")
			run(t, path, "CREATE TABLE theirs (a)")
			return path
		}, "belongs to another program"},
		{"the schema is newer", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "x.db")
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			run(t, path, "PRAGMA user_version = 99")
			return path
		}, "schema version 99, this program knows 2 (use the newer program"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.make(t, t.TempDir())
			before, _ := os.ReadFile(path)
			s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v (%s), want %q (invalid)", err, vw.CodeOf(err), tt.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestAnyPathIsOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "高平 a?b#c%20&mode=ro.db")
	s := open(t, path)
	defer s.Close()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestAFullFileKeepsWhatItHas(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "x.db"), MaxBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var kept int
	for kept < 10_000 {
		f := vw.Finding{FindingID: fmt.Sprint("f", kept), Period: strings.Repeat("x", 10_000), Revision: 1}
		if err = s.Put(t.Context(), cases.Write{Docket: "d", Findings: []vw.Finding{f}}); err != nil {
			break
		}
		kept++
	}
	if vw.CodeOf(err) != vw.Unavailable || !strings.Contains(err.Error(), "make room") {
		t.Errorf("%v (%s)", err, vw.CodeOf(err))
	}
	if got, err := s.Docket(t.Context(), "d"); err != nil || len(got) != kept || kept == 0 {
		t.Errorf("%d findings, %v; want %d", len(got), err, kept)
	}
}

func TestListsUseTheirIndexes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for where, index := range map[string]string{
		"score <= 5 AND (score < 5 OR case_id > 'a')": "cases_by_score",
		"status = 'open'":                         "cases_by_status",
		"subject_id = 'm' AND subject_kind = 'k'": "cases_by_subject",
	} {
		rows, err := db.QueryContext(context.Background(), "EXPLAIN QUERY PLAN SELECT document FROM cases WHERE "+where+" ORDER BY score DESC, case_id LIMIT 9")
		if err != nil {
			t.Fatal(err)
		}
		var plan strings.Builder
		for rows.Next() {
			var a, b, c int
			var text string
			if err := rows.Scan(&a, &b, &c, &text); err != nil {
				t.Fatal(err)
			}
			plan.WriteString(text + "\n")
		}
		rows.Close()
		if !strings.Contains(plan.String(), index) || strings.Contains(plan.String(), "TEMP B-TREE") {
			t.Errorf("%s: %s", where, &plan)
		}
	}
}
