//go:build integration

package app

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestAWorldThroughKafkaEndsAsReplayDoes: scores one per redemption, findings and cases as sets.
func TestAWorldThroughKafkaEndsAsReplayDoes(t *testing.T) {
	needBroker(t)
	want := replayed(t, campaignWorld(t))
	for _, partitions := range []int{4, 12} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			s := newSetting(t, partitions, "")
			s.produce(campaignWorld(t))
			if err := Run(context.Background(), RunOptions{Config: s.config, UntilEnd: true, Now: time.Now, Logger: testLogger(t)}); err != nil {
				t.Fatal(err)
			}
			compare(t, want, s.outcome())
		})
	}
}
