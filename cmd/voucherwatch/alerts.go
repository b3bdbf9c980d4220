package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"voucherwatch/alerts"
	"voucherwatch/internal/app"
	"voucherwatch/internal/yamlfile"

	vw "voucherwatch"
)

func alertsRouteTest() command {
	return command{"alerts route test", "", "say who gets a sample alert, when and why; tells every mistake of a routing file", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var routing, policy, what, typology, severity, amount, district, merchant, at string
		f.StringVar(&routing, "routing", "", "routing `FILE`; none: the built-in one")
		f.StringVar(&policy, "policy", "", "policy `FILE`, for names and agencies of typologies; none: the built-in one")
		f.StringVar(&what, "what", string(alerts.Opened), "`NEWS`: opened, worsened, overdue, referred, excluded, listed, withdrawn, appealed, audit")
		f.StringVar(&typology, "typology", "T06", "`CODES`, joined by commas; the strongest first")
		f.StringVar(&severity, "severity", "high", "`SEVERITY`: low, medium, high, critical")
		f.StringVar(&amount, "amount", "5000元", "`AMOUNT` of the subsidy at stake, such as 18400元 or 1.2万元")
		f.StringVar(&district, "district", "140581", "`CODE` of GB/T 2260")
		f.StringVar(&merchant, "merchant", "样例商户", "`NAME` of the merchant")
		f.StringVar(&at, "at", "", "`TIME` at which it is taken in, RFC 3339; none: now")
		return func(_ context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			now := time.Now()
			if at != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, at); err != nil {
					return usageError{errors.New("--at must be a time such as 2022-10-01T23:10:00+08:00")}
				}
			}
			var money yamlfile.Money
			if err := money.UnmarshalText([]byte(amount)); err != nil {
				return usageError{fmt.Errorf("--amount %w", err)}
			}
			p, r, err := app.LoadRouting(routing, policy)
			if err != nil {
				return err
			}
			a := alerts.Alert{ID: "sample", Case: "case-sample", Sequence: 1, What: alerts.What(what), At: now, Severity: vw.Severity(severity), District: district, MerchantID: "m-sample", Merchant: merchant, SubsidyFen: vw.Fen(money)}
			for code := range strings.SplitSeq(typology, ",") {
				t, ok := r.Typologies[code]
				if !ok {
					return usageError{fmt.Errorf("--typology: there is no %q in the policy", code)}
				}
				a.Typologies = append(a.Typologies, code)
				for _, agency := range t.Agencies {
					if !slices.Contains(a.Agencies, agency) {
						a.Agencies = append(a.Agencies, agency)
					}
				}
			}
			plan, err := p.Explain(a, now)
			if err != nil {
				return err
			}
			return p.WritePlan(s.out, plan)
		}
	}}
}

// alerting registers the flags that every command with channels has.
func alerting(f *flag.FlagSet) *app.AlertingOptions {
	o := &app.AlertingOptions{Now: time.Now}
	f.StringVar(&o.Policy, "routing", "", "routing `FILE`; none: the built-in one")
	f.StringVar(&o.Store, "store", "", "`FILE` of alerts and deliveries, alerts.db of serve; none: nothing is kept")
	return o
}

func alertsChannelsTest() command {
	return command{"alerts channels test", "CHANNEL", "send a test message over one channel and say what the vendor answered", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		o := alerting(f)
		who := f.String("who", "", "`NAME` of whoever asks for it; required")
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) != 1 || *who == "" {
				return usageError{errors.New("name one channel of the routing file, and --who asks")}
			}
			o.Logger = slog.New(slog.NewTextHandler(s.err, nil))
			a, err := app.OpenAlerting(ctx, *o)
			if err != nil {
				return err
			}
			defer func() { _ = a.Close() }()
			d, err := a.Courier.Test(ctx, args[0], *who)
			if err != nil {
				return err
			}
			if err := app.WriteDeliveries(s.out, []alerts.Delivery{d}); err != nil {
				return err
			}
			if d.State != alerts.Sent {
				return &vw.Error{Op: "main.test", Code: vw.Unavailable, Hint: "see the code of the vendor above; nobody got the message", Err: errors.New("not delivered")}
			}
			_, err = fmt.Fprintln(s.out, "已送达：对方系统确认收到。 Delivered: the vendor said that it took it.")
			return err
		}
	}}
}

