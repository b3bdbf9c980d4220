package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"voucherwatch/credit"
	"voucherwatch/internal/sqlitefile"
)

func (s *Store) Cursor(ctx context.Context, platform string) (seq int64, err error) {
	err = s.file.Read.QueryRowContext(ctx, "SELECT seq FROM cursors WHERE platform = ?", platform).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return seq, sqlitefile.Explain("sqlite.Cursor", err)
}

func (s *Store) Plan(ctx context.Context, platform string, ts []credit.Transmission, cursor int64) error {
	return s.file.InTx(ctx, "sqlite.Plan", func(tx *sql.Tx) error {
		if err := save(ctx, tx, ts); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO cursors (platform, seq) VALUES (?, ?) ON CONFLICT (platform) DO UPDATE SET seq = excluded.seq", platform, cursor)
		return err
	})
}

func (s *Store) Save(ctx context.Context, ts []credit.Transmission) error {
	return s.file.InTx(ctx, "sqlite.Save", func(tx *sql.Tx) error { return save(ctx, tx, ts) })
}

func save(ctx context.Context, tx *sql.Tx, ts []credit.Transmission) error {
	for i := range ts {
		t := &ts[i]
		document, err := encode(t)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO transmissions (platform, entry_id, state, next_at, document) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (platform, entry_id) DO UPDATE SET state = excluded.state, next_at = excluded.next_at, document = excluded.document`,
			t.Platform, t.Entry, string(t.State), t.NextAt.UnixNano(), document); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) transmissions(ctx context.Context, op, query string, args ...any) (all []credit.Transmission, err error) {
	rows, err := s.file.Read.QueryContext(ctx, "SELECT document FROM transmissions WHERE platform = ?"+query, args...)
	if err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var document string
		var t credit.Transmission
		if err := rows.Scan(&document); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		if err := json.Unmarshal([]byte(document), &t); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		all = append(all, t)
	}
	return all, sqlitefile.Explain(op, rows.Err())
}

func (s *Store) Transmissions(ctx context.Context, platform string, entries ...string) (found []credit.Transmission, err error) {
	const op = "sqlite.Transmissions"
	if len(entries) == 0 {
		return s.transmissions(ctx, op, " ORDER BY entry_id", platform)
	}
	for _, id := range slices.Sorted(slices.Values(entries)) {
		one, err := s.transmissions(ctx, op, " AND entry_id = ?", platform, id)
		if err != nil {
			return nil, err
		}
		found = append(found, one...)
	}
	return found, nil
}

func (s *Store) Due(ctx context.Context, platform string, state credit.Sending, now time.Time, limit int) ([]credit.Transmission, error) {
	all, err := s.transmissions(ctx, "sqlite.Due", " AND state = ? AND next_at <= ? ORDER BY entry_id", platform, string(state), now.UnixNano())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b credit.Transmission) int { return a.Before(&b) })
	return all[:min(limit, len(all))], nil
}

// Pulled records the receipt of a pull. An older one than the last changes nothing: a client that has seen
// a later state is not behind.
func (s *Store) Pulled(ctx context.Context, p credit.Pull) error {
	return s.file.InTx(ctx, "sqlite.Pulled", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO pulls (client, tier, as_of, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (client, tier) DO UPDATE SET as_of = excluded.as_of, at = excluded.at WHERE excluded.as_of >= pulls.as_of`, p.Client, string(p.Tier), p.AsOf, p.At.UnixNano())
		return err
	})
}

// Pulls are the last receipts, by client and list: a client whose AsOf is before a revocation's write does
// not know of it yet.
func (s *Store) Pulls(ctx context.Context) (all []credit.Pull, err error) {
	const op = "sqlite.Pulls"
	rows, err := s.file.Read.QueryContext(ctx, "SELECT client, tier, as_of, at FROM pulls ORDER BY client, tier")
	if err != nil {
		return nil, sqlitefile.Explain(op, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p credit.Pull
		var at int64
		if err := rows.Scan(&p.Client, &p.Tier, &p.AsOf, &at); err != nil {
			return nil, sqlitefile.Explain(op, err)
		}
		p.At = time.Unix(0, at).UTC()
		all = append(all, p)
	}
	return all, sqlitefile.Explain(op, rows.Err())
}
