package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/klauspost/compress/zstd"
)

// readBody fills buf with the unpacked body, whole lines of at most limit bytes, and counts those that
// are not blank. Errors are problems.
func readBody(buf *bytes.Buffer, w http.ResponseWriter, r *http.Request, limit int64) (lines int, err error) {
	buf.Reset()
	// Reading to the end of the request, not only of the packed stream, finds a client that went away.
	sent := http.MaxBytesReader(w, r.Body, limit)
	body := io.Reader(sent)
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
		buf.Grow(int(max(r.ContentLength, 0)) + 1) // and the newline
	case "gzip":
		z, err := gzip.NewReader(sent)
		if err != nil {
			return 0, bodyProblem(err)
		}
		body = z
	case "zstd":
		z, err := zstd.NewReader(sent, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return 0, bodyProblem(err)
		}
		defer z.Close()
		body = z
	default:
		return 0, rejectEncoding
	}
	if _, err := buf.ReadFrom(io.LimitReader(body, limit+1)); err != nil {
		return 0, bodyProblem(err)
	}
	if int64(buf.Len()) > limit {
		return 0, rejectLarge
	}
	if b := buf.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
		buf.WriteByte('\n')
	}
	for line := range bytes.Lines(buf.Bytes()) {
		if len(bytes.TrimSpace(line)) > 0 {
			lines++
		}
	}
	if lines == 0 {
		return 0, rejectEmpty
	}
	return lines, nil
}

func bodyProblem(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return rejectLarge
	}
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return rejectLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return rejectSlow
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return rejectTruncated
	}
	return rejectMalformed
}
