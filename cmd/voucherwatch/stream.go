package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"voucherwatch/campaign"
	"voucherwatch/internal/app"
	"voucherwatch/simulate"
	"voucherwatch/stream/ingest"

	vw "voucherwatch"
)

const defaultCampaign = "gaoping-2022-2"

func demo() command {
	return command{"demo", "", "simulate a campaign with labelled fraud, score it, and say what was caught, missed and wrongly accused", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var o app.DemoOptions
		f.StringVar(&o.Campaign, "campaign", defaultCampaign, "`NAME` of a built-in campaign or a file")
		f.StringVar(&o.Policy, "policy", "", "policy `FILE`; none: the built-in one")
		f.Uint64Var(&o.Seed, "seed", 7, "`NUMBER` that the world is drawn from")
		f.Float64Var(&o.Scale, "scale", 1, "`SIZE` of the world: 1 is some 37,000 redemptions")
		f.Float64Var(&o.Speed, "speed", 0, "`TIMES` faster than life; 0: as fast as it goes")
		f.StringVar(&o.Dir, "dir", "", "`DIRECTORY` for events and cases (default: voucherwatch-demo in the folder for temporary files)")
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unexpected argument %q", args[0])}
			}
			if o.Speed < 0 || o.Scale <= 0 {
				return usageError{errors.New("--speed must not be negative, --scale must be above 0")}
			}
			if o.Dir == "" {
				o.Dir = os.TempDir() + "/voucherwatch-demo"
			}
			o.Now, o.Say, o.Wait = time.Now, s.out, wait
			o.Progress = progress(s.err)
			return app.Demo(ctx, o)
		}
	}}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// progress is a bar on a terminal, and a plain line now and then otherwise.
func progress(w io.Writer) func(app.Progress) {
	file, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd()))
	var last time.Time
	day := ""
	return func(p app.Progress) {
		now := time.Now()
		if terminal {
			if now.Sub(last) < 100*time.Millisecond {
				return
			}
			last = now
			fmt.Fprintf(w, "\r\x1b[K%s  %9d events  %8d redemptions  %4d findings  %3d cases", p.Clock.Format("01-02 15:04"), p.Events, p.Redemptions, p.Findings, p.Cases)
			return
		}
		if d := p.Clock.Format(time.DateOnly); d != day && now.Sub(last) > time.Second {
			day, last = d, now
			fmt.Fprintf(w, "%s  %d events, %d redemptions, %d findings, %d cases\n", d, p.Events, p.Redemptions, p.Findings, p.Cases)
		}
	}
}

func replay() command {
	return command{"replay", "--out DIR EVENTS…", "read event files as the stream would and write scores, findings, cases, dead letters and a summary", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var o app.ReplayOptions
		f.StringVar(&o.Campaign, "campaign", defaultCampaign, "`NAME` of a built-in campaign or a file")
		f.StringVar(&o.Policy, "policy", "", "policy `FILE`; none: the built-in one")
		f.StringVar(&o.Out, "out", "", "`DIRECTORY` for the results; made if it is not there")
		f.IntVar(&o.Slots, "workers", 0, "`NUMBER` of slots; the results are the same for any; 0: one per processor")
		return func(ctx context.Context, args []string, s streams) error {
			switch {
			case len(args) == 0:
				return usageError{errors.New("name one or more event files, or - for standard input")}
			case o.Out == "":
				return usageError{errors.New("--out is required")}
			case o.Slots < 0 || o.Slots > 256:
				return usageError{errors.New("--workers must be 0 to 256")}
			}
			o.Events, o.Stdin, o.Now = args, s.in, time.Now
			o.Progress = progress(s.err)
			sum, err := app.Replay(ctx, o)
			if sum.PolicyVersion != "" {
				app.WriteSummary(s.out, sum, o.Out)
			}
			return err
		}
	}}
}

