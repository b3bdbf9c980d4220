package simulate

import (
	"fmt"

	vw "voucherwatch"
)

// record is a redemption as its till sends it, before it is written.
type record struct {
	vw.Redemption
	gone absence
}

var channels = [...]string{"qr", "qr", "qr", "qr", "qr", "qr", "qr", "pos", "pos", "nfc"}

func redemptionID(key uint64) string { return token('r', mix(key+1)) }

func voucherID(key uint64) string { return token('v', mix(key+2)) }

// record fills in what the till of the merchant sends. The draws that decide whether a field is there
// come from the merchant and the act's own key, in one place, for honest and fraudulent acts alike.
func (w *world) record(a *act) record {
	m := &w.merchants[a.merchant]
	r := w.chance(forFields, a.key, 0)
	e := vw.Redemption{
		Type: "redemption", ID: redemptionID(a.key), At: w.text(a.at + m.skew),
		VoucherID: voucherID(a.voucherKey), VoucherType: w.Vouchers[a.voucher].Code,
		CustomerID: w.customerID(a.customer), MerchantID: m.id,
		OrderFen: int64(a.order), DiscountFen: int64(a.discount), PaidFen: int64(a.order - a.discount),
	}
	has := func(n never) bool { return !r.hit(m.slip) && m.never&n == 0 }
	terminal, cashier, ticket := a.face.terminal, a.face.cashier, a.face.ticket
	if terminal == 0 {
		terminal = 1 + r.below(len(m.terminals))
	}
	if cashier == 0 {
		cashier = 1 + r.below(m.cashiers)
	}
	if ticket == 0 {
		ticket = w.ticketAt(m, a.day, a.at)
	}
	if has(noDevice) {
		if e.DeviceID = a.face.device; e.DeviceID == "" {
			e.DeviceID = w.deviceOf(a.customer)
		}
	}
	if has(noCard) {
		if e.CardID = a.face.card; e.CardID == "" {
			e.CardID = w.cardOf(a.customer)
		}
	}
	if has(noClaimedAt) {
		e.ClaimedAt = w.text(a.claimed)
	}
	if has(noTerminal) {
		e.TerminalID = m.terminals[(terminal-1)%len(m.terminals)]
	}
	if has(noCashier) {
		e.CashierID = token('c', hash(w.seed, forCashier, uint64(m.index), uint64((cashier-1)%m.cashiers)))
	}
	if has(noOrder) {
		e.OrderID = fmt.Sprintf("%s-%05d", w.stamp(a.at), ticket%100000)
	}
	if has(noMCC) {
		e.MCC = m.mcc
	}
	if has(noDistrict) {
		e.District = w.district()
	}
	if has(noPlace) {
		lon, lat := round6(m.lon+.0002*r.norm()), round6(m.lat+.0002*r.norm())
		e.Lon, e.Lat = &lon, &lat
	}
	e.Channel = channels[r.below(len(channels))]
	if m.delivers && r.hit(.4) {
		e.Channel = "online"
	}
	if a.face.channel != "" {
		e.Channel = a.face.channel
	}
	if has(noLines) {
		lr := w.chance(forLines, a.key, 0)
		e.Lines = w.receipt(a, m, &lr)
		if fee := m.cover + a.face.fee; fee > 0 {
			e.Lines = withFee(e.Lines, fee)
		}
	}
	return record{e, m.gone}
}

// ticketAt is the order number a till has come to at a moment.
func (w *world) ticketAt(m *merchant, day int, at vw.Millis) int {
	return 1 + int(mix(uint64(day)<<20^uint64(m.index))%3000) + int((at-w.midnight(day))/(20*vw.Second))
}

// stamp is the day of a moment as tills print it.
func (w *world) stamp(at vw.Millis) string {
	y, m, d := civil(vw.DayOf(at, w.offset))
	b := pad(make([]byte, 0, 8), y, 4)
	return string(pad(pad(b, m, 2), d, 2))
}

// claim is the event of the voucher landing in the wallet.
func (w *world) claim(a *act) (vw.Claim, absence) {
	c := a.claimBy
	r := w.chance(forClaim, a.voucherKey, 0)
	person := w.chance(forClaim, uint64(c), 1)
	e := vw.Claim{
		Type: "claim", ID: token('c', mix(a.voucherKey+3)), At: w.text(a.claimed),
		VoucherID: voucherID(a.voucherKey), VoucherType: w.Vouchers[a.voucher].Code, CustomerID: w.customerID(c),
	}
	noDevice, noIP, noPlace := person.hit(.04), person.hit(.12), person.hit(.28)
	gone := absence(person.below(3))
	if !noDevice && !r.hit(.02) {
		if e.DeviceID = a.face.device; e.DeviceID == "" {
			e.DeviceID = w.deviceOf(c)
		}
	}
	if !noIP && !r.hit(.04) {
		e.IPToken = w.addressOf(c, &r)
	}
	if !noPlace && !r.hit(.04) {
		lon, lat := w.homeOf(c)
		lon, lat = round6(lon+.003*r.norm()), round6(lat+.003*r.norm())
		e.Lon, e.Lat = &lon, &lat
		if a.face.claimLon != nil {
			e.Lon, e.Lat = a.face.claimLon, a.face.claimLat
		}
	}
	return e, gone
}

// addressOf is the network one claims from: home, the employer's, or one of the province's exits.
func (w *world) addressOf(c int32, r *chance) string {
	who := &w.customers[c]
	switch u := r.float(); {
	case u < .55:
		return token('i', hash(w.seed, forIP, uint64(who.head), 0))
	case u < .7 && who.employer >= 0:
		return token('i', hash(w.seed, forIP, uint64(who.employer), 1))
	default:
		return token('i', hash(w.seed, forIP, uint64(r.below(400)), 2))
	}
}
