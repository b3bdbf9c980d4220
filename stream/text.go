package stream

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	eachByte = 0x0101010101010101
	highBits = 0x80 * eachByte
)

// textEnd is the index of the quote that ends the string whose first byte is data[i], or -1 when the
// string is not plain: it has an escape, a control character, invalid UTF-8 or no end. It looks at
// eight bytes at a time; in each of the differences below a borrow can spoil only the bytes above a
// true hit, so the lowest hit is exact.
func textEnd(data []byte, i int) int {
	start, wide := i, false
	for i+8 <= len(data) {
		w := binary.LittleEndian.Uint64(data[i:])
		quote, slash := w^'"'*eachByte, w^'\\'*eachByte
		wide = wide || w&highBits != 0
		hit := ((quote-eachByte)&^quote | (slash-eachByte)&^slash | (w-0x20*eachByte)&^w) & highBits
		if hit != 0 {
			i += bits.TrailingZeros64(hit) >> 3
			break
		}
		i += 8
	}
	for i < len(data) && data[i] != '"' {
		if c := data[i]; c == '\\' || c < 0x20 {
			return -1
		}
		wide = wide || data[i] >= 0x80
		i++
	}
	if i >= len(data) || wide && !utf8.Valid(data[start:i]) {
		return -1
	}
	return i
}
