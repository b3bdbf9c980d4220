// Package javanode installs and runs a Java service on loopback for tests and development: jars from Maven
// Central in a directory that all checkouts share, and a process that can be killed and started again. It
// is no part of the product, and knows no service.
package javanode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Dir is where downloads are kept by default, shared by all checkouts.
func Dir() string {
	if dir := os.Getenv("VOUCHERWATCH_SERVICES"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "voucherwatch-services")
}

// Installed tells whether Install has made the release in dir.
func Installed(dir, release string) bool {
	_, err := os.Stat(filepath.Join(dir, release))
	return err == nil
}

// Install makes dir/release: the jars that the pom names in its folder lib, and what build adds to the folder
// it is given. It appears whole or not at all, and several may install it at the same time.
func Install(ctx context.Context, dir, release string, pom []byte, build func(work string) error) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "preparing-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	if err := Run(ctx, work, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(work, "lib")); err != nil {
		return err
	}
	if err := build(work); err != nil {
		return err
	}
	if err := os.Rename(work, filepath.Join(dir, release)); err != nil && !Installed(dir, release) { // else somebody was faster
		return err
	}
	return nil
}

// Run runs a tool in dir; its error holds what it said.
func Run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// Process is a running service. Its methods are not safe for concurrent use.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	said []byte // the last of its output; to be read when done
}

// Launch starts java with the arguments and returns when a line of its output is ready.
func Launch(ctx context.Context, ready func(line string) bool, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command("java", args...), done: make(chan struct{})}
	out, in := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = in, in
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	answers := make(chan struct{})
	go func() { _ = in.CloseWithError(p.cmd.Wait()) }() // ends with the service
	go p.listen(out, ready, answers)
	select {
	case <-answers:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("the service ended before it answered:\n%s", p.said)
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.Kill())
	}
}

// listen keeps the last of what the service says, and closes answers at the first line that is ready.
func (p *Process) listen(out io.Reader, ready func(string) bool, answers chan struct{}) {
	defer close(p.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for waiting := true; lines.Scan(); {
		if waiting && ready(lines.Text()) {
			waiting = false
			close(answers)
		}
		p.said = append(append(p.said, lines.Bytes()...), '\n')
		p.said = p.said[max(0, len(p.said)-1<<16):]
	}
	_, _ = io.Copy(io.Discard, out) // behind a line that is too long
}

// Kill ends the service at once, as a power cut would.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

// Stop ends the service in good order.
func (p *Process) Stop() error { return p.end(syscall.SIGTERM) }

func (p *Process) end(how os.Signal) error {
	err := p.cmd.Process.Signal(how)
	<-p.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Wait returns when the service has ended.
func (p *Process) Wait() { <-p.done }
