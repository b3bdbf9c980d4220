//go:build unix

package sqlite_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	vw "voucherwatch"
	"voucherwatch/cases/sqlite"
)

// nobody owns nothing on any system.
const nobody = 65534

// Root may write everything, so under root the test runs itself once more as nobody.
func TestOpenWithoutRightToWrite(t *testing.T) {
	const readOnly = "SQLITE_TEST_READ_ONLY"
	path := os.Getenv(readOnly)
	if path == "" {
		dir := t.TempDir()
		path = filepath.Join(dir, "x.db")
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o444); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			runAsNobody(t, dir, readOnly+"="+path)
			return
		}
	}
	_, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "right to write") {
		t.Errorf("%v", err)
	}
}

// runAsNobody runs the calling test in a copy of this program, in a directory that nobody may read but
// not write, and fails if that fails or does not come to its end.
func runAsNobody(t *testing.T, dir, env string) {
	t.Helper()
	program := filepath.Join(dir, "test")
	if err := copyProgram(program); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Dir = dir
	cmd.Env = []string{env, "TMPDIR=" + os.TempDir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

// copyProgram copies the running test, which lies where only its owner may go.
func copyProgram(to string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(self)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
