//go:build integration

package kafkanode_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/segmentio/kafka-go"

	"voucherwatch/internal/javanode"
	"voucherwatch/test/kafkanode"
)

// TestABrokerKeepsItsTopicsOverAKill is the recipe by itself: it downloads, starts, is killed and comes again.
func TestABrokerKeepsItsTopicsOverAKill(t *testing.T) {
	ctx := context.Background()
	if err := kafkanode.Prepare(ctx, javanode.Dir()); err != nil {
		t.Skipf("no broker: %v", err)
	}
	n, err := kafkanode.Start(ctx, javanode.Dir(), filepath.Join(t.TempDir(), "node"), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Kill() })
	dial := func() *kafka.Conn {
		c, err := kafka.DialContext(ctx, "tcp", n.Plain)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	if err := dial().CreateTopics(kafka.TopicConfig{Topic: "claims", NumPartitions: 3, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := n.Again(ctx); err != nil {
		t.Fatal(err)
	}
	parts, err := dial().ReadPartitions("claims")
	if err != nil || len(parts) != 3 {
		t.Errorf("after a kill there are %d partitions (%v), want 3", len(parts), err)
	}
	if _, err := os.Stat(n.CA); err != nil {
		t.Error(err)
	}
}
