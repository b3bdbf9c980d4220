//go:build integration

package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	kafkago "github.com/segmentio/kafka-go"

	"voucherwatch/campaign"
	"voucherwatch/internal/javanode"
	"voucherwatch/simulate"
	"voucherwatch/stream/kafka"
	"voucherwatch/test/kafkanode"

	vw "voucherwatch"
)

// broker is the node of these tests; why says why there is none.
var (
	broker *kafkanode.Node
	why    error
)

func init() { around = withBroker }

func withBroker(m *testing.M) int {
	if file := os.Getenv("VOUCHERWATCH_TEST_RUN"); file != "" {
		return runChild(file)
	}
	ctx := context.Background()
	home, err := os.MkdirTemp("", "voucherwatch-kafka-")
	if err == nil {
		if why = kafkanode.Prepare(ctx, javanode.Dir()); why == nil {
			broker, why = kafkanode.Start(ctx, javanode.Dir(), home, 0)
		}
	}
	code := m.Run()
	if broker != nil {
		_ = broker.Kill()
	}
	_ = os.RemoveAll(home)
	return code
}

func needBroker(t testing.TB) {
	t.Helper()
	if why != nil {
		t.Skipf("no Kafka broker: %v", why)
	}
}

// setting is a configuration with topics of its own, and the means to fill and read them.
type setting struct {
	t      testing.TB
	file   string
	dir    string
	config *Config
	client *kafkago.Client
}

func newSetting(t testing.TB, partitions int, more string) *setting {
	needBroker(t)
	dir := t.TempDir()
	name := "t" + strings.Trim(fmt.Sprintf("%x", vw.HashString(dir)), "-")
	s := &setting{t: t, dir: dir, file: filepath.Join(dir, "voucherwatch.yaml"), client: &kafkago.Client{Addr: kafkago.TCP(broker.Plain)}}
	text := fmt.Sprintf(`listen: 127.0.0.1:0
kafka:
  brokers: [%q]
  group: %s
  session: 6s
topics: {prefix: %s-, partitions: %d, replication: 1, retention: 0s}
state:
  directory: state
%s`, broker.Plain, name, name, partitions, more)
	if err := os.WriteFile(s.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.config, err = LoadConfig(s.file); err != nil {
		t.Fatal(err)
	}
	if _, differs, err := Topics(context.Background(), s.file, "", time.Now, true); err != nil || len(differs) > 0 {
		t.Fatalf("topics differ: %v, %v", differs, err)
	}
	return s
}

var campaignWorld = func() func(t testing.TB) []byte {
	var events []byte
	return func(t testing.TB) []byte {
		if events == nil {
			c, err := campaign.Load("gaoping-2022-2")
			if err != nil {
				t.Fatal(err)
			}
			var b, labels bytes.Buffer
			if _, err := simulate.Run(context.Background(), simulate.Options{Campaign: c, Seed: 5, Scale: 0.2}, &b, &labels); err != nil {
				t.Fatal(err)
			}
			events = b.Bytes()
		}
		return events
	}
}()

// produce sends lines to the topics of their types, by their keys. What has no type goes to redemptions.
func (s *setting) produce(events []byte) {
	s.t.Helper()
	plural := map[string][2]string{
		"merchant": {"merchants", "merchant_id"}, "claim": {"claims", "customer_id"}, "redemption": {"redemptions", "merchant_id"}, "refund": {"refunds", "merchant_id"},
		"price": {"prices", "merchant_id"}, "complaint": {"complaints", "merchant_id"}, "beneficiary": {"beneficiaries", "customer_id"},
		"credit_list": {"credit_lists", "uscc"}, "verdict": {"verdicts", "merchant_id"},
	}
	w := &kafkago.Writer{Addr: kafkago.TCP(broker.Plain), Transport: &kafkago.Transport{}, Balancer: &kafkago.Hash{}, RequiredAcks: kafkago.RequireAll, BatchTimeout: 5 * time.Millisecond, BatchSize: 2000}
	defer func() { _ = w.Close() }()
	var list []kafkago.Message
	flush := func() {
		if err := w.WriteMessages(context.Background(), list...); err != nil {
			s.t.Fatal(err)
		}
		list = list[:0]
	}
	for line := range bytes.Lines(events) {
		line = bytes.TrimRight(line, "\n")
		var e map[string]any
		_ = json.Unmarshal(line, &e)
		kind, _ := e["type"].(string)
		to, ok := plural[kind]
		if !ok {
			to = plural["redemption"]
		}
		key, _ := e[to[1]].(string)
		list = append(list, kafkago.Message{Topic: s.config.Topics.Prefix + to[0], Key: []byte(key), Value: line})
		if len(list) == 10_000 {
			flush()
		}
	}
	flush()
}

// read gives every record of a topic that is there now.
func (s *setting) read(topic string) [][]byte {
	s.t.Helper()
	ctx := context.Background()
	client, err := s.config.Client("", time.Now)
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	parts, err := client.Partitions(ctx, []kafka.Topic{{Name: s.config.Topics.Prefix + topic}})
	if err != nil {
		s.t.Fatal(err)
	}
	var all [][]byte
	for _, p := range parts {
		first, end, err := client.Bounds(ctx, p)
		if err != nil {
			s.t.Fatal(err)
		}
		if first == end {
			continue
		}
		r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{broker.Plain}, Topic: p.Topic, Partition: p.ID, MaxBytes: 16 << 20, MaxWait: 50 * time.Millisecond})
		if err := r.SetOffset(first); err != nil {
			s.t.Fatal(err)
		}
		for next := first; next < end; {
			m, err := r.ReadMessage(ctx)
			if err != nil {
				s.t.Fatal(err)
			}
			all = append(all, m.Value)
			next = m.Offset + 1
		}
		_ = r.Close()
	}
	return all
}

