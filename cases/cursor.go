package cases

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Position is a place in a list: right after the case with this score and id.
type Position struct {
	Score int
	ID    string
}

// Cursor is the position as text that is safe in a URL. Callers treat it as opaque.
func (p Position) Cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(p.Score) + ":" + p.ID))
}

// ParseCursor reads what Cursor wrote, and nothing else.
func ParseCursor(s string) (Position, error) {
	bad := errors.New("cursor: was not made by this list; start again from the first page")
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return Position{}, bad
	}
	score, id, ok := strings.Cut(string(b), ":")
	n, err := strconv.Atoi(score)
	p := Position{n, id}
	if !ok || err != nil || n < 0 || n > 1000 || id == "" || !utf8.ValidString(id) || p.Cursor() != s {
		return Position{}, bad
	}
	return p, nil
}
