package cases

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/emmansun/gmsm/sm3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Digest is both hashes of some bytes, in hexadecimal: one for the world, one for Chinese authorities
// (GB/T 32905). Evidence stands while both hold.
type Digest struct {
	SHA256 string `json:"sha256"`
	SM3    string `json:"sm3"`
}

// DigestOf hashes bytes.
func DigestOf(b []byte) Digest {
	a, z := sha256.Sum256(b), sm3.Sum(b)
	return Digest{hex.EncodeToString(a[:]), hex.EncodeToString(z[:])}
}

// Check says whether the bytes are those that were hashed.
func (d Digest) Check(b []byte) error {
	if DigestOf(b) != d {
		return errors.New("the bytes are not those that were hashed")
	}
	return nil
}

// Canonical is the one JSON spelling of a value (RFC 8785): same value, same bytes, same digest.
func Canonical(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(b)
	err = value.Canonicalize()
	return value, err
}

func digestOf(v any) (Digest, error) {
	b, err := Canonical(v)
	return DigestOf(b), err
}
