package stream

import (
	"strconv"

	vw "voucherwatch"
)

const (
	maxFen      = 1e15 // ten trillion yuan: above it a number is a mistake
	maxQuantity = 1e9
)

// money reads the text of a JSON number as whole fen, 0 to maxFen; code is "" or why not. -0 is 0.
func money(text []byte) (fen vw.Fen, code string) {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	var n int64
	for i, c := range digits {
		c -= '0'
		if c > 9 || i > 15 {
			return 0, BadValue
		}
		n = n*10 + int64(c)
	}
	switch {
	case n > 0 && text[0] == '-':
		return 0, NegativeMoney
	case n > maxFen:
		return 0, BadValue
	}
	return vw.Fen(n), ""
}

// Powers of ten that a float64 holds exactly.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// decimal reads the text of a JSON number. With at most 15 digits both numerator and denominator are
// exact, so one division rounds as strconv does; anything else is strconv's.
func decimal(text []byte) (f float64, ok bool) {
	var n int64
	digits, point := 0, -1
	for i, c := range text {
		if d := c - '0'; d <= 9 {
			n = n*10 + int64(d)
			digits++
		} else if c == '.' && point < 0 {
			point = i
		} else {
			digits = len(tens)
			break
		}
		if digits >= len(tens) {
			break
		}
	}
	if digits >= len(tens) {
		f, err := strconv.ParseFloat(string(text), 64)
		return f, err == nil
	}
	if point < 0 {
		return float64(n), true
	}
	return float64(n) / tens[len(text)-1-point], true
}

// numberEnd is the index after the plain number that starts at data[i]: digits without a leading zero,
// perhaps a point and more digits; or -1 when it is not as plain as that. An exponent it leaves for
// the caller to stumble over.
func numberEnd(data []byte, i int) int {
	start, point := i, -1
	for ; i < len(data); i++ {
		if c := data[i]; c == '.' && point < 0 {
			point = i
		} else if c-'0' > 9 {
			break
		}
	}
	whole := i - start
	if point >= 0 {
		whole = point - start
	}
	if whole == 0 || point == i-1 || whole > 1 && data[start] == '0' {
		return -1
	}
	return i
}
