package app

import (
	"context"
	"log/slog"
	"time"

	"voucherwatch/credit"
	"voucherwatch/credit/push"

	vw "voucherwatch"
)

// KeepLists does what the lists need in time, until ctx ends: entries expire within the hour after their last
// day, and what has changed is pushed when it is due. A platform or store that is not there is tried again.
func KeepLists(ctx context.Context, desk *credit.Desk, pushers []*push.Pusher, logger *slog.Logger, now func() time.Time) error {
	for ctx.Err() == nil {
		wait := time.Hour
		if ids, err := desk.Expire(ctx, now()); err != nil && ctx.Err() == nil {
			if vw.CodeOf(err) != vw.Unavailable {
				return err
			}
			logger.Warn("entries not expired", slog.Any("err", err))
			wait = time.Minute
		} else if len(ids) > 0 {
			logger.Info("entries expired", slog.Int("count", len(ids)))
		}
		for _, p := range pushers {
			next, err := p.Push(ctx)
			switch {
			case ctx.Err() != nil:
			case err != nil && vw.CodeOf(err) != vw.Unavailable:
				return err
			case err != nil:
				logger.Warn("list not pushed", slog.Any("err", err))
				wait = min(wait, time.Minute)
			case !next.IsZero():
				wait = min(wait, max(next.Sub(now()), time.Second))
			}
		}
		// What is entered or ended meanwhile is pushed within a minute.
		timer := time.NewTimer(min(wait, time.Minute))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}
