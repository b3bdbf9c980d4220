// Package voucherwatch holds the words of the domain: the events that enter, the campaign they are
// judged by, and the scores, findings and cases that come out. It computes nothing; every other
// package imports it and, the application apart, no other part.
//
// Units, everywhere: money is Fen (1 yuan = 100 fen, int64), a moment is Millis (Unix milliseconds,
// UTC), a day is counted in the campaign's zone, log-odds and log likelihood ratios are natural
// logarithms, distances are metres.
package voucherwatch

import (
	"strconv"
	"time"
)

// Fen is an amount of money in fen (分), the hundredth of a yuan. No float carries money.
type Fen int64

// Yuan is the amount as people read it: "¥1,234.50", whole yuan without decimals.
func (f Fen) Yuan() string {
	sign, n := "", int64(f)
	if n < 0 {
		sign, n = "-", -n
	}
	whole := strconv.FormatInt(n/100, 10)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if cents := n % 100; cents != 0 {
		whole += "." + strconv.FormatInt(cents/10, 10) + strconv.FormatInt(cents%10, 10)
	}
	return sign + "¥" + whole
}

// Millis is a moment in Unix milliseconds, UTC.
type Millis int64

const (
	Second Millis = 1000
	Minute        = 60 * Second
	Hour          = 60 * Minute
	Day           = 24 * Hour
)

// Time is the moment in the given zone.
func (m Millis) Time(zone *time.Location) time.Time { return time.UnixMilli(int64(m)).In(zone) }

// Category is a merchant's line of business, and the one a voucher works in.
type Category uint8

// The categories of the contract. NoCategory marks what is unknown, and the 爱心 voucher, which
// works in all of them.
const (
	NoCategory Category = iota
	Retail
	Fuel
	Appliance
	Hospitality
	Categories // how many there are, NoCategory included
)

var categoryNames = [Categories]string{"", "retail", "fuel", "appliance", "hospitality"}
var categoryChinese = [Categories]string{"", "零售通用", "加油", "数码家电", "住餐文旅"}

func (c Category) String() string { return categoryNames[c] }

// Chinese is the plan's name of the category.
func (c Category) Chinese() string { return categoryChinese[c] }

// ParseCategory finds a category by the contract's name; ok is false for any other word.
func ParseCategory(s string) (c Category, ok bool) {
	for i, name := range categoryNames {
		if i > 0 && s == name {
			return Category(i), true
		}
	}
	return NoCategory, false
}
