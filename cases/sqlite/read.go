package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/cases"
	"voucherwatch/internal/sqlitefile"
)

func (s *Store) Case(ctx context.Context, id string) (c vw.Case, err error) {
	const op = "sqlite.Case"
	var document []byte
	switch err := s.getCase.QueryRowContext(ctx, id).Scan(&document); {
	case errors.Is(err, sql.ErrNoRows):
		return c, cases.Unknown(op, "case")
	case err != nil:
		return c, sqlitefile.Explain(op, err)
	}
	return c, sqlitefile.Explain(op, decode(document, &c))
}

func (s *Store) Findings(ctx context.Context, ids ...string) ([]vw.Finding, error) {
	const op = "sqlite.Findings"
	out := make([]vw.Finding, len(ids))
	for i, id := range ids {
		var document []byte
		switch err := s.getFinding.QueryRowContext(ctx, id).Scan(&document); {
		case errors.Is(err, sql.ErrNoRows):
			return nil, cases.Unknown(op, "finding")
		case err != nil:
			return nil, sqlitefile.Explain(op, err)
		}
		if err := decode(document, &out[i]); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
	}
	return out, nil
}

func (s *Store) Docket(ctx context.Context, docket string) ([]vw.Finding, error) {
	rows, err := s.getDocket.QueryContext(ctx, docket)
	return collect[vw.Finding]("sqlite.Docket", rows, err)
}

func (s *Store) Dockets(ctx context.Context, findingID string) ([]string, error) {
	const op = "sqlite.Dockets"
	rows, err := s.getDockets.QueryContext(ctx, findingID)
	if err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var docket string
		if err := rows.Scan(&docket); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		out = append(out, docket)
	}
	return out, sqlitefile.Explain(op, rows.Err())
}

func (s *Store) List(ctx context.Context, f cases.Filter) (cases.Page, error) {
	after, err := f.Check()
	if err != nil {
		return cases.Page{}, err
	}
	var where []string
	var args []any
	add := func(wanted bool, condition string, values ...any) {
		if wanted {
			where = append(where, condition)
			args = append(args, values...)
		}
	}
	add(f.Status != "", "status = ?", f.Status)
	add(f.SubjectKind != "", "subject_kind = ?", f.SubjectKind)
	add(f.SubjectID != "", "subject_id = ?", f.SubjectID)
	add(f.Typology != "", "case_id IN (SELECT case_id FROM typologies WHERE typology = ?)", f.Typology)
	add(f.MinScore > 0, "score >= ?", f.MinScore)
	// score <= ? is implied, and lets the index begin there.
	add(f.Cursor != "", "score <= ? AND (score < ? OR case_id > ?)", after.Score, after.Score, after.ID)
	query := "SELECT document FROM cases"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	rows, err := s.read.QueryContext(ctx, query+" ORDER BY score DESC, case_id LIMIT ?", append(args, f.Limit+1)...)
	found, err := collect[vw.Case]("sqlite.List", rows, err)
	if err != nil {
		return cases.Page{}, err
	}
	return cases.Paged(found, f.Limit), nil
}

// collect decodes the documents of a query and closes it.
func collect[T any](op string, rows *sql.Rows, err error) ([]T, error) {
	if err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var document sql.RawBytes
		var v T
		if err := rows.Scan(&document); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		if err := decode(document, &v); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		out = append(out, v)
	}
	return out, sqlitefile.Explain(op, rows.Err())
}

func decode(document []byte, v any) error {
	if err := json.Unmarshal(document, v); err != nil {
		return fmt.Errorf("decode stored document: %w", err)
	}
	return nil
}
