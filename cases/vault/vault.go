// Package vault keeps the bytes of evidence in a directory, each under its SHA-256: what is there is never changed,
// and there is no call that removes it. In: bytes. Out: the same bytes, checked against SHA-256 and SM3.
//
// The directory may lie on a share that all machines mount. It knows nothing of cases.
package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// Vault is a directory of blobs. Safe for concurrent use, by several processes too.
type Vault struct{ dir string }

var _ cases.Blobs = (*Vault)(nil)

// Open makes the directory when it is missing.
func Open(dir string) (*Vault, error) {
	if dir == "" {
		return nil, &vw.Error{Op: "vault.Open", Code: vw.Invalid, Hint: "name a directory", Err: errors.New("dir: is required")}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &vw.Error{Op: "vault.Open", Code: vw.Unavailable, Hint: "choose a directory that you may write to", Err: err}
	}
	return &Vault{dir}, nil
}

func (v *Vault) path(d cases.Digest) (string, error) {
	if b, err := hex.DecodeString(d.SHA256); err != nil || len(b) != 32 {
		return "", &vw.Error{Op: "vault.Get", Code: vw.Invalid, Err: errors.New("the SHA-256 is not 64 hexadecimal digits")}
	}
	return filepath.Join(v.dir, d.SHA256[:2], d.SHA256[2:]), nil
}

// Put writes the bytes unless they are there, and returns when they are on disk.
func (v *Vault) Put(ctx context.Context, b []byte) (cases.Digest, error) {
	const op = "vault.Put"
	d := cases.DigestOf(b)
	if err := context.Cause(ctx); err != nil {
		return d, &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
	}
	path, err := v.path(d)
	if err != nil {
		return d, err
	}
	if old, err := os.ReadFile(path); err == nil && d.Check(old) == nil {
		return d, nil
	}
	if err := write(path, b); err != nil {
		return d, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "the disk is full or may not be written to", Err: err}
	}
	return d, nil
}

func write(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after Rename there is nothing to remove
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o400), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	for _, name := range []string{dir, filepath.Dir(dir)} {
		d, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Get reads bytes back and checks them.
func (v *Vault) Get(ctx context.Context, d cases.Digest) ([]byte, error) {
	const op = "vault.Get"
	if err := context.Cause(ctx); err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
	}
	path, err := v.path(d)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, cases.Unknown(op, "file")
	case err != nil:
		return nil, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "the disk failed a read; check it", Err: err}
	}
	if err := d.Check(b); err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Internal, Hint: "restore the file from a copy; nothing may rest on it until then", Err: err}
	}
	return b, nil
}
