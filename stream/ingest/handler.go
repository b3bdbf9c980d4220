package ingest

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	vw "voucherwatch"
)

// HandlerOptions are those of NewHandler. Log and Tokens are required.
type HandlerOptions struct {
	Log *Log
	// Tokens are the bearer tokens that may post, each at least 16 characters; several at once make a
	// rotation. They come from the environment or a file, never from a flag.
	Tokens []string
	// MaxBody is the most bytes of a body, as sent and as unpacked; default 8 MiB.
	MaxBody int64
	// MaxConcurrent is the most requests past authentication at once; default 16. Times MaxBody (and
	// twice that while a buffer grows) it bounds the memory.
	MaxConcurrent int
	// ReadTimeout is the time a client has for its body, so that slow ones cannot hold every place;
	// default 30 s. It needs a net/http server's connection.
	ReadTimeout time.Duration
	Metrics     prometheus.Registerer // may be nil
	Logger      *slog.Logger          // default discards
}

// Handler is POST /v1/events; mount it there. It answers
//
//	202 {"accepted_lines":n,"position":"…"}  the batch is durable; n counts lines that are not blank
//	400, 401, 405, 408, 413, 415             the request will not do; nothing was stored
//	429, 503, 507                            send the same batch again after Retry-After
//
// and every error as application/problem+json (RFC 9457) with a hint. The body is NDJSON, one event
// per line, whatever of application/x-ndjson, application/json and text/plain it is called; gzip and
// zstd are unpacked. A body that does not arrive whole is not stored.
//
// A batch may be sent any number of times: events are deduplicated downstream by (type, id). A client
// that got no answer should send it again.
type Handler struct {
	opts    HandlerOptions
	tokens  [][sha256.Size]byte
	buffers chan *bytes.Buffer // one per place; a request holds one while it is served

	batches, bytes prometheus.Counter
	rejected       *prometheus.CounterVec
}

var _ http.Handler = (*Handler)(nil)

// NewHandler checks the options; a vw.Invalid error lists all faults.
func NewHandler(opts HandlerOptions) (*Handler, error) {
	if opts.MaxBody == 0 {
		opts.MaxBody = 8 << 20
	}
	if opts.MaxConcurrent == 0 {
		opts.MaxConcurrent = 16
	}
	if opts.ReadTimeout == 0 {
		opts.ReadTimeout = 30 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(opts.Log != nil, "log", "is required")
	need(len(opts.Tokens) > 0, "tokens", "at least one is required")
	need(!slices.ContainsFunc(opts.Tokens, func(t string) bool { return len(t) < 16 }), "tokens", "must have 16 characters or more")
	need(opts.MaxBody > 0 && opts.MaxBody < maxRecord/2, "max_body", "must be 1 byte to 512 MiB")
	need(opts.MaxConcurrent > 0, "max_concurrent", "must be positive")
	need(opts.ReadTimeout > 0, "read_timeout", "must be positive")
	if opts.Log != nil {
		_, limit := opts.Log.Backlog()
		need(opts.MaxBody+1+recordHeaderBytes <= limit, "max_body", "must fit the log's max_backlog")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &vw.Error{Op: "ingest.NewHandler", Code: vw.Invalid, Err: err}
	}
	h := &Handler{
		opts:    opts,
		buffers: make(chan *bytes.Buffer, opts.MaxConcurrent),
		batches: promauto.With(opts.Metrics).NewCounter(prometheus.CounterOpts{
			Name: "vw_ingest_batches_total", Help: "Batches made durable."}),
		bytes: promauto.With(opts.Metrics).NewCounter(prometheus.CounterOpts{
			Name: "vw_ingest_bytes_total", Help: "Bytes of the batches made durable, unpacked."}),
		rejected: promauto.With(opts.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "vw_ingest_rejected_total", Help: "Requests not accepted, by reason."}, []string{"reason"}),
	}
	for _, t := range opts.Tokens {
		h.tokens = append(h.tokens, sha256.Sum256([]byte(t)))
	}
	for range opts.MaxConcurrent {
		h.buffers <- new(bytes.Buffer)
	}
	return h, nil
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	lines, at, err := h.accept(w, r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	respond(w, http.StatusAccepted, "application/json", struct {
		AcceptedLines int      `json:"accepted_lines"`
		Position      Position `json:"position"`
	}{lines, at})
}

func (h *Handler) accept(w http.ResponseWriter, r *http.Request) (lines int, at Position, err error) {
	if r.Method != http.MethodPost {
		return 0, at, rejectMethod
	}
	switch given, err := bearer(r); {
	case err != nil:
		return 0, at, err
	case !h.known(given):
		return 0, at, rejectToken
	}
	if t := r.Header.Get("Content-Type"); t != "" {
		mt, _, err := mime.ParseMediaType(t)
		if err != nil || mt != "application/x-ndjson" && mt != "application/json" && mt != "text/plain" {
			return 0, at, rejectType
		}
	}
	if r.ContentLength > h.opts.MaxBody {
		return 0, at, rejectLarge
	}
	var buf *bytes.Buffer
	select {
	case buf = <-h.buffers:
	default:
		return 0, at, rejectBusy
	}
	defer func() {
		if buf.Cap() > 1<<20 {
			buf = new(bytes.Buffer) // a rare large body shall not hold memory for ever
		}
		h.buffers <- buf
	}()
	// Before a body is read that cannot be kept.
	if n, limit := h.opts.Log.Backlog(); n+max(r.ContentLength, 0)+recordHeaderBytes > limit {
		return 0, at, rejectBacklog
	}
	// A recorder in a test has no deadline to set; a server's connection always has.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.opts.ReadTimeout))
	if lines, err = readBody(buf, w, r, h.opts.MaxBody); err != nil {
		return 0, at, err
	}
	if at, err = h.opts.Log.Append(buf.Bytes()); err != nil {
		return 0, at, err
	}
	h.batches.Inc()
	h.bytes.Add(float64(buf.Len()))
	return lines, at, nil
}

func bearer(r *http.Request) (string, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", rejectNoToken
	}
	return strings.TrimSpace(token), nil
}

// known compares with every token, and hashes first, so that the time tells neither which token
// matched nor how long any is.
func (h *Handler) known(token string) bool {
	sum, found := sha256.Sum256([]byte(token)), 0
	for i := range h.tokens {
		found |= subtle.ConstantTimeCompare(sum[:], h.tokens[i][:])
	}
	return found == 1
}

// refuse answers an error. What the client sees is the reason's fixed text: an error of the log may
// name files.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	why, ok := errors.AsType[reject](err)
	if !ok {
		switch {
		case errors.Is(err, ErrBacklog):
			why = rejectBacklog
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
			why = rejectFull
		default:
			why = rejectUnavailable
		}
		if why != rejectBacklog {
			h.opts.Logger.ErrorContext(r.Context(), "batch not stored", "code", string(vw.CodeOf(err)), "err", err)
		}
	}
	h.rejected.WithLabelValues(string(why)).Inc()
	p := why.problem(w.Header(), h.opts.MaxBody)
	respond(w, p.Status, "application/problem+json", p)
}

func respond(w http.ResponseWriter, status int, contentType string, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // both bodies are plain structs
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that is gone sends the batch again
}
