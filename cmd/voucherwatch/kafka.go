package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"voucherwatch/internal/app"
)

const defaultConfig = "voucherwatch.yaml"

func runCommand() command {
	return command{"run", "", "score what comes through Kafka; more processes of a group stand by and take over", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		file := f.String("config", defaultConfig, "configuration `FILE`")
		untilEnd := f.Bool("until-end", false, "stop at the end of the topics and close the baselines, as replay does")
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			c, err := app.LoadConfig(*file)
			if err != nil {
				return err
			}
			return app.Run(ctx, app.RunOptions{Config: c, Password: os.Getenv(app.PasswordVariable), UntilEnd: *untilEnd, Now: time.Now, Logger: slog.New(slog.NewJSONHandler(s.err, nil))})
		}
	}}
}

func configCheck() command {
	return command{"config check", "", "check a configuration and what it names, without connecting", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		file := f.String("config", defaultConfig, "configuration `FILE`")
		return func(_ context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			if _, err := app.CheckConfig(*file, os.Getenv(app.PasswordVariable), time.Now); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "%s: ok\n", *file)
			return nil
		}
	}}
}

func topicsCreate() command {
	return command{"topics create", "", "make the topics that are not there", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		file := f.String("config", defaultConfig, "configuration `FILE`")
		return func(ctx context.Context, args []string, s streams) error {
			return topics(ctx, *file, args, s, true)
		}
	}}
}

func topicsCheck() command {
	return command{"topics check", "", "say what differs between the topics and the configuration", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		file := f.String("config", defaultConfig, "configuration `FILE`")
		return func(ctx context.Context, args []string, s streams) error {
			return topics(ctx, *file, args, s, false)
		}
	}}
}

// topics makes topics where it is to, and then says what differs.
func topics(ctx context.Context, file string, args []string, s streams, create bool) error {
	if err := none(args); err != nil {
		return err
	}
	made, differs, err := app.Topics(ctx, file, os.Getenv(app.PasswordVariable), time.Now, create)
	for _, name := range made {
		fmt.Fprintf(s.out, "made %s\n", name)
	}
	if err != nil {
		return err
	}
	for _, d := range differs {
		fmt.Fprintln(s.out, d)
	}
	if len(differs) > 0 {
		return errors.New("the topics are not as the configuration has them\n  → topics create makes what is missing; Kafka's own tools change what is there, see docs/kafka.md")
	}
	fmt.Fprintln(s.out, "all topics are as the configuration has them")
	return nil
}
