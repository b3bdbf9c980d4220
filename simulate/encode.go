package simulate

import (
	"math"
	"strconv"
	"unicode/utf8"

	vw "voucherwatch"
)

// absence is how a sender writes an optional field that it does not know: the contract allows all three.
type absence uint8

const (
	omitted absence = iota
	null
	empty
)

// line appends one event as one JSON object. Fields come in the order of the wire types; required
// fields first, so the first field needs no comma logic beyond the opening brace.
type line struct {
	b    []byte
	gone absence
}

func (l *line) key(name string) {
	if l.b[len(l.b)-1] != '{' {
		l.b = append(l.b, ',')
	}
	l.b = append(l.b, '"')
	l.b = append(l.b, name...)
	l.b = append(l.b, '"', ':')
}

func (l *line) text(name, v string) {
	l.key(name)
	l.b = appendText(l.b, v)
}

// maybe writes an optional text; "" is unknown.
func (l *line) maybe(name, v string) {
	if v != "" {
		l.text(name, v)
		return
	}
	switch l.gone {
	case null:
		l.key(name)
		l.b = append(l.b, "null"...)
	case empty:
		l.key(name)
		l.b = append(l.b, '"', '"')
	}
}

func (l *line) number(name string, v int64) {
	l.key(name)
	l.b = strconv.AppendInt(l.b, v, 10)
}

func (l *line) float(name string, v float64) {
	l.key(name)
	l.b = appendFloat(l.b, v)
}

func (l *line) flag(name string, v bool) {
	l.key(name)
	l.b = strconv.AppendBool(l.b, v)
}

// place writes both coordinates or neither.
func (l *line) place(lon, lat *float64) {
	if lon != nil && lat != nil {
		l.float("lon", *lon)
		l.float("lat", *lat)
	}
}

func (l *line) list(name string, vs []string) {
	if len(vs) == 0 {
		switch l.gone {
		case null:
			l.key(name)
			l.b = append(l.b, "null"...)
		case empty:
			l.key(name)
			l.b = append(l.b, '[', ']')
		}
		return
	}
	l.key(name)
	for i, v := range vs {
		l.b = append(l.b, "[,"[min(i, 1)])
		l.b = appendText(l.b, v)
	}
	l.b = append(l.b, ']')
}

// begin starts the line of an event.
func begin(b []byte, gone absence, kind, id, at string) line {
	l := line{append(b, '{'), gone}
	l.text("type", kind)
	l.text("id", id)
	l.text("at", at)
	return l
}

func (l *line) end() []byte { return append(l.b, '}') }

func appendMerchant(b []byte, gone absence, m *vw.Merchant) []byte {
	l := begin(b, gone, m.Type, m.ID, m.At)
	l.text("merchant_id", m.MerchantID)
	l.text("name", m.Name)
	l.maybe("uscc", m.USCC)
	l.text("category", m.Category)
	l.maybe("mcc", m.MCC)
	l.text("status", m.Status)
	l.flag("dishonest", m.Dishonest)
	l.maybe("district", m.District)
	l.place(m.Lon, m.Lat)
	l.maybe("opens_at", m.OpensAt)
	l.maybe("closes_at", m.ClosesAt)
	if m.Seats != nil {
		l.number("seats", *m.Seats)
	}
	l.list("terminals", m.Terminals)
	l.list("owner_customer_ids", m.OwnerCustomerIDs)
	l.maybe("settlement_account", m.SettlementAccount)
	return l.end()
}

func appendClaim(b []byte, gone absence, c *vw.Claim) []byte {
	l := begin(b, gone, c.Type, c.ID, c.At)
	l.text("voucher_id", c.VoucherID)
	l.text("voucher_type", c.VoucherType)
	l.text("customer_id", c.CustomerID)
	l.maybe("device_id", c.DeviceID)
	l.maybe("ip_token", c.IPToken)
	l.place(c.Lon, c.Lat)
	return l.end()
}

func appendRedemption(b []byte, gone absence, r *vw.Redemption) []byte {
	l := begin(b, gone, r.Type, r.ID, r.At)
	l.text("voucher_id", r.VoucherID)
	l.text("voucher_type", r.VoucherType)
	l.text("customer_id", r.CustomerID)
	l.text("merchant_id", r.MerchantID)
	l.number("order_fen", r.OrderFen)
	l.number("discount_fen", r.DiscountFen)
	l.number("paid_fen", r.PaidFen)
	l.maybe("device_id", r.DeviceID)
	l.maybe("card_id", r.CardID)
	l.maybe("claimed_at", r.ClaimedAt)
	l.maybe("terminal_id", r.TerminalID)
	l.maybe("cashier_id", r.CashierID)
	l.maybe("order_id", r.OrderID)
	l.maybe("mcc", r.MCC)
	l.maybe("district", r.District)
	l.place(r.Lon, r.Lat)
	l.maybe("channel", r.Channel)
	if len(r.Lines) == 0 {
		l.list("lines", nil)
		return l.end()
	}
	l.key("lines")
	for i := range r.Lines {
		l.b = append(l.b, "[,"[min(i, 1)])
		l.receipt(&r.Lines[i])
	}
	l.b = append(l.b, ']')
	return l.end()
}

