package app

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"voucherwatch/credit"
	"voucherwatch/credit/credittest"
)

func TestEntriesExpireWhileTheProgramRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules, err := credit.LoadRules("")
		if err != nil {
			t.Fatal(err)
		}
		store := credit.NewMemory()
		desk, err := credit.NewDesk(credit.Desk{Rules: rules, Store: store, Gate: credit.Fixed{}})
		if err != nil {
			t.Fatal(err)
		}
		e := credittest.Entry(credit.Exclusion, 1)
		e.End = rules.Today(time.Now())
		if _, err := store.Put(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- KeepLists(ctx, desk, nil, slog.New(slog.DiscardHandler), time.Now) }()
		state := func() credit.State {
			got, err := store.Entry(t.Context(), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			return got.State
		}
		time.Sleep(15 * time.Hour) // 2000-01-01T23:00+08:00
		if s := state(); s != credit.InForce {
			t.Errorf("on its last day: %s", s)
		}
		time.Sleep(2 * time.Hour)
		if s := state(); s != credit.Expired {
			t.Errorf("on the day after: %s", s)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
