package cases

import (
	"context"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
)

// Archive is a Store that people work on: everything that is kept of cases. What Store says of calls,
// errors, durability and concurrent use holds for all of it; the unit of atomicity stays one document.
//
// Put of a case keeps the work that people did in it: the Desk writes what was found, PutDocument both.
type Archive interface {
	Store
	Documents
	AlertStore
	AuditLog
	Records
}

// Documents are cases with the work in them.
type Documents interface {
	// Document is a case with its work, or vw.NotFound.
	Document(ctx context.Context, id string) (Document, error)
	// PutDocument writes a document whole when Case.Revision is exactly one above the stored one (1 for a new
	// case), else vw.Conflict. What Document.Check refuses is vw.Invalid.
	PutDocument(ctx context.Context, d *Document) error
	// Search is one page of rows that match, with counts over all that match. Following the cursors visits
	// once each row that matched throughout and kept its sort key.
	Search(ctx context.Context, q Query) (Result, error)
}

// AlertStore keeps alerts.
type AlertStore interface {
	// PutAlerts writes alerts, each by itself when its Revision is exactly one above the stored one (1 for a
	// new alert). Stale are the indices of those that were not written because they were not. On an error
	// any of them may have been written; repeating it then reports those as stale.
	PutAlerts(ctx context.Context, alerts []Alert) (stale []int, err error)
	// Alerts finds alerts by id, in any order; unknown ids are left out.
	Alerts(ctx context.Context, ids ...string) ([]Alert, error)
}

// AuditLog is the append-only, hash-chained log (see Chain and Verify). Nothing of it is ever changed or removed
// by a call.
type AuditLog interface {
	// Append enters lines in order and returns the last one. Lines of other writers may stand between two calls,
	// not within one.
	Append(ctx context.Context, entries ...Entered) (Line, error)
	// Lines are at most n lines from a number on, as they are stored.
	Lines(ctx context.Context, from int64, n int) ([]string, error)
}

// Record is a small document of another kind: a user, a count of reveals, a saved view.
type Record struct {
	Kind     string
	ID       string
	Revision int
	Body     jsontext.Value
}

// Records keeps them, under the same rule of revisions as cases.
type Records interface {
	Record(ctx context.Context, kind, id string) (Record, error)
	PutRecord(ctx context.Context, r Record) error
	// Records are all of a kind, by id in byte order: for kinds of which there are few.
	Records(ctx context.Context, kind string) ([]Record, error)
}

// MaxDocument is the most bytes that a case may have as JSON: what is longer belongs into attachments.
const MaxDocument = 8 << 20

// Check is vw.Invalid for a document that no archive accepts.
func (d *Document) Check() error {
	w := Write{Case: &d.Case}
	if err := w.Check(); err != nil {
		return err
	}
	switch b, err := json.Marshal(d); {
	case err != nil:
		return &vw.Error{Op: "cases.PutDocument", Code: vw.Invalid, Err: err}
	case len(b) > MaxDocument:
		return refuse(vw.Invalid, "too_large", "案卷 %d 字节，上限 %d，请改用附件", "the case has %d bytes, the limit is %d: use attachments", len(b), MaxDocument)
	}
	return nil
}

// CheckAlerts is vw.Invalid for alerts that no archive accepts.
func CheckAlerts(alerts []Alert) error {
	for i := range alerts {
		a := &alerts[i]
		w := Write{Docket: "-", Findings: []vw.Finding{{FindingID: a.AlertID, Revision: a.Revision, Score: a.Score}}}
		if err := w.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Check is vw.Invalid for a record that no archive accepts.
func (r *Record) Check() error {
	w := Write{Docket: "-", Findings: []vw.Finding{{FindingID: r.ID, Revision: r.Revision}, {FindingID: r.Kind, Revision: r.Revision}}}
	if err := w.Check(); err != nil {
		return err
	}
	if !r.Body.IsValid() {
		return refuse(vw.Invalid, "body", "不是 JSON", "the body is not JSON")
	}
	return nil
}
