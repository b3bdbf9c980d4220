package stream

import (
	"errors"
	"fmt"
	"time"

	vw "voucherwatch"
)

// Options configure a Decoder.
type Options struct {
	// VoucherTypes are the codes of the campaign's vouchers, 1 to 255 of them, in the order of
	// Campaign.Vouchers: Event.VoucherType is an index into them.
	VoucherTypes []string
	// Now is the present, against which a time is in the future; it must not run backwards.
	Now func() time.Time
}

// Decoder reads one event of the contract from one line. It does not change after NewDecoder, so any
// number of goroutines may share it.
//
// A line is read in up to three ways, fastest first: the planned reader knows redemptions and claims
// with their fields in the usual order, the general one the four frequent types with fields in any
// order, and the strict one, built on json/v2, everything. The first two accept only what the strict
// one accepts, with the same event; what they do not understand at once, wrong or right, they leave
// to the next, and only the strict reader rejects. So no line means one thing to one reader and
// another thing to the next.
type Decoder struct {
	vouchers []string
	now      func() time.Time
	// early is a moment that was not too far in the future when the decoder was made, and never will be.
	early vw.Millis
}

// NewDecoder makes a decoder; a fault in the options is a vw.Invalid error.
func NewDecoder(o Options) (*Decoder, error) {
	var errs []error
	if n := len(o.VoucherTypes); n < 1 || n > 255 {
		errs = append(errs, fmt.Errorf("voucher types: 1 to 255 are needed, there are %d", n))
	}
	seen := map[string]bool{}
	for _, code := range o.VoucherTypes {
		if code == "" || seen[code] {
			errs = append(errs, fmt.Errorf("voucher types: %q is empty or given twice", code))
		}
		seen[code] = true
	}
	if o.Now == nil {
		errs = append(errs, errors.New("now: is required"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &vw.Error{Op: "stream.NewDecoder", Code: vw.Invalid, Hint: "correct the options", Err: err}
	}
	d := &Decoder{vouchers: append([]string(nil), o.VoucherTypes...), now: o.Now}
	d.early = vw.Millis(o.Now().UnixMilli()) + vw.Day
	return d, nil
}

// Decode reads one record, the piece raw of b.Data without its line end, and appends to b either one
// event with its receipt lines, or one dead letter. source is its index in b.Sources, line its 1-based
// line or offset there. Texts of the event are pieces of b.Data; a string that is written with escapes
// is appended to b.Data unescaped, so b.Data may move.
//
// It allocates nothing for a redemption, claim, refund or price in plain JSON once b has grown.
func (d *Decoder) Decode(b *vw.Batch, source int32, line int64, raw vw.Text) {
	d.decode(b, source, line, raw, (*Decoder).planned, (*Decoder).general)
}

// reader reads b.Data[raw] into e and the end of b.Lines; false hands it over to the next one.
type reader func(d *Decoder, b *vw.Batch, e *vw.Event, raw vw.Text) bool

func (d *Decoder) decode(b *vw.Batch, source int32, line int64, raw vw.Text, fast ...reader) {
	n, lines := len(b.Events), len(b.Lines)
	blank := vw.Event{Source: source, Line: line, Raw: raw}
	b.Events = append(b.Events, blank)
	e := &b.Events[n]
	for _, read := range fast {
		if read(d, b, e, raw) {
			return
		}
		*e = blank
		b.Lines = b.Lines[:lines]
	}
	data := len(b.Data)
	if fault := d.strict(b, e, raw); fault != nil {
		*e = vw.Event{}
		b.Data, b.Events, b.Lines = b.Data[:data], b.Events[:n], b.Lines[:lines]
		name := ""
		if int(source) < len(b.Sources) {
			name = b.Sources[source]
		}
		b.Dead = append(b.Dead, NewDeadLetter(name, line, fault.code, fault.reason(), b.Bytes(raw)))
	}
}

// voucher is the index of a voucher type, or -1.
func (d *Decoder) voucher(code []byte) int {
	for i, v := range d.vouchers {
		if len(v) == len(code) && v == string(code) {
			return i
		}
	}
	return -1
}

// tooLate says whether a moment is more than 24 hours from now. As now only advances, the clock need
// not be read for what was early enough from the start.
func (d *Decoder) tooLate(at vw.Millis) bool {
	return at > d.early && at > vw.Millis(d.now().UnixMilli())+vw.Day
}
