package ingest

import (
	"fmt"
	"net/http"
)

// reject is why a request is not accepted: a closed set, the metric label and the end of the
// problem's type.
type reject string

const (
	rejectMethod      reject = "method"
	rejectNoToken     reject = "no_token"
	rejectToken       reject = "wrong_token"
	rejectType        reject = "media_type"
	rejectEncoding    reject = "encoding"
	rejectEmpty       reject = "empty"
	rejectLarge       reject = "too_large"
	rejectTruncated   reject = "truncated"
	rejectMalformed   reject = "malformed"
	rejectSlow        reject = "slow"
	rejectBusy        reject = "busy"
	rejectBacklog     reject = "backlog"
	rejectFull        reject = "disk_full"
	rejectUnavailable reject = "unavailable"
)

func (r reject) Error() string { return string(r) }

// problem is an RFC 9457 answer.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Hint   string `json:"hint"`
}

// problem is what the client is told, and sets the headers that belong to it.
func (r reject) problem(h http.Header, maxBody int64) problem {
	again := func(seconds string) string {
		h.Set("Retry-After", seconds)
		return "keep the batch and send it again after Retry-After"
	}
	p := func(status int, detail, hint string) problem {
		return problem{"urn:voucherwatch:ingest:" + string(r), http.StatusText(status), status, detail, hint}
	}
	switch r {
	case rejectMethod:
		h.Set("Allow", "POST")
		return p(405, "events are sent with POST", "send the batch with POST")
	case rejectNoToken:
		h.Set("WWW-Authenticate", `Bearer realm="voucherwatch"`)
		return p(401, "the request has no bearer token", "send the header Authorization: Bearer with the token you were given")
	case rejectToken:
		h.Set("WWW-Authenticate", `Bearer realm="voucherwatch", error="invalid_token"`)
		return p(401, "the bearer token is not known", "it may have been rotated: ask the operator for the present one")
	case rejectType:
		h.Set("Accept", "application/x-ndjson, application/json, text/plain")
		return p(415, "the content type is not one of NDJSON", "send application/x-ndjson, one JSON event per line")
	case rejectEncoding:
		h.Set("Accept-Encoding", "gzip, zstd")
		return p(415, "the content encoding is not supported", "send the body as it is, or with Content-Encoding gzip or zstd")
	case rejectEmpty:
		return p(400, "the body has no line", "send at least one event")
	case rejectLarge:
		return p(413, fmt.Sprintf("the body has more than %d bytes, as sent or unpacked", maxBody), "split the batch")
	case rejectTruncated:
		return p(400, "the body ended early", "nothing was stored: send the batch again")
	case rejectMalformed:
		return p(400, "the body cannot be read or unpacked", "nothing was stored: check the Content-Encoding")
	case rejectSlow:
		return p(408, "the body did not arrive in time", "nothing was stored: send smaller batches")
	case rejectBusy:
		return p(429, "there are too many requests at once", again("1")+", on fewer connections")
	case rejectBacklog:
		return p(429, "the detectors are behind and the log is full", again("5"))
	case rejectFull:
		return p(507, "the disk of the log is full", again("30")+"; the operator must free space")
	}
	return p(503, "the log cannot be written", again("10"))
}
