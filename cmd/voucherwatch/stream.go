package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"voucherwatch/campaign"
	"voucherwatch/internal/app"
	"voucherwatch/simulate"

	vw "voucherwatch"
)

// leastToken is how many characters a bearer token must have: see ingest.HandlerOptions.
const leastToken = 16

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
			if err := none(args); err != nil {
				return err
			}
			if !(o.Speed >= 0) || !inScale(o.Scale) {
				return usageError{errors.New("--speed must not be negative, --scale must be above 0 and at most 1000")}
			}
			if o.Dir == "" {
				o.Dir = os.TempDir() + "/voucherwatch-demo"
			}
			o.Now, o.Say, o.Wait = time.Now, s.out, wait
			report, done := progress(s.err, time.Now)
			o.Progress, o.Scored = report, done
			defer done()
			return app.Demo(ctx, o)
		}
	}}
}

// inScale tells whether a world of that scale can be simulated; it is false for NaN.
func inScale(x float64) bool { return x > 0 && x <= 1000 }

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
			o.Events, o.Stdin, o.Now = args, interruptible(ctx, s.in), time.Now
			report, done := progress(s.err, time.Now)
			o.Progress = report
			sum, err := app.Replay(ctx, o)
			done()
			if sum.PolicyVersion != "" {
				app.WriteSummary(s.out, sum, o.Out)
			}
			return err
		}
	}}
}

// interruptible is a reader whose Read returns when ctx ends, even while the one below it waits for a
// terminal or a pipe. It reads only when it is read.
func interruptible(ctx context.Context, in io.Reader) io.Reader {
	return &patient{ctx: ctx, in: in}
}

type patient struct {
	ctx context.Context
	in  io.Reader
	out *io.PipeReader
}

func (p *patient) Read(b []byte) (int, error) {
	if p.out == nil {
		var w *io.PipeWriter
		p.out, w = io.Pipe()
		context.AfterFunc(p.ctx, func() { _ = w.CloseWithError(p.ctx.Err()) })
		go func() { // ends with the program when the terminal never gives anything
			_, err := io.CopyBuffer(w, p.in, make([]byte, 256<<10))
			_ = w.CloseWithError(err)
		}()
	}
	return p.out.Read(b)
}

func serve() command {
	return command{"serve", "", "take events over HTTP (POST /v1/events), score them and open cases, on one machine", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var o app.ServeOptions
		var tokens string
		f.StringVar(&o.Campaign, "campaign", defaultCampaign, "`NAME` of a built-in campaign or a file")
		f.StringVar(&o.Policy, "policy", "", "policy `FILE`; none: the built-in one")
		f.StringVar(&o.Listen, "listen", "127.0.0.1:8642", "`ADDRESS` to listen on")
		f.StringVar(&o.Dir, "dir", "", "`DIRECTORY` of the event log, the cases and the results")
		f.StringVar(&o.Cases, "cases", "", "`FILE` of the cases, or the URL of Elasticsearch; none: cases.db in the directory")
		f.IntVar(&o.Slots, "workers", 2, "`NUMBER` of slots")
		f.StringVar(&tokens, "token-file", "", "`FILE` with bearer tokens, one per line; or set VOUCHERWATCH_TOKENS, separated by commas")
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			if o.Dir == "" {
				return usageError{errors.New("--dir is required")}
			}
			list := strings.FieldsFunc(os.Getenv("VOUCHERWATCH_TOKENS"), func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
			if tokens != "" {
				data, err := os.ReadFile(tokens)
				if err != nil {
					return &vw.Error{Op: "serve", Code: vw.Invalid, Hint: "name a file with one token per line", Err: err}
				}
				list = append(list, strings.Fields(string(data))...)
			}
			if len(list) == 0 {
				return usageError{errors.New("no bearer token: give --token-file with one in it, or set VOUCHERWATCH_TOKENS")}
			}
			if slices.ContainsFunc(list, func(token string) bool { return len(token) < leastToken }) {
				return &vw.Error{Op: "serve", Code: vw.Invalid, Hint: "make one with: openssl rand -hex 24", Err: fmt.Errorf("a bearer token has fewer than %d characters", leastToken)}
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
		var name, out, labels, typologies, adversary string
		var verbose bool
		f.StringVar(&name, "campaign", defaultCampaign, "`NAME` of a built-in campaign or a file")
		f.Uint64Var(&o.Seed, "seed", 1, "`NUMBER` that everything is drawn from")
		f.Float64Var(&o.Scale, "scale", 1, "`SIZE`: 1 is some 37,000 redemptions; 38 with --merchants 3000 --customers 200000 a county")
		f.IntVar(&o.Days, "days", 0, "`DAYS` of the campaign; 0: all")
		f.IntVar(&o.Merchants, "merchants", 0, "`NUMBER`; 0: by the scale")
		f.IntVar(&o.Customers, "customers", 0, "`NUMBER`; 0: by the scale")
		f.StringVar(&typologies, "typologies", "", "`NAMES` of the forms of fraud, separated by commas; held-out: those beyond the usual ones; none given: the usual ones")
		f.StringVar(&adversary, "adversary", "", "gangs that learn; `MODE`: open (they expect the naive rules) or closed (they hear what the built-in policy blocks)")
		f.BoolVar(&verbose, "verbose", false, "say also how hard the world is for naive rules")
		f.BoolVar(&o.NoFraud, "no-fraud", false, "leave all fraud out; the honest events stay the same bytes")
		f.StringVar(&out, "out", "", "`FILE` for the events")
		f.StringVar(&labels, "labels", "", "`FILE` for the labels")
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			switch {
			case out == "" || labels == "":
				return usageError{errors.New("--out and --labels are required")}
			case filepath.Clean(out) == filepath.Clean(labels):
				return usageError{errors.New("--out and --labels must be two files: who is judged must not see the answers")}
			case !inScale(o.Scale):
				return usageError{errors.New("--scale must be above 0 and at most 1000")}
			case adversary != "" && adversary != "open" && adversary != "closed":
				return usageError{errors.New("--adversary must be open or closed")}
			case adversary != "" && o.NoFraud:
				return usageError{errors.New("--adversary is fraud: leave out one of --adversary and --no-fraud")}
			case o.Days < 0 || o.Merchants < 0 || o.Customers < 0:
				return usageError{errors.New("--days, --merchants and --customers must not be negative")}
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
			o.Adversary = adversary != ""
			var sum simulate.Summary
			if adversary == "closed" {
				sum, err = app.SimulateAgainst(ctx, o, "", out, labels)
			} else {
				sum, err = app.SimulateFiles(ctx, o, out, labels)
			}
			if err != nil {
				return err
			}
			app.WriteWorld(s.out, sum)
			if verbose {
				return sum.Difficulty.Describe(s.out)
			}
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
			damage, err := app.Salvage(args[0], s.out)
			for _, d := range damage {
				fmt.Fprintln(s.err, d)
			}
			return err
		}
	}}
}
