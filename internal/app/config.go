package app

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"voucherwatch/internal/yamlfile"
	"voucherwatch/stream/kafka"

	vw "voucherwatch"
)

// Config is voucherwatch.yaml: how run reads, remembers and answers. docs/kafka.md explains each field.
type Config struct {
	Campaign string      `yaml:"campaign"` // built-in name or file
	Policy   string      `yaml:"policy"`   // "": the built-in one
	Listen   string      `yaml:"listen"`   // of /metrics, /healthz, /readyz
	Slots    int         `yaml:"slots"`
	Kafka    KafkaConfig `yaml:"kafka,required"`
	Topics   TopicConfig `yaml:"topics"`
	Order    struct {
		Wait     time.Duration `yaml:"wait"`     // of an event for partitions that have nothing
		Patience time.Duration `yaml:"patience"` // of one that is more than an hour ahead
		Batch    int           `yaml:"batch"`    // events at most
	} `yaml:"order"`
	State StateConfig `yaml:"state,required"`
}

// KafkaConfig is how to reach the brokers.
type KafkaConfig struct {
	Brokers  []string      `yaml:"brokers,required"`
	Group    string        `yaml:"group"`
	ClientID string        `yaml:"client_id"`
	Session  time.Duration `yaml:"session"`
	Timeout  time.Duration `yaml:"timeout"`
	TLS      struct {
		Enabled    bool   `yaml:"enabled,required"`
		CA         string `yaml:"ca"`
		Cert       string `yaml:"certificate"`
		Key        string `yaml:"key"`
		ServerName string `yaml:"server_name"`
	} `yaml:"tls"`
	SASL struct {
		Mechanism string `yaml:"mechanism,required"`
		User      string `yaml:"user,required"`
		// PasswordFile holds the password; or set VOUCHERWATCH_KAFKA_PASSWORD.
		PasswordFile string `yaml:"password_file"`
	} `yaml:"sasl"`
	FetchBytes int `yaml:"fetch_bytes"` // asked for at a time, per partition
}

// TopicConfig is how topics are made and checked.
type TopicConfig struct {
	Prefix      string        `yaml:"prefix"`
	Partitions  int           `yaml:"partitions"`
	Replication int           `yaml:"replication"`
	Retention   time.Duration `yaml:"retention"` // 0: for ever
}

// StateConfig is where and how often the state is saved, and what to do when it is of no use.
type StateConfig struct {
	Directory string        `yaml:"directory,required"`
	Every     time.Duration `yaml:"every"`
	Records   int           `yaml:"records"` // the same, in records read: a start after a kill reads so many again
	// Gap is what happens when records that are needed are gone: refuse or accept. Unusable is the same
	// for a state of another build, policy or campaign: refuse or rebuild from what the topics have.
	Gap      string `yaml:"gap"`
	Unusable string `yaml:"unusable"`
}

// PasswordVariable is the environment variable with the password of kafka.sasl.
const PasswordVariable = "VOUCHERWATCH_KAFKA_PASSWORD"

// LoadConfig reads a configuration. No such file is vw.NotFound, a faulty one vw.Invalid with every fault as
// "file:line: path: what is wrong". Files that it names are taken from its own folder.
func LoadConfig(file string) (*Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		code := vw.Unavailable
		if errors.Is(err, fs.ErrNotExist) {
			code = vw.NotFound
		}
		return nil, &vw.Error{Op: "app.LoadConfig", Code: code, Hint: "give the path of a configuration with --config; docs/kafka.md has one to copy", Err: err}
	}
	return parseConfig(file, data)
}

func parseConfig(file string, data []byte) (*Config, error) {
	_, check := yamlfile.Parse(file, data)
	c := &Config{Campaign: "gaoping-2022-2", Listen: "127.0.0.1:8643", Slots: 2}
	c.Kafka.Group, c.Kafka.ClientID, c.Kafka.Session, c.Kafka.Timeout, c.Kafka.FetchBytes = "voucherwatch", "voucherwatch", 10*time.Second, 10*time.Second, 512<<10
	c.Topics.Partitions, c.Topics.Replication, c.Topics.Retention = 12, 3, 90*24*time.Hour
	c.Order.Wait, c.Order.Patience, c.Order.Batch = 20*time.Millisecond, 2*time.Second, 1000
	c.State.Every, c.State.Records, c.State.Gap, c.State.Unusable = 30*time.Second, 2_000_000, refuse, refuse
	check.Decode("", c)
	c.check(check)
	if err := check.Err(); err != nil {
		return nil, &vw.Error{Op: "app.LoadConfig", Code: vw.Invalid, Hint: "docs/kafka.md says what each field means", Err: err}
	}
	here := filepath.Dir(file)
	for _, name := range []*string{&c.Kafka.TLS.CA, &c.Kafka.TLS.Cert, &c.Kafka.TLS.Key, &c.Kafka.SASL.PasswordFile, &c.State.Directory} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(here, *name)
		}
	}
	for _, name := range []*string{&c.Campaign, &c.Policy} {
		if strings.ContainsAny(*name, "/.") && !filepath.IsAbs(*name) {
			*name = filepath.Join(here, *name)
		}
	}
	return c, nil
}

const (
	refuse  = "refuse"
	accept  = "accept"
	rebuild = "rebuild"
)

