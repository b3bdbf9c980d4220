package voucherwatch

import "github.com/zeebo/xxh3"

// EventType is one of the nine types of the contract.
type EventType uint8

const (
	NoEvent EventType = iota
	MerchantEvent
	ClaimEvent
	RedemptionEvent
	RefundEvent
	PriceEvent
	ComplaintEvent
	BeneficiaryEvent
	CreditListEvent
	VerdictEvent
	EventTypes // how many there are, NoEvent included
)

var eventTypeNames = [EventTypes]string{"", "merchant", "claim", "redemption", "refund", "price", "complaint", "beneficiary", "credit_list", "verdict"}

func (t EventType) String() string { return eventTypeNames[t] }

// ParseEventType finds a type by the contract's name.
func ParseEventType(s []byte) (EventType, bool) {
	for i := 1; i < len(eventTypeNames); i++ {
		if string(s) == eventTypeNames[i] {
			return EventType(i), true
		}
	}
	return NoEvent, false
}

// Field is an optional field of an event, as a bit of Event.Has. A detector that needs one and finds
// the bit clear is blind by that name.
type Field uint16

const (
	FieldDevice Field = 1 << iota
	FieldCard
	FieldClaimedAt
	FieldTerminal
	FieldCashier
	FieldOrder
	FieldMCC
	FieldDistrict
	FieldLocation // both lon and lat
	FieldChannel
	FieldLines
	FieldIP
	FieldName
)

// FieldNames are the contract's names of the fields, by bit position.
var FieldNames = [...]string{"device_id", "card_id", "claimed_at", "terminal_id", "cashier_id", "order_id", "mcc", "district", "lon,lat", "channel", "lines", "ip_token", "name"}

// Text is a piece of Batch.Data. The zero Text is empty: unknown.
type Text struct{ Off, Len uint32 }

// Ref names a thing: its identifier as text, and the hash that state is keyed by. Key is 0 exactly
// when the identifier is absent.
type Ref struct {
	Text Text
	Key  uint64
}

// Hash is the key of an identifier, never 0. Equal bytes give equal keys in every process and run;
// results never depend on the value itself (ids in results are SHA-256 of the texts).
func Hash(id []byte) uint64 { return max(xxh3.HashSeed(id, 0x766f7563686572), 1) }

// HashString is Hash of a string.
func HashString(id string) uint64 { return max(xxh3.HashStringSeed(id, 0x766f7563686572), 1) }

// Kind is the closed word of an event: price.kind, complaint.kind, verdict.verdict, status.
type Kind uint8

const (
	NoKind Kind = iota
	Shelf
	Online
	Inspection
	Cost
	Cap
	Reference
	PriceComplaint
	VoucherRefused
	Surcharge
	NoGoods
	OtherComplaint
	Confirmed
	Benign
	DataError
	Active
	Suspended
	Removed
	Listed
)

// Channel is how a voucher was shown; NoChannel is unknown.
type Channel uint8

const (
	NoChannel Channel = iota
	QR
	NFC
	POS
	OnlineChannel
)

// Event is one input event, decoded. It holds no pointer but Detail: texts are pieces of the batch's
// Data and order lines pieces of its Lines, so a batch is reused without garbage. Fields a type does
// not have are zero.
type Event struct {
	Type    EventType
	Kind    Kind
	Channel Channel
	// VoucherType is the index into Campaign.Vouchers (claim, redemption).
	VoucherType uint8
	// Returned is refund.voucher_returned.
	Returned bool
	Has      Field
	// Zone is the offset of At as written, in minutes east of UTC.
	Zone      int16
	LineCount uint16
	LineFirst uint32
	At        Millis
	AtText    Text // as written
	ClaimedAt Millis
	ID        Ref
	Merchant  Ref // key "*" in a price cap
	Customer  Ref
	Voucher   Ref
	Device    Ref
	Card      Ref
	Terminal  Ref
	Cashier   Ref
	Order     Ref
	IP        Ref
	SKU       Ref
	// Target is refund.redemption_id.
	Target   Ref
	MCC      Text
	District Text
	// Order, discount and paid amounts of a redemption; Amount is refund_fen or price_fen.
	OrderFen, DiscountFen, PaidFen, Amount Fen
	Lon, Lat                               float64
	Name                                   Text
	// Detail is *Merchant, *Complaint, *Beneficiary, *CreditList or *Verdict for those types, else nil.
	Detail any
	// Source and Line are where it was read: an index into Batch.Sources and the 1-based line or offset.
	Source int32
	Line   int64
	// Raw is the whole line as read.
	Raw Text
}

// LineKind is lines[].kind.
type LineKind uint8

const (
	NoLineKind LineKind = iota
	Goods
	Service
	StoredValue
)

// Line is one row of a receipt.
type Line struct {
	SKU      Ref
	Name     Text
	Kind     LineKind
	Quantity float64
	UnitFen  Fen
	Fen      Fen
}

// Batch is a run of events in order of arrival and the bytes they point into. The one who fills it
// owns it; detectors read it only until the call that got it returns.
type Batch struct {
	Data    []byte
	Events  []Event
	Lines   []Line
	Sources []string
	// Dead are the records that did not decode, in order of arrival.
	Dead []DeadLetter
}

// Bytes is the text's bytes, valid as long as the batch.
func (b *Batch) Bytes(t Text) []byte { return b.Data[t.Off : t.Off+t.Len] }

// String is a copy of the text.
func (b *Batch) String(t Text) string { return string(b.Data[t.Off : t.Off+t.Len]) }

// LinesOf are the receipt lines of an event.
func (b *Batch) LinesOf(e *Event) []Line {
	return b.Lines[e.LineFirst : e.LineFirst+uint32(e.LineCount)]
}

// Append copies an event of another batch to the end of this one, read from the source with that index.
// piece is where in from.Data all texts of the event lie.
func (b *Batch) Append(from *Batch, e *Event, piece Text, source int32) {
	move := uint32(len(b.Data)) - piece.Off // may wrap around, and back
	b.Data = append(b.Data, from.Bytes(piece)...)
	first := len(b.Lines)
	b.Lines = append(b.Lines, from.LinesOf(e)...)
	for i := range b.Lines[first:] {
		l := &b.Lines[first+i]
		l.SKU.Text.move(move)
		l.Name.move(move)
	}
	b.Events = append(b.Events, *e)
	e = &b.Events[len(b.Events)-1]
	e.Source, e.LineFirst = source, uint32(first)
	for _, r := range [...]*Ref{&e.ID, &e.Merchant, &e.Customer, &e.Voucher, &e.Device, &e.Card, &e.Terminal, &e.Cashier, &e.Order, &e.IP, &e.SKU, &e.Target} {
		r.Text.move(move)
	}
	for _, t := range [...]*Text{&e.AtText, &e.MCC, &e.District, &e.Name, &e.Raw} {
		t.move(move)
	}
}

// move leaves an empty text where it is.
func (t *Text) move(by uint32) {
	if t.Len > 0 {
		t.Off += by
	}
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Events) // drops the Details
	b.Data, b.Events, b.Lines, b.Dead = b.Data[:0], b.Events[:0], b.Lines[:0], b.Dead[:0]
}
