package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"

	"voucherwatch/stream/ingest"
)

// canon takes what was measured out of a replay's summary, and the policy's version out of all of its
// results: everything else is the same every time, whatever the policy says in its comments or about
// detectors that have nothing to say.
func canon(ts *testscript.TestScript, _ bool, args []string) {
	measured := regexp.MustCompile(`("wall_seconds"|"redemptions_per_second"): [0-9.e+-]+`)
	name := args[0] + "/summary.json"
	text := ts.ReadFile(name)
	if len(measured.FindAllString(text, -1)) != 2 {
		ts.Fatalf("%s has no wall_seconds and redemptions_per_second", name)
	}
	write(ts, name, measured.ReplaceAllString(text, "$1: 0"))
	state := regexp.MustCompile(`(?s)\n  "state": \{.*?\n  \},`)
	if !state.MatchString(text) {
		ts.Fatalf("%s has no state", name)
	}
	write(ts, name, state.ReplaceAllString(ts.ReadFile(name), ""))
	version := regexp.MustCompile(`("policy_version": ?"default@)[0-9a-f]{12}"`)
	files, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, f := range files {
		name := args[0] + "/" + f.Name()
		write(ts, name, version.ReplaceAllString(ts.ReadFile(name), `${1}VERSION"`))
	}
}

// first takes what a command printed into the next one.
func first(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(args[0]).FindStringSubmatch(ts.ReadFile(args[1]))
	if m == nil {
		ts.Fatalf("%s does not match %q", args[1], args[0])
	}
	ts.Setenv(args[2], m[1])
}

// damagedLog flips a byte of what serve has taken in and consumed.
func damagedLog(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	l, err := ingest.OpenLog(ingest.Options{Dir: dir, RetainBytes: 1 << 40})
	ts.Check(err)
	for _, line := range args[1:] {
		_, err := l.Append([]byte(line + "\n"))
		ts.Check(err)
	}
	ts.Check(l.Commit(l.End()))
	ts.Check(l.Close())
	name := filepath.Join(args[0], "000000000001.segment")
	data := []byte(ts.ReadFile(name))
	data[bytes.Index(data, []byte(args[2]))]++
	write(ts, name, string(data))
}
