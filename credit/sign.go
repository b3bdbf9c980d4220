package credit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"crypto/ecdsa"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	vw "voucherwatch"
)

// Signer signs what is sent, with two keys at once: Ed25519 for most, SM2 with SM3 for those who must use
// the national algorithms. Both sign the bytes of the canonical JSON.
type Signer struct {
	KeyID string
	ed    ed25519.PrivateKey
	sm    *sm2.PrivateKey
}

// Signature is both signatures, base64.
type Signature struct {
	KeyID   string `json:"key_id"`
	Ed25519 string `json:"ed25519"`
	// SM2 is a signature of GB/T 32918.2 with SM3 and the usual user id 1234567812345678, ASN.1 DER.
	SM2 string `json:"sm2"`
}

// NewSigner reads both private keys, PKCS #8 in PEM. What is wrong is said without the keys.
func NewSigner(keyID string, ed, sm []byte) (*Signer, error) {
	s := &Signer{KeyID: keyID}
	var errs []error
	if block, _ := pem.Decode(ed); block == nil {
		errs = append(errs, errors.New("the Ed25519 key is not PEM"))
	} else if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		errs = append(errs, errors.New("the Ed25519 key is not PKCS #8"))
	} else if s.ed, _ = key.(ed25519.PrivateKey); s.ed == nil {
		errs = append(errs, fmt.Errorf("the Ed25519 key is a %T", key))
	}
	if block, _ := pem.Decode(sm); block == nil {
		errs = append(errs, errors.New("the SM2 key is not PEM"))
	} else if key, err := smx509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		errs = append(errs, errors.New("the SM2 key is not PKCS #8"))
	} else if s.sm, _ = key.(*sm2.PrivateKey); s.sm == nil {
		errs = append(errs, fmt.Errorf("the SM2 key is a %T", key))
	}
	if keyID == "" {
		errs = append(errs, errors.New("the key id is required"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &vw.Error{Op: "credit.NewSigner", Code: vw.Invalid, Hint: "make them with: openssl genpkey -algorithm ed25519; openssl genpkey -algorithm SM2", Err: err}
	}
	return s, nil
}

// GenerateSigner makes new keys, for tests and first installations, and gives them as NewSigner reads them.
func GenerateSigner(keyID string, random io.Reader) (s *Signer, ed, sm []byte, err error) {
	_, edKey, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, nil, nil, err
	}
	smKey, err := sm2.GenerateKey(random)
	if err != nil {
		return nil, nil, nil, err
	}
	edDER, err := x509.MarshalPKCS8PrivateKey(edKey)
	if err != nil {
		return nil, nil, nil, err
	}
	smDER, err := smx509.MarshalPKCS8PrivateKey(smKey)
	if err != nil {
		return nil, nil, nil, err
	}
	ed, sm = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: edDER}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: smDER})
	s, err = NewSigner(keyID, ed, sm)
	return s, ed, sm, err
}

// Sign signs a message.
func (s *Signer) Sign(message []byte) (Signature, error) {
	sm, err := s.sm.Sign(rand.Reader, message, sm2.DefaultSM2SignerOpts)
	if err != nil {
		return Signature{}, fmt.Errorf("sign with SM2: %w", err)
	}
	return Signature{KeyID: s.KeyID, Ed25519: base64.StdEncoding.EncodeToString(ed25519.Sign(s.ed, message)), SM2: base64.StdEncoding.EncodeToString(sm)}, nil
}

// Public is both public keys, PKIX in PEM, for the platform.
func (s *Signer) Public() (ed, sm []byte, err error) {
	edDER, err := x509.MarshalPKIXPublicKey(s.ed.Public())
	if err != nil {
		return nil, nil, err
	}
	smDER, err := smx509.MarshalPKIXPublicKey(&s.sm.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: edDER}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: smDER}), nil
}

// Verifier checks both signatures, as the platform does.
type Verifier struct {
	ed ed25519.PublicKey
	sm *ecdsa.PublicKey
}

// NewVerifier reads both public keys, as Signer.Public gives them.
func NewVerifier(ed, sm []byte) (*Verifier, error) {
	v := &Verifier{}
	for _, k := range [][]byte{ed, sm} {
		block, _ := pem.Decode(k)
		if block == nil {
			return nil, errors.New("a public key is not PEM")
		}
		key, err := smx509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read a public key: %w", err)
		}
		switch key := key.(type) {
		case ed25519.PublicKey:
			v.ed = key
		case *ecdsa.PublicKey:
			v.sm = key
		}
	}
	if v.ed == nil || v.sm == nil {
		return nil, errors.New("one Ed25519 and one SM2 key are required")
	}
	return v, nil
}

// Verify is nil when both signatures are of this message.
func (v *Verifier) Verify(message []byte, s Signature) error {
	ed, err1 := base64.StdEncoding.DecodeString(s.Ed25519)
	sm, err2 := base64.StdEncoding.DecodeString(s.SM2)
	switch {
	case err1 != nil || err2 != nil:
		return errors.New("a signature is not base64")
	case !ed25519.Verify(v.ed, message, ed):
		return errors.New("the Ed25519 signature is not of this message")
	case !sm2.VerifyASN1WithSM2(v.sm, nil, message, sm):
		return errors.New("the SM2 signature is not of this message")
	}
	return nil
}
