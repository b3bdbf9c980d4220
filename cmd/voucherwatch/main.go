// Command voucherwatch watches the redemption of consumption vouchers: it scores every redemption,
// opens cases and says why. This package parses the command line; the work is in internal/app.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	vw "voucherwatch"
)

// Exit codes. They are stable: scripts rely on them.
const (
	exitOK    = 0
	exitFail  = 1 // the command could not do what it was asked
	exitUsage = 2 // it was asked wrongly
)

// streams are what a command may read and write.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// command is a verb, or a noun and a verb.
type command struct {
	name, args, short string
	// flags registers the command's flags and returns what runs it with the remaining arguments.
	flags func(f *flag.FlagSet) func(ctx context.Context, args []string, s streams) error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// commands are all of them, in the order of the help.
func commands() []command {
	return []command{demo(), replay(), serve(), simulateCommand(), caseList(), caseShow(), campaignList(), campaignShow(), campaignCheck(), rulesShow(), rulesCheck(), detectorList(), logSalvage(), version()}
}

// usageError is a wrong use of the command line.
type usageError struct{ error }

func run(ctx context.Context, args []string, s streams) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		help(s.out)
		if len(args) == 0 {
			return exitUsage
		}
		return exitOK
	}
	all := commands()
	for words := min(2, len(args)); words >= 1; words-- {
		i := slices.IndexFunc(all, func(c command) bool { return c.name == strings.Join(args[:words], " ") })
		if i < 0 {
			continue
		}
		return execute(ctx, all[i], args[words:], s)
	}
	fmt.Fprintf(s.err, "voucherwatch: there is no command %q; voucherwatch help lists them\n", strings.Join(args[:min(2, len(args))], " "))
	return exitUsage
}

func execute(ctx context.Context, c command, args []string, s streams) int {
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	do := c.flags(f)
	usage := func(w io.Writer) {
		fmt.Fprintf(w, "voucherwatch %s %s\n\n%s\n", c.name, c.args, c.short)
		first := true
		f.VisitAll(func(x *flag.Flag) {
			if first {
				fmt.Fprintln(w)
				first = false
			}
			kind, text := flag.UnquoteUsage(x)
			fmt.Fprintf(w, "  --%s %s\n        %s", x.Name, kind, text)
			if x.DefValue != "" && x.DefValue != "0" && x.DefValue != "false" {
				fmt.Fprintf(w, " (default %s)", x.DefValue)
			}
			fmt.Fprintln(w)
		})
		fmt.Fprintln(w, "\nExit codes: 0 done, 1 failed, 2 wrong usage.")
	}
	rest, err := parse(f, args)
	if errors.Is(err, flag.ErrHelp) {
		usage(s.out)
		return exitOK
	}
	if err == nil {
		err = do(ctx, rest, s)
	} else {
		err = usageError{err}
	}
	if err == nil {
		return exitOK
	}
	var wrong usageError
	if errors.As(err, &wrong) {
		fmt.Fprintf(s.err, "voucherwatch %s: %v\n\n", c.name, wrong.error)
		usage(s.err)
		return exitUsage
	}
	fmt.Fprintf(s.err, "voucherwatch %s: %s\n", c.name, say(err))
	return exitFail
}

// parse lets flags stand before, between and behind the arguments.
func parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		args = f.Args()
		if len(args) == 0 {
			return rest, nil
		}
		// A lone "-" is standard input, what follows "--" is arguments.
		rest = append(rest, args[0])
		args = args[1:]
	}
}

// say is an error for people: what is wrong, then what to do.
func say(err error) string {
	var e *vw.Error
	if errors.As(err, &e) {
		s := e.Err.Error()
		if strings.Contains(s, "\n") {
			s = "\n" + s
		}
		if e.Hint != "" {
			s += "\n  → " + e.Hint
		}
		return s
	}
	return err.Error()
}

func help(w io.Writer) {
	fmt.Fprint(w, `voucherwatch 看券：政府消费券核销的实时风控 · guards public money in consumption vouchers

Every redemption is scored as it happens; what is wrong becomes a case with its reasons.

`)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-16s %s\n", c.name, c.short)
	}
	fmt.Fprint(w, "\nvoucherwatch COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 wrong usage.\n")
}
