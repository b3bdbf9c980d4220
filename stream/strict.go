package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
)

// fault is why a line is a dead letter.
type fault struct {
	code  string
	field string // "lines[2].sku"; "" when the line is no JSON object
	at    int    // byte position within the line, from 1; 0 when there is none
	want  string
}

func (f *fault) reason() string {
	switch {
	case f.code == MissingField:
		return f.field + " is missing or empty: " + f.want
	case f.field == "":
		return fmt.Sprintf("at byte %d: %s", f.at, f.want)
	}
	return fmt.Sprintf("%s at byte %d: expected %s", f.field, f.at, f.want)
}

// strict reads any of the nine types, or says why the line is none. JSON is read by json/v2's rules:
// valid UTF-8, no name twice in any object, nothing after the end. The syntax of the whole line is
// looked at first, then the type, then the values in the order in which they stand, then what is
// missing.
func (d *Decoder) strict(b *vw.Batch, e *vw.Event, raw vw.Text) *fault {
	members, broken := objectOf(b, raw, 0)
	if broken != nil {
		return broken
	}
	if f := typeOf(b, e, raw, members); f != nil {
		return f
	}
	var present uint64
	for i := range members {
		m := &members[i]
		k := contract[e.Type].kinds[m.field]
		if k == noKind || m.absent() {
			continue
		}
		if m.kind == '[' {
			var f *fault
			switch k {
			case linesKind:
				f = readReceipt(b, m, raw)
			case idsKind:
				f = checkIDs(b, m, raw)
			}
			if f != nil {
				return f
			}
		}
		if code := d.assign(b, e, m); code != "" {
			return &fault{code, fieldNames[m.field], position(m, raw), want(k, e.Type, m.field)}
		}
		present |= 1 << m.field
	}
	if f := missing(contract[e.Type].required&^present, "", "a "+e.Type.String()+" needs it"); f != nil {
		return f
	}
	located(e, present)
	return detail(b, e, members)
}

func position(m *member, raw vw.Text) int { return int(m.at-raw.Off) + 1 }

// want is what a value should have been; for a word, the words.
func want(k kind, t vw.EventType, f field) string {
	if k != wordKind {
		return wants[k]
	}
	return "one of " + words(t, f)
}

func words(t vw.EventType, f field) string {
	switch {
	case f == fCategory:
		return "retail, fuel, appliance, hospitality"
	case t == vw.PriceEvent:
		return "shelf, online, inspection, cost, cap, reference"
	case t == vw.ComplaintEvent:
		return "price, voucher_refused, surcharge, no_goods, other"
	case t == vw.VerdictEvent:
		return "confirmed, benign, data_error"
	case t == vw.MerchantEvent:
		return "active, suspended, removed"
	}
	return "listed, removed"
}

func missing(fields uint64, prefix, want string) *fault {
	for f := fType; f < field(len(fieldNames)); f++ {
		if fields&(1<<f) != 0 {
			return &fault{code: MissingField, field: prefix + fieldNames[f], want: want}
		}
	}
	return nil
}

func typeOf(b *vw.Batch, e *vw.Event, raw vw.Text, members []member) *fault {
	for i := range members {
		m := &members[i]
		if m.field != fType || m.absent() {
			continue
		}
		if m.kind != '"' {
			return &fault{BadValue, "type", position(m, raw), wants[textKind]}
		}
		var ok bool
		if e.Type, ok = vw.ParseEventType(b.Bytes(m.text)); !ok {
			return &fault{UnknownType, "type", position(m, raw), "one of the nine event types of the contract"}
		}
		return nil
	}
	return missing(1<<fType, "", "every event needs it")
}

// objectOf reads the members of the object that is the piece t of b.Data. start is where t begins in
// the line.
func objectOf(b *vw.Batch, t vw.Text, start int) (members []member, broken *fault) {
	text := b.Bytes(t)
	dec := jsontext.NewDecoder(bytes.NewBuffer(text))
	syntax := func(err error) *fault {
		at, why := dec.InputOffset(), err.Error()
		if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			at, why = s.ByteOffset, strings.TrimPrefix(s.Err.Error(), "jsontext: ")
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			at, why = int64(len(text)), "the record ends too early"
		}
		return &fault{code: BadJSON, at: start + int(at) + 1, want: "not one JSON object: " + why}
	}
	if k := dec.PeekKind(); k != '{' && k != 0 {
		return nil, &fault{code: BadJSON, at: start + int(dec.InputOffset()) + 1, want: "not one JSON object: another kind of value"}
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, syntax(err)
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, syntax(err)
		}
		m := member{field: fieldOf([]byte(name.String()))}
		v, err := dec.ReadValue()
		if err != nil {
			return nil, syntax(err)
		}
		m.at = t.Off + uint32(dec.InputOffset()) - uint32(len(v))
		m.kind, m.text = byte(v.Kind()), textOf(b, v, m.at)
		members = append(members, m)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, syntax(err)
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		if err == nil {
			err = errors.New("text after its end")
		}
		return nil, syntax(err)
	}
	return members, nil
}

