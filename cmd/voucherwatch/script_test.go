package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the expected files of testdata anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"voucherwatch": main})
}

// TestScripts runs the manual: testdata/*.txtar. Beside testscript's own commands they have
//
//	wrong COMMAND ARG…      as ! exec, with exit code 2 and nothing on standard output
//	failed COMMAND ARG…     as ! exec, with exit code 1
//	gz FILE, zst FILE       write FILE.gz or FILE.zst
//	head BYTES FILE TO      copy the first so many bytes
//	line BYTES FILE         write one line of so many bytes
//	canon DIR               take the measurements and the policy's version out of results
//	damagedlog DIR LINE…    make a log of serve, the second batch of which is damaged
//	first REGEXP FILE NAME  set $NAME to the first submatch
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TMPDIR", e.WorkDir)
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"wrong": func(ts *testscript.TestScript, _ bool, args []string) {
				ends(ts, 2, args)
				if ts.ReadFile("stdout") != "" {
					ts.Fatalf("wrong usage wrote to standard output")
				}
			},
			"failed": func(ts *testscript.TestScript, _ bool, args []string) { ends(ts, 1, args) },
			"gz": func(ts *testscript.TestScript, _ bool, args []string) {
				pack(ts, args[0], ".gz", func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
			},
			"zst": func(ts *testscript.TestScript, _ bool, args []string) {
				pack(ts, args[0], ".zst", func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
			},
			"head": func(ts *testscript.TestScript, _ bool, args []string) {
				write(ts, args[2], ts.ReadFile(args[1])[:number(ts, args[0])])
			},
			"line":       writeLine,
			"canon":      canon,
			"first":      first,
			"damagedlog": damagedLog,
		},
	})
}

// condition knows [root], for whom no directory is shut, and [devfull], the disk that is always full.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Getuid() == 0, nil
	case "devfull":
		_, err := os.Stat("/dev/full")
		return err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// ends runs a command that must end with the exit code. What it wrote is for stdout and stderr to see.
func ends(ts *testscript.TestScript, code int, args []string) {
	err := ts.Exec(args[0], args[1:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != code {
		ts.Fatalf("%s ended with %v, want exit code %d\n%s", args, err, code, ts.ReadFile("stderr"))
	}
}

func pack(ts *testscript.TestScript, name, suffix string, packer func(io.Writer) (io.WriteCloser, error)) {
	var b bytes.Buffer
	w, err := packer(&b)
	ts.Check(err)
	_, err = io.WriteString(w, ts.ReadFile(name))
	ts.Check(err)
	ts.Check(w.Close())
	write(ts, name+suffix, b.String())
}

func writeLine(ts *testscript.TestScript, _ bool, args []string) {
	b := bytes.Repeat([]byte("x"), number(ts, args[0]))
	write(ts, args[1], string(b)+"\n")
}

func write(ts *testscript.TestScript, name, content string) {
	ts.Check(os.WriteFile(ts.MkAbs(name), []byte(content), 0o644))
}

func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}
