package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/cases"
	"voucherwatch/internal/sqlitefile"
)

// Put is one transaction: all of it is written, or nothing.
func (s *Store) Put(ctx context.Context, w cases.Write) error {
	const op = "sqlite.Put"
	if err := w.Check(); err != nil {
		return err
	}
	// Encoded before the lock is taken: a document that JSON cannot hold costs nobody time.
	findings := make([]string, len(w.Findings))
	for i := range w.Findings {
		b, err := json.Marshal(&w.Findings[i])
		if err != nil {
			return &vw.Error{Op: op, Code: vw.Invalid, Err: err}
		}
		findings[i] = string(b)
	}
	var document []byte
	if w.Case != nil {
		var err error
		if document, err = json.Marshal(w.Case); err != nil {
			return &vw.Error{Op: op, Code: vw.Invalid, Err: err}
		}
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return sqlitefile.Explain(op, err)
	}
	defer tx.Rollback() // after Commit it does nothing
	put, file := tx.StmtContext(ctx, s.putFinding), tx.StmtContext(ctx, s.fileFinding)
	for i := range w.Findings {
		f := &w.Findings[i]
		if _, err := put.ExecContext(ctx, f.FindingID, f.Revision, findings[i]); err != nil {
			return sqlitefile.Explain(op, err)
		}
		if _, err := file.ExecContext(ctx, w.Docket, f.FindingID); err != nil {
			return sqlitefile.Explain(op, err)
		}
	}
	if w.Case != nil {
		if err := s.putCase(ctx, tx, w.Case, string(document), nil); err != nil {
			return sqlitefile.Explain(op, err)
		}
	}
	return sqlitefile.Explain(op, tx.Commit())
}

// putCase writes a case and what lists find it by. Work is what people did, as JSON; nil leaves it as it is.
func (s *Store) putCase(ctx context.Context, tx *sql.Tx, c *vw.Case, document string, work *cases.Work) error {
	var written any
	if work != nil {
		b, err := json.Marshal(work)
		if err != nil {
			return &vw.Error{Op: "sqlite.Put", Code: vw.Invalid, Err: err}
		}
		written = string(b)
	}
	statement := s.nextCase
	if c.Revision == 1 {
		statement = s.newCase
	}
	r, err := tx.StmtContext(ctx, statement).ExecContext(ctx, c.Status, c.Subject.Kind, c.Subject.ID, c.Score, document, c.CaseID, c.Revision, written)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		if err == nil {
			err = &vw.Error{Op: "sqlite.Put", Code: vw.Conflict, Err: errors.New("the case has been changed since it was read")}
		}
		return err
	}
	if _, err := tx.StmtContext(ctx, s.dropTypologies).ExecContext(ctx, c.CaseID); err != nil {
		return err
	}
	add := tx.StmtContext(ctx, s.addTypology)
	for _, t := range c.Typologies {
		if _, err := add.ExecContext(ctx, t, c.CaseID); err != nil {
			return err
		}
	}
	d := cases.Document{Case: *c}
	if work != nil {
		d.Work = *work
	} else if c.Revision > 1 {
		var kept []byte
		if err := tx.StmtContext(ctx, s.getWork).QueryRowContext(ctx, c.CaseID).Scan(&kept); err != nil {
			return err
		}
		if err := decode(kept, &d.Work); err != nil {
			return err
		}
	}
	return s.indexCase(ctx, tx, &d)
}

// indexCase brings the row and the words of a case up to it.
func (s *Store) indexCase(ctx context.Context, tx *sql.Tx, d *cases.Document) error {
	row := cases.RowOf(d)
	number, err := s.putTheRow(ctx, tx, &row, "", &row)
	if err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, s.putText).ExecContext(ctx, number, d.SearchText())
	return err
}

// putTheRow returns the number of the row; sql.ErrNoRows when its revision is not the next one.
func (s *Store) putTheRow(ctx context.Context, tx *sql.Tx, r *cases.Row, typology string, document any) (number int64, err error) {
	b, err := json.Marshal(document)
	if err != nil {
		return 0, &vw.Error{Op: "sqlite.Put", Code: vw.Invalid, Err: err}
	}
	err = tx.StmtContext(ctx, s.putRow).QueryRowContext(ctx, r.Kind, r.ID, r.Revision, string(r.State), r.Subject.ID, typology, string(r.Severity), r.Assignee,
		string(r.Track), r.CaseID, r.Score, int64(r.SubsidyFen), r.AtKey(), r.DueKey(), r.Pending, string(b)).Scan(&number)
	return number, err
}
