// Command citest runs go test with its arguments, prints what go test prints without -v, and with
// CI=true in the environment fails when a test was skipped: a test that can be skipped where it counts
// says nothing.
//
// In: arguments of go test. Out: its lines, then each skipped test with its reason. Exit: go test's own
// status, or 1 for skipped tests.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Getenv("CI") == "true", os.Stdout, os.Stderr)) }

func run(args []string, strict bool, out, errs io.Writer) int {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = errs
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(errs, "citest:", err)
		return 1
	}
	skipped, readErr := report(pipe, out)
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err = errors.Join(readErr, err); err != nil {
		fmt.Fprintln(errs, "citest:", err)
		return 1
	}
	if strict && skipped > 0 {
		fmt.Fprintf(out, "FAIL: %d skipped, and with CI=true a skipped test is a failed test\n", skipped)
		return 1
	}
	return 0
}

// event is one of test2json: Test is empty for what concerns the whole package.
type event struct{ Action, Package, Test, Output string }

// report prints the events of go test -json and counts the skipped tests. A line that is no event (go
// itself may print some) is printed as it is.
func report(in io.Reader, out io.Writer) (skipped int, err error) {
	said := map[[2]string]*strings.Builder{} // by package and test, until it is known how that ends
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				_, _ = out.Write(line)
			} else if e.handle(said, out) {
				skipped++
			}
		}
		if err == io.EOF {
			return skipped, nil
		} else if err != nil {
			return skipped, fmt.Errorf("read test output: %w", err)
		}
	}
}

// handle tells whether the event is a test that was skipped.
func (e *event) handle(said map[[2]string]*strings.Builder, out io.Writer) bool {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "output":
		if said[key] == nil {
			said[key] = &strings.Builder{}
		}
		said[key].WriteString(e.Output)
	case "pass", "fail", "skip":
		text := ""
		if b := said[key]; b != nil {
			text = b.String()
			delete(said, key)
		}
		if e.Action == "pass" && e.Test != "" {
			return false
		}
		for line := range strings.Lines(text) {
			if line != "PASS\n" && !strings.HasPrefix(line, "=== ") {
				fmt.Fprint(out, line)
			}
		}
		return e.Action == "skip" && e.Test != ""
	}
	return false
}
