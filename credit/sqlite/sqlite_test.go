package sqlite_test

import (
	"path/filepath"
	"testing"

	"voucherwatch/credit"
	"voucherwatch/credit/credittest"
	"voucherwatch/credit/sqlite"
)

// reopen gives, for a test that asks again, the same file opened anew.
func reopen(t *testing.T) func(t *testing.T) *sqlite.Store {
	dirs, open := map[string]string{}, map[string]*sqlite.Store{}
	return func(t *testing.T) *sqlite.Store {
		if dirs[t.Name()] == "" {
			dirs[t.Name()] = t.TempDir()
			t.Cleanup(func() {
				if err := open[t.Name()].Close(); err != nil {
					t.Error(err)
				}
			})
		} else if err := open[t.Name()].Close(); err != nil {
			t.Fatal(err)
		}
		s, err := sqlite.Open(t.Context(), filepath.Join(dirs[t.Name()], "credit.db"))
		if err != nil {
			t.Fatal(err)
		}
		open[t.Name()] = s
		return s
	}
}

func TestStore(t *testing.T) {
	open := reopen(t)
	credittest.Run(t, func(t *testing.T) credit.Store { return open(t) })
}

func TestOutbox(t *testing.T) {
	open := reopen(t)
	credittest.RunOutbox(t, func(t *testing.T) credit.Outbox { return open(t) })
}
