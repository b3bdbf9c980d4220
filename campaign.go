package voucherwatch

import "time"

// Campaign is the plan that redemptions are judged by: what vouchers exist, when, where and for how
// much. Package campaign reads it from YAML; nothing of one campaign is written in Go.
type Campaign struct {
	ID    string // "gaoping-2022-2": part of every finding and case id
	Name  string // as people call it, Chinese
	Theme string
	Zone  *time.Location
	// Start and End are the first and last day, inclusive, as day numbers (see DayOf).
	Start, End int
	// Districts are the GB/T 2260 codes that merchants and transactions must lie in. The first is the
	// campaign's own.
	Districts []string
	// ReleaseMinute and ExpireMinute bound the validity of a voucher on its day, in minutes after
	// midnight: [release, expire).
	ReleaseMinute, ExpireMinute int
	Vouchers                    []Voucher
	Rounds                      []Round
	// ClaimLimit is the most claims of one customer per round, or per campaign when ClaimPerCampaign.
	ClaimLimit       int
	ClaimPerCampaign bool
	RefundPolicy     RefundPolicy
	// MCC lists the merchant category codes allowed in each category (empty: any), NeverMCC those that
	// are never eligible.
	MCC      [Categories][]string
	NeverMCC []string
	Agencies []Agency
	// Budget is the whole subsidy, 爱心 included.
	Budget Fen
}

// Voucher is one type: 满Threshold减Face. A balance voucher (爱心) has no threshold, no face and no
// round: one voucher id is redeemed several times up to Limit, until Until (a day number, inclusive).
type Voucher struct {
	Code      string
	Name      string // Chinese
	Category  Category
	Threshold Fen
	Face      Fen
	Balance   bool
	Limit     Fen
	From      int // first day a balance voucher may be used
	Until     int // last day
	Issuer    string
	Budget    Fen // of a balance voucher, which is in no round
}

// Round is a part of the campaign with a budget of its own per category.
type Round struct {
	Number   int
	From, To int // day numbers, inclusive
	Budget   [Categories]Fen
}

// Agency is who must be told.
type Agency struct {
	Code string // GX, GA, SJ, CZ, SJJ, FG, YL, MZ (regulation.md §9)
	Name string // Chinese
	Role string
}

// RefundPolicy says what happens to the voucher when an order is refunded (regulation.md §5.3).
type RefundPolicy string

const (
	NoReturnProportional   RefundPolicy = "no_return_proportional"  // money pro rata, voucher stays used
	FullReturnInValidity   RefundPolicy = "full_return_in_validity" // a full refund on the day restores it
	NoReturnNet            RefundPolicy = "no_return_net"           // refund = amount - discount, voucher stays used
	RefundPolicyUnrecorded RefundPolicy = "unrecorded"              // the plan does not say
)

// DayOf is the day number of a moment in a zone with a fixed offset: days since 1970-01-01, local.
func DayOf(at Millis, offsetMinutes int) int {
	local := int64(at) + int64(offsetMinutes)*int64(Minute)
	day := local / int64(Day)
	if local < 0 && local%int64(Day) != 0 {
		day--
	}
	return int(day)
}

// MinuteOf is the minute of the day of a moment, 0 to 1439.
func MinuteOf(at Millis, offsetMinutes int) int {
	local := int64(at) + int64(offsetMinutes)*int64(Minute) - int64(DayOf(at, offsetMinutes))*int64(Day)
	return int(local / int64(Minute))
}

// Offset is the zone's offset on the campaign's first day, in minutes east of UTC.
func (c *Campaign) Offset() int {
	_, s := time.Unix(int64(c.Start)*86400, 0).In(c.Zone).Zone()
	return s / 60
}

// Date is a day number as a calendar day, "2022-09-20".
func Date(day int) string { return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly) }

// DayNumber is the day number of a calendar day, "2022-09-20".
func DayNumber(date string) (int, error) {
	t, err := time.Parse(time.DateOnly, date)
	return int(t.Unix() / 86400), err
}

// RoundOn is the index of the round that a day lies in, or -1.
func (c *Campaign) RoundOn(day int) int {
	for i, r := range c.Rounds {
		if day >= r.From && day <= r.To {
			return i
		}
	}
	return -1
}

// VoucherIndex finds a voucher type by code, or -1.
func (c *Campaign) VoucherIndex(code string) int {
	for i := range c.Vouchers {
		if c.Vouchers[i].Code == code {
			return i
		}
	}
	return -1
}
