//go:build unix

package stream

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A shell's <(command) is a pipe: opening it twice would lose its writer.
func TestAPipeIsOpenedOnlyToBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := NewFiles(FilesOptions{Paths: []string{path}}) // blocks when it opens the pipe
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() { written <- os.WriteFile(path, []byte(claim("a")), 0o600) }()
	if diff := cmp.Diff([]record{{path, 1, "a"}}, drain(t, newDecoder(t), f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
