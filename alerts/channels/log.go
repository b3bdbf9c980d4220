package channels

import (
	"context"
	"log/slog"

	"voucherwatch/alerts"
)

// logChannel writes the message to the program's log: the channel that needs nothing.
type logChannel struct {
	logger *slog.Logger
	name   string
}

func newLog(o *Options, p *alerts.Policy, name string) (alerts.Channel, error) {
	return &logChannel{o.Logger, name}, p.Settings(name, &struct{}{}, nil)
}

func (c *logChannel) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return alerts.Receipt{}, temporary("log.Send", "the program stops")
	}
	c.logger.LogAttrs(ctx, slog.LevelInfo, "alert", slog.String("channel", c.name), slog.String("case", m.Case), slog.String("alert", m.Plain(0)))
	return alerts.Receipt{Code: "ok", ID: m.Key}, nil
}
