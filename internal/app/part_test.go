package app

import (
	"path/filepath"
	"testing"
)

func TestTheOneWhoBeganLastOwnsThePart(t *testing.T) {
	name := filepath.Join(t.TempDir(), "result")
	parts := [2]*part{}
	for i, text := range []string{"first", "second"} {
		p, err := newPart(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.file.WriteString(text); err != nil {
			t.Fatal(err)
		}
		parts[i] = p
	}
	if err := parts[0].publish(); err == nil {
		t.Error("the first one gave its name to a file that is not its own")
	}
	parts[0].abandon()
	if err := parts[1].publish(); err != nil {
		t.Errorf("the second one was disturbed: %v", err)
	}
	if got := read(t, name); got != "second" {
		t.Errorf("the file holds %q", got)
	}
}
