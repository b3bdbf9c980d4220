package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	vw "voucherwatch"
)

// Topic is a topic as it should be.
type Topic struct {
	Name        string
	Partitions  int
	Replication int
	Compact     bool          // keeps the last record of each key
	Retention   time.Duration // of a topic that is not compacted
	MaxBytes    int           // of a record
}

// The topics of the contract that are read, in the order in which events of one moment are taken: what
// others refer to comes first.
var inputs = []Topic{
	{Name: "merchants", Compact: true}, {Name: "beneficiaries", Compact: true}, {Name: "credit_lists", Compact: true}, {Name: "prices"},
	{Name: "claims"}, {Name: "redemptions"}, {Name: "refunds"}, {Name: "complaints"}, {Name: "verdicts"},
}

// The topics of results. A finding lists its redemptions, so it may be long.
const (
	Scores      = "scores"
	Findings    = "findings"
	Cases       = "cases"
	DeadLetters = "dead_letters"
)

var outputs = []Topic{{Name: Scores}, {Name: Findings, Compact: true, MaxBytes: large}, {Name: Cases, Compact: true, MaxBytes: large}, {Name: DeadLetters, MaxBytes: large}}

const (
	small = 1 << 20
	large = 8 << 20
)

// Layout is how the topics are made.
type Layout struct {
	Prefix      string        // before every name
	Partitions  int           // of claims, redemptions, refunds, prices, scores; the others have one
	Replication int           // copies
	Retention   time.Duration // of topics that are not compacted; 0: for ever
}

// Inputs are the topics that are read.
func (l Layout) Inputs() []Topic { return l.fill(inputs) }

// Outputs are the topics of results.
func (l Layout) Outputs() []Topic { return l.fill(outputs) }

func (l Layout) fill(list []Topic) []Topic {
	list = slices.Clone(list)
	for i := range list {
		t := &list[i]
		t.Partitions, t.Replication = 1, l.Replication
		switch t.Name {
		case "claims", "redemptions", "refunds", "prices", Scores:
			t.Partitions = l.Partitions
		}
		if !t.Compact {
			t.Retention = l.Retention
		}
		if t.MaxBytes == 0 {
			t.MaxBytes = small
		}
		t.Name = l.Prefix + t.Name
	}
	return list
}

func (t *Topic) settings() []kafka.ConfigEntry {
	policy, retention := "delete", "-1"
	if t.Compact {
		policy = "compact"
	} else if t.Retention > 0 {
		retention = strconv.FormatInt(t.Retention.Milliseconds(), 10)
	}
	return []kafka.ConfigEntry{
		{ConfigName: "cleanup.policy", ConfigValue: policy}, {ConfigName: "retention.ms", ConfigValue: retention},
		{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(t.MaxBytes)},
	}
}