// outcome is what a run came to, as sets.
type outcome struct {
	scores    map[string]string // by redemption: the line
	distinct  int               // lines of scores that differ
	published int               // lines of scores
	findings  map[string]string // last revision
	cases     map[string]string
	dead      map[string]int // by code
}

func newOutcome() outcome {
	return outcome{scores: map[string]string{}, findings: map[string]string{}, cases: map[string]string{}, dead: map[string]int{}}
}

func (o *outcome) score(t testing.TB, line []byte) {
	var s vw.Score
	decode(t, line, &s)
	o.published++
	if o.scores[s.RedemptionID] != string(line) {
		o.distinct++
		o.scores[s.RedemptionID] = string(line)
	}
}

func decode(t testing.TB, line []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(line, into); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
}

func (o *outcome) finding(t testing.TB, line []byte, revisions map[string]int) {
	var f vw.Finding
	decode(t, line, &f)
	if f.Revision >= revisions[f.FindingID] {
		revisions[f.FindingID] = f.Revision
		o.findings[f.FindingID] = fmt.Sprint(f.Subject, f.Typology, f.RedemptionIDs, f.SubsidyFen)
	}
}

func (o *outcome) oneCase(t testing.TB, line []byte, revisions map[string]int64) {
	var c vw.Case
	decode(t, line, &c)
	if int64(c.Revision) >= revisions[c.CaseID] {
		revisions[c.CaseID] = int64(c.Revision)
		o.cases[c.CaseID] = fmt.Sprint(c.Subject, c.Typologies, c.FindingIDs, c.SubsidyFen)
	}
}

// outcome reads the topics of results.
func (s *setting) outcome() outcome {
	o := newOutcome()
	for _, line := range s.read(kafka.Scores) {
		o.score(s.t, line)
	}
	revisions := map[string]int{}
	for _, line := range s.read(kafka.Findings) {
		o.finding(s.t, line, revisions)
	}
	versions := map[string]int64{}
	for _, line := range s.read(kafka.Cases) {
		o.oneCase(s.t, line, versions)
	}
	seen := map[string]bool{}
	for _, line := range s.read(kafka.DeadLetters) {
		var d vw.DeadLetter
		decode(s.t, line, &d)
		if at := fmt.Sprint(d.Source, d.Position, d.Code); !seen[at] {
			seen[at] = true
			o.dead[d.Code]++
		}
	}
	return o
}

