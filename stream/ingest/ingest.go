// Package ingest takes NDJSON batches over HTTP and answers only when they are durable.
//
// It is two things. A Log is an append-only file log, in segments, of accepted batches; it is read
// from the last committed position again after a crash. A Handler is POST /v1/events: it checks a
// bearer token, unpacks a body, appends it to the log, and answers 202 after the fsync, or 429 with
// Retry-After when the consumer is too far behind.
//
// What it is not: it does not parse events. A batch is bytes; a line that is not a JSON event, NUL
// bytes included, is stored like any other and becomes a dead letter when package stream decodes it.
// Nor does it deduplicate. A client that got no answer sends the batch again and a consumer that died
// before Commit reads it again, so events arrive at least once; downstream drops those with a
// (type, id) it has seen, which is what makes retrying safe.
//
// Data in: HTTP bodies, plain, gzip or zstd. Data out: Records in the order of acceptance, from
// Log.Read, each with the Position to Commit when its results are durable.
//
// No token and no body is ever logged.
package ingest

import (
	"errors"
	"fmt"
	"syscall"

	vw "voucherwatch"
)

// ErrBacklog is wrapped by the vw.Unavailable that Append gives when MaxBacklog bytes are waiting for
// the consumer.
var ErrBacklog = errors.New("the consumer is too far behind")

// CorruptError says that bytes which were durable once are no longer what was written. What lies
// before Offset is intact. It comes wrapped in a vw.Error with code Internal and a hint.
type CorruptError struct {
	File   string // the damaged file
	Offset int64  // of the first record that is damaged, in bytes
	Reason string
	// Next is the first intact record after the damage in the same file, the zero Position if there is
	// none. The sequence numbers from the damaged one to Next's are the batches lost.
	Next Position
}

func (e *CorruptError) Error() string {
	s := fmt.Sprintf("%s is damaged at offset %d: %s", e.File, e.Offset, e.Reason)
	if e.Next != (Position{}) {
		s += fmt.Sprintf("; the next intact record is %v", e.Next)
	}
	return s
}

const hintCorrupt = "restore the file from a copy; or write the intact records out with Salvage, move the folder away, start with an empty one and post them again"

func corrupt(op string, e *CorruptError) error {
	return &vw.Error{Op: op, Code: vw.Internal, Hint: hintCorrupt, Err: e}
}

func unavailable(op string, err error) error {
	hint := "see the error; the log tries again at the next call"
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		hint = "free space on the volume of the ingest folder; the log goes on by itself"
	}
	return &vw.Error{Op: op, Code: vw.Unavailable, Hint: hint, Err: err}
}
