// Package kafka connects the stream to Kafka with segmentio/kafka-go: topics, one reader per partition
// that feeds a stream.Merger, a group in which one member holds all partitions, and a writer of results.
//
// It keeps no state and judges nothing. What it never does is skip: a record that was wanted and is no
// longer there is an error, one that is missing in between is counted. kafka-go does not check the CRC of
// what it reads, so use TLS wherever bits may flip on the way; see docs/kafka.md.
//
// In: partitions from an offset on. Out: stream.Stretch; results, acknowledged by all replicas.
package kafka

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	vw "voucherwatch"
)

// Options say how to reach the brokers.
type Options struct {
	Brokers  []string // host:port
	ClientID string
	TLS      *TLS  // nil: no TLS
	SASL     *SASL // nil: no authentication
	// Timeout is for a connection to be made and an answer to begin; 0 is 10 s.
	Timeout time.Duration
	Now     func() time.Time
}

// TLS names files in PEM form.
type TLS struct {
	CA         string // authorities; "": those of the system
	Cert, Key  string // of the client; "": none
	ServerName string // "": the host that is dialled
}

// The mechanisms of SASL.
const (
	Plain       = "plain"
	ScramSHA256 = "scram-sha-256"
	ScramSHA512 = "scram-sha-512"
)

// SASL is an account.
type SASL struct{ Mechanism, User, Password string }

// Client makes connections. It is safe for concurrent use.
type Client struct {
	o         Options
	dialer    *kafka.Dialer
	transport *kafka.Transport
	client    *kafka.Client
}

// NewClient checks the options and reads the files of TLS; it connects to nothing. Errors are vw.Invalid.
func NewClient(o Options) (*Client, error) {
	fault := func(hint string, err error) (*Client, error) {
		return nil, &vw.Error{Op: "kafka.NewClient", Code: vw.Invalid, Hint: hint, Err: err}
	}
	if len(o.Brokers) == 0 || o.Now == nil {
		return fault("name the brokers as host:port", errors.New("no brokers"))
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	var secure *tls.Config
	if o.TLS != nil {
		var err error
		if secure, err = o.TLS.config(); err != nil {
			return fault("give files in PEM form: the authorities that sign the brokers' certificates, the client's certificate and its key", err)
		}
	}
	var account sasl.Mechanism
	if o.SASL != nil {
		var err error
		switch o.SASL.Mechanism {
		case Plain:
			account = plain.Mechanism{Username: o.SASL.User, Password: o.SASL.Password}
		case ScramSHA256:
			account, err = scram.Mechanism(scram.SHA256, o.SASL.User, o.SASL.Password)
		case ScramSHA512:
			account, err = scram.Mechanism(scram.SHA512, o.SASL.User, o.SASL.Password)
		default:
			err = fmt.Errorf("mechanism %q", o.SASL.Mechanism)
		}
		if err != nil {
			return fault("use plain, scram-sha-256 or scram-sha-512", err)
		}
	}
	c := &Client{o: o}
	plainDial := &net.Dialer{Timeout: o.Timeout}
	c.dialer = &kafka.Dialer{ClientID: o.ClientID, Timeout: o.Timeout, TLS: secure, SASLMechanism: account, DialFunc: func(ctx context.Context, network, address string) (netConn, error) {
		conn, err := plainDial.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return wide{conn, bufio.NewReaderSize(conn, 256<<10)}, nil
	}}
	c.transport = &kafka.Transport{ClientID: o.ClientID, TLS: secure, SASL: account, DialTimeout: o.Timeout}
	c.client = &kafka.Client{Addr: kafka.TCP(o.Brokers...), Transport: c.transport, Timeout: o.Timeout}
	return c, nil
}

// Close ends the connections that are not in use.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

type netConn = net.Conn

// wide reads in large pieces: kafka-go's own buffer is 4 KiB, which costs a system call for six records.
type wide struct {
	net.Conn
	r *bufio.Reader
}

func (w wide) Read(p []byte) (int, error) { return w.r.Read(p) }

func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it", t.CA)
		}
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// leader connects to the broker that leads a partition.
func (c *Client) leader(ctx context.Context, topic string, partition int) (*kafka.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	var errs []error
	for _, broker := range c.o.Brokers {
		conn, err := c.dialer.DialLeader(ctx, "tcp", broker, topic, partition)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// explain gives an error its code and says what to do.
func (c *Client) explain(op string, err error) error {
	if err == nil {
		return nil
	}
	code, hint := vw.Unavailable, "see whether the brokers answer at "+strings.Join(c.o.Brokers, ", ")+" and which listener has which security"
	is := func(kinds ...error) bool {
		for _, k := range kinds {
			if errors.Is(err, k) {
				return true
			}
		}
		return false
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, wrongName := errors.AsType[x509.HostnameError](err)
	switch {
	case is(kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed):
		code, hint = vw.Invalid, "give the account the rights listed in docs/kafka.md"
	case is(kafka.SASLAuthenticationFailed, kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState) || strings.Contains(err.Error(), "SASL Authentication") || strings.Contains(err.Error(), "Authentication failed"):
		code, hint = vw.Invalid, "check kafka.sasl: mechanism, user and password"
	case is(kafka.UnknownTopicOrPartition):
		code, hint = vw.NotFound, "make the topics with: voucherwatch topics create"
	case is(kafka.MessageSizeTooLarge):
		code, hint = vw.Invalid, "raise max.message.bytes of the topic: voucherwatch topics check says what it should be"
	case is(kafka.InvalidReplicationFactor):
		code, hint = vw.Invalid, "topics.replication is more than there are brokers"
	case unknown || wrongName:
		code, hint = vw.Invalid, "check kafka.tls: ca must hold the authority of the brokers' certificates, and server_name the name in them"
	case is(io.EOF, io.ErrUnexpectedEOF):
		hint = "the broker closed the connection at once: the listener may want TLS or SASL, see kafka.tls and kafka.sasl"
	}
	return &vw.Error{Op: op, Code: code, Hint: hint, Err: err}
}

// lasting tells whether trying again cannot help.
func lasting(err error) bool {
	var e *vw.Error
	return errors.As(err, &e) && e.Code != vw.Unavailable
}
