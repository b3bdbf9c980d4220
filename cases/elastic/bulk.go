package elastic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
)

// item is one document to write. With create it must not exist; otherwise it replaces the version seq and term.
type item struct {
	index  string
	id     string
	create bool
	seq    int64
	term   int64
	body   []byte
	hash   string // of the content, also in the body: tells our own write from another's
	// over: write whatever is there, for copies of a migration
	over bool
}

const (
	bulkBytes = 5 << 20 // of one request: beyond it nothing gets faster
	bulkItems = 1000
)

// bulk writes items and returns one error for each: nil, or vw.Conflict when another version is there, or what the
// cluster has against it. Items that the cluster was too busy for are sent again until patience ends, then they are
// vw.Unavailable. Items go out in order, so several versions of one document must be in several calls.
func (s *Store) bulk(ctx context.Context, op string, items []item) []error {
	errs := make([]error, len(items))
	for from := 0; from < len(items); {
		to, size := from, 0
		for to < len(items) && to-from < bulkItems && (size == 0 || size+len(items[to].body) < bulkBytes) {
			size += len(items[to].body) + 200
			to++
		}
		s.some(ctx, op, items[from:to], errs[from:to])
		from = to
	}
	return errs
}

// some is bulk for what fits into one request.
func (s *Store) some(ctx context.Context, op string, items []item, errs []error) {
	left := make([]int, len(items))
	for i := range left {
		left[i] = i
	}
	unsure := make([]bool, len(items)) // sent, and nobody knows what became of it
	waited, pause := time.Duration(0), 20*time.Millisecond
	for {
		left = s.attempt(ctx, op, items, errs, left, unsure)
		if len(left) == 0 {
			return
		}
		if waited >= s.Patience || ctx.Err() != nil {
			return
		}
		if err := s.Wait(ctx, pause); err != nil {
			for _, i := range left {
				errs[i] = &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
			}
			return
		}
		waited += pause
		pause = min(2*pause, 2*time.Second)
	}
}

// attempt sends the items left and returns those to be sent again.
func (s *Store) attempt(ctx context.Context, op string, items []item, errs []error, left []int, unsure []bool) (again []int) {
	if cause := context.Cause(ctx); cause != nil {
		for _, i := range left {
			errs[i] = &vw.Error{Op: op, Code: vw.Unavailable, Err: cause}
		}
		return left
	}
	var body bytes.Buffer
	for _, i := range left {
		it := &items[i]
		switch { // ids and names of indices are ours: hex, letters, digits, dots and hyphens
		case it.create:
			fmt.Fprintf(&body, `{"create":{"_index":%q,"_id":%q%s}}`, it.index, it.id, s.alias(it.index))
		case it.over:
			fmt.Fprintf(&body, `{"index":{"_index":%q,"_id":%q}}`, it.index, it.id)
		default:
			fmt.Fprintf(&body, `{"index":{"_index":%q,"_id":%q,"if_seq_no":%d,"if_primary_term":%d%s}}`, it.index, it.id, it.seq, it.term, s.alias(it.index))
		}
		body.WriteByte('\n')
		body.Write(it.body)
		body.WriteByte('\n')
	}
	_, answer, err := s.once(ctx, op, "POST", "/_bulk?filter_path=items.*.status,items.*.error.type", body.Bytes())
	var out struct {
		Items []map[string]struct {
			Status int `json:"status"`
			Error  struct {
				Type string `json:"type"`
			} `json:"error"`
		} `json:"items"`
	}
	if err == nil {
		if err = json.Unmarshal(answer, &out); err == nil && len(out.Items) != len(left) {
			err = fmt.Errorf("%d answers for %d items", len(out.Items), len(left))
		}
		if err != nil {
			err = &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
		}
	}
	if err != nil {
		for _, i := range left {
			errs[i] = err
			unsure[i] = true
		}
		if vw.CodeOf(err) == vw.Unavailable {
			return left
		}
		return nil
	}
	for n, i := range left {
		for _, r := range out.Items[n] {
			switch {
			case r.Status < 300:
				errs[i] = nil
			case r.Status == 409 && unsure[i] && s.ours(ctx, op, &items[i]):
				errs[i] = nil // the attempt before was taken in after all
			default:
				errs[i] = classified(op, r.Status, r.Error.Type)
				if vw.CodeOf(errs[i]) == vw.Unavailable && !errors.Is(errs[i], errBlocked) {
					again = append(again, i)
				}
			}
		}
	}
	return again
}

// alias keeps a document from making an index of an alias's name when the alias is gone.
func (s *Store) alias(index string) string {
	if s.isAlias(index) {
		return `,"require_alias":true`
	}
	return ""
}

// ours tells whether the document that is stored is the one that was to be written.
func (s *Store) ours(ctx context.Context, op string, it *item) bool {
	got, err := s.get(ctx, op, it.index, it.id, "hash")
	return err == nil && got != nil && got.Source.Hash == it.hash
}

// write writes one document.
func (s *Store) write(ctx context.Context, op string, it item) error {
	return s.bulk(ctx, op, []item{it})[0]
}
