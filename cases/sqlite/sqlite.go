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

	"voucherwatch/cases"
	"voucherwatch/internal/sqlitefile"
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
	file  *sqlitefile.File
	read  *sql.DB // of file
	write *sql.DB // of file: one connection
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
	f, err := sqlitefile.Open(ctx, sqlitefile.Options{Path: o.Path, Mark: application, MaxBytes: o.MaxBytes, Migrations: migrations()})
	if err != nil {
		return nil, err
	}
	s := &Store{file: f, read: f.Read, write: f.Write}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(sqlitefile.Explain("sqlite.Open", err), s.Close())
	}
	return s, nil
}

// prepare makes the statements, and the rows that an older program did not write.
func (s *Store) prepare(ctx context.Context) (err error) {
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

// Close waits for running calls and closes the file; the Store cannot be used after it.
func (s *Store) Close() error { return s.file.Close() }
