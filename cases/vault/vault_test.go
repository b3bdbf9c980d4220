package vault

import (
	"os"
	"testing"

	vw "voucherwatch"
	"voucherwatch/cases"
)

func TestAFlippedByteOfEvidenceIsFoundWhenItIsRead(t *testing.T) {
	v, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d, err := v.Put(t.Context(), []byte("小票"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := v.Put(t.Context(), []byte("小票")); err != nil || again != d {
		t.Errorf("the same again: %v %v", again, err)
	}
	if b, err := v.Get(t.Context(), d); err != nil || string(b) != "小票" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := v.Get(t.Context(), cases.DigestOf([]byte("x"))); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("unknown: %v", err)
	}
	if _, err := v.Get(t.Context(), cases.Digest{SHA256: "../../../etc/passwd"}); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("a path for a digest: %v", err)
	}
	path, _ := v.path(d)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[1] ^= 1
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(t.Context(), d); vw.CodeOf(err) != vw.Internal {
		t.Errorf("a flipped byte: %v", err)
	}
	if _, err := v.Put(t.Context(), []byte("小票")); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(t.Context(), d); err != nil {
		t.Errorf("filed again: %v", err)
	}
}
