// Package kafkanode runs a real Kafka broker on loopback for tests and development: one 4.1 node in KRaft
// mode from Maven Central, without containers. It is no part of the product.
//
// In: a directory to keep the downloads in, Java 17 and Maven on the path. Out: a broker with plain, TLS
// and SASL listeners on free ports, which can be killed and started again on its data.
package kafkanode

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
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

const release = "kafka-4.1.0"

// ErrMissing: Java or Maven is not there.
var ErrMissing = errors.New("needs Java 17 (java) and Maven (mvn) on the path; on Debian: apt install openjdk-17-jdk-headless maven")

// Prepare downloads what a broker needs into dir, 130 MB, once. Several may prepare at the same time.
func Prepare(ctx context.Context, dir string) error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("%w: %v", ErrMissing, err)
	}
	if javanode.Installed(dir, release) {
		return nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("%w: %v", ErrMissing, err)
	}
	return javanode.Install(ctx, dir, release, pom, func(string) error { return nil })
}

// The accounts of a node: Alice may do everything, Bob nothing. On the plain listener everybody may do
// everything; so may who shows the client certificate on the TLS listener.
const (
	Alice    = "alice"
	Bob      = "bob"
	Password = "correct horse"
)

// Node is a running broker. Its methods are not safe for concurrent use.
type Node struct {
	Plain string // host:port without any security
	TLS   string // with a client certificate: see CA, ClientCert, ClientKey
	SASL  string // PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, without TLS
	Both  string // the same three inside TLS
	// Files in PEM form.
	CA, ClientCert, ClientKey string

	dir, home string
	*javanode.Process
}

// Start makes a broker with its data in home, which must be empty, and returns when it answers. Prepare
// comes first. port is that of the plain listener, 0: a free one.
func Start(ctx context.Context, dir, home string, port int) (*Node, error) {
	n := &Node{dir: filepath.Join(dir, release), home: home}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	if err := n.certificates(); err != nil {
		return nil, err
	}
	ports, err := free(5)
	if err != nil {
		return nil, err
	}
	if port != 0 {
		ports[0] = strconv.Itoa(port)
	}
	n.Plain, n.TLS, n.SASL, n.Both = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1], "127.0.0.1:"+ports[2], "127.0.0.1:"+ports[3]
	if err := os.WriteFile(n.file("server.properties"), []byte(n.properties("127.0.0.1:"+ports[4])), 0o600); err != nil {
		return nil, err
	}
	if _, err := os.Stat(n.file("data")); err != nil {
		if err := n.format(ctx); err != nil {
			return nil, err
		}
	}
	return n, n.Again(ctx)
}

func (n *Node) file(name string) string { return filepath.Join(n.home, name) }

// free are ports that nobody listens on.
func free(count int) ([]string, error) {
	var ports []string
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

func (n *Node) properties(controller string) string {
	login := "org.apache.kafka.common.security."
	lines := []string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@" + controller,
		"listeners=PLAINTEXT://" + n.Plain + ",SSL://" + n.TLS + ",SASL_PLAINTEXT://" + n.SASL + ",SASL_SSL://" + n.Both + ",CONTROLLER://" + controller,
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
		"controller.listener.names=CONTROLLER", "inter.broker.listener.name=PLAINTEXT", "log.dirs=" + n.file("data"),
		"offsets.topic.replication.factor=1", "offsets.topic.num.partitions=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
		"group.initial.rebalance.delay.ms=0", "auto.create.topics.enable=false", "log.retention.check.interval.ms=500", "log.cleaner.backoff.ms=500",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS;User:CN=client;User:" + Alice,
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + n.file("server.pem"), "ssl.truststore.type=PEM", "ssl.truststore.location=" + n.CA,
		"listener.name.ssl.ssl.client.auth=required", "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
	}
	for _, listener := range []string{"sasl_plaintext", "sasl_ssl"} {
		lines = append(lines,
			fmt.Sprintf("listener.name.%s.plain.sasl.jaas.config=%splain.PlainLoginModule required user_%s=\"%s\" user_%s=\"%s\";", listener, login, Alice, Password, Bob, Password),
			fmt.Sprintf("listener.name.%s.scram-sha-256.sasl.jaas.config=%sscram.ScramLoginModule required;", listener, login),
			fmt.Sprintf("listener.name.%s.scram-sha-512.sasl.jaas.config=%sscram.ScramLoginModule required;", listener, login))
	}
	return strings.Join(lines, "\n") + "\n"
}

// format makes the data directory with the accounts in it.
func (n *Node) format(ctx context.Context) error {
	var id [16]byte
	_, _ = rand.Read(id[:])
	args := []string{"-Xmx256m", "-cp", n.classes(), "kafka.tools.StorageTool", "format", "-c", n.file("server.properties"), "-t", "A" + base64.RawURLEncoding.EncodeToString(id[:])[1:]}
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		for _, user := range []string{Alice, Bob} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, user, Password))
		}
	}
	if out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("format the broker's directory: %w\n%s", err, out)
	}
	return nil
}

func (n *Node) classes() string { return filepath.Join(n.dir, "lib", "*") }

// Again starts a broker that was stopped or killed, on the same data and ports.
func (n *Node) Again(ctx context.Context) (err error) {
	n.Process, err = javanode.Launch(ctx, func(line string) bool { return strings.Contains(line, "Kafka Server started") },
		"-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
		"-cp", n.classes(), "kafka.Kafka", n.file("server.properties"))
	return err
}
