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
	"runtime/debug"
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

// command is a verb, or a noun and a verb; a noun may have a second one.
type command struct {
	name, args, short string
	// flags registers the command's flags and returns what runs it with the remaining arguments.
	flags func(f *flag.FlagSet) func(ctx context.Context, args []string, s streams) error
}

func main() {
	// Nearly all memory is large and free of pointers, so collecting often costs little and saves much.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl+C ends a program that does not end by itself
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	os.Exit(code)
}

// commands are all of them, in the order of the help.
func commands() []command {
	return slices.Concat([]command{
		demo(), replay(), serve(), runCommand(), configCheck(), topicsCreate(), topicsCheck(), simulateCommand(), evaluateCommand(),
		caseList(), caseShow(), caseOpen(), caseDo(), caseAttach(), caseVerbs(), caseRound(), casePrecision(), auditVerify(), auditExport(),
	}, userCommands(), indexCommands(), []command{
		campaignList(), campaignShow(), campaignCheck(), rulesShow(), rulesCheck(), detectorList(),
		alertsRouteTest(), alertsChannels(), alertsChannelsTest(), alertsDrill(), alertsDeliveries(),
		blacklistCheck(), blacklistList(), blacklistTable(), blacklistRejected(), blacklistPush(), blacklistReconcile(),
		logSalvage(), version(),
	})
}

// usageError is a wrong use of the command line.
type usageError struct{ error }

func run(ctx context.Context, args []string, s streams) int {
	if len(args) == 0 {
		help(s.err)
		return exitUsage
	}
	switch args[0] {
	case "help":
		if len(args) == 1 {
			help(s.out)
			return exitOK
		}
		args = append(args[1:len(args):len(args)], "--help")
	case "-h", "-help", "--help":
		help(s.out)
		return exitOK
	case "-version", "--version":
		args = []string{"version"}
	}
	all := commands()
	for words := min(3, len(args)); words >= 1; words-- {
		i := slices.IndexFunc(all, func(c command) bool { return c.name == strings.Join(args[:words], " ") })
		if i >= 0 {
			return execute(ctx, all[i], args[words:], s)
		}
	}
	unknown(s.err, args)
	return exitUsage
}

func execute(ctx context.Context, c command, args []string, s streams) int {
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	do := c.flags(f)
	usage := func(w io.Writer) {
		fmt.Fprintf(w, "%s\n\n%s\n", strings.TrimSpace("voucherwatch "+c.name+" "+c.args), c.short)
		first := true
		f.VisitAll(func(x *flag.Flag) {
			if first {
				fmt.Fprintln(w)
				first = false
			}
			kind, text := flag.UnquoteUsage(x)
			fmt.Fprintf(w, "%s\n        %s", strings.TrimRight("  --"+x.Name+" "+kind, " "), text)
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
	if err != nil {
		err = usageError{errors.New(strings.NewReplacer("defined: -", "defined: --", "flag -", "flag --", "argument: -", "argument: --").Replace(err.Error()))}
	} else {
		out := &answer{w: s.out}
		s.out = out
		if err = do(ctx, rest, s); err == nil {
			err = out.err
		}
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
		read := len(args) - f.NArg()
		last := args[max(0, read-1):read]
		args = f.Args()
		// A lone "-" is standard input, what follows "--" is arguments.
		if len(args) == 0 || slices.Equal(last, []string{"--"}) {
			return append(rest, args...), nil
		}
		rest = append(rest, args[0])
		args = args[1:]
	}
}

// answer remembers that standard output could not be written, so that the command can fail.
type answer struct {
	w   io.Writer
	err error
}

func (a *answer) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	if err != nil && a.err == nil {
		a.err = err
	}
	return n, err
}

// say is an error for people: what is wrong, then what to do.
func say(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted before it was done\n  → run it again; finished results of an earlier run are as they were"
	}
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
		fmt.Fprintf(w, "  %-20s %s\n", c.name, c.short)
	}
	fmt.Fprint(w, "\nBegin with voucherwatch demo. voucherwatch COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 wrong usage.\n")
}
