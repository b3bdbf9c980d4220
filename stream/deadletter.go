package stream

import (
	"bytes"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
)

// maxRaw is how much of a record a dead letter keeps.
const maxRaw = 64 << 10

// NewDeadLetter makes a dead letter with a copy of the record, cut at 64 KiB. code is one of Codes.
func NewDeadLetter(source string, position int64, code, reason string, raw []byte) vw.DeadLetter {
	return vw.DeadLetter{Source: source, Position: position, Code: code, Reason: reason,
		Raw: bytes.Clone(raw[:min(len(raw), maxRaw)]), RawBytes: int64(len(raw))}
}

// DeadLetterWriter writes dead letters as NDJSON. It is not safe for concurrent use.
type DeadLetterWriter struct {
	w   io.Writer
	buf bytes.Buffer
}

// NewDeadLetterWriter writes to w, with one Write for each call of its own.
func NewDeadLetterWriter(w io.Writer) *DeadLetterWriter { return &DeadLetterWriter{w: w} }

// Write writes the letters, one line each. An error is the underlying writer's; then some of the
// letters may be missing. Bytes of a source's name that are not UTF-8 are written as U+FFFD.
func (w *DeadLetterWriter) Write(letters []vw.DeadLetter) error {
	w.buf.Reset()
	for i := range letters {
		if err := json.MarshalWrite(&w.buf, &letters[i], jsontext.AllowInvalidUTF8(true)); err != nil {
			return &vw.Error{Op: "stream.DeadLetterWriter.Write", Code: vw.Internal, Err: err}
		}
		w.buf.WriteByte('\n')
	}
	if _, err := w.w.Write(w.buf.Bytes()); err != nil {
		return &vw.Error{Op: "stream.DeadLetterWriter.Write", Code: vw.Unavailable, Hint: "check the disk that the dead letters go to", Err: err}
	}
	return nil
}
