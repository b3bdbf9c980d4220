package people

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

// The cost of a password: RFC 9106's second choice, 64 MiB and three passes, some 0.1 s.
const (
	argonTime    = 3
	argonMemory  = 64 << 10 // KiB
	argonThreads = 4
)

// hashPassword is a password as argon2id, with its own salt, in the PHC form.
func hashPassword(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	return phc(password, salt)
}

func phc(password string, salt []byte) string {
	sum := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// checkPassword takes the same time whether or not there is a hash to compare with.
func checkPassword(hash, password string) bool {
	parts := strings.Split(hash, "$")
	salt := make([]byte, 16)
	known := len(parts) == 6
	if known {
		if s, err := base64.RawStdEncoding.DecodeString(parts[4]); err == nil {
			salt = s
		}
	}
	return subtle.ConstantTimeCompare([]byte(phc(password, salt)), []byte(hash)) == 1 && known
}

// weak says what is wrong with a new password: NIST SP 800-63B asks for length, not for signs.
func weak(id, password string) error {
	switch n := len([]rune(password)); {
	case n < 12:
		return errors.New("the password needs at least 12 characters")
	case n > 200:
		return errors.New("the password has more than 200 characters")
	case strings.Contains(strings.ToLower(password), strings.ToLower(id)):
		return errors.New("the password must not hold the name of the account")
	}
	return nil
}

// The second factor: RFC 6238 with HMAC-SHA-1, 6 digits and 30 s, which is what authenticator apps know.
const step = 30

func newSecret() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
}

func codeAt(secret string, counter int64) (string, error) {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		return "", errors.New("the secret of the second factor is damaged")
	}
	mac := hmac.New(sha1.New, raw)
	_ = binary.Write(mac, binary.BigEndian, counter)
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000), nil
}

// checkCode is the step that a code is of, if it is of one around now that was not used: one step to either side is let pass
// for clocks that differ.
func checkCode(secret, code string, now time.Time, used int64) (int64, bool) {
	counter := now.Unix() / step
	for _, c := range []int64{counter, counter - 1, counter + 1} {
		want, err := codeAt(secret, c)
		if err == nil && c > used && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return c, true
		}
	}
	return 0, false
}

// keyURI is what an authenticator app reads from a picture.
func keyURI(id, secret string) string {
	return "otpauth://totp/voucherwatch:" + url.PathEscape(id) + "?" + url.Values{"secret": {secret}, "issuer": {"voucherwatch"}}.Encode()
}
