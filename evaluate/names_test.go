package evaluate

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// updating tells whether golden files are to be written: quality_test.go registers the flag.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// TestTheJSONKeepsItsNames holds the members of the JSON in a file: one may be added, none may change.
func TestTheJSONKeepsItsNames(t *testing.T) {
	r, err := twoSplits().report(t)
	if err != nil {
		t.Fatal(err)
	}
	// What this world does not have is there with one of each.
	r.Rings, r.PValues, r.Drift, r.Notes = []Ring{{}}, []PValues{{}}, []Drift{{WorstDay: "d"}}, []string{"note"}
	r.Pairs = []PairNull{{}}
	x := Together([]*Report{r, r})
	x.Learning = []Learning{{Weights: map[string]float64{"split": 1}}}
	half := .5
	r.Boards[0].Rankings[0].Low, r.Boards[0].Rankings[0].High = &half, &half
	var text bytes.Buffer
	if err := WriteJSON(&text, x); err != nil {
		t.Fatal(err)
	}
	var any any
	if err := json.Unmarshal(text.Bytes(), &any); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	collect(names, "", any)
	got := strings.Join(slices.Sorted(maps.Keys(names)), "\n") + "\n"
	const golden = "testdata/json.golden"
	if updating() {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("members of the JSON (-want +got):\n%s", diff)
	}
}

func collect(into map[string]bool, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, x := range v {
			collect(into, path+"."+name, x)
		}
	case []any:
		if len(v) == 0 {
			into[path+"[]"] = true
		}
		for _, x := range v {
			collect(into, path+"[]", x)
		}
	default:
		into[path] = true
	}
}
