package stream

import vw "voucherwatch"

// planned reads a redemption or a claim in compact JSON whose fields come in the order in which
// providers write them: that of the contract's table, or of the acquirer's export (the wire types of
// package voucherwatch and files seen so far). A field that may stand in two places is asked for in
// both. Anything else, a required field that is empty or an unknown one included, it hands over.
func (d *Decoder) planned(b *vw.Batch, e *vw.Event, raw vw.Text) bool {
	c := cursor{data: b.Data[:raw.Off+raw.Len], i: int(raw.Off), e: e}
	switch {
	case c.lit(`{"type":"redemption","id":`):
		e.Type = vw.RedemptionEvent
		return d.plannedRedemption(b, e, &c)
	case c.lit(`{"type":"claim","id":`):
		e.Type = vw.ClaimEvent
		return d.plannedClaim(e, &c)
	}
	return false
}

func (d *Decoder) plannedRedemption(b *vw.Batch, e *vw.Event, c *cursor) bool {
	return c.id(&e.ID) &&
		c.lit(`,"at":`) && d.plannedAt(e, c) &&
		c.lit(`,"voucher_id":`) && c.id(&e.Voucher) &&
		c.lit(`,"voucher_type":`) && d.plannedVoucher(e, c) &&
		c.lit(`,"customer_id":`) && c.id(&e.Customer) &&
		d.plannedPayer(e, c) &&
		c.lit(`,"merchant_id":`) && c.id(&e.Merchant) &&
		plannedTill(e, c) &&
		c.lit(`,"order_fen":`) && c.money(&e.OrderFen) &&
		c.lit(`,"discount_fen":`) && c.money(&e.DiscountFen) &&
		c.lit(`,"paid_fen":`) && c.money(&e.PaidFen) &&
		d.plannedPayer(e, c) &&
		c.ref(`,"terminal_id":`, &e.Terminal, vw.FieldTerminal) &&
		plannedWhere(e, c) &&
		plannedTill(e, c) &&
		plannedWhere(e, c) &&
		c.place() &&
		c.channel() &&
		plannedLines(b, e, c) &&
		c.end()
}

func (d *Decoder) plannedClaim(e *vw.Event, c *cursor) bool {
	return c.id(&e.ID) &&
		c.lit(`,"at":`) && d.plannedAt(e, c) &&
		c.lit(`,"voucher_id":`) && c.id(&e.Voucher) &&
		c.lit(`,"voucher_type":`) && d.plannedVoucher(e, c) &&
		c.lit(`,"customer_id":`) && c.id(&e.Customer) &&
		c.ref(`,"device_id":`, &e.Device, vw.FieldDevice) &&
		c.ref(`,"ip_token":`, &e.IP, vw.FieldIP) &&
		c.place() &&
		c.end()
}

func (d *Decoder) plannedPayer(e *vw.Event, c *cursor) bool {
	return c.ref(`,"device_id":`, &e.Device, vw.FieldDevice) &&
		c.ref(`,"card_id":`, &e.Card, vw.FieldCard) &&
		d.plannedClaimedAt(e, c)
}

func plannedTill(e *vw.Event, c *cursor) bool {
	return c.ref(`,"terminal_id":`, &e.Terminal, vw.FieldTerminal) &&
		c.ref(`,"cashier_id":`, &e.Cashier, vw.FieldCashier) &&
		c.ref(`,"order_id":`, &e.Order, vw.FieldOrder)
}

func plannedWhere(e *vw.Event, c *cursor) bool {
	return c.short(`,"mcc":`, &e.MCC, vw.FieldMCC) && c.short(`,"district":`, &e.District, vw.FieldDistrict)
}

func (d *Decoder) plannedAt(e *vw.Event, c *cursor) (ok bool) {
	if ok = c.string(&e.AtText); !ok {
		return false
	}
	text := c.bytes(e.AtText)
	e.At, e.Zone, ok = instant(text)
	return ok && text[0] >= '2' && !d.tooLate(e.At)
}

func (d *Decoder) plannedClaimedAt(e *vw.Event, c *cursor) (ok bool) {
	if !c.lit(`,"claimed_at":`) {
		return true
	}
	var t vw.Text
	if !c.once(vw.FieldClaimedAt) || !c.maybe(&t) {
		return false
	}
	if t.Len == 0 {
		return true
	}
	e.Has |= vw.FieldClaimedAt
	text := c.bytes(t)
	e.ClaimedAt, _, ok = instant(text)
	return ok && text[0] >= '2' && !d.tooLate(e.ClaimedAt)
}

func (d *Decoder) plannedVoucher(e *vw.Event, c *cursor) bool {
	var t vw.Text
	if !c.string(&t) {
		return false
	}
	i := d.voucher(c.bytes(t))
	e.VoucherType = uint8(i)
	return i >= 0
}

// plannedLines reads the receipt, the last field.
func plannedLines(b *vw.Batch, e *vw.Event, c *cursor) bool {
	if !c.lit(`,"lines":`) {
		return true
	}
	if c.lit("null") || c.lit("[]") {
		return true
	}
	if !c.lit("[") {
		return false
	}
	first := len(b.Lines)
	for n := 0; n < maxLines; n++ {
		b.Lines = append(b.Lines, vw.Line{})
		if !plannedRow(&b.Lines[first+n], c) {
			return false
		}
		if c.lit("]") {
			e.LineFirst, e.LineCount = uint32(first), uint16(n+1)
			e.Has |= vw.FieldLines
			return true
		}
		if !c.lit(",") {
			return false
		}
	}
	return false
}

func plannedRow(l *vw.Line, c *cursor) bool {
	if !c.lit(`{"sku":`) || !c.id(&l.SKU) || c.lit(`,"name":`) && !c.maybe(&l.Name) {
		return false
	}
	var quantity, word vw.Text
	if !c.lit(`,"quantity":`) || !c.number(&quantity) ||
		!c.lit(`,"unit_price_fen":`) || !c.money(&l.UnitFen) ||
		!c.lit(`,"amount_fen":`) || !c.money(&l.Fen) ||
		c.lit(`,"kind":`) && !c.maybe(&word) ||
		!c.lit("}") {
		return false
	}
	l.Kind = lineKindOf(c.bytes(word))
	f, ok := decimal(c.bytes(quantity))
	l.Quantity = f
	return ok && f <= maxQuantity
}
