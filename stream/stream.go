// Package stream turns bytes into events: it cuts files and other input into chunks of whole lines,
// decodes them in parallel and hands the batches on in the order of the input. What cannot be read
// becomes a dead letter with its source, position and reason.
//
// It judges nothing that another event is needed for: duplicates, unknown merchants and sums that do
// not add up are the detectors' business.
//
// In: the contract's events as NDJSON, plain, gzip or zstd. Out: vw.Batch.
package stream

// The codes of dead letters (vw.DeadLetter.Code). The set is closed: metrics and people count by it.
const (
	BadJSON            = "bad_json"             // not one JSON object: syntax, UTF-8, a name given twice, text after the end
	UnknownType        = "unknown_type"         // type is none of the nine
	MissingField       = "missing_field"        // a required field is absent, null, "" or []
	BadValue           = "bad_value"            // a value of the wrong kind, out of range or not one of the allowed words
	NegativeMoney      = "negative_money"       // an amount below zero
	UnknownVoucherType = "unknown_voucher_type" // voucher_type is not one of the campaign's
	BadTime            = "bad_time"             // not an RFC 3339 time with an offset, or before the year 2000
	FutureTime         = "future_time"          // a time more than 24 hours from now
	TooLong            = "too_long"             // a line longer than the limit; the record was not looked at
	TruncatedInput     = "truncated_input"      // the input broke off or is corrupt from here on
)

// Codes are all of them.
var Codes = [...]string{BadJSON, UnknownType, MissingField, BadValue, NegativeMoney, UnknownVoucherType, BadTime, FutureTime, TooLong, TruncatedInput}
