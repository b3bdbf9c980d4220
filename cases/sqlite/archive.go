package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/cases"
	"voucherwatch/internal/sqlitefile"
)

// backfill makes the rows of cases that a program before them wrote.
func (s *Store) backfill(ctx context.Context) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, `SELECT document FROM cases WHERE NOT EXISTS (SELECT 1 FROM rows WHERE kind = 'case' AND id = case_id)`)
	found, err := collect[vw.Case]("sqlite.Open", rows, err)
	if err != nil || len(found) == 0 {
		return err
	}
	for i := range found {
		if err := s.indexCase(ctx, tx, &cases.Document{Case: found[i]}); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (s *Store) Document(ctx context.Context, id string) (d cases.Document, err error) {
	const op = "sqlite.Document"
	var document, work []byte
	switch err := s.getDocument.QueryRowContext(ctx, id).Scan(&document, &work); {
	case errors.Is(err, sql.ErrNoRows):
		return d, cases.Unknown(op, "case")
	case err != nil:
		return d, sqlitefile.Explain(op, err)
	}
	return d, sqlitefile.Explain(op, errors.Join(decode(document, &d.Case), decode(work, &d.Work)))
}

func (s *Store) PutDocument(ctx context.Context, d *cases.Document) error {
	const op = "sqlite.PutDocument"
	if err := d.Check(); err != nil {
		return err
	}
	document, err := json.Marshal(&d.Case)
	if err != nil {
		return &vw.Error{Op: op, Code: vw.Invalid, Err: err}
	}
	return s.change(ctx, op, func(tx *sql.Tx) error { return s.putCase(ctx, tx, &d.Case, string(document), &d.Work) })
}

// change runs a transaction.
func (s *Store) change(ctx context.Context, op string, do func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return sqlitefile.Explain(op, err)
	}
	defer tx.Rollback() // after Commit it does nothing
	if err := do(tx); err != nil {
		return sqlitefile.Explain(op, err)
	}
	return sqlitefile.Explain(op, tx.Commit())
}

func stale(op string) error {
	return &vw.Error{Op: op, Code: vw.Conflict, Err: errors.New("it has been changed since it was read")}
}