// replayed is the outcome of replay of the same events.
func replayed(t testing.TB, events []byte) outcome {
	t.Helper()
	out := t.TempDir()
	file := filepath.Join(out, "events.ndjson")
	if err := os.WriteFile(file, events, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Replay(context.Background(), ReplayOptions{Campaign: "gaoping-2022-2", Events: []string{file}, Out: out, Slots: 2, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	o := newOutcome()
	lines := func(name string, each func(line []byte)) {
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			each(bytes.TrimRight(line, "\n"))
		}
	}
	lines("scores.ndjson", func(line []byte) { o.score(t, line) })
	revisions, versions := map[string]int{}, map[string]int64{}
	lines("findings.ndjson", func(line []byte) { o.finding(t, line, revisions) })
	lines("cases.ndjson", func(line []byte) { o.oneCase(t, line, versions) })
	lines("dead_letters.ndjson", func(line []byte) {
		var d vw.DeadLetter
		decode(t, line, &d)
		o.dead[d.Code]++
	})
	return o
}

// compare says what differs between two outcomes.
func compare(t testing.TB, want, got outcome) {
	t.Helper()
	missing, extra, other := 0, 0, 0
	for id, line := range want.scores {
		switch g, ok := got.scores[id]; {
		case !ok:
			missing++
		case g != line:
			other++
		}
	}
	for id := range got.scores {
		if _, ok := want.scores[id]; !ok {
			extra++
		}
	}
	t.Logf("redemptions %d, scores published %d, distinct %d; missing %d, extra %d, of another content %d (%.2f%%)", len(want.scores), got.published, got.distinct, missing, extra, other, 100*float64(other)/float64(len(want.scores)))
	t.Logf("findings %d, cases %d, dead letters %v", len(want.findings), len(want.cases), got.dead)
	if missing+extra > 0 {
		t.Errorf("%d redemptions have no score, %d scores are of no redemption", missing, extra)
	}
	if got.distinct != len(got.scores) {
		t.Errorf("%d distinct scores of %d redemptions: some have two", got.distinct, len(got.scores))
	}
	if other*200 > len(want.scores) {
		t.Errorf("%d of %d scores differ from replay's: more than 0.5 %%", other, len(want.scores))
	}
	differ(t, "findings", want.findings, got.findings)
	differ(t, "cases", want.cases, got.cases)
	if fmt.Sprint(want.dead) != fmt.Sprint(got.dead) {
		t.Errorf("dead letters %v, want %v", got.dead, want.dead)
	}
}

func differ(t testing.TB, what string, want, got map[string]string) {
	t.Helper()
	n := 0
	say := func(format string, args ...any) {
		if n++; n <= 5 {
			t.Errorf(format, args...)
		}
	}
	for id, w := range want {
		if g, ok := got[id]; !ok {
			say("%s: %s is missing: %.300s", what, id, w)
		} else if g != w {
			say("%s: %s is\n%.400s, want\n%.400s", what, id, g, w)
		}
	}
	for id, g := range got {
		if _, ok := want[id]; !ok {
			say("%s: %s is extra: %.300s", what, id, g)
		}
	}
	if n > 5 {
		t.Errorf("%s: %d differences in all", what, n)
	}
}

func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(writer{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

type writer struct{ t testing.TB }

func (w writer) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimRight(p, "\n"))
	return len(p), nil
}

// runChild runs in a process of its own, to be killed.
func runChild(file string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := LoadConfig(file)
	if err == nil {
		err = Run(ctx, RunOptions{Config: c, Now: time.Now, hasty: os.Getenv("VOUCHERWATCH_TEST_HASTY") != "", Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
