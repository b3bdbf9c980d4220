//go:build integration

package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	vw "voucherwatch"
	"voucherwatch/stream/kafka"
)

// TestAWorldThroughKafkaEndsAsReplayDoes: scores one per redemption, findings and cases as sets.
func TestAWorldThroughKafkaEndsAsReplayDoes(t *testing.T) {
	needBroker(t)
	events, _ := troubled(campaignWorld(t), rand.New(rand.NewPCG(0, 5)))
	want := replayed(t, events)
	for _, partitions := range []int{4, 12} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			s := newSetting(t, partitions, "")
			s.produce(events)
			if err := Run(context.Background(), RunOptions{Config: s.config, UntilEnd: true, Now: time.Now, Logger: testLogger(t)}); err != nil {
				t.Fatal(err)
			}
			compare(t, want, s.outcome())
		})
	}
}

// TestWhatRetentionHasDeletedStopsKafkaRuns: the snapshot is at 0, the log begins later. Nothing is skipped
// unless that is accepted.
func TestWhatRetentionHasDeletedStopsKafkaRuns(t *testing.T) {
	s := newSetting(t, 1, "")
	end := func() error {
		return Run(context.Background(), RunOptions{Config: s.config, UntilEnd: true, Now: time.Now, Logger: testLogger(t)})
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	name := s.config.Topics.Prefix + "claims"
	if _, err := s.client.IncrementalAlterConfigs(context.Background(), &kafkago.IncrementalAlterConfigsRequest{Resources: []kafkago.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafkago.ResourceTypeTopic, ResourceName: name,
		Configs: []kafkago.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: "1000", ConfigOperation: kafkago.ConfigOperationSet}},
	}}}); err != nil {
		t.Fatal(err)
	}
	w := &kafkago.Writer{Addr: kafkago.TCP(broker.Plain), Transport: &kafkago.Transport{}, Topic: name, RequiredAcks: kafkago.RequireAll, BatchTimeout: time.Millisecond}
	if err := w.WriteMessages(context.Background(), kafkago.Message{Value: []byte("{}"), Time: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	client, err := s.config.Client("", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	awaitFor(t, "retention", 30*time.Second, func() bool {
		first, _, err := client.Bounds(context.Background(), kafka.Partition{Topic: name})
		return err == nil && first == 1
	})
	err = end()
	var e *vw.Error
	if !errors.As(err, &e) || e.Code != vw.Conflict || !strings.Contains(err.Error(), "the records from 0 to 0 are gone") || !strings.Contains(e.Hint, "state.gap: accept") {
		t.Errorf("error %v", err)
	}
	s.config.State.Gap = accept
	if err := end(); err != nil {
		t.Error(err)
	}
}
