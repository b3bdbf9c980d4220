package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/cases"
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
		return explain(op, err)
	}
	defer tx.Rollback() // after Commit it does nothing
	put, file := tx.StmtContext(ctx, s.putFinding), tx.StmtContext(ctx, s.fileFinding)
	for i := range w.Findings {
		f := &w.Findings[i]
		if _, err := put.ExecContext(ctx, f.FindingID, f.Revision, findings[i]); err != nil {
			return explain(op, err)
		}
		if _, err := file.ExecContext(ctx, w.Docket, f.FindingID); err != nil {
			return explain(op, err)
		}
	}
	if w.Case != nil {
		if err := s.putCase(ctx, tx, w.Case, string(document)); err != nil {
			return explain(op, err)
		}
	}
	return explain(op, tx.Commit())
}

func (s *Store) putCase(ctx context.Context, tx *sql.Tx, c *vw.Case, document string) error {
	statement := s.nextCase
	if c.Revision == 1 {
		statement = s.newCase
	}
	r, err := tx.StmtContext(ctx, statement).ExecContext(ctx, c.Status, c.Subject.Kind, c.Subject.ID, c.Score, document, c.CaseID, c.Revision)
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
	return nil
}
