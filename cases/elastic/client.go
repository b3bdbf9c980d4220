// Package elastic keeps findings, cases and all that people do with them in Elasticsearch 8: the archive of an
// installation with more than one machine. In: cases.Archive's calls. Out: the same documents; what is searched by stands beside
// them in fields of a strict mapping, the documents themselves are not mapped.
//
// It uses no scripts and no update by query: a document is read, changed here and written back only over the
// version that was read (if_seq_no, if_primary_term). A call that the node does not answer is repeated for
// Options.Patience; a write of which nobody knows whether it was done is looked up before it is repeated. Reads by id see
// every write at once; lists refresh the index first, so they do too.
package elastic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// Options say where Elasticsearch is and how to get in. Secrets come from the environment or a file, never
// from a configuration that is shown.
type Options struct {
	URLs []string // of the nodes, http or https
	// APIKey as Elasticsearch gives it ("encoded"); or Username and Password. None: the cluster has no security.
	APIKey, Username, Password string
	CACert                     []byte // PEM, of a private authority; nil: the system's
	Prefix                     string // of the names of all indices; default "vw"
	Replicas                   int    // of each index; 0 for a single node
	// Patience is how long a call waits for a node that does not answer; 0: it does not. The sum of Wait's pauses
	// is what is counted.
	Patience time.Duration
	// Wait pauses, or returns ctx's error.
	Wait func(ctx context.Context, d time.Duration) error
	// Transport replaces the connection, in tests.
	Transport http.RoundTripper

	schema int // another version of the mappings, in tests
}

// Store is a connection to a cluster. It holds no state of cases.
type Store struct {
	Options
	client *elasticsearch.BaseClient

	mu        sync.Mutex
	refreshes map[string]*refresh
	months    map[string]bool // indices of findings known to exist
	audited   int64           // last line of the audit log known to be written
}

var _ cases.Archive = (*Store)(nil)

var prefixForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// Open checks the options; it does not connect. Indices are made by Create.
func Open(o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = "vw"
	}
	if o.schema == 0 {
		o.schema = schemaVersion
	}
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(len(o.URLs) > 0, "urls", "at least one is required")
	for _, s := range o.URLs {
		u, err := url.Parse(s)
		need(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "urls", "must be http:// or https:// with a host")
		need(err != nil || u.User == nil, "urls", "must not hold a password: set it by the environment")
		secret := o.APIKey != "" || o.Password != ""
		need(err != nil || u.Scheme == "https" || !secret || loopback(u.Hostname()), "urls", "must be https:// when a key or password is sent")
	}
	need(prefixForm.MatchString(o.Prefix), "prefix", "must be lower-case letters, digits and hyphens")
	need(o.Replicas >= 0 && o.Replicas <= 5, "replicas", "must be 0 to 5")
	need(o.APIKey == "" || o.Username == "", "api_key", "give either a key or a user")
	need(o.Patience == 0 || o.Wait != nil, "wait", "is required with patience")
	if len(errs) > 0 {
		return nil, &vw.Error{Op: "elastic.Open", Code: vw.Invalid, Err: errors.Join(errs...)}
	}
	transport := o.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost, t.ResponseHeaderTimeout = 64, 60*time.Second
		transport = t
	}
	client, err := elasticsearch.NewBaseClient(elasticsearch.Config{Addresses: o.URLs, APIKey: o.APIKey, Username: o.Username, Password: o.Password,
		CACert: o.CACert, Transport: transport, DisableRetry: true, DisableMetaHeader: true})
	if err != nil {
		return nil, &vw.Error{Op: "elastic.Open", Code: vw.Invalid, Err: err}
	}
	return &Store{Options: o, client: client, refreshes: map[string]*refresh{}, months: map[string]bool{}}, nil
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// Close lets go of the connections. What was acknowledged is kept by the cluster.
func (s *Store) Close() error {
	return s.client.Close(context.Background())
}

// once sends one request. A status of 400 and above is an error but for those in allow.
func (s *Store) once(ctx context.Context, op, method, path string, body []byte, allow ...int) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, &vw.Error{Op: op, Code: vw.Internal, Err: err}
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
		if strings.HasPrefix(path, "/_bulk") || strings.Contains(path, "/_bulk?") {
			req.Header.Set("Content-Type", "application/x-ndjson")
		}
	}
	res, err := s.client.Perform(req)
	if err != nil {
		return 0, nil, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "check that Elasticsearch runs and can be reached", Err: hide(err)}
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		return 0, nil, &vw.Error{Op: op, Code: vw.Unavailable, Err: hide(err)}
	}
	if res.StatusCode < 400 {
		return res.StatusCode, answer, nil
	}
	for _, a := range allow {
		if res.StatusCode == a {
			return res.StatusCode, answer, nil
		}
	}
	return res.StatusCode, answer, refusal(op, res.StatusCode, answer)
}

