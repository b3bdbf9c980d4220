package sqlitefile

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	vw "voucherwatch"
)

func TestOpenSaysWhatToDo(t *testing.T) {
	o := Options{Mark: 7, Migrations: []string{"CREATE TABLE a (x)"}}
	exec := func(t *testing.T, path, statement string) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		if err == nil {
			_, err = db.Exec(statement)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string) string
		want string
	}{
		{"no path", func(*testing.T, string) string { return "" }, "path: is required"},
		{"the directory is missing", func(_ *testing.T, path string) string { return filepath.Join(path, "none", "x.db") }, "make the directory"},
		{"the path is a directory", func(_ *testing.T, path string) string { return filepath.Dir(path) }, "is not a regular file"},
		{"the file is a text", func(t *testing.T, path string) string {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, "name another file"},
		{"another part's", func(t *testing.T, path string) string {
			exec(t, path, "CREATE TABLE b (x); PRAGMA application_id = 8; PRAGMA user_version = 1")
			return path
		}, "belongs to something else"},
		{"a newer schema", func(t *testing.T, path string) string {
			exec(t, path, "CREATE TABLE a (x); PRAGMA application_id = 7; PRAGMA user_version = 9")
			return path
		}, "schema version 9, this program knows 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := o
			o.Path = tt.make(t, filepath.Join(t.TempDir(), "x.db"))
			before, _ := os.ReadFile(o.Path)
			f, err := Open(t.Context(), o)
			if err == nil {
				_ = f.Close()
				t.Fatal("opened")
			}
			if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v (%s), want %q (invalid)", err, vw.CodeOf(err), tt.want)
			}
			if after, _ := os.ReadFile(o.Path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestTheSchemaMovesForwardAndATransactionIsAllOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "高平 a?b#c%20&mode=ro.db")
	for n := 1; n <= 2; n++ {
		f, err := Open(t.Context(), Options{Path: path, Mark: 7, Migrations: []string{"CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"}[:n]})
		if err != nil {
			t.Fatal(err)
		}
		refused := errors.New("refused")
		for _, end := range []error{refused, nil} {
			if err := f.InTx(t.Context(), "test", func(tx *sql.Tx) error {
				_, err := tx.ExecContext(t.Context(), "INSERT INTO a (x) VALUES (1)")
				return errors.Join(err, end)
			}); end == nil && err != nil || end != nil && !errors.Is(err, refused) {
				t.Fatal(err)
			}
		}
		var rows int
		if err := f.Read.QueryRow("SELECT count(*) FROM a").Scan(&rows); err != nil || rows != n {
			t.Errorf("%d rows, %v; want %d", rows, err, n)
		}
		if _, err := f.Read.Exec("DELETE FROM a"); err == nil {
			t.Error("the reader wrote")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
