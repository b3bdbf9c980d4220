// Package sqlite keeps the versions of entries, and what was sent to whom, in one SQLite file. In: what
// credit.Desk and credit/push write. Out: the same documents.
package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/credit"
	"voucherwatch/internal/sqlitefile"
)

// mark is "vwCR" in SQLite's header.
const mark = 0x76774352

func migrations() []string {
	return []string{`
CREATE TABLE versions (
	seq      INTEGER PRIMARY KEY,
	entry_id TEXT    NOT NULL,
	revision INTEGER NOT NULL,
	tier     TEXT    NOT NULL,
	live     INTEGER NOT NULL,
	next     INTEGER NOT NULL DEFAULT 9223372036854775807, -- seq of the entry's next version
	document TEXT    NOT NULL,
	UNIQUE (entry_id, revision)
) STRICT;
CREATE INDEX versions_by_tier ON versions (tier, seq, next);
CREATE TABLE transmissions (
	platform TEXT    NOT NULL,
	entry_id TEXT    NOT NULL,
	state    TEXT    NOT NULL,
	next_at  INTEGER NOT NULL,
	document TEXT    NOT NULL,
	PRIMARY KEY (platform, entry_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX transmissions_due ON transmissions (platform, state, next_at);
CREATE TABLE pulls (
	client TEXT    NOT NULL,
	tier   TEXT    NOT NULL,
	as_of  INTEGER NOT NULL,
	at     INTEGER NOT NULL,
	PRIMARY KEY (client, tier)
) STRICT, WITHOUT ROWID;
CREATE TABLE cursors (
	platform TEXT    NOT NULL PRIMARY KEY,
	seq      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`}
}

// Store is an open file.
type Store struct{ file *sqlitefile.File }

var (
	_ credit.Store  = (*Store)(nil)
	_ credit.Outbox = (*Store)(nil)
)

// Open opens or makes the file; see sqlitefile.Open.
func Open(ctx context.Context, path string) (*Store, error) {
	f, err := sqlitefile.Open(ctx, sqlitefile.Options{Path: path, Mark: mark, Migrations: migrations()})
	if err != nil {
		return nil, err
	}
	return &Store{f}, nil
}

// Close waits for running calls and closes the file.
func (s *Store) Close() error { return s.file.Close() }

func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", &vw.Error{Op: "sqlite.encode", Code: vw.Invalid, Err: err}
	}
	return string(b), nil
}

func (s *Store) Put(ctx context.Context, e *credit.Entry) (seq int64, err error) {
	document, err := encode(e)
	if err != nil {
		return 0, err
	}
	err = s.file.InTx(ctx, "sqlite.Put", func(tx *sql.Tx) error {
		var stored int
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(revision), 0) FROM versions WHERE entry_id = ?", e.ID).Scan(&stored); err != nil {
			return err
		}
		if err := credit.CheckPut(e, stored); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) + 1 FROM versions").Scan(&seq); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE versions SET next = ? WHERE entry_id = ? AND revision = ?", seq, e.ID, stored); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO versions (seq, entry_id, revision, tier, live, document) VALUES (?, ?, ?, ?, ?, ?)",
			seq, e.ID, e.Revision, string(e.Tier), e.State == credit.InForce, document)
		return err
	})
	return seq, err
}

func (s *Store) Entry(ctx context.Context, id string) (credit.Entry, error) {
	return s.one(ctx, "SELECT document FROM versions WHERE entry_id = ? ORDER BY revision DESC LIMIT 1", id)
}

func (s *Store) Version(ctx context.Context, id string, revision int) (credit.Entry, error) {
	return s.one(ctx, "SELECT document FROM versions WHERE entry_id = ? AND revision = ?", id, revision)
}

func (s *Store) one(ctx context.Context, query string, args ...any) (e credit.Entry, err error) {
	var document string
	switch err := s.file.Read.QueryRowContext(ctx, query, args...).Scan(&document); {
	case errors.Is(err, sql.ErrNoRows):
		return e, &vw.Error{Op: "sqlite.Entry", Code: vw.NotFound, Err: errors.New("there is no such entry")}
	case err != nil:
		return e, sqlitefile.Explain("sqlite.Entry", err)
	}
	return e, sqlitefile.Explain("sqlite.Entry", json.Unmarshal([]byte(document), &e))
}

func (s *Store) Page(ctx context.Context, q credit.Query) (page []credit.Version, err error) {
	const op = "sqlite.Page"
	query, args := "SELECT seq, document FROM versions WHERE seq > ? AND seq <= ? AND next > ?", []any{q.After, q.AsOf, q.AsOf}
	if q.Tier != "" {
		query, args = query+" AND tier = ?", append(args, string(q.Tier))
	}
	if q.Live {
		query += " AND live = 1"
	}
	rows, err := s.file.Read.QueryContext(ctx, query+" ORDER BY seq LIMIT ?", append(args, q.Limit)...)
	if err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var v credit.Version
		var document string
		if err := rows.Scan(&v.Seq, &document); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		if err := json.Unmarshal([]byte(document), &v.Entry); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		page = append(page, v)
	}
	return page, sqlitefile.Explain(op, rows.Err())
}

func (s *Store) Head(ctx context.Context) (head int64, err error) {
	err = s.file.Read.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM versions").Scan(&head)
	return head, sqlitefile.Explain("sqlite.Head", err)
}
