// Package esnode runs a real Elasticsearch node on loopback for tests and development: a bare 8.18
// from Maven Central, without security, scripts or containers. It is no part of the product.
//
// In: a directory to keep the downloads in, Java 17 and Maven on the path. Out: a node with a URL, which
// can be killed and started again on its data.
package esnode

import (
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

	"voucherwatch/internal/javanode"
)

//go:embed pom.xml
var pom []byte

//go:embed BareNode.java
var source []byte

// ErrMissing: Java or Maven is not there.
var ErrMissing = errors.New("needs Java 17 (java and javac) and Maven (mvn) on the path; on Debian: apt install openjdk-17-jdk-headless maven")

const release = "elasticsearch-8.18.8"

// Prepare downloads and compiles what a node needs into dir, 80 MB, once. Several may prepare at the same time.
func Prepare(ctx context.Context, dir string) error {
	for _, tool := range []string{"java", "javac", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: %v", ErrMissing, err)
		}
	}
	if javanode.Installed(dir, release) {
		return nil
	}
	return javanode.Install(ctx, dir, release, pom, func(work string) error { return build(ctx, work) })
}

// build makes the server's HTTP transport the module of its own that it is loaded as, and compiles the node.
func build(ctx context.Context, work string) error {
	lib, module := filepath.Join(work, "lib"), filepath.Join(work, "modules", "transport-netty4")
	if err := errors.Join(os.MkdirAll(module, 0o755), os.WriteFile(filepath.Join(work, "BareNode.java"), source, 0o644)); err != nil {
		return err
	}
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
	return javanode.Run(ctx, work, "javac", "-cp", filepath.Join(lib, "*"), "-d", filepath.Join(work, "classes"), "BareNode.java")
}

// Node is a running node. Its methods are not safe for concurrent use.
type Node struct {
	URL  string
	dir  string // of the downloads
	home string // of the data
	port int
	*javanode.Process
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
	n := &Node{URL: "http://127.0.0.1:" + strconv.Itoa(port), dir: filepath.Join(dir, release), home: home, port: port}
	if err := os.MkdirAll(filepath.Join(home, "config"), 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink(filepath.Join(n.dir, "modules"), filepath.Join(home, "modules")); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return n, n.Again(ctx)
}

// Again starts a node that was killed, on the same data and port.
func (n *Node) Again(ctx context.Context) (err error) {
	n.Process, err = javanode.Launch(ctx, func(line string) bool { return line == "ready" },
		"-Xmx1g", "-p", filepath.Join(n.dir, "lib"), "--add-modules", "ALL-MODULE-PATH", "-cp", filepath.Join(n.dir, "classes"), "BareNode", n.home, strconv.Itoa(n.port))
	return err
}
