package stream

import (
	"unicode/utf8"

	vw "voucherwatch"
)

// member is one name and value of an object as a reader found it.
type member struct {
	field field
	kind  byte    // of the value: '"' '0' 't' 'f' 'n' '[' '{'
	rows  uint16  // receipt lines read, for an array of them
	at    uint32  // where the value starts in Batch.Data
	text  vw.Text // a string's content, any other value as written; empty for []
}

// absent says whether the value means "unknown".
func (m *member) absent() bool {
	return m.kind == 'n' || m.text.Len == 0 && (m.kind == '"' || m.kind == '[')
}

// assign puts a present value into the event. It is all that the general and the strict reader know
// of the contract, so they differ only in how they read JSON. The code is "" when the value is right.
func (d *Decoder) assign(b *vw.Batch, e *vw.Event, m *member) (code string) {
	text := b.Data[m.text.Off : m.text.Off+m.text.Len]
	k := contract[e.Type].kinds[m.field]
	if k == noKind || m.field == fType {
		return ""
	}
	if m.kind != jsonKinds[k] && (k != flagKind || m.kind != 'f') {
		return BadValue
	}
	switch k {
	case idKind, textKind:
		if k == idKind && !shortID(text) {
			return BadValue
		}
		assignText(e, m.field, m.text, text)
	case wordKind:
		word, ok := wordOf(e.Type, m.field, text)
		if !ok {
			return BadValue
		}
		e.Kind = max(e.Kind, word) // category has none
	case openWordKind:
		if e.Channel = channelOf(text); e.Channel != vw.NoChannel {
			e.Has |= vw.FieldChannel
		}
	case voucherKind:
		i := d.voucher(text)
		if i < 0 {
			return UnknownVoucherType
		}
		e.VoucherType = uint8(i)
	case timeKind:
		at, zone, ok := instant(text)
		switch {
		case !ok || text[0] < '2':
			return BadTime
		case d.tooLate(at):
			return FutureTime
		case m.field == fAt:
			e.At, e.Zone, e.AtText = at, zone, m.text
		default:
			e.ClaimedAt = at
			e.Has |= vw.FieldClaimedAt
		}
	case clockKind:
		if !clock(text) {
			return BadValue
		}
	case moneyKind, countKind:
		fen, code := money(text)
		if code != "" {
			if k == countKind {
				code = BadValue
			}
			return code
		}
		switch m.field {
		case fOrderFen:
			e.OrderFen = fen
		case fDiscountFen:
			e.DiscountFen = fen
		case fPaidFen:
			e.PaidFen = fen
		case fRefundFen, fPriceFen:
			e.Amount = fen
		}
	case flagKind:
		if m.field == fVoucherReturned {
			e.Returned = m.kind == 't'
		}
	case lonKind, latKind:
		f, ok := decimal(text)
		if limit := degrees[k]; !ok || f < -limit || f > limit {
			return BadValue
		}
		if k == lonKind {
			e.Lon = f
		} else {
			e.Lat = f
		}
	case linesKind:
		e.LineFirst, e.LineCount = uint32(len(b.Lines)-int(m.rows)), m.rows
		e.Has |= vw.FieldLines
	}
	return ""
}

// jsonKinds is the kind of JSON value that each kind of field is written as.
var jsonKinds = [kinds]byte{idKind: '"', textKind: '"', wordKind: '"', openWordKind: '"', voucherKind: '"', timeKind: '"', clockKind: '"',
	moneyKind: '0', countKind: '0', flagKind: 't', lonKind: '0', latKind: '0', quantityKind: '0', idsKind: '[', linesKind: '['}

var degrees = [kinds]float64{lonKind: 180, latKind: 90}

func assignText(e *vw.Event, f field, t vw.Text, text []byte) {
	var to *vw.Ref
	var has vw.Field
	switch f {
	case fID:
		to = &e.ID
	case fVoucherID:
		to = &e.Voucher
	case fRedemptionID:
		to = &e.Target
	case fCustomerID:
		to = &e.Customer
	case fMerchantID:
		to = &e.Merchant
	case fSKU:
		to = &e.SKU
	case fDeviceID:
		to, has = &e.Device, vw.FieldDevice
	case fCardID:
		to, has = &e.Card, vw.FieldCard
	case fTerminalID:
		to, has = &e.Terminal, vw.FieldTerminal
	case fCashierID:
		to, has = &e.Cashier, vw.FieldCashier
	case fOrderID:
		to, has = &e.Order, vw.FieldOrder
	case fIPToken:
		to, has = &e.IP, vw.FieldIP
	case fMCC:
		e.MCC, has = t, vw.FieldMCC
	case fDistrict:
		e.District, has = t, vw.FieldDistrict
	case fName:
		e.Name, has = t, vw.FieldName
	}
	if to != nil {
		*to = vw.Ref{Text: t, Key: vw.Hash(text)}
	}
	e.Has |= has
}

// assignRow puts a present value into a receipt line.
func assignRow(b *vw.Batch, l *vw.Line, m *member) (code string) {
	text := b.Data[m.text.Off : m.text.Off+m.text.Len]
	k := receipt.kinds[m.field]
	if k == noKind {
		return ""
	}
	if m.kind != jsonKinds[k] {
		return BadValue
	}
	switch m.field {
	case fSKU:
		if !shortID(text) {
			return BadValue
		}
		l.SKU = vw.Ref{Text: m.text, Key: vw.Hash(text)}
	case fName:
		l.Name = m.text
	case fKind:
		l.Kind = lineKindOf(text)
	case fQuantity:
		f, ok := decimal(text)
		if !ok || f < 0 || f > maxQuantity {
			return BadValue
		}
		l.Quantity = f
	case fUnitPriceFen:
		l.UnitFen, code = money(text)
	case fAmountFen:
		l.Fen, code = money(text)
	}
	return code
}

// located forgets a longitude without a latitude or the other way round: half a place is unknown.
func located(e *vw.Event, present uint64) {
	const both = 1<<fLon | 1<<fLat
	if contract[e.Type].kinds[fLon] == noKind {
		return
	}
	if present&both == both {
		e.Has |= vw.FieldLocation
	} else {
		e.Lon, e.Lat = 0, 0
	}
}

func shortID(text []byte) bool {
	return len(text) <= maxID || len(text) <= maxID*utf8.UTFMax && utf8.RuneCount(text) <= maxID
}

func clock(t []byte) bool {
	if len(t) != 5 || t[2] != ':' {
		return false
	}
	h, bad := two(t, 0)
	m, worse := two(t, 3)
	return !bad && !worse && h < 24 && m < 60
}
