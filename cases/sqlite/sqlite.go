// Package sqlite keeps findings and cases in one SQLite file: the store of a single machine, with no
// service to run. In: cases.Write. Out: the same documents, as JSON with the columns that lists need.
//
// A Put is one transaction, so more atomic than cases.Store asks for. It returns after the file is on
// disk (WAL, synchronous=FULL): the source's offset is committed on the strength of that, and with
// NORMAL a power cut could lose a Put whose events will never be read again. Many processes may read;
// writers queue, within the process on one connection and between processes on SQLite's lock.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	_ "modernc.org/sqlite" // the driver, without CGO

	vw "voucherwatch"
	"voucherwatch/cases"
)

// Options say where the file is.
type Options struct {
	// Path of the database file; it is made when missing, its directory is not. SQLite keeps PATH-wal
	// and PATH-shm beside it: copy all three or none, and never place them on a network file system.
	Path string
	// MaxBytes limits the file, 0: the disk does. A full file refuses writes and keeps what it has.
	MaxBytes int64
}

// Store is an open file.
type Store struct {
	read  *sql.DB
	write *sql.DB // one connection
	// statements of write
	putFinding, fileFinding, newCase, nextCase, dropTypologies, addTypology *sql.Stmt
	// statements of read
	getCase, getFinding, getDocket, getDockets, getDocument, getAlert *sql.Stmt
	// statements of write that came with the work
	getWork, putRow, putText *sql.Stmt
}

var _ cases.Archive = (*Store)(nil)

// Open opens or makes the file and brings its schema up to date. It fails with vw.Invalid when the path
// cannot be used (no such directory, not a database or another program's, no right to write, a schema
// newer than this program) and vw.Unavailable when the disk is full or another process holds the lock
// for five seconds. The hint says what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := usable(o.Path); err != nil {
		return nil, err
	}
	s := &Store{}
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(explain("sqlite.Open", err), s.Close())
	}
	return s, nil
}

func usable(path string) error {
	refuse := func(hint string, err error) error {
		return &vw.Error{Op: "sqlite.Open", Code: vw.Invalid, Hint: hint, Err: err}
	}
	if path == "" {
		return refuse("name a file", errors.New("path: is required"))
	}
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case err != nil:
		return refuse("make the directory "+strconv.Quote(dir)+" first, or correct the path", err)
	case !info.IsDir():
		return refuse("correct the path", fmt.Errorf("%q is not a directory", dir))
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return refuse("name a file", fmt.Errorf("%q is not a regular file", path))
	}
	return nil
}

func (s *Store) open(ctx context.Context, o Options) error {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return err
	}
	// Every connection gets these; the order matters, a lock may be waited for from the first one on.
	base := []string{"busy_timeout(5000)", "foreign_keys(1)", "synchronous(FULL)"}
	if s.write, err = sql.Open("sqlite", dsn(path, "immediate", base...)); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	// Only now: the mode stays in the file, and another program's file is left as it is.
	var mode string
	if err := s.write.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if o.MaxBytes > 0 {
		var page int64
		if err := s.write.QueryRowContext(ctx, "PRAGMA page_size").Scan(&page); err != nil {
			return err
		}
		if _, err := s.write.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", max(1, o.MaxBytes/page))); err != nil {
			return err
		}
	}
	if s.read, err = sql.Open("sqlite", dsn(path, "deferred", append(base, "query_only(1)")...)); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(4)
	for _, p := range []struct {
		db   *sql.DB
		to   **sql.Stmt
		text string
	}{
		{s.write, &s.putFinding, putFinding}, {s.write, &s.fileFinding, fileFinding}, {s.write, &s.newCase, newCase},
		{s.write, &s.nextCase, nextCase}, {s.write, &s.dropTypologies, dropTypologies}, {s.write, &s.addTypology, addTypology},
		{s.read, &s.getCase, getCase}, {s.read, &s.getFinding, getFinding}, {s.read, &s.getDocket, getDocket},
		{s.read, &s.getDockets, getDockets}, {s.read, &s.getDocument, getDocument}, {s.read, &s.getAlert, getAlert},
		{s.write, &s.getWork, getWork}, {s.write, &s.putRow, putRow}, {s.write, &s.putText, putText},
	} {
		if *p.to, err = p.db.PrepareContext(ctx, p.text); err != nil {
			return err
		}
	}
	return s.backfill(ctx)
}

// dsn is SQLite's URI of a path; a plain path would end at its first question mark.
func dsn(path, lock string, pragmas ...string) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"_pragma": pragmas, "_txlock": {lock}}.Encode()}
	return u.String()
}

// migrate brings a file to the newest schema, one transaction per version.
func migrate(ctx context.Context, db *sql.DB) error {
	steps := migrations()
	for {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		done, err := migrateOne(ctx, tx, steps)
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil || done {
			return err
		}
	}
}

func migrateOne(ctx context.Context, tx *sql.Tx, steps []string) (done bool, err error) {
	var app, version, tables int
	if err := errors.Join(
		tx.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app),
		tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version),
		tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)); err != nil {
		return false, err
	}
	switch {
	case app != application && (app != 0 || version != 0 || tables != 0):
		return false, &vw.Error{Op: "sqlite.Open", Code: vw.Invalid, Hint: "name another file; nothing was changed in this one",
			Err: errors.New("the database belongs to another program")}
	case version > len(steps):
		return false, &vw.Error{Op: "sqlite.Open", Code: vw.Invalid,
			Hint: "use the newer program that wrote it, or a backup from before the upgrade; nothing was changed",
			Err:  fmt.Errorf("the database has schema version %d, this program knows %d", version, len(steps))}
	case version == len(steps):
		return true, nil
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", steps[version], application, version+1))
	return false, err
}

// Close waits for running calls and closes the file; the Store cannot be used after it.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} { // the writer last: it checkpoints the WAL
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return explain("sqlite.Close", errors.Join(errs...))
}
