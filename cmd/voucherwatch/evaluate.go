package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"voucherwatch/evaluate"
	"voucherwatch/internal/app"
)

func evaluateCommand() command {
	const args = "--events EVENTS --labels LABELS --results DIR | --worlds DIR | --seeds NUMBERS"
	return command{"evaluate", args, "hold results against labels: what was found, missed and wrongly accused, beside naive rules", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var o app.EvaluateOptions
		var seeds app.SeedOptions
		var placebo bool
		var events, labels, results list
		var worlds, numbers, typologies, asJSON, asHTML, asMarkdown string
		f.StringVar(&o.Campaign, "campaign", "", "`NAME` of a built-in campaign or a file (default: as the results say)")
		f.StringVar(&o.Policy, "policy", "", "policy `FILE` of the results; none: the built-in one")
		f.Var(&events, "events", "event `FILE` of a world; once per world")
		f.Var(&labels, "labels", "its labels `FILE`; once per world")
		f.Var(&results, "results", "`DIRECTORY` that replay wrote for it; once per world")
		f.StringVar(&worlds, "worlds", "", "`DIRECTORY` of worlds: NAME.ndjson, NAME.labels.json, results in NAME")
		f.StringVar(&numbers, "seeds", "", "`NUMBERS`, separated by commas: simulate and replay these worlds first")
		f.Float64Var(&seeds.World.Scale, "scale", 1, "`SIZE` of simulated worlds")
		f.IntVar(&seeds.World.Days, "days", 0, "`DAYS` of simulated worlds; 0: all")
		f.StringVar(&typologies, "typologies", "", "`NAMES` of the forms of fraud in simulated worlds; none: all")
		f.StringVar(&seeds.Dir, "dir", "", "`DIRECTORY` to keep simulated worlds in; none: they are removed")
		f.BoolVar(&placebo, "placebo", false, "nothing in the worlds is fraud: needs no labels, and simulates none")
		f.DurationVar(&o.Settle, "settle", 24*time.Hour, "`TIME` from a redemption to its pay-out")
		f.StringVar(&asJSON, "json", "", "`FILE` for the result as JSON")
		f.StringVar(&asHTML, "html", "", "`FILE` for the report as one page with plots")
		f.StringVar(&asMarkdown, "markdown", "", "`FILE` for a digest as Markdown tables")
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			ways := 0
			for _, given := range []bool{len(events)+len(results) > 0, worlds != "", numbers != ""} {
				if given {
					ways++
				}
			}
			switch {
			case ways != 1:
				return usageError{errors.New("give --events, --labels and --results, or --worlds, or --seeds")}
			case len(events) != len(results) || len(labels) != len(events) && !(placebo && len(labels) == 0):
				return usageError{fmt.Errorf("%d --events, %d --labels, %d --results: give each once per world, or --placebo instead of labels", len(events), len(labels), len(results))}
			case o.Settle <= 0:
				return usageError{errors.New("--settle must be above 0")}
			case !inScale(seeds.World.Scale) || seeds.World.Days < 0:
				return usageError{errors.New("--scale must be above 0 and at most 1000, --days must not be negative")}
			}
			o.Now = time.Now
			for i := range events {
				w := app.WorldFiles{Events: events[i], Results: results[i]}
				if len(labels) > 0 {
					w.Labels = labels[i]
				}
				o.Worlds = append(o.Worlds, w)
			}
			if worlds != "" {
				var err error
				if o.Worlds, err = app.WorldsIn(worlds, placebo); err != nil {
					return err
				}
			}
			if numbers != "" {
				for text := range strings.SplitSeq(numbers, ",") {
					n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
					if err != nil {
						return usageError{fmt.Errorf("--seeds: %q is no number", text)}
					}
					seeds.Seeds = append(seeds.Seeds, n)
				}
				if o.Campaign == "" {
					o.Campaign = defaultCampaign
				}
				seeds.Campaign, seeds.Policy, seeds.Now, seeds.World.NoFraud = o.Campaign, o.Policy, o.Now, placebo
				seeds.World.Typologies = strings.FieldsFunc(typologies, func(r rune) bool { return r == ',' })
				if typologies == "" {
					seeds.World.Typologies = nil
				}
				seeds.Progress = func(world string) { fmt.Fprintf(s.err, "%s …\n", world) }
				if seeds.Dir == "" {
					dir, err := os.MkdirTemp("", "voucherwatch-evaluate-")
					if err != nil {
						return err
					}
					defer func() { _ = os.RemoveAll(dir) }()
					seeds.Dir = dir
				}
				var err error
				if o.Worlds, err = app.SimulateWorlds(ctx, seeds); err != nil {
					return err
				}
			}
			result, err := app.Evaluate(ctx, o)
			if err != nil {
				return err
			}
			for _, file := range []struct {
				name  string
				write func(io.Writer, *evaluate.Result) error
			}{{asJSON, evaluate.WriteJSON}, {asHTML, evaluate.WriteHTML}, {asMarkdown, evaluate.WriteMarkdown}} {
				if file.name == "" {
					continue
				}
				if err := app.WriteFile(file.name, func(w io.Writer) error { return file.write(w, result) }); err != nil {
					return err
				}
			}
			return evaluate.WriteText(s.out, result)
		}
	}}
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}
