package stream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// feedDecoder reads redemptions and registry rows.
func feedDecoder(t testing.TB) *Decoder {
	t.Helper()
	d, err := NewDecoder(Options{VoucherTypes: []string{"v"}, Now: func() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// written is a redemption "a 09:30" (of 1 September), a registry row "row a", or poison.
func written(word string) string {
	if id, ok := strings.CutPrefix(word, "row "); ok {
		return fmt.Sprintf(`{"type":"merchant","id":%q,"at":"2029-01-01T00:00:00+08:00","merchant_id":"m","name":"n","category":"retail","status":"active","dishonest":false}`, id)
	}
	id, at, ok := strings.Cut(word, " ")
	if !ok {
		return word
	}
	return fmt.Sprintf(`{"type":"redemption","id":%q,"at":"2022-09-01T%s:00+08:00","voucher_id":"v1","voucher_type":"v","customer_id":"c","merchant_id":"m","order_fen":2,"discount_fen":1,"paid_fen":1}`, id, at)
}

// put hands records over as one stretch, the offsets from first on.
func put(t testing.TB, f *Feed, d *Decoder, first int64, words ...string) {
	t.Helper()
	s := f.Get()
	for i, w := range words {
		r := written(w)
		copy(s.Room(len(r))[:len(r)], r)
		s.Decode(d, first+int64(i), len(r))
	}
	if err := f.Put(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func newTestMerger(names int) *Merger {
	o := MergerOptions{From: make([]int64, names), Wait: 20 * time.Millisecond, Patience: 2 * time.Second, Now: time.Now}
	for i := range names {
		o.Names = append(o.Names, string(rune('A'+i)))
	}
	return NewMerger(o)
}

// ids are those of the events of a cut.
func ids(c *Cut) string {
	var list []string
	for i := range c.Batch.Events {
		list = append(list, c.Batch.String(c.Batch.Events[i].ID.Text))
	}
	return strings.Join(list, " ")
}

func TestMergedOrder(t *testing.T) {
	for _, tt := range []struct {
		name  string
		feeds [][]string
		want  string
	}{
		{"the earliest first", [][]string{{"a 09:00", "d 09:30"}, {"b 09:10", "c 09:20"}}, "a b c d"},
		{"of one moment the first partition", [][]string{{"a 09:00"}, {"b 09:00"}}, "a b"},
		{"a late event comes where its partition has it", [][]string{{"a 09:00", "l 07:00", "d 09:30"}, {"b 09:10", "c 09:20"}}, "a l b c d"},
		{"a misdated event does not hold up those behind it", [][]string{{"x 23:00", "a 09:00", "c 09:20", "e 09:40"}, {"b 09:10", "d 09:30"}}, "x a b c d e"},
		{"but one that two late ones follow is not misdated", [][]string{{"d 09:30", "k 07:00", "l 07:01", "e 09:40"}, {"a 09:00", "b 09:10", "c 09:20"}}, "a b c d k l e"},
		{"what is announced is taken at once", [][]string{{"b 09:10"}, {"row r", "row s"}, {"a 09:00"}}, "r s a b"},
		{"poison holds nobody up", [][]string{{"poison", "b 09:10"}, {"a 09:00"}}, "a b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, d := newTestMerger(len(tt.feeds)), feedDecoder(t)
				for i, words := range tt.feeds {
					put(t, m.Feed(i), d, 0, words...)
					m.Feed(i).Behind(false)
				}
				var got []string
				var c Cut
				for !m.Live() {
					if err := m.Next(t.Context(), 100, time.Hour, &c); err != nil {
						t.Fatal(err)
					}
					got = append(got, ids(&c))
				}
				if all := strings.Join(got, " "); all != tt.want {
					t.Errorf("order %q, want %q", all, tt.want)
				}
			})
		})
	}
}

func TestWhoIsWaitedFor(t *testing.T) {
	next := func(t *testing.T, m *Merger, atMost time.Duration) (string, time.Duration) {
		var c Cut
		began := time.Now()
		if err := m.Next(t.Context(), 100, atMost, &c); err != nil {
			t.Fatal(err)
		}
		return ids(&c), time.Since(began)
	}
	synctest.Test(t, func(t *testing.T) {
		m, d := newTestMerger(2), feedDecoder(t)
		put(t, m.Feed(0), d, 0, "b 09:10")
		m.Feed(0).Behind(false)
		if got, took := next(t, m, time.Hour/2); got != "" || took != time.Hour/2 {
			t.Errorf("a partition that is behind was not waited for: %q after %v", got, took)
		}
		m.Feed(1).Behind(false)
		if got, took := next(t, m, time.Hour); got != "b" || took != 0 {
			t.Errorf("%q after %v: what has waited long need not wait again", got, took)
		}
		put(t, m.Feed(0), d, 1, "c 09:20")
		if got, took := next(t, m, time.Hour); got != "c" || took != 20*time.Millisecond {
			t.Errorf("%q after %v, want c after the wait for an idle partition", got, took)
		}
		put(t, m.Feed(0), d, 2, "x 23:00")
		if got, took := next(t, m, time.Hour); got != "x" || took != 2*time.Second {
			t.Errorf("%q after %v, want x after the patience with a jump", got, took)
		}
	})
}

// TestABacklogWaitsForNobody: what happened long ago is not held up by partitions that are at their end.
func TestABacklogWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, d := newTestMerger(2), feedDecoder(t)
		m.o.Now = func() time.Time { return time.Now().AddDate(30, 0, 0) }
		put(t, m.Feed(0), d, 0, "a 09:00", "b 23:00")
		m.Feed(0).Behind(false)
		m.Feed(1).Behind(false)
		began := time.Now()
		var c Cut
		if err := m.Next(t.Context(), 100, time.Hour, &c); err != nil || ids(&c) != "a b" || time.Since(began) != 0 {
			t.Errorf("%q after %v, %v", ids(&c), time.Since(began), err)
		}
	})
}

