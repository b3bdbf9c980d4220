package sqlite_test

import (
	"path/filepath"
	"testing"

	"voucherwatch/alerts/alertstest"
	"voucherwatch/alerts/sqlite"
)

func TestStore(t *testing.T) {
	dirs, open := map[string]string{}, map[string]*sqlite.Store{}
	alertstest.Run(t, func(t *testing.T) alertstest.Store {
		if dirs[t.Name()] == "" {
			dirs[t.Name()] = t.TempDir()
			t.Cleanup(func() {
				if err := open[t.Name()].Close(); err != nil {
					t.Error(err)
				}
			})
		} else if err := open[t.Name()].Close(); err != nil { // reopened: what was acknowledged is on disk
			t.Fatal(err)
		}
		s, err := sqlite.Open(t.Context(), filepath.Join(dirs[t.Name()], "alerts.db"))
		if err != nil {
			t.Fatal(err)
		}
		open[t.Name()] = s
		return s
	})
}
