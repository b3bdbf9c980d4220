// Package sqlite keeps alerts, groups, silences, deliveries and the register of packs in one SQLite
// file. In: what Router and Courier write. Out: the same documents, as JSON beside the columns that are
// searched.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/alerts"
	"voucherwatch/internal/sqlitefile"
)

// mark is "vwAL" in SQLite's header.
const mark = 0x7677414c

func migrations() []string {
	return []string{`
CREATE TABLE alerts (
	alert_id TEXT    NOT NULL PRIMARY KEY,
	case_id  TEXT    NOT NULL,
	open     INTEGER NOT NULL,
	document TEXT    NOT NULL
) STRICT;
CREATE INDEX alerts_open ON alerts (case_id) WHERE open = 1;
CREATE TABLE groups (
	key      TEXT    NOT NULL PRIMARY KEY,
	closed   INTEGER NOT NULL,
	document TEXT    NOT NULL
) STRICT;
CREATE INDEX groups_open ON groups (key) WHERE closed = 0;
CREATE TABLE silences (
	id       TEXT    NOT NULL PRIMARY KEY,
	until    INTEGER NOT NULL,
	document TEXT    NOT NULL
) STRICT;
CREATE TABLE deliveries (
	seq      INTEGER PRIMARY KEY AUTOINCREMENT,
	id       TEXT    NOT NULL UNIQUE,
	channel  TEXT    NOT NULL,
	line     TEXT    NOT NULL,
	state    TEXT    NOT NULL,
	next_at  INTEGER NOT NULL,
	digest   INTEGER NOT NULL,
	head     INTEGER NOT NULL DEFAULT 0, -- the oldest of its line that is queued
	kind     TEXT    NOT NULL,
	case_id  TEXT    NOT NULL,
	batch    TEXT    NOT NULL,
	made     INTEGER NOT NULL,
	sent     INTEGER NOT NULL, -- the last attempt that succeeded, 0: none
	failed   INTEGER NOT NULL, -- the last one that did not
	document TEXT    NOT NULL
) STRICT;
CREATE INDEX deliveries_sent    ON deliveries (channel, sent);
CREATE INDEX deliveries_failed  ON deliveries (channel, failed);
CREATE INDEX deliveries_queued  ON deliveries (channel, digest, next_at) WHERE state = 'queued' AND head = 1;
CREATE INDEX deliveries_line    ON deliveries (channel, line, seq) WHERE state = 'queued';
CREATE INDEX deliveries_channel ON deliveries (channel, state, seq);
CREATE INDEX deliveries_case    ON deliveries (case_id, seq);
CREATE INDEX deliveries_batch   ON deliveries (batch, seq) WHERE batch <> '';
CREATE TABLE threads (
	channel TEXT NOT NULL,
	line    TEXT NOT NULL,
	thread  TEXT NOT NULL,
	PRIMARY KEY (channel, line)
) STRICT, WITHOUT ROWID;
CREATE TABLE packs (
	number   TEXT    NOT NULL,
	version  INTEGER NOT NULL,
	document TEXT    NOT NULL,
	PRIMARY KEY (number, version)
) STRICT, WITHOUT ROWID;
`}
}

// Store is an open file.
type Store struct{ file *sqlitefile.File }

