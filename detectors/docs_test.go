package detectors_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"voucherwatch/detectors"
)

// TestTheIndexIsThatOfTheProgram holds docs/detectors to the registered detectors: one row and one page for each, with its
// lane and typologies, and none for what is not there.
func TestTheIndexIsThatOfTheProgram(t *testing.T) {
	const dir = "../docs/detectors"
	index, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(string(index)) {
		cells := strings.Split(line, "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 9 || cells[1] == "detector" || strings.HasPrefix(cells[1], "--") {
			continue
		}
		name, link, _ := strings.Cut(strings.Trim(cells[1], "[)"), "](")
		if rows[name] != nil {
			t.Errorf("%s has two rows", name)
		}
		if link != name+".md" {
			t.Errorf("the row of %s leads to %q, not to its page", name, link)
		}
		rows[name] = cells
	}
	pages := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".md"); name != "README" {
			pages[name] = true
		}
	}
	for _, spec := range detectors.Specs() {
		row := rows[spec.Name]
		if row == nil {
			t.Errorf("%s has no row in docs/detectors/README.md", spec.Name)
			continue
		}
		if row[2] != spec.Lane.String() {
			t.Errorf("%s: lane %s in the index, %s in the program", spec.Name, row[2], spec.Lane)
		}
		have, want := strings.Fields(row[3]), slices.Clone(spec.Typologies)
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("%s: typologies %v in the index, %v in the program", spec.Name, have, want)
		}
		for i, what := range map[int]string{4: "what it looks for", 5: "what it is blind without", 6: "cost", 7: "memory"} {
			if row[i] == "" {
				t.Errorf("%s: the index does not say %s", spec.Name, what)
			}
		}
		if !pages[spec.Name] {
			t.Errorf("%s has no page docs/detectors/%s.md", spec.Name, spec.Name)
		}
		delete(rows, spec.Name)
		delete(pages, spec.Name)
	}
	for name := range rows {
		t.Errorf("the index has %s, which the program has not", name)
	}
	for name := range pages {
		t.Errorf("docs/detectors/%s.md is the page of no detector", name)
	}
}