// hide takes the address and the user out of an error of the connection.
func hide(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// refusal is an answer of the cluster as an error. Its reason may quote the document: only its type is kept.
func refusal(op string, status int, answer []byte) error {
	var e struct {
		Error struct {
			Type      string `json:"type"`
			RootCause []struct {
				Type string `json:"type"`
			} `json:"root_cause"`
		} `json:"error"`
	}
	_ = json.Unmarshal(answer, &e)
	kind := e.Error.Type
	if len(e.Error.RootCause) > 0 {
		kind = e.Error.RootCause[0].Type
	}
	return classified(op, status, kind)
}

func classified(op string, status int, kind string) error {
	out := &vw.Error{Op: op, Code: vw.Internal, Err: fmt.Errorf("elasticsearch answered %d %s", status, kind)}
	switch {
	case status == 401 || status == 403 && kind == "security_exception":
		out.Code, out.Hint = vw.Invalid, "check the API key or the user and its rights on the indices"
	case status == 403: // a write block: a migration is under way, or the disk is full
		out.Err = errors.Join(errBlocked, out.Err)
		out.Code, out.Hint = vw.Unavailable, "the index is blocked for writes: a migration is under way, or the disk is full"
	case kind == "index_not_found_exception":
		out.Code, out.Hint = vw.Invalid, "make the indices first: voucherwatch index create"
	case status == 404:
		out.Code = vw.NotFound
	case status == 409:
		out.Code = vw.Conflict
	case status == 429 || status == 408 || status >= 502:
		out.Code, out.Hint = vw.Unavailable, "Elasticsearch is overloaded or starting"
	case status == 413:
		out.Code, out.Hint = vw.Invalid, "raise http.max_content_length, or make the documents smaller"
	case status == 400:
		out.Code, out.Hint = vw.Invalid, "if the mapping is the reason: voucherwatch index check"
	case status == 500:
		out.Code = vw.Unavailable // shards that are gone answer so while a node goes down
	}
	return out
}

// call sends a request that may be repeated, until it is answered or patience ends.
func (s *Store) call(ctx context.Context, op, method, path string, body []byte, allow ...int) (status int, answer []byte, err error) {
	err = s.patiently(ctx, op, func() error {
		status, answer, err = s.once(ctx, op, method, path, body, allow...)
		return err
	})
	return status, answer, err
}

// patiently repeats do while it is unavailable and patience lasts.
func (s *Store) patiently(ctx context.Context, op string, do func() error) error {
	waited, pause := time.Duration(0), 20*time.Millisecond
	for {
		if cause := context.Cause(ctx); cause != nil {
			return &vw.Error{Op: op, Code: vw.Unavailable, Err: cause}
		}
		err := do()
		if vw.CodeOf(err) != vw.Unavailable || waited >= s.Patience {
			return err
		}
		if cause := s.Wait(ctx, pause); cause != nil {
			return &vw.Error{Op: op, Code: vw.Unavailable, Err: errors.Join(cause, err)}
		}
		waited += pause
		pause = min(2*pause, 2*time.Second)
	}
}

// errBlocked: the index takes no writes for now. The write was surely not done, and its place may be another afterwards.
var errBlocked = errors.New("the index is blocked for writes")

// unblocked repeats do, from its reading on, while the index is blocked and patience lasts.
func (s *Store) unblocked(ctx context.Context, op string, do func() error) error {
	waited, pause := time.Duration(0), 50*time.Millisecond
	for {
		err := do()
		if !errors.Is(err, errBlocked) || waited >= s.Patience {
			return err
		}
		if cause := s.Wait(ctx, pause); cause != nil {
			return &vw.Error{Op: op, Code: vw.Unavailable, Err: errors.Join(cause, err)}
		}
		waited += pause
		pause = min(2*pause, 2*time.Second)
		s.mu.Lock()
		clear(s.months)
		s.mu.Unlock()
	}
}

// refresh is one refresh of an index that somebody waits for.
type refresh struct {
	done chan struct{}
	err  error
	next *refresh // begins after this one: for those who came while it ran
}

// fresh makes the index show every write that had returned before the call. Calls at the same time share
// refreshes: one that began after the call began is as good as one's own.
func (s *Store) fresh(ctx context.Context, op, index string) error {
	s.mu.Lock()
	running := s.refreshes[index]
	mine := running
	switch {
	case running == nil:
		mine = &refresh{done: make(chan struct{})}
		s.refreshes[index] = mine
		s.mu.Unlock()
		s.refresh(ctx, op, index, mine)
		return mine.err
	case running.next == nil:
		mine = &refresh{done: make(chan struct{})}
		running.next = mine
		s.mu.Unlock()
		select {
		case <-running.done: // then the index is mine to refresh
		case <-ctx.Done():
			// Somebody may count on mine: it is done all the same, by whoever ended last.
			<-running.done
		}
		s.refresh(ctx, op, index, mine)
		return mine.err
	default:
		mine = running.next
		s.mu.Unlock()
		select {
		case <-mine.done:
		case <-ctx.Done():
			return &vw.Error{Op: op, Code: vw.Unavailable, Err: context.Cause(ctx)}
		}
		if mine.err != nil && ctx.Err() == nil { // it may have been the other's context that ended
			_, _, err := s.call(ctx, op, "POST", "/"+index+"/_refresh", nil)
			return err
		}
		return mine.err
	}
}

func (s *Store) refresh(ctx context.Context, op, index string, r *refresh) {
	_, _, r.err = s.call(ctx, op, "POST", "/"+index+"/_refresh", nil)
	s.mu.Lock()
	s.refreshes[index] = r.next
	s.mu.Unlock()
	close(r.done)
}

// key is the _id of a document: ids are made by others and may be long, or hold what a bulk request cannot.
func key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// maxTerm is the longest text that is a term by itself; Lucene's limit is 32,766 bytes.
const maxTerm = 256

// term is a text as it is filtered by: itself, or what stands for a long one.
func term(text string) string {
	if len(text) <= maxTerm {
		return text
	}
	return "sha256:" + key(text)
}

// sortID is an id as lists are sorted by it: in byte order up to its first 8,000 bytes, ids that agree so far
// in any order that stays.
func sortID(id string) string {
	const most = 8000
	if len(id) <= most {
		return id
	}
	return strings.ToValidUTF8(id[:most], "") + "\U0010ffff" + key(id)
}
