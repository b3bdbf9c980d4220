// Command benchcases measures an archive of cases at size: how fast alerts go in, beside a bare bulk loop, and how long
// a page of the queue takes, with filter, order and counts, while cases are being written. Elasticsearch and SQLite, one after the
// other, on the same documents.
//
// In: sizes as flags. Out: a table. It starts a node of its own unless --url names one, and leaves nothing behind.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"voucherwatch/cases"
	"voucherwatch/cases/elastic"
	"voucherwatch/cases/sqlite"
	"voucherwatch/internal/javanode"
	"voucherwatch/test/esnode"

	vw "voucherwatch"
)

type size struct {
	alerts, cases, rate, pages int
}

func main() {
	var s size
	var url string
	flag.IntVar(&s.alerts, "alerts", 1_000_000, "alerts indexed before the queue is looked at")
	flag.IntVar(&s.cases, "cases", 100_000, "cases indexed before")
	flag.IntVar(&s.rate, "rate", 500, "cases written a second meanwhile")
	flag.IntVar(&s.pages, "pages", 200, "pages looked at")
	flag.StringVar(&url, "url", "", "an Elasticsearch; none: one is started")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx, s, url); err != nil {
		fmt.Fprintln(os.Stderr, "benchcases:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, s size, url string) error {
	dir, err := os.MkdirTemp("", "benchcases-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if url == "" {
		if err := esnode.Prepare(ctx, javanode.Dir()); err != nil {
			return err
		}
		node, err := esnode.Start(ctx, javanode.Dir(), filepath.Join(dir, "node"), 0)
		if err != nil {
			return err
		}
		defer func() { _ = node.Kill() }()
		url = node.URL
	}
	fmt.Printf("%d alerts, %d cases; %d pages while %d cases/s are written\n", s.alerts, s.cases, s.pages, s.rate)
	es, err := elastic.Open(elastic.Options{URLs: []string{url}, Prefix: "bench", Patience: time.Minute, Wait: wait})
	if err != nil {
		return err
	}
	if err := es.Create(ctx); err != nil {
		return err
	}
	// Twice: the first time a node is still warming up.
	var bare float64
	for range 2 {
		if bare, err = bareLoop(ctx, url, min(s.alerts, 50_000)); err != nil {
			return err
		}
	}
	rate, err := measure(ctx, "elasticsearch", es, s)
	if err != nil {
		return err
	}
	fmt.Printf("  bare bulk loop %.0f documents/s; ours is %.2f of it\n", bare, rate/bare)
	q, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "cases.db")})
	if err != nil {
		return err
	}
	_, err = measure(ctx, "sqlite", q, s)
	return errors.Join(err, q.Close(), es.Close())
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var start = time.Date(2022, 9, 20, 10, 0, 0, 0, cases.Zone)

// alert is the i-th of a campaign: mostly low, in few hands, a third of them looked at.
func alert(i int) cases.Alert {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	typologies := []string{"T01", "T02", "T04", "T05", "T10", "T16", "P01"}
	a := cases.Alert{AlertID: fmt.Sprintf("f%016x", r.Uint64()), Campaign: "bench", Subject: vw.Subject{Kind: "merchant", ID: fmt.Sprint("M", r.IntN(3000))},
		Typology: typologies[r.IntN(len(typologies))], Rules: []string{"split.session"}, Score: int(r.ExpFloat64()*200) % 1000, Severity: []vw.Severity{"low", "low", "medium", "high"}[r.IntN(4)],
		SubsidyFen: vw.Fen(r.IntN(50_000)), At: start.Add(time.Duration(i) * time.Second).Format(time.RFC3339), Finding: 1, State: []cases.State{cases.AlertNew, cases.AlertNew, cases.AlertDismissed, cases.AlertAttached}[r.IntN(4)],
		By: []string{"", "li", "wang", "zhao"}[r.IntN(4)], Revision: 1}
	a.LastAt, a.Group = a.At, "merchant/"+a.Subject.ID+"//"+a.Typology
	return a
}

func document(i int) cases.Document {
	r := rand.New(rand.NewPCG(2, uint64(i)))
	at := start.Add(time.Duration(i) * time.Second).Format(time.RFC3339)
	c := vw.Case{CaseID: fmt.Sprintf("case-%09d", i), Campaign: "bench", Subject: vw.Subject{Kind: "merchant", ID: fmt.Sprint("M", r.IntN(3000))}, Status: cases.Open,
		Typologies: []string{[]string{"T01", "T04", "T10"}[r.IntN(3)]}, Agencies: []string{"GX"}, Score: 600 + r.IntN(400), Severity: "high", SubsidyFen: vw.Fen(r.IntN(500_000)),
		FindingIDs: []string{fmt.Sprint("f", i)}, OpenedAt: at, UpdatedAt: at, DueAt: at, Revision: 1,
		Timeline: []vw.TimelineEntry{{At: at, Who: "system", What: "opened", Text: vw.Bilingual{Zh: "因线索立案待核查；立案线为 600 分。分单交易", En: "Opened for a finding; a case opens at 600."}}}}
	return cases.Document{Case: c}
}

