//go:build integration

package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"testing"
	"time"

	"voucherwatch/cases"
	"voucherwatch/cases/casetest"
	"voucherwatch/cases/elastic"
	"voucherwatch/internal/javanode"
	"voucherwatch/test/esnode"
)

// node is the node of these tests: that of VOUCHERWATCH_ES_URL, or one of their own. It is nil, and why says why,
// where there is no Java.
var (
	url  string
	node *esnode.Node
	why  error
)

func TestMain(m *testing.M) {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "voucherwatch-elastic-")
	if err == nil {
		if why = esnode.Prepare(ctx, javanode.Dir()); why == nil {
			node, why = esnode.Start(ctx, javanode.Dir(), home, 0)
		}
	}
	if node != nil {
		url = node.URL
	}
	code := m.Run()
	if node != nil {
		_ = node.Kill()
	}
	_ = os.RemoveAll(home)
	os.Exit(code)
}

// wait pauses for real: the node is real.
func wait(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return ctx.Err()
}

func needNode(t testing.TB) {
	t.Helper()
	if why != nil {
		t.Skipf("no Elasticsearch node: %v", why)
	}
}

// open opens the indices that belong to a directory, and makes them.
func open(t testing.TB, dir string) *elastic.Store {
	t.Helper()
	needNode(t)
	h := fnv.New64a()
	_, _ = h.Write([]byte(dir))
	s, err := elastic.Open(elastic.Options{URLs: []string{url}, Prefix: fmt.Sprintf("t%x", h.Sum64()), Patience: 5 * time.Minute, Wait: wait})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	needNode(t)
	casetest.RunArchive(t, func(t testing.TB, dir string) cases.Archive { return open(t, dir) })
}
