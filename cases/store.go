package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	vw "voucherwatch"
)

// Store keeps findings and cases. The unit of atomicity is one document, a finding or a case, so that
// a search index can be a Store too:
//
//   - Put writes the findings first, each by itself, and the case last. A reader sees each of them
//     wholly or not at all. When Put fails, any of the findings may have been written, the case not;
//     after vw.Unavailable the case may have been written too, and repeating the Put tells (Conflict).
//     A store with transactions may do more, and nobody may rely on it.
//   - A finding with a revision not above the stored one leaves the stored one as it is. It is filed
//     under the write's docket all the same; no write takes it out of a docket.
//   - A case is written when its Revision is exactly one above the stored one (1 for a new case), else
//     the error is vw.Conflict: read again and decide again.
//   - A read sees every Put that had returned when it began, whoever made it.
//
// Calls block until the result is durable (for stores that persist) or ctx ends. All methods are safe
// for concurrent use. Put keeps no reference to its argument; what a read returns is read-only, nested
// slices may be shared, and nil and empty slices are not told apart.
//
// Errors are *vw.Error: Invalid (see Write.Check and Filter.Check; also what JSON cannot hold), NotFound,
// Conflict, Unavailable (full, busy, unreachable, ctx ended: retry), Internal.
type Store interface {
	Put(ctx context.Context, w Write) error
	// Case finds a case by id, or vw.NotFound.
	Case(ctx context.Context, id string) (vw.Case, error)
	// Findings finds findings by id, in the order asked for: those of a case are
	// Findings(ctx, c.FindingIDs...). An unknown id is vw.NotFound.
	Findings(ctx context.Context, ids ...string) ([]vw.Finding, error)
	// Docket is what was filed under a docket, by finding id; an unknown docket is empty.
	Docket(ctx context.Context, docket string) ([]vw.Finding, error)
	// Dockets are the dockets that a finding was filed under, in byte order; none for an unknown id.
	Dockets(ctx context.Context, findingID string) ([]string, error)
	// List is one page of the cases that match, by score descending, then id in byte order. Following
	// the cursors visits once each case that matched throughout and kept its score; what is written
	// meanwhile may or may not be seen.
	List(ctx context.Context, f Filter) (Page, error)
}

// Write is what one Put does: file the findings under the docket, then write the case, if any.
type Write struct {
	// Docket gathers the findings of one subject, with a case or not yet: the id of the subject's first
	// case. Required with findings.
	Docket   string
	Findings []vw.Finding
	Case     *vw.Case
}

// Check is vw.Invalid for a write that no store accepts: an id that is empty or not UTF-8, a revision
// below 1, a score outside 0–1000, an unknown status.
func (w *Write) Check() error {
	var errs []error
	need := func(ok bool, what, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", what, rule))
		}
	}
	id := func(s string) bool { return s != "" && utf8.ValidString(s) }
	need(len(w.Findings) == 0 || id(w.Docket), "docket", "must be non-empty UTF-8")
	for i := range w.Findings {
		f := &w.Findings[i]
		need(id(f.FindingID), fmt.Sprintf("findings[%d].finding_id", i), "must be non-empty UTF-8")
		need(f.Revision >= 1, fmt.Sprintf("findings[%d].revision", i), "must be at least 1")
		need(f.Score >= 0 && f.Score <= 1000, fmt.Sprintf("findings[%d].score", i), "must be 0 to 1000")
	}
	if c := w.Case; c != nil {
		need(id(c.CaseID), "case.case_id", "must be non-empty UTF-8")
		need(c.Revision >= 1, "case.revision", "must be at least 1")
		need(c.Score >= 0 && c.Score <= 1000, "case.score", "must be 0 to 1000")
		need(knownStatus(c.Status), "case.status", "must be open, in_review or closed")
	}
	return invalid("cases.Put", errs)
}

// Filter chooses cases; a zero field does not choose.
type Filter struct {
	Status      string
	SubjectKind string
	SubjectID   string
	Typology    string
	MinScore    int
	Limit       int    // cases per page, at most 1000; 0 means 100
	Cursor      string // Page.Next of the page before; empty is the first page
}

// Page is a part of a list. Next is empty on the last page.
type Page struct {
	Cases []vw.Case
	Next  string
}

// Check fills in the limit and decodes the cursor: the page begins after the position, unless it is
// the zero Position. A filter no store accepts is vw.Invalid.
func (f *Filter) Check() (Position, error) {
	var errs []error
	if f.Limit == 0 {
		f.Limit = 100
	}
	if f.Limit < 1 || f.Limit > 1000 {
		errs = append(errs, errors.New("limit: must be 1 to 1000"))
	}
	if f.Status != "" && !knownStatus(f.Status) {
		errs = append(errs, errors.New("status: must be open, in_review or closed"))
	}
	if f.MinScore < 0 || f.MinScore > 1000 {
		errs = append(errs, errors.New("min_score: must be 0 to 1000"))
	}
	var after Position
	if f.Cursor != "" {
		var err error
		if after, err = ParseCursor(f.Cursor); err != nil {
			errs = append(errs, err)
		}
	}
	return after, invalid("cases.List", errs)
}

// match says whether a case is chosen, the cursor apart.
func (f *Filter) match(c *vw.Case) bool {
	return (f.Status == "" || c.Status == f.Status) &&
		(f.SubjectKind == "" || c.Subject.Kind == f.SubjectKind) &&
		(f.SubjectID == "" || c.Subject.ID == f.SubjectID) &&
		(f.Typology == "" || slices.Contains(c.Typologies, f.Typology)) &&
		c.Score >= f.MinScore
}

// byScore is the order of lists.
func byScore(a, b *vw.Case) int {
	return cmp.Or(b.Score-a.Score, cmp.Compare(a.CaseID, b.CaseID))
}

// Paged cuts what was found to a page. The store reads one case more than the limit, so that the last
// page is known to be the last.
func Paged(found []vw.Case, limit int) Page {
	if len(found) <= limit {
		return Page{Cases: found}
	}
	last := &found[limit-1]
	return Page{Cases: found[:limit], Next: Position{last.Score, last.CaseID}.Cursor()}
}

func knownStatus(s string) bool { return s == Open || s == InReview || s == Closed }

func invalid(op string, errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return &vw.Error{Op: op, Code: vw.Invalid, Err: errors.Join(errs...)}
}
