// Package cases turns findings into the cases that people work on, and keeps both.
//
// Desk groups findings by subject and decides when a case opens, grows, is reopened or begins anew;
// Store is where findings and cases live: Memory here, a file in cases/sqlite. WriteList and WriteCase
// print them for a terminal. In: vw.Finding and event time. Out: vw.Case.
//
// It does not score, route alerts or know the investigation workflow (assignment, approvals, measures):
// a status other than open is set by others through Store and respected here. It never reads a clock:
// the same findings at the same event times give the same cases, byte for byte.
package cases

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	vw "voucherwatch"
)

// The statuses of a case.
const (
	Open     = "open"
	InReview = "in_review"
	Closed   = "closed"
)

// What a timeline entry of the Desk says. WasClosed is written by whoever closes a case; the Desk
// reads the moment of closing from the last of them.
const (
	WasOpened   = "opened"
	WasAttached = "attached"
	WasRevised  = "revised"
	WasReopened = "reopened"
	WasAsked    = "reopen_asked" // graver evidence about a closed case: people decide, see Options.AskToReopen
	WasClosed   = "closed"
)

// SubjectOf is whom a finding is filed under: the merchant when it touches exactly one, otherwise the
// finding's own subject.
func SubjectOf(f *vw.Finding) vw.Subject {
	if len(f.MerchantIDs) == 1 {
		return vw.Subject{Kind: "merchant", ID: f.MerchantIDs[0]}
	}
	return f.Subject
}

// CaseID names a subject's case in a campaign: "case-" and the first 12 hex digits of the SHA-256 of
// campaign, kind, id, with and generation, each as its length in bytes, a colon and its bytes.
// Generation counts from 1. Among 10,000 cases two share an id with a chance of 2 in 10 million; the
// Desk refuses to mix them.
func CaseID(campaign string, s vw.Subject, generation int) string {
	h := sha256.New()
	for _, part := range []string{campaign, s.Kind, s.ID, s.With, fmt.Sprint(generation)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return "case-" + hex.EncodeToString(h.Sum(nil))[:12]
}
