package cases

import (
	"github.com/go-json-experiment/json/jsontext"
)

// The kinds of messages. Each names a port of the building.
const (
	AuditMessage   = "audit"   // a line of the audit log
	NotifyMessage  = "notify"  // tell people of the office
	StopMessage    = "stop"    // stop or release a merchant's redemptions
	MeasureMessage = "measure" // a measure is ordered, ended or handed over
	ListMessage    = "list"    // an entry is published, marked, repaired or withdrawn
	PartyMessage   = "party"   // tell the merchant or person concerned
	VerdictMessage = "verdict" // a verdict event for the stream
)

// Message is what must leave the building because of a transition: in the same document, written with
// it. It is delivered at least once, in order within a kind; its ID is a pure function of the case and the
// transition, so that the receiver can tell a repetition.
type Message struct {
	ID       string         `json:"id"` // case_id/revision/number
	Kind     string         `json:"kind"`
	At       string         `json:"at"`
	To       []string       `json:"to,omitempty"` // people, roles or agencies
	Body     jsontext.Value `json:"body"`         // canonical JSON
	Attempts int            `json:"attempts,omitempty"`
	Error    string         `json:"error,omitempty"` // why the last attempt failed
	// Failed: it will not be tried again without a person (see Office.Deliver).
	Failed bool `json:"failed,omitempty"`
}

// post puts a message into the outbox of the document that a move changes.
func (m *move) post(kind string, to []string, body any) error {
	b, err := Canonical(body)
	if err != nil {
		return err
	}
	m.posted++
	m.doc.Work.Outbox = append(m.doc.Work.Outbox, Message{
		ID:   m.doc.Case.CaseID + "/" + itoa(m.doc.Case.Revision+1) + "/" + itoa(m.posted),
		Kind: kind, At: stamp(m.now), To: to, Body: b})
	return nil
}

// Pending is how many messages of a document still have to leave.
func (w *Work) Pending() (n int) {
	for i := range w.Outbox {
		if !w.Outbox[i].Failed {
			n++
		}
	}
	return n
}