// textOf is a value's piece of b.Data: of a string its content, appended to b.Data when it has
// escapes; nothing of an empty array.
func textOf(b *vw.Batch, v jsontext.Value, at uint32) vw.Text {
	switch {
	case v.Kind() == '[' && len(bytes.TrimSpace(v[1:len(v)-1])) == 0:
		return vw.Text{}
	case v.Kind() != '"':
		return vw.Text{Off: at, Len: uint32(len(v))}
	case bytes.IndexByte(v, '\\') < 0:
		return vw.Text{Off: at + 1, Len: uint32(len(v) - 2)}
	}
	n := len(b.Data)
	b.Data, _ = jsontext.AppendUnquote(b.Data, v) // it has been checked
	return vw.Text{Off: uint32(n), Len: uint32(len(b.Data) - n)}
}

// elements calls visit with the values of the array m and where each starts in b.Data.
func elements(b *vw.Batch, m *member, visit func(v jsontext.Value, at uint32) *fault) *fault {
	dec := jsontext.NewDecoder(bytes.NewBuffer(b.Bytes(m.text)))
	if _, err := dec.ReadToken(); err != nil {
		return &fault{code: BadJSON, want: err.Error()} // cannot be: it has been checked
	}
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil {
			return &fault{code: BadJSON, want: err.Error()}
		}
		if f := visit(v, m.text.Off+uint32(dec.InputOffset())-uint32(len(v))); f != nil {
			return f
		}
	}
	return nil
}

func checkIDs(b *vw.Batch, m *member, raw vw.Text) *fault {
	return elements(b, m, func(v jsontext.Value, at uint32) *fault {
		if t := textOf(b, v, at); v.Kind() != '"' || t.Len == 0 || !shortID(b.Bytes(t)) {
			return &fault{BadValue, fieldNames[m.field], int(at-raw.Off) + 1, wants[idsKind]}
		}
		return nil
	})
}

func readReceipt(b *vw.Batch, m *member, raw vw.Text) *fault {
	m.rows = 0
	return elements(b, m, func(v jsontext.Value, at uint32) *fault {
		name := fmt.Sprintf("lines[%d]", m.rows)
		if v.Kind() != '{' || m.rows == maxLines {
			return &fault{BadValue, name, int(at-raw.Off) + 1, wants[linesKind]}
		}
		members, broken := objectOf(b, vw.Text{Off: at, Len: uint32(len(v))}, int(at-raw.Off))
		if broken != nil {
			return broken
		}
		var l vw.Line
		var present uint64
		for i := range members {
			c := &members[i]
			if c.absent() {
				continue
			}
			if code := assignRow(b, &l, c); code != "" {
				return &fault{code, name + "." + fieldNames[c.field], position(c, raw), wants[receipt.kinds[c.field]]}
			}
			present |= 1 << c.field
		}
		if f := missing(receipt.required&^present, name+".", "a receipt line needs it"); f != nil {
			return f
		}
		b.Lines = append(b.Lines, l)
		m.rows++
		return nil
	})
}

// detail reads the rare types into the wire structs: the present fields of the contract are written
// again as an object, so that null, "" and [] are left out. The values have been checked.
func detail(b *vw.Batch, e *vw.Event, members []member) *fault {
	var to any
	switch e.Type {
	case vw.MerchantEvent:
		to = new(vw.Merchant)
	case vw.ComplaintEvent:
		to = new(vw.Complaint)
	case vw.BeneficiaryEvent:
		to = new(vw.Beneficiary)
	case vw.CreditListEvent:
		to = new(vw.CreditList)
	case vw.VerdictEvent:
		to = new(vw.Verdict)
	default:
		return nil
	}
	object := []byte{'{'}
	for i := range members {
		m := &members[i]
		half := (m.field == fLon || m.field == fLat) && e.Has&vw.FieldLocation == 0
		if m.absent() || half || contract[e.Type].kinds[m.field] == noKind {
			continue
		}
		if len(object) > 1 {
			object = append(object, ',')
		}
		object = append(object, '"')
		object = append(object, fieldNames[m.field]...)
		object = append(object, '"', ':')
		if m.kind == '"' {
			object, _ = jsontext.AppendQuote(object, b.Bytes(m.text))
		} else {
			object = append(object, b.Bytes(m.text)...)
		}
	}
	if err := json.Unmarshal(append(object, '}'), to); err != nil {
		return &fault{code: BadValue, field: e.Type.String(), at: 1, want: "the fields of the contract"}
	}
	e.Detail = to
	return nil
}
