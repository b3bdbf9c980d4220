package app

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"voucherwatch/cases"
	"voucherwatch/stream"

	vw "voucherwatch"
)

func TestAConfigurationSaysAllItsFaultsAtOnce(t *testing.T) {
	_, err := parseConfig("v.yaml", []byte(`listen: localhost
slots: 0
kafka:
  brokers: [kafka-1, "kafka-2:9092"]
  session: 1s
  tls: {enabled: false, ca: ca.pem}
  sasl: {mechanism: plain, user: u, password: secret}
topics: {partitions: 0, prefix: "a/b"}
order: {wait: 5s, patience: 1s}
state: {gap: ignore, unusable: drop}
`))
	var e *vw.Error
	if !errors.As(err, &e) || e.Code != vw.Invalid {
		t.Fatalf("error %v", err)
	}
	want := []string{
		`v.yaml:1: listen: is "localhost": want host:port`,
		`v.yaml:2: slots: is 0: want 1 to 256`,
		`v.yaml:4: kafka.brokers[0]: is "kafka-1": want host:port`,
		`v.yaml:5: kafka.session: is 1s: want 6s to 5m0s`,
		`v.yaml:6: kafka.tls.enabled: is false, but files are given: say true, or leave them out`,
		`v.yaml:7: kafka.sasl.password: is not a field here: use mechanism, password_file, user`,
		`v.yaml:7: kafka.sasl.mechanism: is plain without TLS: the password would be readable on the way; enable kafka.tls or use scram-sha-512`,
		`v.yaml:8: topics.prefix: is "a/b": want letters, digits, dots, hyphens and underscores`,
		`v.yaml:8: topics.partitions: is 0: want 1 to 1000`,
		`v.yaml:9: order.patience: is 1s: want 5s to 1h0m0s`,
		`v.yaml:10: state.directory: is missing`,
		`v.yaml:10: state.gap: is "ignore": want refuse or accept`,
		`v.yaml:10: state.unusable: is "drop": want refuse or rebuild`,
	}
	if diff := cmp.Diff(want, strings.Split(e.Err.Error(), "\n")); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Error("the password is in the error")
	}
}

func TestFilesOfAConfigurationLieBesideIt(t *testing.T) {
	c, err := parseConfig(filepath.Join("etc", "v.yaml"), []byte("campaign: mine.yaml\nkafka:\n  brokers: [\"[::1]:9092\"]\n  tls: {enabled: true, ca: ca.pem}\nstate: {directory: /var/lib/v}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Kafka.TLS.CA != filepath.Join("etc", "ca.pem") || c.State.Directory != "/var/lib/v" || c.Campaign != filepath.Join("etc", "mine.yaml") {
		t.Errorf("ca %s, state %s, campaign %s", c.Kafka.TLS.CA, c.State.Directory, c.Campaign)
	}
	if c.Topics.Partitions != 12 || c.Order.Wait != 20*time.Millisecond {
		t.Errorf("defaults %+v %+v", c.Topics, c.Order)
	}
}

// TestTheOrderSurvivesATornEnd cuts a journal at every byte: what is read is what was whole.
func TestTheOrderSurvivesATornEnd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "order")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	cuts := []stream.Cut{
		{Order: []stream.Step{{Feed: 0, Offset: 9}, {Feed: 2, Offset: 1 << 40}, {Feed: 0, Offset: 12}}, Follow: []stream.Step{{Feed: 1, Offset: 3}}},
		{Order: []stream.Step{{Feed: 1, Offset: 4}}},
	}
	j := newJournal(f, 3)
	var ends []int64
	for i := range cuts {
		if err := j.add(&cuts[i]); err != nil {
			t.Fatal(err)
		}
		end, _ := f.Seek(0, 1)
		ends = append(ends, end)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for size := range len(data) + 1 {
		for _, flip := range []bool{false, true} {
			torn := bytes.Clone(data[:size])
			if flip {
				if size == 0 {
					continue
				}
				torn[size-1] ^= 1
			}
			whole := 0
			for _, end := range ends {
				if int64(size) > end || !flip && int64(size) == end {
					whole++
				}
			}
			var got []stream.Cut
			if _, err := readJournal(bytes.NewReader(torn), 3, func(order, follow []stream.Step) error {
				got = append(got, stream.Cut{Order: order, Follow: follow})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if len(got) != whole {
				t.Fatalf("%d bytes, last one flipped: %v: %d cuts, want %d", size, flip, len(got), whole)
			}
			for i := range got {
				if !cmp.Equal(got[i].Order, cuts[i].Order) || !cmp.Equal(got[i].Follow, cuts[i].Follow) {
					t.Errorf("cut %d is %v", i, got[i])
				}
			}
		}
	}
}

// FuzzJournal: bytes that are no journal are no steps of partitions that do not exist, and no panic.
func FuzzJournal(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(make([]byte, 12), 1, 0, 2, 0))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, framed := range []bool{false, true} {
			data := payload
			if framed {
				data = binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
				data = append(binary.LittleEndian.AppendUint64(data, xxh3.Hash(payload)), payload...)
			}
			_, _ = readJournal(bytes.NewReader(data), 3, func(order, follow []stream.Step) error {
				for _, s := range slices.Concat(order, follow) {
					if s.Feed < 0 || s.Feed > 2 {
						t.Errorf("step of partition %d", s.Feed)
					}
				}
				return nil
			})
		}
	})
}

