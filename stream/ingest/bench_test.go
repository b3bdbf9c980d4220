package ingest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkAppend is one batch of 4 KiB made durable, fsync included.
func BenchmarkAppend(b *testing.B) {
	batch := append(bytes.Repeat([]byte("x"), 4<<10-1), '\n')
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l, err := OpenLog(Options{Dir: b.TempDir(), MaxBacklog: 1 << 40})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := l.Append(batch); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkRead is one pass over 64 MiB of batches of 4 KiB, checksums included, from the page cache.
func BenchmarkRead(b *testing.B) {
	const total = 64 << 20
	batch := append(bytes.Repeat([]byte("x"), 4<<10-1), '\n')
	l, err := OpenLog(Options{Dir: b.TempDir(), Sync: noSync})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for range total / len(batch) {
		if _, err := l.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(total)
	b.ReportAllocs()
	for b.Loop() {
		for r, err := range l.Read(context.Background(), Position{}) {
			if err != nil {
				b.Fatal(err)
			}
			if r.Next.Compare(l.End()) == 0 {
				break
			}
		}
	}
}
