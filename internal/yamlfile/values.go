package yamlfile

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"

	"voucherwatch"
)

// Day is a calendar day written 2022-09-20, as a day number (see voucherwatch.DayOf).
type Day int

// UnmarshalText reads "2022-09-20".
func (d *Day) UnmarshalText(text []byte) error {
	n, err := voucherwatch.DayNumber(string(text))
	if err != nil {
		return errors.New("is " + strconv.Quote(string(text)) + ": want a day of the calendar such as 2022-09-20")
	}
	*d = Day(n)
	return nil
}

func (d Day) String() string { return voucherwatch.Date(int(d)) }

// Money is an amount written as people do, with its unit: 50元, 12.50元, 330.8万元. A bare number is an
// error, because 50 may be yuan, fen or 万元 to different readers.
type Money voucherwatch.Fen

var moneyForm = regexp.MustCompile(`^([0-9]{1,12})(?:\.([0-9]{1,6}))?(万?)元$`)

// UnmarshalText reads "330.8万元", exactly: no float is on the way.
func (m *Money) UnmarshalText(text []byte) error {
	part := moneyForm.FindStringSubmatch(string(text))
	decimals := 2
	if part != nil && part[3] != "" {
		decimals = 6
	}
	if part == nil || len(part[2]) > decimals {
		return errors.New("is " + strconv.Quote(string(text)) + ": want an amount with its unit, such as 50元, 12.50元 or 330.8万元")
	}
	n, err := strconv.ParseInt(part[1]+part[2]+strings.Repeat("0", decimals-len(part[2])), 10, 64)
	if err != nil || n > math.MaxInt64/1000 { // sums of many stay within int64
		return errors.New("is more money than there is")
	}
	*m = Money(n)
	return nil
}

// String is the amount in the unit that reads best: 330.8万元 from 1 万元 up, else 50元.
func (m Money) String() string {
	unit, decimals := "元", 2
	if m >= 1_000_000 || m <= -1_000_000 {
		unit, decimals = "万元", 6
	}
	sign, n := "", int64(m)
	if n < 0 {
		sign, n = "-", -n
	}
	digits := strconv.FormatInt(n, 10)
	if len(digits) <= decimals {
		digits = strings.Repeat("0", decimals+1-len(digits)) + digits
	}
	whole, rest := digits[:len(digits)-decimals], strings.TrimRight(digits[len(digits)-decimals:], "0")
	if unit == "元" && rest != "" {
		rest = digits[len(digits)-decimals:] // 12.50元, not 12.5元
	}
	if rest != "" {
		rest = "." + rest
	}
	return sign + whole + rest + unit
}
