package voucherwatch

import "errors"

// Code says what a caller may do about an error. It is a metric label, an HTTP status and an exit
// code, so the set is closed.
type Code string

const (
	Internal    Code = "internal"    // a bug or broken state: report it
	Invalid     Code = "invalid"     // the input will never be accepted: correct or dead-letter it
	Conflict    Code = "conflict"    // someone wrote first: read again, then retry
	Forbidden   Code = "forbidden"   // this person may not: someone else must
	NotFound    Code = "not_found"   // there is no such thing
	Unavailable Code = "unavailable" // a dependency is down or full: retry with back-off
)

// Error crosses package borders. Op is package and method ("ingest.Append"), never data; Hint tells
// the operator what to do.
type Error struct {
	Op   string
	Code Code
	Hint string
	Err  error
}

func (e *Error) Error() string {
	s := e.Op + ": " + e.Err.Error()
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of the outermost Error in the chain: Internal when there is none, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