func serve() command {
	return command{"serve", "", "take events over HTTP (POST /v1/events), score them and open cases, on one machine", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var o app.ServeOptions
		var tokens string
		f.StringVar(&o.Campaign, "campaign", defaultCampaign, "`NAME` of a built-in campaign or a file")
		f.StringVar(&o.Policy, "policy", "", "policy `FILE`; none: the built-in one")
		f.StringVar(&o.Listen, "listen", "127.0.0.1:8642", "`ADDRESS` to listen on")
		f.StringVar(&o.Dir, "dir", "", "`DIRECTORY` of the event log, the cases and the results")
		f.IntVar(&o.Slots, "workers", 2, "`NUMBER` of slots")
		f.StringVar(&tokens, "token-file", "", "`FILE` with bearer tokens, one per line; or set VOUCHERWATCH_TOKENS, separated by commas")
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unexpected argument %q", args[0])}
			}
			if o.Dir == "" {
				return usageError{errors.New("--dir is required")}
			}
			list := strings.FieldsFunc(os.Getenv("VOUCHERWATCH_TOKENS"), func(r rune) bool { return r == ',' })
			if tokens != "" {
				data, err := os.ReadFile(tokens)
				if err != nil {
					return &vw.Error{Op: "serve", Code: vw.Invalid, Hint: "name a file with one token per line", Err: err}
				}
				list = append(list, strings.Fields(string(data))...)
			}
			if len(list) == 0 {
				return usageError{errors.New("no bearer token: give --token-file or set VOUCHERWATCH_TOKENS")}
			}
			o.Tokens, o.Now = list, time.Now
			o.Logger = slog.New(slog.NewJSONHandler(s.err, nil))
			return app.Serve(ctx, o)
		}
	}}
}

func simulateCommand() command {
	return command{"simulate", "--out EVENTS --labels LABELS", "write a labelled campaign: honest trade, look-alikes and fraud, drawn from a seed", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var o simulate.Options
		var name, out, labels, typologies string
		f.StringVar(&name, "campaign", defaultCampaign, "`NAME` of a built-in campaign or a file")
		f.Uint64Var(&o.Seed, "seed", 1, "`NUMBER` that everything is drawn from")
		f.Float64Var(&o.Scale, "scale", 1, "`SIZE`: 1 is some 37,000 redemptions; 38 with --merchants 3000 --customers 200000 a county")
		f.IntVar(&o.Days, "days", 0, "`DAYS` of the campaign; 0: all")
		f.IntVar(&o.Merchants, "merchants", 0, "`NUMBER`; 0: by the scale")
		f.IntVar(&o.Customers, "customers", 0, "`NUMBER`; 0: by the scale")
		f.StringVar(&typologies, "typologies", "", "`NAMES` of the forms of fraud, separated by commas; none: all")
		f.BoolVar(&o.NoFraud, "no-fraud", false, "leave all fraud out; the honest events stay the same bytes")
		f.StringVar(&out, "out", "", "`FILE` for the events")
		f.StringVar(&labels, "labels", "", "`FILE` for the labels")
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unexpected argument %q", args[0])}
			}
			if out == "" || labels == "" {
				return usageError{errors.New("--out and --labels are required")}
			}
			c, err := campaign.Load(name)
			if err != nil {
				return err
			}
			o.Campaign = c
			o.Typologies = strings.FieldsFunc(typologies, func(r rune) bool { return r == ',' })
			if typologies == "" {
				o.Typologies = nil
			}
			sum, err := app.SimulateFiles(ctx, o, out, labels)
			if err != nil {
				return err
			}
			app.WriteWorld(s.out, sum)
			return nil
		}
	}}
}

func logSalvage() command {
	return command{"log salvage", "DIR", "write the intact events of a damaged ingest log to standard output", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		return func(_ context.Context, args []string, s streams) error {
			if len(args) != 1 {
				return usageError{errors.New("name the folder of the log")}
			}
			damage, err := ingest.Salvage(args[0], s.out)
			for _, d := range damage {
				fmt.Fprintln(s.err, d)
			}
			return err
		}
	}}
}
