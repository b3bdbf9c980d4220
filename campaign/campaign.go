// Package campaign reads campaign files: the vouchers, rounds, budgets, places and conditions that
// redemptions are judged by. Nothing of one campaign is written in Go; the one that the program is
// built for, gaoping-2022-2, is a file like a user's own.
//
// It judges no redemption and keeps no state.
//
// In: YAML. Out: *voucherwatch.Campaign for the program and Describe for people; or every mistake of
// the file with its line.
package campaign

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	_ "time/tzdata" // a campaign reads the same on a machine that has no zones

	vw "voucherwatch"
	"voucherwatch/internal/yamlfile"
)

//go:embed *.yaml
var builtIn embed.FS

// BuiltIn are the names of the campaigns inside the program, sorted.
func BuiltIn() []string {
	files, _ := fs.Glob(builtIn, "*.yaml") // the pattern is well formed, which is all that can fail
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".yaml")
	}
	return files
}

// Source is the file of a built-in campaign, comments included, for users to copy. An unknown name is
// vw.NotFound.
func Source(name string) ([]byte, error) {
	data, err := builtIn.ReadFile(name + ".yaml")
	if err != nil {
		return nil, &vw.Error{Op: "campaign.Source", Code: vw.NotFound, Hint: hint(), Err: fmt.Errorf("there is no built-in campaign %q", name)}
	}
	return data, nil
}

// Load reads a built-in campaign by name, or else a file by path. No such file is vw.NotFound, a file
// that cannot be read vw.Unavailable, a faulty one vw.Invalid with every fault as "file:line: path:
// what is wrong".
func Load(nameOrFile string) (*vw.Campaign, error) {
	f, err := Open(nameOrFile)
	if err != nil {
		return nil, err
	}
	return f.Campaign(), nil
}

// Open is Load for one who also wants what the plan says to people: see Describe.
func Open(nameOrFile string) (*File, error) {
	if data, err := builtIn.ReadFile(nameOrFile + ".yaml"); err == nil {
		return read(nameOrFile+".yaml", data)
	}
	data, err := os.ReadFile(nameOrFile)
	if err != nil {
		code := vw.Unavailable
		if errors.Is(err, fs.ErrNotExist) {
			code = vw.NotFound
		}
		return nil, &vw.Error{Op: "campaign.Load", Code: code, Hint: hint(), Err: err}
	}
	return read(nameOrFile, data)
}

// Parse reads a campaign from the bytes of a file; the name is for its faults. Every error is
// vw.Invalid.
func Parse(file string, data []byte) (*vw.Campaign, error) {
	f, err := read(file, data)
	if err != nil {
		return nil, err
	}
	return f.Campaign(), nil
}

func hint() string {
	return "give the path of a YAML file, or a built-in campaign: " + strings.Join(BuiltIn(), ", ")
}

func read(name string, data []byte) (*File, error) {
	_, c := yamlfile.Parse(name, data)
	f := &File{}
	c.Decode("", f)
	f.check(c)
	if err := c.Err(); err != nil {
		return nil, &vw.Error{Op: "campaign.Parse", Code: vw.Invalid, Err: err}
	}
	return f, nil
}