// bareLoop is the fastest that a plain loop of bulk requests puts the same bytes in.
func bareLoop(ctx context.Context, url string, n int) (float64, error) {
	send := func(method, path string, body []byte) error {
		req, err := http.NewRequestWithContext(ctx, method, url+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		if path == "/bare" {
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode >= 300 {
			return fmt.Errorf("%s %s: %d %w", method, path, res.StatusCode, err)
		}
		return nil
	}
	if err := send("PUT", "/bare", []byte(`{"settings":{"number_of_shards":1,"number_of_replicas":0,"refresh_interval":"30s"},"mappings":{"dynamic":"strict","properties":{
		"id":{"type":"keyword"},"state":{"type":"keyword"},"typologies":{"type":"keyword"},"severity":{"type":"keyword"},"assignee":{"type":"keyword"},"subject":{"type":"keyword"},
		"track":{"type":"keyword"},"case_id":{"type":"keyword"},"pending":{"type":"long"},"revision":{"type":"long"},
		"score":{"type":"long"},"subsidy":{"type":"long"},"at":{"type":"long"},"due":{"type":"long"},"document":{"type":"object","enabled":false}}}}`)); err != nil {
		return 0, err
	}
	var took time.Duration
	for from := 0; from < n; from += 1000 {
		var b bytes.Buffer
		for i := from; i < min(from+1000, n); i++ {
			a := alert(i)
			r := a.Row()
			doc, err := json.Marshal(map[string]any{"id": a.AlertID, "state": a.State, "typologies": a.Typology, "severity": a.Severity, "assignee": a.By, "subject": a.Subject.ID,
				"track": "", "case_id": "", "pending": 0, "revision": 1, "score": a.Score, "subsidy": a.SubsidyFen, "at": r.AtKey(), "due": r.DueKey(), "document": a})
			if err != nil {
				return 0, err
			}
			fmt.Fprintf(&b, "{\"create\":{\"_index\":\"bare\",\"_id\":%q}}\n%s\n", a.AlertID, doc)
		}
		began := time.Now() // making the bytes is not the loop's
		if err := send("POST", "/_bulk", b.Bytes()); err != nil {
			return 0, err
		}
		took += time.Since(began)
	}
	return float64(n) / took.Seconds(), send("DELETE", "/bare", nil)
}

func measure(ctx context.Context, name string, s cases.Archive, z size) (rate float64, err error) {
	var took time.Duration
	for from := 0; from < z.alerts; from += 5000 {
		var batch []cases.Alert
		for i := from; i < min(from+5000, z.alerts); i++ {
			batch = append(batch, alert(i))
		}
		began := time.Now()
		if late, err := s.PutAlerts(ctx, batch); err != nil || len(late) > 0 {
			return 0, errors.Join(err, fmt.Errorf("%d stale", len(late)))
		}
		took += time.Since(began)
	}
	rate = float64(z.alerts) / took.Seconds()
	began := time.Now()
	if err := write(ctx, s, 0, z.cases, 0, nil); err != nil {
		return 0, err
	}
	fmt.Printf("%s\n  alerts in: %.0f/s; cases in, one write each: %.0f/s\n", name, rate, float64(z.cases)/time.Since(began).Seconds())
	for _, busy := range []bool{false, true} {
		writing, stop := context.WithCancel(ctx)
		var written atomic.Int64
		var wg sync.WaitGroup
		var failed error
		if busy {
			wg.Go(func() {
				if err := write(writing, s, z.cases, 1<<30, z.rate, &written); err != nil && writing.Err() == nil {
					failed = err
				}
			})
		}
		began = time.Now()
		took, err := look(ctx, s, z.pages)
		elapsed := time.Since(began)
		stop()
		wg.Wait()
		if err := errors.Join(err, failed); err != nil {
			return 0, err
		}
		what := "at rest"
		if busy {
			what = fmt.Sprintf("while %.0f cases/s are written", float64(written.Load())/elapsed.Seconds())
		}
		fmt.Printf("  page of the queue %s: p50 %v, p95 %v, most %v\n", what, took[len(took)/2].Round(time.Millisecond), took[len(took)*95/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
		z.cases += int(written.Load())
	}
	return rate, nil
}

// write writes new cases by 8 writers, so many a second; 0: as fast as it goes.
func write(ctx context.Context, s cases.Archive, from, to, rate int, written *atomic.Int64) error {
	next := make(chan int)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := range next {
				d := document(i)
				if err := s.PutDocument(ctx, &d); err != nil {
					errs[w] = err
					continue
				}
				if written != nil {
					written.Add(1)
				}
			}
		})
	}
	began := time.Now()
	for i := from; i < to && ctx.Err() == nil; i++ {
		if rate > 0 {
			if ahead := time.Duration(i-from)*time.Second/time.Duration(rate) - time.Since(began); ahead > 0 {
				if wait(ctx, ahead) != nil {
					break
				}
			}
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

// look takes pages as people do: alerts and cases by turns, filtered, sorted, with the counts beside them.
func look(ctx context.Context, s cases.Archive, n int) (took []time.Duration, err error) {
	for i := range n {
		q := cases.Query{Kind: cases.AlertRow, States: []cases.State{cases.AlertNew}, MinScore: i % 5 * 100, Sort: []string{"score", "subsidy", "at"}[i%3], Limit: 50, Count: []string{"typology", "severity"}}
		if i%2 == 1 {
			q = cases.Query{Kind: cases.CaseRow, States: []cases.State{cases.Suspicion, cases.Investigating}, Typology: []string{"", "T04"}[i/2%2], Sort: []string{"score", "due"}[i/4%2], Limit: 50, Count: []string{"state", "severity"}}
		}
		began := time.Now()
		page, err := s.Search(ctx, q)
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		if len(page.Rows) == 0 {
			return nil, errors.New("an empty page: nothing was measured")
		}
	}
	slices.Sort(took)
	return took, nil
}