// TestACutIsMadeAgain cuts random logs that come at random times, then makes the same cuts of the same logs
// that come at other times.
func TestACutIsMadeAgain(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			d := feedDecoder(t)
			logs := make([][]string, 3)
			for i := range logs {
				at := 0
				for k := range 80 {
					if at += rng.IntN(20); rng.IntN(20) == 0 {
						at = max(0, at-120)
					}
					logs[i] = append(logs[i], fmt.Sprintf("%c%d %02d:%02d", 'a'+i, k, min(at/60, 23), at%60))
				}
			}
			type made struct {
				ids, ahead    string
				order, follow []Step
			}
			start := func(rng *rand.Rand) *Merger {
				m := newTestMerger(3)
				for i, words := range logs {
					pause := time.Duration(rng.IntN(30)) * time.Millisecond
					step := 1 + rng.IntN(20)
					go func() {
						for at := 0; at < len(words); at += step {
							time.Sleep(pause)
							put(t, m.Feed(i), d, int64(at), words[at:min(at+step, len(words))]...)
						}
						m.Feed(i).Behind(false)
					}()
				}
				return m
			}
			said := func(c *Cut) made {
				x := made{ids: ids(c), order: append([]Step(nil), c.Order...), follow: append([]Step(nil), c.Follow...)}
				for i := range c.Ahead {
					x.ahead += fmt.Sprint(c.Ahead[i].ID.Key, " ")
				}
				return x
			}
			var first []made
			m := start(rng)
			var c Cut
			for n := 0; n < 240; {
				if err := m.Next(t.Context(), 1+rng.IntN(60), time.Hour, &c); err != nil {
					t.Fatal(err)
				}
				n += len(c.Batch.Events)
				first = append(first, said(&c))
			}
			again := start(rand.New(rand.NewPCG(seed, 2)))
			for i, want := range first {
				if err := again.Again(t.Context(), want.order, want.follow, &c); err != nil {
					t.Fatal(err)
				}
				if got := said(&c); !cmp.Equal(got, want, cmp.AllowUnexported(made{})) {
					t.Fatalf("seed %d: cut %d is another: %s", seed, i, cmp.Diff(want, got, cmp.AllowUnexported(made{})))
				}
			}
			if !cmp.Equal(m.Offsets(), again.Offsets()) || m.Last() != again.Last() {
				t.Errorf("offsets %v and %v", m.Offsets(), again.Offsets())
			}
		})
	}
}

// TestARecordThatWasCompactedAwayIsLeftOut: a snapshot's journal names it, the log has it no more.
func TestARecordThatWasCompactedAwayIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, d := newTestMerger(1), feedDecoder(t)
		put(t, m.Feed(0), d, 5, "f 09:00")
		m.Feed(0).Behind(false)
		var c Cut
		if err := m.Again(t.Context(), []Step{{0, 3}, {0, 5}}, nil, &c); err != nil || ids(&c) != "f" {
			t.Errorf("cut %q, %v", ids(&c), err)
		}
		put(t, m.Feed(0), d, 8, "i 09:01", "j 09:02")
		if err := m.Again(t.Context(), nil, []Step{{0, 7}, {0, 8}}, &c); err != nil || len(c.Ahead) != 1 || c.Ahead[0].Line != 8 {
			t.Errorf("ahead %v, %v", c.Ahead, err)
		}
		if err := m.Again(t.Context(), []Step{{0, 8}, {0, 9}}, nil, &c); err != nil || ids(&c) != "i j" {
			t.Errorf("cut %q, %v", ids(&c), err)
		}
		if err := m.Again(t.Context(), []Step{{0, 12}}, nil, &c); err == nil || !strings.Contains(err.Error(), "A: the log ends") {
			t.Errorf("a log that lost its end: %v", err)
		}
	})
}

// TestAFullFeedBlocks is the back-pressure: two stretches wait, the third blocks its reader.
func TestAFullFeedBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, d := newTestMerger(1), feedDecoder(t)
		put(t, m.Feed(0), d, 0, "a 09:00")
		put(t, m.Feed(0), d, 1, "b 09:01")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s := m.Feed(0).Get()
		s.Decode(d, 2, 0)
		if err := m.Feed(0).Put(ctx, s); err == nil {
			t.Error("a third stretch was taken while nobody reads")
		}
	})
}
