//go:build integration

package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
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