var topicForm = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,100}$`)

// check finds what a well-formed file still has wrong.
func (c *Config) check(y *yamlfile.Check) {
	within := func(path string, value, low, high int) {
		if value < low || value > high {
			y.Fault(path, "is %d: want %d to %d", value, low, high)
		}
	}
	span := func(path string, value, low, high time.Duration) {
		if value < low || value > high {
			y.Fault(path, "is %v: want %v to %v", value, low, high)
		}
	}
	address := func(path, value string) {
		if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
			y.Fault(path, "is %q: want host:port", value)
		}
	}
	word := func(path, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		y.Fault(path, "is %q: want %s", value, strings.Join(allowed, " or "))
	}
	address("listen", c.Listen)
	within("slots", c.Slots, 1, 256)
	if y.Sound("kafka.brokers") && len(c.Kafka.Brokers) == 0 {
		y.Fault("kafka.brokers", "is empty: name one or more brokers as host:port")
	}
	for i, b := range c.Kafka.Brokers {
		address("kafka.brokers["+strconv.Itoa(i)+"]", b)
	}
	if c.Kafka.Group == "" {
		y.Fault("kafka.group", "is empty: give the group a name")
	}
	span("kafka.session", c.Kafka.Session, 6*time.Second, 5*time.Minute)
	span("kafka.timeout", c.Kafka.Timeout, time.Second, 5*time.Minute)
	within("kafka.fetch_bytes", c.Kafka.FetchBytes, 4<<10, 64<<20)
	t := c.Kafka.TLS
	if (t.Cert == "") != (t.Key == "") {
		y.Fault("kafka.tls", "has one of certificate and key: give both or none")
	}
	if !t.Enabled && (t.CA != "" || t.Cert != "" || t.ServerName != "") {
		y.Fault("kafka.tls.enabled", "is false, but files are given: say true, or leave them out")
	}
	if s := c.Kafka.SASL; s.Mechanism != "" {
		word("kafka.sasl.mechanism", s.Mechanism, kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512)
		if s.Mechanism == kafka.Plain && !t.Enabled {
			local := true
			for _, b := range c.Kafka.Brokers {
				host, _, _ := net.SplitHostPort(b)
				ip := net.ParseIP(host)
				local = local && (host == "localhost" || ip != nil && ip.IsLoopback())
			}
			if !local {
				y.Fault("kafka.sasl.mechanism", "is plain without TLS: the password would be readable on the way; enable kafka.tls or use scram-sha-512")
			}
		}
	}
	if !topicForm.MatchString(c.Topics.Prefix) {
		y.Fault("topics.prefix", "is %q: want letters, digits, dots, hyphens and underscores", c.Topics.Prefix)
	}
	within("topics.partitions", c.Topics.Partitions, 1, 1000)
	within("topics.replication", c.Topics.Replication, 1, 10)
	if c.Topics.Retention != 0 {
		span("topics.retention", c.Topics.Retention, time.Hour, 10*365*24*time.Hour)
	}
	span("order.wait", c.Order.Wait, time.Millisecond, time.Minute)
	span("order.patience", c.Order.Patience, c.Order.Wait, time.Hour)
	within("order.batch", c.Order.Batch, 1, 100_000)
	span("state.every", c.State.Every, time.Second, 24*time.Hour)
	within("state.records", c.State.Records, 1000, 1_000_000_000)
	word("state.gap", c.State.Gap, refuse, accept)
	word("state.unusable", c.State.Unusable, refuse, rebuild)
}

// Client connects as the configuration says. password is that of the environment; a file comes before it.
func (c *Config) Client(password string, now func() time.Time) (*kafka.Client, error) {
	o := kafka.Options{Brokers: c.Kafka.Brokers, ClientID: c.Kafka.ClientID, Timeout: c.Kafka.Timeout, Now: now}
	if t := c.Kafka.TLS; t.Enabled {
		o.TLS = &kafka.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
	}
	if s := c.Kafka.SASL; s.Mechanism != "" {
		if s.PasswordFile != "" {
			data, err := os.ReadFile(s.PasswordFile)
			if err != nil {
				return nil, &vw.Error{Op: "app.Client", Code: vw.Invalid, Hint: "kafka.sasl.password_file must name a file with the password in it", Err: err}
			}
			password = strings.TrimRight(string(data), "\r\n")
		}
		if password == "" {
			return nil, &vw.Error{Op: "app.Client", Code: vw.Invalid, Hint: "set " + PasswordVariable + ", or give kafka.sasl.password_file", Err: errors.New("no password for the account of kafka.sasl")}
		}
		o.SASL = &kafka.SASL{Mechanism: s.Mechanism, User: s.User, Password: password}
	}
	return kafka.NewClient(o)
}

// Layout is that of the topics.
func (c *Config) Layout() kafka.Layout {
	return kafka.Layout{Prefix: c.Topics.Prefix, Partitions: c.Topics.Partitions, Replication: c.Topics.Replication, Retention: c.Topics.Retention}
}

// CheckConfig reads a configuration and all that it names, campaign and policy included, and connects to
// nothing.
func CheckConfig(file, password string, now func() time.Time) (*Config, error) {
	c, err := LoadConfig(file)
	if err != nil {
		return nil, err
	}
	_, _, err1 := plan(c.Campaign, c.Policy)
	client, err2 := c.Client(password, now)
	if err2 == nil {
		client.Close()
	}
	if err1 != nil && err2 != nil {
		return c, &vw.Error{Op: "app.CheckConfig", Code: vw.Invalid, Err: errors.Join(err1, err2)}
	}
	return c, cmp.Or(err1, err2)
}

// Topics makes the topics that are not there, if it is to, and lists what still differs.
func Topics(ctx context.Context, file, password string, now func() time.Time, create bool) (made, differs []string, err error) {
	c, err := LoadConfig(file)
	if err != nil {
		return nil, nil, err
	}
	client, err := c.Client(password, now)
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	want := slices.Concat(c.Layout().Inputs(), c.Layout().Outputs())
	if create {
		if made, err = client.CreateTopics(ctx, want); err != nil {
			return made, nil, err
		}
	}
	differs, err = client.CheckTopics(ctx, want)
	return made, differs, err
}
