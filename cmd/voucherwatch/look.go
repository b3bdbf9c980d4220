package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"voucherwatch/campaign"
	"voucherwatch/cases"
	"voucherwatch/detectors"
	"voucherwatch/internal/app"
	"voucherwatch/rules"

	vw "voucherwatch"
)

func caseList() command {
	return command{"case list", "--cases FILE", "list cases by score", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var path string
		var q cases.Filter
		f.StringVar(&path, "cases", "", "`FILE` of the cases: cases.db of serve or demo; or the URL of Elasticsearch")
		f.StringVar(&q.Status, "status", "", "`STATUS`: open, in_review or closed")
		f.StringVar(&q.Typology, "typology", "", "`CODE`, such as T01")
		f.IntVar(&q.MinScore, "min-score", 0, "least `SCORE`")
		f.IntVar(&q.Limit, "limit", 50, "most `CASES`, up to 1000")
		f.StringVar(&q.Cursor, "after", "", "`CURSOR` of the page before")
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			store, err := openCases(ctx, path)
			if err != nil {
				return err
			}
			defer func() { _ = store.Close() }()
			page, err := store.List(ctx, q)
			if err != nil {
				return err
			}
			if err := cases.WriteList(s.out, page.Cases); err != nil {
				return err
			}
			if page.Next != "" {
				fmt.Fprintf(s.out, "… --after %s\n", page.Next)
			}
			return nil
		}
	}}
}

func caseShow() command {
	return command{"case show", "--cases FILE ID", "show a case: findings with their reasons, evidence, time line", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var path string
		f.StringVar(&path, "cases", "", "`FILE` of the cases: cases.db of serve or demo; or the URL of Elasticsearch")
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) != 1 {
				return usageError{errors.New("name one case; case list shows their ids")}
			}
			p, err := rules.Load("")
			if err != nil {
				return err
			}
			store, err := openCases(ctx, path)
			if err != nil {
				return err
			}
			defer func() { _ = store.Close() }()
			c, err := store.Case(ctx, args[0])
			if err != nil {
				return err
			}
			found, err := store.Findings(ctx, c.FindingIDs...)
			if err != nil {
				return err
			}
			if err := cases.WriteCase(s.out, c, found, func(code string) vw.Bilingual {
				return vw.Bilingual{Zh: p.Typologies[code].Zh, En: p.Typologies[code].En}
			}); err != nil {
				return err
			}
			d, err := store.Document(ctx, args[0])
			if err != nil {
				return err
			}
			return cases.WriteWork(s.out, &d)
		}
	}}
}

func openCases(ctx context.Context, path string) (app.Archive, error) {
	if path == "" {
		return nil, usageError{errors.New("--cases is required")}
	}
	if !app.IsURL(path) {
		if err := app.MustExist(path); err != nil {
			return nil, err
		}
	}
	return app.OpenArchive(ctx, path, 30*time.Second)
}

func campaignList() command {
	return command{"campaign list", "", "list the built-in campaigns", func(*flag.FlagSet) func(context.Context, []string, streams) error {
		return func(_ context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			for _, name := range campaign.BuiltIn() {
				fmt.Fprintln(s.out, name)
			}
			return nil
		}
	}}
}

func campaignShow() command {
	return command{"campaign show", "[NAME]", "say a campaign as a person would, or print its file to copy", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		yaml := f.Bool("yaml", false, "print the file of a built-in campaign, to copy and change")
		return func(_ context.Context, args []string, s streams) error {
			name, err := one(args, defaultCampaign)
			if err != nil {
				return err
			}
			if *yaml {
				source, err := campaign.Source(name)
				if err == nil {
					_, err = s.out.Write(source)
				}
				return err
			}
			c, err := campaign.Open(name)
			if err != nil {
				return err
			}
			return campaign.Describe(s.out, c)
		}
	}}
}

func campaignCheck() command {
	return command{"campaign check", "FILE", "check a campaign file and say what it means", func(*flag.FlagSet) func(context.Context, []string, streams) error {
		return func(_ context.Context, args []string, s streams) error {
			name, err := one(args, "")
			if err != nil {
				return err
			}
			c, err := campaign.Open(name)
			if err != nil {
				return err
			}
			return campaign.Describe(s.out, c)
		}
	}}
}

func rulesShow() command {
	return command{"rules show", "[FILE]", "say the policy as a person would, or print its file to copy", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		yaml := f.Bool("yaml", false, "print the built-in policy's file, to copy and change")
		return func(_ context.Context, args []string, s streams) error {
			name, err := one(args, "default")
			if err != nil {
				return err
			}
			if *yaml && name != "default" {
				return usageError{errors.New("--yaml prints the built-in policy only")}
			}
			if *yaml {
				_, err := s.out.Write(rules.Default())
				return err
			}
			p, err := rules.Load(name)
			if err != nil {
				return err
			}
			return rules.Describe(s.out, p)
		}
	}}
}

func rulesCheck() command {
	return command{"rules check", "FILE", "check a policy file, its detectors' parameters included, and say what it means", func(*flag.FlagSet) func(context.Context, []string, streams) error {
		return func(_ context.Context, args []string, s streams) error {
			name, err := one(args, "")
			if err != nil {
				return err
			}
			p, err := app.CheckPolicy(name)
			if err != nil {
				return err
			}
			return rules.Describe(s.out, p)
		}
	}}
}

// none is for commands without arguments.
func none(args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

func one(args []string, missing string) (string, error) {
	switch {
	case len(args) == 1:
		return args[0], nil
	case len(args) == 0 && missing != "":
		return missing, nil
	}
	return "", usageError{errors.New("name one file")}
}

func detectorList() command {
	return command{"detector list", "", "list the detectors and what they look for", func(*flag.FlagSet) func(context.Context, []string, streams) error {
		return func(_ context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			for _, d := range detectors.Specs() {
				fmt.Fprintf(s.out, "%-16s %-9s %-24s %s\n%51s %s\n", d.Name, d.Lane, join(d.Typologies), d.Title.Zh, "", d.Title.En)
			}
			return nil
		}
	}}
}

func join(codes []string) string {
	return strings.Join(slices.Sorted(slices.Values(codes)), " ")
}

func version() command {
	return command{"version", "", "print the version", func(*flag.FlagSet) func(context.Context, []string, streams) error {
		return func(_ context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			v, revision := "devel", ""
			if info, ok := debug.ReadBuildInfo(); ok {
				if info.Main.Version != "" {
					v = info.Main.Version
				}
				for _, x := range info.Settings {
					if x.Key == "vcs.revision" {
						revision = " " + x.Value[:min(12, len(x.Value))]
					}
				}
			}
			p, err := rules.Load("")
			if err != nil {
				return err
			}
			fmt.Fprintf(s.out, "voucherwatch %s%s %s %s/%s\npolicy %s\n", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH, p.Version)
			return nil
		}
	}}
}
