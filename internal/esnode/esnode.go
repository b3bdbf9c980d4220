// Package esnode runs a real Elasticsearch node on loopback for tests and development: a bare 8.18
// from Maven Central, without security, scripts or containers. It is no part of the product.
//
// In: a directory to keep the downloads in, Java 17 and Maven on the path. Out: a node with a URL, which
// can be killed and started again on its data.
package esnode

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

//go:embed pom.xml
var pom []byte

//go:embed BareNode.java
var source []byte

// ErrMissing: Java or Maven is not there.
var ErrMissing = errors.New("needs Java 17 (java and javac) and Maven (mvn) on the path; on Debian: apt install openjdk-17-jdk-headless maven")

// Dir is where downloads are kept by default: 80 MB, shared by all checkouts.
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

// Prepare downloads and compiles what a node needs into dir, once. Several may prepare at the same time.
func Prepare(ctx context.Context, dir string) error {
	for _, tool := range []string{"java", "javac", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: %v", ErrMissing, err)
		}
	}
	target := filepath.Join(dir, "elasticsearch-8.18.8")
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "preparing-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	lib, module := filepath.Join(work, "lib"), filepath.Join(work, "modules", "transport-netty4")
	if err := errors.Join(os.MkdirAll(lib, 0o755), os.MkdirAll(module, 0o755), os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o644),
		os.WriteFile(filepath.Join(work, "BareNode.java"), source, 0o644)); err != nil {
		return err
	}
	if err := run(ctx, work, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+lib); err != nil {
		return err
	}
	// The server loads its HTTP transport as a module of its own.
	jars, err := filepath.Glob(filepath.Join(lib, "*.jar"))
	if err != nil {
		return err
	}
	for _, jar := range jars {
		name := filepath.Base(jar)
		if strings.HasPrefix(name, "netty-") || strings.HasPrefix(name, "transport-netty4-") {
			if err := os.Rename(jar, filepath.Join(module, name)); err != nil {
				return err
			}
		}
	}
	descriptor := "name=transport-netty4\ndescription=HTTP\nclassname=org.elasticsearch.transport.netty4.Netty4Plugin\nmodulename=org.elasticsearch.transport.netty4\n" +
		"version=8.18.8\nelasticsearch.version=8.18.8\njava.version=17\nhas.native.controller=false\nextended.plugins=\nlicensed=false\n"
	if err := os.WriteFile(filepath.Join(module, "plugin-descriptor.properties"), []byte(descriptor), 0o644); err != nil {
		return err
	}
	if err := run(ctx, work, "javac", "-cp", filepath.Join(lib, "*"), "-d", filepath.Join(work, "classes"), "BareNode.java"); err != nil {
		return err
	}
	if err := os.Rename(work, target); err != nil {
		if _, there := os.Stat(target); there == nil {
			return nil // somebody else was faster
		}
		return err
	}
	return nil
}

func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// Node is a running node. Its methods are not safe for concurrent use.
type Node struct {
	URL  string
	dir  string // of the downloads
	home string // of the data
	port int
	cmd  *exec.Cmd
	done chan struct{}
}

// Start runs a node on its data in home, on a port (0: a free one), and returns when it answers. Prepare comes first.
func Start(ctx context.Context, dir, home string, port int) (*Node, error) {
	if port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		port = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	n := &Node{URL: "http://127.0.0.1:" + strconv.Itoa(port), dir: filepath.Join(dir, "elasticsearch-8.18.8"), home: home, port: port}
	if err := os.MkdirAll(filepath.Join(home, "config"), 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink(filepath.Join(n.dir, "modules"), filepath.Join(home, "modules")); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return n, n.Again(ctx)
}

// Again starts a node that was killed, on the same data and port.
func (n *Node) Again(ctx context.Context) error {
	lib := filepath.Join(n.dir, "lib")
	n.cmd = exec.Command("java", "-Xmx1g", "-p", lib, "--add-modules", "ALL-MODULE-PATH", "-cp", filepath.Join(n.dir, "classes"), "BareNode", n.home, strconv.Itoa(n.port))
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var tail logTail
	n.cmd.Stderr = &tail
	if err := n.cmd.Start(); err != nil {
		return err
	}
	ready, done := make(chan bool, 1), make(chan struct{})
	n.done = done
	cmd := n.cmd
	go func() { // ends with the node
		defer close(done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if lines.Text() == "ready" {
				ready <- true
			} else {
				_, _ = tail.Write(append(lines.Bytes(), '\n'))
			}
		}
		_ = cmd.Wait()
	}()
	select {
	case <-ready:
		return nil
	case <-done:
		return fmt.Errorf("the node ended before it answered:\n%s", tail.String())
	case <-ctx.Done():
		return errors.Join(ctx.Err(), n.Kill())
	}
}

// Kill ends the node at once, as a power cut would.
func (n *Node) Kill() error {
	err := n.cmd.Process.Kill()
	<-n.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Wait returns when the node has ended.
func (n *Node) Wait() { <-n.done }

// logTail keeps the last of what a node says.
type logTail struct {
	mu sync.Mutex
	b  []byte
}

func (t *logTail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 1<<16 {
		t.b = t.b[len(t.b)-1<<16:]
	}
	return len(p), nil
}

func (t *logTail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
