package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"time"

	"voucherwatch/evaluate"
	"voucherwatch/internal/app"
)

func evaluateCommand() command {
	return command{"evaluate", "--events EVENTS --labels LABELS --results DIR", "hold results against labels: what was found, missed and wrongly accused, beside naive rules", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var o app.EvaluateOptions
		var files app.WorldFiles
		var placebo bool
		var asJSON string
		f.StringVar(&o.Campaign, "campaign", "", "`NAME` of a built-in campaign or a file (default: as the results say)")
		f.StringVar(&o.Policy, "policy", "", "policy `FILE` of the results; none: the built-in one")
		f.StringVar(&files.Events, "events", "", "event `FILE` of the world")
		f.StringVar(&files.Labels, "labels", "", "labels `FILE` of the world")
		f.StringVar(&files.Results, "results", "", "`DIRECTORY` that replay wrote for these events")
		f.BoolVar(&placebo, "placebo", false, "there are no labels: nothing in the world is fraud")
		f.StringVar(&asJSON, "json", "", "`FILE` for the report as JSON")
		f.DurationVar(&o.Settle, "settle", 24*time.Hour, "`TIME` from a redemption to its pay-out")
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			switch {
			case files.Events == "" || files.Results == "":
				return usageError{errors.New("--events and --results are required")}
			case files.Labels == "" == !placebo:
				return usageError{errors.New("give either --labels or --placebo")}
			case o.Settle <= 0:
				return usageError{errors.New("--settle must be above 0")}
			}
			o.Now = time.Now
			o.Worlds = []app.WorldFiles{files}
			reports, err := app.Evaluate(ctx, o)
			if err != nil {
				return err
			}
			if asJSON != "" {
				if err := app.WriteFile(asJSON, func(w io.Writer) error { return evaluate.WriteJSON(w, reports) }); err != nil {
					return err
				}
			}
			return evaluate.WriteText(s.out, reports)
		}
	}}
}
