//go:build integration

package app

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"voucherwatch/cases"
	"voucherwatch/internal/javanode"
	"voucherwatch/test/esnode"
)

// TestThePipelineWaitsForItsArchive serves with its cases in Elasticsearch, kills the node while events come in, and starts it
// again: events are taken in all the while, and in the end the cases are those of a replay.
func TestThePipelineWaitsForItsArchive(t *testing.T) {
	if err := esnode.Prepare(t.Context(), javanode.Dir()); err != nil {
		t.Skipf("no Elasticsearch node: %v", err)
	}
	node, err := esnode.Start(t.Context(), javanode.Dir(), filepath.Join(t.TempDir(), "node"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = node.Kill() }()
	store, err := OpenElastic(node.URL, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := serveOptions(dir)
	o.Cases = node.URL
	if err := Serve(t.Context(), o); err == nil || !strings.Contains(err.Error(), "index create") {
		t.Errorf("without indices it says %v", err)
	}
	if err := store.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	cut, whole := batches(t, world(t, 3, 12), 100)
	s := start(t, o)
	for i, batch := range cut {
		if i == len(cut)/2 {
			if err := node.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if status := post(s.url, token, batch); status != http.StatusAccepted {
			t.Fatalf("batch %d: status %d", i, status)
		}
	}
	if err := node.Again(context.Background()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Minute); ; <-time.After(50 * time.Millisecond) {
		if _, text := get(s.url + "/metrics"); strings.Contains(text, "\nvw_ingest_backlog_bytes 0\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it did not catch up")
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	sameIn(t, store, dir, whole)
	found, err := store.Search(t.Context(), cases.Query{Kind: cases.AlertRow, Count: []string{"state"}})
	if err != nil || found.Total == 0 || found.Counts["state"]["attached"] == 0 {
		t.Errorf("alerts: %+v, %v", found.Counts, err)
	}
	t.Logf("%d batches, alerts %v", len(cut), found.Counts["state"])
}
