package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestTheLastPullOfEachClientIsKept(t *testing.T) {
	open := reopen(t)
	at := credittest.Now.UTC()
	for _, p := range []credit.Pull{
		{Client: "jincheng", Tier: credit.Record, AsOf: 7, At: at}, {Client: "jincheng", Tier: credit.Record, AsOf: 5, At: at.Add(time.Hour)},
		{Client: "jincheng", Tier: credit.Exclusion, AsOf: 2, At: at}, {Client: "bank", Tier: credit.Exclusion, AsOf: 9, At: at},
	} {
		if err := open(t).Pulled(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	got, err := open(t).Pulls(t.Context())
	want := []credit.Pull{{Client: "bank", Tier: credit.Exclusion, AsOf: 9, At: at}, {Client: "jincheng", Tier: credit.Exclusion, AsOf: 2, At: at}, {Client: "jincheng", Tier: credit.Record, AsOf: 7, At: at}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