func (l *line) receipt(r *vw.ReceiptLine) {
	l.b = append(l.b, '{')
	l.text("sku", r.SKU)
	if r.Name != "" {
		l.text("name", r.Name)
	}
	l.float("quantity", r.Quantity)
	l.number("unit_price_fen", r.UnitPriceFen)
	l.number("amount_fen", r.AmountFen)
	if r.Kind != "" {
		l.text("kind", r.Kind)
	}
	l.b = append(l.b, '}')
}

func appendRefund(b []byte, r *vw.Refund) []byte {
	l := begin(b, omitted, r.Type, r.ID, r.At)
	l.text("redemption_id", r.RedemptionID)
	l.text("merchant_id", r.MerchantID)
	l.text("customer_id", r.CustomerID)
	l.number("refund_fen", r.RefundFen)
	l.flag("voucher_returned", r.VoucherReturned)
	return l.end()
}

func appendPrice(b []byte, p *vw.Price) []byte {
	l := begin(b, omitted, p.Type, p.ID, p.At)
	l.text("merchant_id", p.MerchantID)
	l.text("sku", p.SKU)
	l.number("price_fen", p.PriceFen)
	l.text("kind", p.Kind)
	l.maybe("name", p.Name)
	return l.end()
}

func appendComplaint(b []byte, gone absence, c *vw.Complaint) []byte {
	l := begin(b, gone, c.Type, c.ID, c.At)
	l.text("merchant_id", c.MerchantID)
	l.text("kind", c.Kind)
	l.maybe("text", c.Text)
	return l.end()
}

func appendBeneficiary(b []byte, x *vw.Beneficiary) []byte {
	l := begin(b, empty, x.Type, x.ID, x.At)
	l.text("customer_id", x.CustomerID)
	l.text("status", x.Status)
	l.number("limit_fen", x.LimitFen)
	l.list("agent_customer_ids", x.AgentCustomerIDs)
	return l.end()
}

func appendCreditList(b []byte, x *vw.CreditList) []byte {
	l := begin(b, omitted, x.Type, x.ID, x.At)
	l.text("uscc", x.USCC)
	l.text("status", x.Status)
	l.text("basis", x.Basis)
	return l.end()
}

// appendFloat writes a finite number without an exponent; JSON has no other.
func appendFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}

// appendText writes a JSON string; what is not UTF-8 becomes U+FFFD, as the json package does.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		b = append(b, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, "\uFFFD"...)
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// appendTime writes RFC 3339 with milliseconds in a zone of fixed offset.
func appendTime(b []byte, at vw.Millis, offsetMinutes int) []byte {
	day := vw.DayOf(at, offsetMinutes)
	ms := int(int64(at) + int64(offsetMinutes)*int64(vw.Minute) - int64(day)*int64(vw.Day))
	y, m, d := civil(day)
	b = pad(b, y, 4)
	b = pad(append(b, '-'), m, 2)
	b = pad(append(b, '-'), d, 2)
	b = pad(append(b, 'T'), ms/3_600_000, 2)
	b = pad(append(b, ':'), ms/60_000%60, 2)
	b = pad(append(b, ':'), ms/1000%60, 2)
	b = pad(append(b, '.'), ms%1000, 3)
	if offsetMinutes == 0 {
		return append(b, 'Z')
	}
	sign := byte('+')
	if offsetMinutes < 0 {
		sign, offsetMinutes = '-', -offsetMinutes
	}
	b = pad(append(b, sign), offsetMinutes/60, 2)
	return pad(append(b, ':'), offsetMinutes%60, 2)
}

func pad(b []byte, v, width int) []byte {
	for p := []int{1, 10, 100, 1000}[width-1]; p > 0; p /= 10 {
		b = append(b, byte('0'+v/p%10))
	}
	return b
}

// civil is the calendar day of a day number (Hinnant, days_from_civil inverted).
func civil(day int) (year, month, mday int) {
	z := day + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	month = mp + 3
	if mp >= 10 {
		month = mp - 9
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month, doy - (153*mp+2)/5 + 1
}
