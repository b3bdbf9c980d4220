// Package sqlitefile opens an SQLite file the way all our stores need it: durable when a call returns,
// one writer, many readers, a schema that moves forward by itself, and errors that say what to do.
//
// In: a path, the mark of the program's part, its migrations. Out: two pools over the same file.
package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"modernc.org/sqlite" // the driver, without CGO
	lib "modernc.org/sqlite/lib"

	vw "voucherwatch"
)

// Options say which file.
type Options struct {
	// Path of the file; it is made when missing, its directory is not. SQLite keeps PATH-wal and PATH-shm
	// beside it: copy all three or none, and never place them on a network file system.
	Path string
	// Mark tells our file from another part's or program's (PRAGMA application_id).
	Mark int
	// MaxBytes limits the file, 0: the disk does. A full file refuses writes and keeps what it has.
	MaxBytes int64
	// Migrations lead from an empty file to the schema of today, one version each; released ones are
	// never edited.
	Migrations []string
}

// File is an open file. Write has one connection, whose transactions take the lock at once (WAL,
// synchronous=FULL); Read cannot write.
type File struct{ Read, Write *sql.DB }

// Open opens or makes the file. It fails with vw.Invalid when the path cannot be used and
// vw.Unavailable when the disk is full or another process holds the lock for five seconds.
func Open(ctx context.Context, o Options) (*File, error) {
	if err := usable(o.Path); err != nil {
		return nil, err
	}
	f := &File{}
	if err := f.open(ctx, o); err != nil {
		return nil, errors.Join(Explain("sqlitefile.Open", err), f.Close())
	}
	return f, nil
}

func usable(path string) error {
	refuse := func(hint string, err error) error {
		return &vw.Error{Op: "sqlitefile.Open", Code: vw.Invalid, Hint: hint, Err: err}
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

func (f *File) open(ctx context.Context, o Options) error {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return err
	}
	// Every connection gets these; the order matters, a lock may be waited for from the first one on.
	base := []string{"busy_timeout(5000)", "foreign_keys(1)", "synchronous(FULL)"}
	if f.Write, err = sql.Open("sqlite", dsn(path, "immediate", base...)); err != nil {
		return err
	}
	f.Write.SetMaxOpenConns(1)
	if err := migrate(ctx, f.Write, o); err != nil {
		return err
	}
	// Only now: the mode stays in the file, and another program's file is left as it is.
	if _, err := f.Write.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return err
	}
	if o.MaxBytes > 0 {
		var page int64
		if err := f.Write.QueryRowContext(ctx, "PRAGMA page_size").Scan(&page); err != nil {
			return err
		}
		if _, err := f.Write.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", max(1, o.MaxBytes/page))); err != nil {
			return err
		}
	}
	if f.Read, err = sql.Open("sqlite", dsn(path, "deferred", append(base, "query_only(1)")...)); err != nil {
		return err
	}
	f.Read.SetMaxOpenConns(4)
	return f.Read.PingContext(ctx)
}

// dsn is SQLite's URI of a path; a plain path would end at its first question mark.
func dsn(path, lock string, pragmas ...string) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"_pragma": pragmas, "_txlock": {lock}}.Encode()}
	return u.String()
}

func migrate(ctx context.Context, db *sql.DB, o Options) error {
	for {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		done, err := step(ctx, tx, o)
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil || done {
			return err
		}
	}
}

func step(ctx context.Context, tx *sql.Tx, o Options) (done bool, err error) {
	var mark, version, tables int
	if err := errors.Join(
		tx.QueryRowContext(ctx, "PRAGMA application_id").Scan(&mark),
		tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version),
		tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)); err != nil {
		return false, err
	}
	switch {
	case mark != o.Mark && (mark != 0 || version != 0 || tables != 0):
		owner := "something else"
		if mark == 0 { // all of our parts mark theirs
			owner = "another program"
		}
		return false, &vw.Error{Op: "sqlitefile.Open", Code: vw.Invalid, Hint: "name another file; nothing was changed in this one",
			Err: errors.New("the database belongs to " + owner)}
	case version > len(o.Migrations):
		return false, &vw.Error{Op: "sqlitefile.Open", Code: vw.Invalid,
			Hint: "use the newer program that wrote it, or a backup from before the upgrade; nothing was changed",
			Err:  fmt.Errorf("the database has schema version %d, this program knows %d", version, len(o.Migrations))}
	case version == len(o.Migrations):
		return true, nil
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", o.Migrations[version], o.Mark, version+1))
	return false, err
}

// InTx runs do in a transaction of the writer, which is on disk when InTx returns without an error.
func (f *File) InTx(ctx context.Context, op string, do func(tx *sql.Tx) error) error {
	tx, err := f.Write.BeginTx(ctx, nil)
	if err != nil {
		return Explain(op, err)
	}
	defer tx.Rollback() // after Commit it does nothing
	if err := do(tx); err != nil {
		return Explain(op, err)
	}
	return Explain(op, tx.Commit())
}

// Close waits for running calls and closes the file.
func (f *File) Close() error {
	var errs []error
	for _, db := range []*sql.DB{f.Read, f.Write} { // the writer last: it checkpoints the WAL
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return Explain("sqlitefile.Close", errors.Join(errs...))
}

// Explain gives an error of the driver its code and a hint; nil and errors that have a code stay as
// they are.
func Explain(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*vw.Error](err); ok {
		return err
	}
	out := &vw.Error{Op: op, Code: vw.Internal, Err: err}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		out.Code = vw.Unavailable
		return out
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return out
	}
	switch e.Code() & 0xff { // the primary code
	case lib.SQLITE_NOTADB:
		out.Code, out.Hint = vw.Invalid, "name another file; nothing was changed in this one"
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN:
		out.Code, out.Hint = vw.Invalid, "give this user the right to write the file, PATH-wal, PATH-shm and their directory"
	case lib.SQLITE_FULL:
		out.Code, out.Hint = vw.Unavailable, "the disk, or the limit set for the file, is full; make room, nothing that was acknowledged is lost"
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		out.Code, out.Hint = vw.Unavailable, "another process is writing to the file"
	case lib.SQLITE_INTERRUPT:
		out.Code = vw.Unavailable
	case lib.SQLITE_IOERR:
		out.Code, out.Hint = vw.Unavailable, "the disk failed a read or write; check it"
	case lib.SQLITE_CORRUPT:
		out.Hint = "the file is damaged; restore a backup and replay the events since"
	}
	return out
}
