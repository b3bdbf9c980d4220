package sqlite

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	vw "voucherwatch"
)

// explain gives an error of the driver its code and a hint; nil and errors that have a code stay as
// they are.
func explain(op string, err error) error {
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