// CreateTopics makes those that are not there and lists their names. What is there stays as it is: see
// CheckTopics.
func (c *Client) CreateTopics(ctx context.Context, want []Topic) (made []string, err error) {
	request := &kafka.CreateTopicsRequest{}
	for i := range want {
		t := &want[i]
		request.Topics = append(request.Topics, kafka.TopicConfig{Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.Replication, ConfigEntries: t.settings()})
	}
	answer, err := c.client.CreateTopics(ctx, request)
	if err != nil {
		return nil, c.explain("kafka.CreateTopics", err)
	}
	var errs []error
	for i := range want {
		switch err := answer.Errors[want[i].Name]; {
		case err == nil:
			made = append(made, want[i].Name)
		case !errors.Is(err, kafka.TopicAlreadyExists):
			errs = append(errs, fmt.Errorf("%s: %w", want[i].Name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return made, c.explain("kafka.CreateTopics", err)
	}
	return made, c.appear(ctx, want)
}

// appear waits until all brokers' metadata shows the topics: they say that a topic is made before all know it.
func (c *Client) appear(ctx context.Context, want []Topic) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	for {
		_, err := c.Partitions(ctx, want)
		if err == nil || vw.CodeOf(err) != vw.NotFound || ctx.Err() != nil {
			return err
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

// CheckTopics lists in words what differs from what is wanted; none: nothing does.
func (c *Client) CheckTopics(ctx context.Context, want []Topic) (differs []string, err error) {
	there, err := c.partitions(ctx, want)
	if err != nil {
		return nil, err
	}
	request := &kafka.DescribeConfigsRequest{}
	for i := range want {
		if len(there[want[i].Name]) > 0 {
			request.Resources = append(request.Resources, kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: want[i].Name})
		}
	}
	set := map[string]map[string]string{}
	if len(request.Resources) > 0 {
		answer, err := c.client.DescribeConfigs(ctx, request)
		if err != nil {
			return nil, c.explain("kafka.CheckTopics", err)
		}
		for _, r := range answer.Resources {
			if r.Error != nil {
				return nil, c.explain("kafka.CheckTopics", fmt.Errorf("%s: %w", r.ResourceName, r.Error))
			}
			set[r.ResourceName] = map[string]string{}
			for _, e := range r.ConfigEntries {
				set[r.ResourceName][e.ConfigName] = e.ConfigValue
			}
		}
	}
	for i := range want {
		t := &want[i]
		parts := there[t.Name]
		if len(parts) == 0 {
			differs = append(differs, t.Name+": is not there")
			continue
		}
		if len(parts) != t.Partitions {
			differs = append(differs, fmt.Sprintf("%s: %d partitions, want %d", t.Name, len(parts), t.Partitions))
		}
		if n := len(parts[0].Replicas); n != t.Replication {
			differs = append(differs, fmt.Sprintf("%s: %d copies, want %d", t.Name, n, t.Replication))
		}
		for _, e := range t.settings() {
			if t.Compact && e.ConfigName == "retention.ms" {
				continue // has no effect there
			}
			if got := set[t.Name][e.ConfigName]; got != e.ConfigValue {
				differs = append(differs, fmt.Sprintf("%s: %s is %s, want %s", t.Name, e.ConfigName, got, e.ConfigValue))
			}
		}
	}
	return differs, nil
}

// partitions are those of the topics; a topic that is not there has none.
func (c *Client) partitions(ctx context.Context, want []Topic) (map[string][]kafka.Partition, error) {
	names := make([]string, len(want))
	for i := range want {
		names[i] = want[i].Name
	}
	answer, err := c.client.Metadata(ctx, &kafka.MetadataRequest{Topics: names})
	if err != nil {
		return nil, c.explain("kafka.CheckTopics", err)
	}
	there := map[string][]kafka.Partition{}
	for _, t := range answer.Topics {
		switch {
		case t.Error == nil:
			there[t.Name] = t.Partitions
		case !errors.Is(t.Error, kafka.UnknownTopicOrPartition):
			return nil, c.explain("kafka.CheckTopics", fmt.Errorf("%s: %w", t.Name, t.Error))
		}
	}
	return there, nil
}

// Partition is one of a topic.
type Partition struct {
	Topic   string
	ID      int
	Compact bool
}

func (p Partition) String() string { return p.Topic + "/" + strconv.Itoa(p.ID) }

// Partitions are all of the topics, in the order of the topics and then of the partitions. A topic that is
// not there is vw.NotFound.
func (c *Client) Partitions(ctx context.Context, topics []Topic) ([]Partition, error) {
	there, err := c.partitions(ctx, topics)
	if err != nil {
		return nil, err
	}
	var all []Partition
	var missing []string
	for _, t := range topics {
		if len(there[t.Name]) == 0 {
			missing = append(missing, t.Name)
		}
		for id := range there[t.Name] {
			all = append(all, Partition{t.Name, id, t.Compact})
		}
	}
	if len(missing) > 0 {
		return nil, c.explain("kafka.Partitions", fmt.Errorf("%s: %w", strings.Join(missing, ", "), kafka.UnknownTopicOrPartition))
	}
	return all, nil
}

// Bounds are the offsets of the first record that a partition has and of the next one that it will get. A
// partition that was just made, or whose broker has just gone, has a leader within moments: that is waited for.
func (c *Client) Bounds(ctx context.Context, p Partition) (first, end int64, err error) {
	until := c.o.Now().Add(c.o.Timeout)
	for {
		first, end, err = c.bounds(ctx, p)
		moving := errors.Is(err, kafka.NotLeaderForPartition) || errors.Is(err, kafka.LeaderNotAvailable)
		if !moving || ctx.Err() != nil || c.o.Now().After(until) {
			break
		}
		sleep(ctx, 100*time.Millisecond)
	}
	if err != nil {
		return 0, 0, c.explain("kafka.Bounds", fmt.Errorf("%v: %w", p, err))
	}
	return first, end, nil
}

func (c *Client) bounds(ctx context.Context, p Partition) (first, end int64, err error) {
	conn, err := c.leader(ctx, p.Topic, p.ID)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(c.o.Now().Add(c.o.Timeout))
	return conn.ReadOffsets()
}

// Committed are the offsets that a group has committed, by partition; -1 where it has not.
func (c *Client) Committed(ctx context.Context, group string, list []Partition) ([]int64, error) {
	ask := map[string][]int{}
	for _, p := range list {
		ask[p.Topic] = append(ask[p.Topic], p.ID)
	}
	answer, err := c.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: ask})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return nil, c.explain("kafka.Committed", err)
	}
	got := make([]int64, len(list))
	for i, p := range list {
		got[i] = -1
		for _, o := range answer.Topics[p.Topic] {
			if o.Partition == p.ID {
				got[i] = o.CommittedOffset
			}
		}
	}
	return got, nil
}