func (s *Store) PutAlerts(ctx context.Context, alerts []cases.Alert) (late []int, err error) {
	const op = "sqlite.PutAlerts"
	if err := cases.CheckAlerts(alerts); err != nil {
		return nil, err
	}
	err = s.change(ctx, op, func(tx *sql.Tx) error {
		for i := range alerts {
			a := &alerts[i]
			row := a.Row()
			if a.Revision > 1 {
				// The upsert would make a row that is missing.
				var n int
				if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM rows WHERE kind = 'alert' AND id = ?`, a.AlertID).Scan(&n); err != nil {
					return err
				}
				if n == 0 {
					late = append(late, i)
					continue
				}
			}
			switch _, err := s.putTheRow(ctx, tx, &row, a.Typology, a); {
			case errors.Is(err, sql.ErrNoRows):
				late = append(late, i)
			case err != nil:
				return err
			}
		}
		return nil
	})
	return late, err
}

func (s *Store) Alerts(ctx context.Context, ids ...string) (out []cases.Alert, err error) {
	const op = "sqlite.Alerts"
	for _, id := range ids {
		var document []byte
		var a cases.Alert
		switch err := s.getAlert.QueryRowContext(ctx, id).Scan(&document); {
		case errors.Is(err, sql.ErrNoRows):
			continue
		case err != nil:
			return nil, sqlitefile.Explain(op, err)
		}
		if err := decode(document, &a); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		out = append(out, a)
	}
	if err := ctx.Err(); err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	return out, nil
}

// columns of what is counted; typology is another table for cases.
var columns = map[string]string{"state": "state", "severity": "severity", "assignee": "assignee", "track": "track", "typology": "typology"}

func (s *Store) Search(ctx context.Context, q cases.Query) (cases.Result, error) {
	const op = "sqlite.Search"
	after, err := q.Check()
	if err != nil {
		return cases.Result{}, err
	}
	where, args := []string{"kind = ?"}, []any{q.Kind}
	add := func(wanted bool, condition string, values ...any) {
		if wanted {
			where, args = append(where, condition), append(args, values...)
		}
	}
	if len(q.States) > 0 {
		var states []any
		for _, x := range q.States {
			states = append(states, string(x))
		}
		add(true, "state IN (?"+strings.Repeat(", ?", len(states)-1)+")", states...)
	}
	add(q.SubjectID != "", "subject = ?", q.SubjectID)
	add(q.Typology != "" && q.Kind == cases.AlertRow, "typology = ?", q.Typology)
	add(q.Typology != "" && q.Kind == cases.CaseRow, "id IN (SELECT case_id FROM typologies WHERE typology = ?)", q.Typology)
	add(q.Severity != "", "severity = ?", string(q.Severity))
	add(q.Assignee != "", "assignee = ?", q.Assignee)
	add(q.CaseID != "", "case_id = ?", q.CaseID)
	add(q.MinScore > 0, "score >= ?", q.MinScore)
	add(q.Pending, "pending > 0")
	if q.DueBefore != "" {
		mark := cases.Row{DueAt: q.DueBefore}
		add(true, "due < ?", mark.DueKey())
	}
	if q.Text != "" {
		var match []string
		for _, p := range cases.Phrases(q.Text) {
			match = append(match, `"`+strings.Join(p, " ")+`"`) // letters and digits only
		}
		add(true, "number IN (SELECT rowid FROM texts WHERE texts MATCH ?)", strings.Join(match, " "))
	}
	out := cases.Result{Counts: map[string]map[string]int{}}
	from := " FROM rows WHERE " + strings.Join(where, " AND ")
	// One read transaction: the counts are of the moment of the page.
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return out, sqlitefile.Explain(op, err)
	}
	defer tx.Rollback()
	if err := tx.QueryRowContext(ctx, "SELECT count(*)"+from, args...).Scan(&out.Total); err != nil {
		return out, sqlitefile.Explain(op, err)
	}
	for _, name := range q.Count {
		query := "SELECT " + columns[name] + ", count(*)" + from + " GROUP BY 1"
		if name == "typology" && q.Kind == cases.CaseRow {
			query = "SELECT t.typology, count(*) FROM typologies t WHERE t.case_id IN (SELECT id" + from + ") GROUP BY 1"
		}
		if out.Counts[name], err = count(tx.QueryContext(ctx, query, args...)); err != nil {
			return out, sqlitefile.Explain(op, err)
		}
	}
	if q.Limit > 0 {
		column, down := q.Sort, q.Sort != "due"
		page, order := from, " ORDER BY "+column+", id"
		if down {
			order = " ORDER BY " + column + " DESC, id"
		}
		if after != nil {
			beyond, upTo := " > ?", " >= ?"
			if down {
				beyond, upTo = " < ?", " <= ?"
			}
			page += " AND " + column + upTo + " AND (" + column + beyond + " OR id > ?)"
			args = append(args, after.Key, after.Key, after.ID)
		}
		rows, err := tx.QueryContext(ctx, "SELECT kind, document"+page+order+" LIMIT ?", append(args, q.Limit+1)...)
		found, err := readRows(rows, err)
		if err != nil {
			return out, sqlitefile.Explain(op, err)
		}
		out.Rows, out.Next = q.Cut(found)
	}
	return out, nil
}

func count(rows *sql.Rows, err error) (map[string]int, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var value string
		var n int
		if err := rows.Scan(&value, &n); err != nil {
			return nil, err
		}
		out[value] = n
	}
	return out, rows.Err()
}

func readRows(rows *sql.Rows, err error) (out []cases.Row, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		var document sql.RawBytes
		if err := rows.Scan(&kind, &document); err != nil {
			return nil, err
		}
		var r cases.Row
		if kind == cases.AlertRow {
			var a cases.Alert
			if err := decode(document, &a); err != nil {
				return nil, err
			}
			r = a.Row()
		} else if err := decode(document, &r); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func (s *Store) Append(ctx context.Context, entries ...cases.Entered) (last cases.Line, err error) {
	const op = "sqlite.Append"
	err = s.change(ctx, op, func(tx *sql.Tx) error {
		var text string
		switch err := tx.QueryRowContext(ctx, `SELECT line FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&text); {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		default:
			if last, err = cases.ReadLine(text); err != nil {
				return &vw.Error{Op: op, Code: vw.Internal, Hint: "the end of the audit log is damaged: run audit verify and restore it from a copy", Err: err}
			}
		}
		for _, e := range entries {
			var err error
			if last, err = cases.Chain(last, e); err == nil {
				text, err = last.Text()
			}
			if err != nil {
				return &vw.Error{Op: op, Code: vw.Invalid, Err: err}
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO audit (seq, line) VALUES (?, ?)`, last.Seq, text); err != nil {
				return err
			}
		}
		return nil
	})
	return last, err
}

func (s *Store) Lines(ctx context.Context, from int64, n int) (out []string, err error) {
	const op = "sqlite.Lines"
	rows, err := s.read.QueryContext(ctx, `SELECT line FROM audit WHERE seq >= ? ORDER BY seq LIMIT ?`, from, max(n, 0))
	if err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		out = append(out, line)
	}
	return out, sqlitefile.Explain(op, rows.Err())
}

func (s *Store) Record(ctx context.Context, kind, id string) (cases.Record, error) {
	const op = "sqlite.Record"
	r := cases.Record{Kind: kind, ID: id}
	var body string
	switch err := s.read.QueryRowContext(ctx, `SELECT revision, body FROM records WHERE kind = ? AND id = ?`, kind, id).Scan(&r.Revision, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return r, cases.Unknown(op, "record")
	case err != nil:
		return r, sqlitefile.Explain(op, err)
	}
	r.Body = []byte(body)
	return r, nil
}

func (s *Store) PutRecord(ctx context.Context, r cases.Record) error {
	const op = "sqlite.PutRecord"
	if err := r.Check(); err != nil {
		return err
	}
	return s.change(ctx, op, func(tx *sql.Tx) error {
		query, args := `UPDATE records SET body = ?3, revision = ?4 WHERE kind = ?1 AND id = ?2 AND revision = ?4 - 1`, []any{r.Kind, r.ID, string(r.Body), r.Revision}
		if r.Revision == 1 {
			query = `INSERT INTO records (kind, id, body, revision) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING`
		}
		result, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, stale(op))
		}
		return nil
	})
}

func (s *Store) Records(ctx context.Context, kind string) (out []cases.Record, err error) {
	const op = "sqlite.Records"
	rows, err := s.read.QueryContext(ctx, `SELECT id, revision, body FROM records WHERE kind = ? ORDER BY id`, kind)
	if err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	defer rows.Close()
	for rows.Next() {
		r := cases.Record{Kind: kind}
		var body string
		if err := rows.Scan(&r.ID, &r.Revision, &body); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		r.Body = []byte(body)
		out = append(out, r)
	}
	return out, sqlitefile.Explain(op, rows.Err())
}