// TestTheStateIsTakenFromTheNewestWholeSnapshot damages the newest one: the one before it is used, with the
// order of both.
func TestTheStateIsTakenFromTheNewestWholeSnapshot(t *testing.T) {
	dir := t.TempDir()
	v, err := openVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openVault(dir); vw.CodeOf(err) != vw.Conflict {
		t.Errorf("a second owner of the directory: %v", err)
	}
	fresh := vaultRun(t)
	m := stream.NewMerger(stream.MergerOptions{Names: []string{"claims/0"}, From: []int64{7}, Now: time.Now})
	for n := range 3 {
		r, err := fresh()
		if err != nil {
			t.Fatal(err)
		}
		r.deadBy["bad_json"] = int64(n)
		if err := v.save(r, []string{"claims/0"}, m); err != nil {
			t.Fatal(err)
		}
		r.engine.Close()
		if err := v.journal.add(&stream.Cut{Order: []stream.Step{{Feed: 0, Offset: int64(10 + n)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := v.generations(); !cmp.Equal(got, []int{3, 2}) {
		t.Errorf("generations %v are kept", got)
	}
	v.close()
	load := func() (s *snapshot, offsets []int64) {
		v, err := openVault(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer v.close()
		r, s, err := v.load(fresh, testDiscard)
		if err != nil {
			t.Fatal(err)
		}
		r.engine.Close()
		if err := v.again(1, func(order, _ []stream.Step) error {
			offsets = append(offsets, order[0].Offset)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return s, offsets
	}
	if s, offsets := load(); s.DeadBy["bad_json"] != 2 || s.Next[0] != 7 || !cmp.Equal(offsets, []int64{12}) {
		t.Errorf("snapshot %+v, order %v", s, offsets)
	}
	name := filepath.Join(dir, "state-3")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if s, offsets := load(); s.DeadBy["bad_json"] != 1 || !cmp.Equal(offsets, []int64{11, 12}) {
		t.Errorf("after damage: snapshot %+v, order %v", s, offsets)
	}
}

var testDiscard = slog.New(slog.DiscardHandler)

func vaultRun(t *testing.T) func() (*run, error) {
	c, p, err := plan("gaoping-2022-2", "")
	if err != nil {
		t.Fatal(err)
	}
	return func() (*run, error) { return newRun(c, p, 1, cases.NewMemory(), time.Now) }
}
