//go:build integration

package app

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"voucherwatch/stream/kafka"
)

// TestKillsAndRestartsLoseNothingAndRepeatNothing kills holders and standbys with SIGKILL at random
// moments, restarts the broker, and has duplicates and poison in the topics. In the end every redemption
// has one score, whichever process has published it how often, and findings and cases are those of a calm
// replay. VOUCHERWATCH_TEST_SEED chooses the moments; VOUCHERWATCH_TEST_HASTY=1 breaks the rule that results are
// acknowledged before the state says so, and the test must fail.
func TestKillsAndRestartsLoseNothingAndRepeatNothing(t *testing.T) {
	needBroker(t)
	seed, _ := strconv.ParseUint(os.Getenv("VOUCHERWATCH_TEST_SEED"), 10, 64)
	rng := rand.New(rand.NewPCG(seed, 5))
	events, duplicates := troubled(campaignWorld(t), rng)
	want := replayed(t, events)
	s := newSetting(t, 4, "  every: 1s\n  records: 2500\norder: {batch: 200}\n")
	s.produce(events)

	total := len(want.scores)
	var kids []*kid
	start := func() {
		kids = append(kids, s.start())
	}
	start()
	start()
	defer func() {
		for _, k := range kids {
			k.kill()
		}
	}()
	kills, restarts := 0, 0
	for done := 0; done < total*9/10; {
		done += total/12 + rng.IntN(total/6)
		awaitFor(t, "scores to be published", 90*time.Second, func() bool { return s.count(kafka.Scores) >= int64(min(done, total*9/10)) })
		switch what := rng.IntN(4); what {
		case 0:
			restarts++
			t.Logf("%d scores: the broker is killed", s.count(kafka.Scores))
			if err := broker.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := broker.Again(context.Background()); err != nil {
				t.Fatal(err)
			}
		default:
			kills++
			i := rng.IntN(len(kids))
			t.Logf("%d scores: process %d is killed", s.count(kafka.Scores), i)
			kids[i].kill()
			kids = append(kids[:i], kids[i+1:]...)
			start()
		}
	}
	for _, k := range kids {
		if took := k.stop(); took > 10*time.Second {
			t.Errorf("a stop took %v", took)
		}
	}
	kids = nil
	if err := Run(context.Background(), RunOptions{Config: s.config, UntilEnd: true, Now: time.Now, Logger: testLogger(t)}); err != nil {
		t.Fatal(err)
	}
	got := s.outcome()
	t.Logf("seed %d: %d kills, %d broker restarts, %d duplicate deliveries put in; scores published %d times for %d redemptions", seed, kills, restarts, duplicates, got.published, len(got.scores))
	compare(t, want, got)
}

// troubled repeats some lines later on and puts poison between them.
func troubled(events []byte, rng *rand.Rand) (out []byte, duplicates int) {
	var late [][]byte
	for line := range bytes.Lines(events) {
		out = append(out, line...)
		if rng.IntN(50) == 0 {
			late = append(late, line)
		}
		if len(late) > 0 && rng.IntN(40) == 0 {
			out = append(out, late[0]...)
			late = late[1:]
			duplicates++
		}
		if rng.IntN(3000) == 0 {
			out = append(out, "{\"type\":\"redemption\",\x00poison\n"...)
		}
	}
	return out, duplicates
}

// kid is a process of the group.
type kid struct {
	cmd  *exec.Cmd
	said bytes.Buffer
}

func (s *setting) start() *kid {
	k := &kid{cmd: exec.Command(os.Args[0])}
	k.cmd.Env = append(os.Environ(), "VOUCHERWATCH_TEST_RUN="+s.file)
	k.cmd.Stderr = &k.said
	if err := k.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return k
}

func (k *kid) kill() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
}

func (k *kid) stop() time.Duration {
	began := time.Now()
	_ = k.cmd.Process.Signal(syscall.SIGTERM)
	_ = k.cmd.Wait()
	return time.Since(began)
}

// count is how many records a topic has had.
func (s *setting) count(topic string) (n int64) {
	client, err := s.config.Client("", time.Now)
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	parts, err := client.Partitions(context.Background(), []kafka.Topic{{Name: s.config.Topics.Prefix + topic}})
	if err != nil {
		return 0 // the broker is just beginning
	}
	for _, p := range parts {
		if _, end, err := client.Bounds(context.Background(), p); err == nil {
			n += end
		}
	}
	return n
}

// awaitFor asks again and again until the answer is yes.
func awaitFor(t testing.TB, what string, atMost time.Duration, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), atMost)
	defer cancel()
	for !yes() {
		if pause(ctx, 20*time.Millisecond) != nil {
			t.Fatalf("waited %v for %s", atMost, strings.TrimSpace(what))
		}
	}
}