func alertsChannels() command {
	return command{"alerts channels", "", "list the channels of a routing file and how they do", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		o := alerting(f)
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			o.Logger = slog.New(slog.NewTextHandler(s.err, nil))
			a, err := app.OpenAlerting(ctx, *o)
			if err != nil {
				return err
			}
			defer func() { _ = a.Close() }()
			all, err := a.Ledger.Health(ctx)
			if err != nil {
				return err
			}
			return app.WriteHealth(s.out, a.Policy, all, slices.Sorted(maps.Keys(a.Policy.Channels)))
		}
	}}
}

func alertsDrill() command {
	return command{"alerts drill", "", "send a message marked 【演练】 to everybody in the routing file, and say whom it reached", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		o := alerting(f)
		who := f.String("who", "", "`NAME` of whoever asks for it; required")
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			if *who == "" {
				return usageError{errors.New("--who is required: a drill has somebody who answers for it")}
			}
			o.Logger = slog.New(slog.NewTextHandler(s.err, nil))
			a, err := app.OpenAlerting(ctx, *o)
			if err != nil {
				return err
			}
			defer func() { _ = a.Close() }()
			batch, n, err := a.Router.Exercise(ctx, *who, time.Now())
			if err != nil {
				return err
			}
			if _, err := a.Courier.Drain(ctx); err != nil {
				return err
			}
			got, err := a.Ledger.Deliveries(ctx, alerts.Filter{Batch: batch, Limit: n})
			if err != nil {
				return err
			}
			if err := app.WriteDeliveries(s.out, got); err != nil {
				return err
			}
			reached, logs := 0, 0
			for i := range got {
				if got[i].State == alerts.Sent {
					reached++
					if a.Policy.Channels[got[i].Channel].Type == "log" {
						logs++
					}
				}
			}
			fmt.Fprintf(s.out, "演练 %s：%d 个通道，送达 %d 个，其中 %d 个只写日志、没有人收到。 %d of %d channels took it; %d of them are logs, which reach nobody.\n", batch, n, reached, logs, reached, n, logs)
			if reached < n {
				return &vw.Error{Op: "main.drill", Code: vw.Unavailable, Hint: "see the codes above; what waits is tried again by serve, if it uses this store", Err: fmt.Errorf("%d channels were not reached", n-reached)}
			}
			return nil
		}
	}}
}

func alertsDeliveries() command {
	return command{"alerts deliveries", "--store FILE", "list what was sent, with the vendor's answers, or send a dead letter again", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		o := alerting(f)
		var q alerts.Filter
		var state, resend, who string
		f.StringVar(&q.Channel, "channel", "", "`NAME` of a channel")
		f.StringVar(&state, "state", "", "`STATE`: queued, sent, dead, digest")
		f.StringVar(&q.Case, "case", "", "`ID` of a case")
		f.StringVar(&q.Batch, "batch", "", "`ID` of a drill or test")
		f.IntVar(&q.Limit, "limit", 50, "most `DELIVERIES`")
		f.Int64Var(&q.Before, "before", 0, "`NUMBER` of the last one seen, of the page before")
		f.StringVar(&resend, "resend", "", "`ID` of a dead letter to send again")
		f.StringVar(&who, "who", "", "`NAME` of whoever asks for it, with --resend")
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			q.State = alerts.Progress(state)
			if o.Store == "" || resend != "" && who == "" || !slices.Contains([]alerts.Progress{"", alerts.Queued, alerts.Sent, alerts.Dead, alerts.InDigest}, q.State) || q.Limit < 1 {
				return usageError{errors.New("--store is required; --state is queued, sent, dead or digest; --limit is at least 1; --resend needs --who")}
			}
			if err := app.MustExist(o.Store); err != nil {
				return err
			}
			o.Logger = slog.New(slog.NewTextHandler(s.err, nil))
			a, err := app.OpenAlerting(ctx, *o)
			if err != nil {
				return err
			}
			defer func() { _ = a.Close() }()
			if resend != "" {
				if err := a.Courier.Resend(ctx, resend, who); err != nil {
					return err
				}
				if _, err := a.Courier.Drain(ctx); err != nil {
					return err
				}
			}
			got, err := a.Ledger.Deliveries(ctx, q)
			if err != nil {
				return err
			}
			if err := app.WriteDeliveries(s.out, got); err != nil {
				return err
			}
			if len(got) == q.Limit {
				_, err = fmt.Fprintf(s.out, "… --before %d\n", got[len(got)-1].Seq)
			}
			return err
		}
	}}
}