var (
	_ alerts.Board     = (*Store)(nil)
	_ alerts.Ledger    = (*Store)(nil)
	_ alerts.PackStore = (*Store)(nil)
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

// documents reads one column of JSON.
func documents[T any](ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) (all []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		var v T
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

func (s *Store) Load(ctx context.Context, now time.Time) (st alerts.State, err error) {
	const op = "sqlite.Load"
	if st.Groups, err = documents[alerts.Group](ctx, s.file.Read, "SELECT document FROM groups WHERE closed = 0 ORDER BY key"); err != nil {
		return st, sqlitefile.Explain(op, err)
	}
	if st.Alerts, err = documents[alerts.Alert](ctx, s.file.Read, "SELECT document FROM alerts WHERE open = 1 ORDER BY alert_id"); err != nil {
		return st, sqlitefile.Explain(op, err)
	}
	st.Silences, err = documents[alerts.Silence](ctx, s.file.Read, "SELECT document FROM silences WHERE until > ? ORDER BY id", now.UnixNano())
	return st, sqlitefile.Explain(op, err)
}

func (s *Store) Commit(ctx context.Context, c alerts.Change) error {
	return s.file.InTx(ctx, "sqlite.Commit", func(tx *sql.Tx) error {
		for i := range c.Alerts {
			a := &c.Alerts[i]
			if err := insert(ctx, tx, "INSERT INTO alerts (document, alert_id, case_id, open) VALUES (?, ?, ?, 1) ON CONFLICT DO NOTHING", a, a.ID, a.Case); err != nil {
				return err
			}
		}
		for _, id := range c.Closed {
			if _, err := tx.ExecContext(ctx, "UPDATE alerts SET open = 0 WHERE case_id = ? AND open = 1", id); err != nil {
				return err
			}
		}
		for i := range c.Groups {
			g := &c.Groups[i]
			closed := 0
			if g.Closed {
				closed = 1
			}
			if err := insert(ctx, tx, "INSERT INTO groups (document, key, closed) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET closed = excluded.closed, document = excluded.document", g, g.Key, closed); err != nil {
				return err
			}
		}
		for i := range c.Silences {
			x := &c.Silences[i]
			if err := insert(ctx, tx, "INSERT INTO silences (document, id, until) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET until = excluded.until, document = excluded.document", x, x.ID, x.Until.UnixNano()); err != nil {
				return err
			}
		}
		for i := range c.Deliveries {
			if err := put(ctx, tx, &c.Deliveries[i], "ON CONFLICT (id) DO NOTHING"); err != nil {
				return err
			}
		}
		return nil
	})
}

// insert runs a statement whose first value is the document.
func insert(ctx context.Context, tx *sql.Tx, statement string, document any, args ...any) error {
	b, err := json.Marshal(document)
	if err != nil {
		return &vw.Error{Op: "sqlite.insert", Code: vw.Invalid, Err: err}
	}
	_, err = tx.ExecContext(ctx, statement, append([]any{string(b)}, args...)...)
	return err
}

func put(ctx context.Context, tx *sql.Tx, d *alerts.Delivery, conflict string) error {
	digest := 0
	if d.Message.Kind == alerts.Digest {
		digest = 1
	}
	stored := *d
	stored.Seq, stored.Message.Thread = 0, "" // both have columns of their own
	var sent, failed int64
	for _, a := range d.Attempts {
		if a.Who != "" { // somebody's wish, not an attempt
			continue
		}
		if a.OK {
			sent = max(sent, a.At.UnixNano())
		} else {
			failed = max(failed, a.At.UnixNano())
		}
	}
	if err := insert(ctx, tx, "INSERT INTO deliveries (document, id, channel, line, state, next_at, digest, kind, case_id, batch, made, sent, failed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "+conflict,
		&stored, d.ID, d.Channel, d.Line, string(d.State), d.NextAt.UnixNano(), digest, string(d.Message.Kind), d.Message.Case, d.Batch, d.Made.UnixNano(), sent, failed); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET head = (seq = (SELECT min(e.seq) FROM deliveries e WHERE e.channel = ?1 AND e.line = ?2 AND e.state = 'queued'))
		WHERE channel = ?1 AND line = ?2 AND state = 'queued'`, d.Channel, d.Line); err != nil {
		return err
	}
	for _, a := range d.Attempts {
		if a.Thread != "" {
			if _, err := tx.ExecContext(ctx, "INSERT INTO threads (channel, line, thread) VALUES (?, ?, ?) ON CONFLICT (channel, line) DO UPDATE SET thread = excluded.thread", d.Channel, d.Line, a.Thread); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) Record(ctx context.Context, ds []alerts.Delivery) error {
	return s.file.InTx(ctx, "sqlite.Record", func(tx *sql.Tx) error {
		for i := range ds {
			if err := put(ctx, tx, &ds[i], "ON CONFLICT (id) DO UPDATE SET state = excluded.state, next_at = excluded.next_at, sent = excluded.sent, failed = excluded.failed, document = excluded.document"); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) Known(ctx context.Context, ids []string) (map[string]bool, error) {
	known := map[string]bool{}
	for _, id := range ids {
		var one int
		switch err := s.file.Read.QueryRowContext(ctx, "SELECT 1 FROM alerts WHERE alert_id = ?", id).Scan(&one); err {
		case nil:
			known[id] = true
		case sql.ErrNoRows:
		default:
			return nil, sqlitefile.Explain("sqlite.Known", err)
		}
	}
	return known, nil
}

// deliveries reads rows of document, seq and thread.
func (s *Store) deliveries(ctx context.Context, query string, args ...any) (all []alerts.Delivery, err error) {
	rows, err := s.file.Read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text, thread string
		var d alerts.Delivery
		var seq int64
		if err := rows.Scan(&text, &seq, &thread); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return nil, err
		}
		d.Seq, d.Message.Thread = seq, thread
		all = append(all, d)
	}
	return all, rows.Err()
}

// heads are the oldest of each line of a channel, and nothing but digests while one waits.
const heads = ` FROM deliveries d WHERE d.channel = ?1 AND d.state = 'queued' AND d.head = 1
	AND d.digest = (SELECT max(e.digest) FROM deliveries e WHERE e.channel = ?1 AND e.state = 'queued' AND e.head = 1) `

func (s *Store) Ready(ctx context.Context, channel string, now time.Time, limit int) ([]alerts.Delivery, time.Time, error) {
	const op = "sqlite.Ready"
	found, err := s.deliveries(ctx, "SELECT d.document, d.seq, coalesce((SELECT thread FROM threads t WHERE t.channel = d.channel AND t.line = d.line), '')"+
		heads+"AND d.next_at <= ?2 ORDER BY d.seq LIMIT ?3", channel, now.UnixNano(), limit)
	if err != nil || len(found) > 0 {
		return found, time.Time{}, sqlitefile.Explain(op, err)
	}
	var next sql.NullInt64
	if err := s.file.Read.QueryRowContext(ctx, "SELECT min(d.next_at)"+heads, channel).Scan(&next); err != nil || !next.Valid {
		return nil, time.Time{}, sqlitefile.Explain(op, err)
	}
	return nil, time.Unix(0, next.Int64).UTC(), nil
}

func (s *Store) Deliveries(ctx context.Context, f alerts.Filter) ([]alerts.Delivery, error) {
	where, args := []string{"1 = 1"}, []any{}
	for column, value := range map[string]string{"channel": f.Channel, "state": string(f.State), "case_id": f.Case, "batch": f.Batch, "kind": string(f.Kind)} {
		if value != "" {
			where, args = append(where, column+" = ?"), append(args, value)
		}
	}
	order := "DESC"
	if f.Oldest {
		order = "ASC"
	} else if f.Before > 0 {
		where, args = append(where, "seq < ?"), append(args, f.Before)
	}
	found, err := s.deliveries(ctx, "SELECT document, seq, '' FROM deliveries WHERE "+strings.Join(where, " AND ")+" ORDER BY seq "+order+" LIMIT ?", append(args, cmp.Or(f.Limit, 100))...)
	return found, sqlitefile.Explain("sqlite.Deliveries", err)
}

func (s *Store) Health(ctx context.Context) (all []alerts.Health, err error) {
	const op = "sqlite.Health"
	rows, err := s.file.Read.QueryContext(ctx, `SELECT channel, count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'dead'), count(*) FILTER (WHERE state = 'sent'),
		coalesce(min(made) FILTER (WHERE state = 'queued'), 0), max(sent), max(failed), coalesce(max(sent) FILTER (WHERE kind = 'drill'), 0) FROM deliveries GROUP BY channel ORDER BY channel`)
	if err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var h alerts.Health
		var oldest, sent, failed, drill int64
		if err := rows.Scan(&h.Channel, &h.Queued, &h.Dead, &h.Sent, &oldest, &sent, &failed, &drill); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		for _, t := range []struct {
			from int64
			to   *time.Time
		}{{oldest, &h.Oldest}, {sent, &h.LastSent}, {failed, &h.LastFailed}, {drill, &h.LastDrill}} {
			if t.from > 0 {
				*t.to = time.Unix(0, t.from).UTC()
			}
		}
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	for i := range all {
		h := &all[i]
		column, at := "sent", h.LastSent
		if h.LastFailed.After(at) {
			column, at = "failed", h.LastFailed
		}
		if at.IsZero() {
			continue
		}
		last, err := s.deliveries(ctx, "SELECT document, seq, '' FROM deliveries WHERE channel = ? AND "+column+" = ? ORDER BY seq DESC LIMIT 1", h.Channel, at.UnixNano())
		if err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		for _, d := range last {
			var of alerts.Health
			of.Add(&d)
			h.LastCode, h.LastLatencyMS = of.LastCode, of.LastLatencyMS
		}
	}
	return all, nil
}

func (s *Store) PutPack(ctx context.Context, p alerts.Pack) error {
	return s.file.InTx(ctx, "sqlite.PutPack", func(tx *sql.Tx) error {
		there, err := documents[alerts.Pack](ctx, tx, "SELECT document FROM packs WHERE number = ? ORDER BY version", p.Number)
		if err != nil {
			return err
		}
		if err := alerts.CheckPack(there, &p); err != nil {
			return err
		}
		return insert(ctx, tx, "INSERT INTO packs (document, number, version) VALUES (?, ?, ?) ON CONFLICT (number, version) DO UPDATE SET document = excluded.document", &p, p.Number, p.Version)
	})
}

func (s *Store) Packs(ctx context.Context, number string) ([]alerts.Pack, error) {
	all, err := documents[alerts.Pack](ctx, s.file.Read, "SELECT document FROM packs WHERE number = ? ORDER BY version", number)
	return all, sqlitefile.Explain("sqlite.Packs", err)
}
