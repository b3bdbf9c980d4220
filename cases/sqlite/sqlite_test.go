package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"voucherwatch/cases"
	"voucherwatch/cases/casetest"
	"voucherwatch/cases/sqlite"
)

func TestStore(t *testing.T) {
	casetest.RunArchive(t, func(t testing.TB, dir string) cases.Archive { return open(t, filepath.Join(dir, "cases.db")) })
}

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
