package stream

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

var now = time.Date(2022, 10, 1, 12, 0, 0, 0, time.UTC)

func newDecoder(t testing.TB) *Decoder {
	t.Helper()
	d, err := NewDecoder(Options{
		VoucherTypes: []string{"retail-50-10", "retail-200-40", "hospitality-50-10", "love"},
		Now:          func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// object is a JSON object whose members keep their order: name, value as written, name, value …
type object []string

func (o object) String() string {
	var s strings.Builder
	for i := 0; i < len(o); i += 2 {
		fmt.Fprintf(&s, `,"%s":%s`, o[i], o[i+1])
	}
	return "{" + strings.TrimPrefix(s.String(), ",") + "}"
}

// with changes members, or adds them at the end: name, value, …
func (o object) with(change ...string) object {
	o = slices.Clone(o)
next:
	for i := 0; i < len(change); i += 2 {
		for j := 0; j < len(o); j += 2 {
			if o[j] == change[i] {
				o[j+1] = change[i+1]
				continue next
			}
		}
		o = append(o, change[i:i+2]...)
	}
	return o
}

func (o object) without(name string) object {
	for i := 0; i < len(o); i += 2 {
		if o[i] == name {
			return slices.Delete(slices.Clone(o), i, i+2)
		}
	}
	return o
}

const oneLine = `[{"sku":"S021","name":"商品021","quantity":2.5,"unit_price_fen":840,"amount_fen":2100,"kind":"goods"}]`

// full has every field of every type.
var full = map[vw.EventType]object{
	vw.MerchantEvent: {"type", `"merchant"`, "id", `"m1"`, "at", `"2022-09-19T14:24:00.000+08:00"`, "merchant_id", `"967975402447338"`,
		"name", `"高平市老李面馆"`, "uscc", `"91140581MA5MPTH938"`, "category", `"hospitality"`, "mcc", `"5812"`, "status", `"active"`,
		"dishonest", "false", "district", `"140581"`, "lon", "112.919626", "lat", "35.71696", "opens_at", `"08:30"`, "closes_at", `"22:00"`,
		"seats", "101", "terminals", `["29373060","35171821"]`, "owner_customer_ids", `["u1"]`, "settlement_account", `"a1"`},
	vw.ClaimEvent: {"type", `"claim"`, "id", `"c1"`, "at", `"2022-09-20T10:00:00.488+08:00"`, "voucher_id", `"v1"`,
		"voucher_type", `"retail-50-10"`, "customer_id", `"u1"`, "device_id", `"d1"`, "ip_token", `"i1"`, "lon", "112.933716", "lat", "35.797293"},
	vw.RedemptionEvent: {"type", `"redemption"`, "id", `"r7800c4284a9d3e"`, "at", `"2022-09-20T10:05:53.634+08:00"`, "voucher_id", `"v1"`,
		"voucher_type", `"hospitality-50-10"`, "customer_id", `"u1"`, "merchant_id", `"773968251198546"`, "order_fen", "6700",
		"discount_fen", "1000", "paid_fen", "5700", "device_id", `"d1"`, "card_id", `"k1"`, "claimed_at", `"2022-09-20T10:02:58.070+08:00"`,
		"terminal_id", `"98590982"`, "mcc", `"5814"`, "district", `"140581"`, "cashier_id", `"c1"`, "order_id", `"20220920T100553-9824"`,
		"lon", "112.974399", "lat", "35.84649", "channel", `"pos"`, "lines", oneLine},
	vw.RefundEvent: {"type", `"refund"`, "id", `"f1"`, "at", `"2022-09-20T12:38:49.562+08:00"`, "redemption_id", `"r1"`,
		"merchant_id", `"m1"`, "customer_id", `"u1"`, "refund_fen", "5500", "voucher_returned", "true"},
	vw.PriceEvent: {"type", `"price"`, "id", `"p1"`, "at", `"2022-08-22T00:00:00.000+08:00"`, "merchant_id", `"*"`, "sku", `"92#"`,
		"price_fen", "806", "kind", `"cap"`, "name", `"92号汽油"`},
	vw.ComplaintEvent: {"type", `"complaint"`, "id", `"o1"`, "at", `"2022-09-21T13:16:26.463+08:00"`, "merchant_id", `"m1"`,
		"kind", `"no_goods"`, "text", `"没有拿到商品"`},
	vw.BeneficiaryEvent: {"type", `"beneficiary"`, "id", `"b1"`, "at", `"2022-09-19T10:11:02.447+08:00"`, "customer_id", `"u1"`,
		"status", `"listed"`, "limit_fen", "100000", "agent_customer_ids", `["u2"]`},
	vw.CreditListEvent: {"type", `"credit_list"`, "id", `"l1"`, "at", `"2022-09-14T00:00:00.000+08:00"`, "uscc", `"91140581MA9FNA990F"`,
		"status", `"removed"`, "basis", `"失信被执行人"`},
	vw.VerdictEvent: {"type", `"verdict"`, "id", `"w1"`, "at", `"2022-09-30T09:00:00+08:00"`, "merchant_id", `"m1"`, "case_id", `"k1"`,
		"verdict", `"data_error"`, "reason", `"终端时钟错误"`},
}

// decode reads one line with the given readers before the strict one. The batch has one event or one
// dead letter.
func decode(d *Decoder, line string, fast ...reader) *vw.Batch {
	b := &vw.Batch{Data: []byte(line), Sources: []string{"day.ndjson"}}
	d.decode(b, 0, 7, vw.Text{Len: uint32(len(line))}, fast...)
	return b
}

var readers = map[string][]reader{
	"planned":       {(*Decoder).planned},
	"general":       {(*Decoder).general},
	"strict":        {},
	"as by Decode":  {(*Decoder).planned, (*Decoder).general},
	"general first": {(*Decoder).general, (*Decoder).planned},
}

func TestEveryFieldOfARedemptionReachesTheEvent(t *testing.T) {
	d := newDecoder(t)
	for how, fast := range readers {
		t.Run(how, func(t *testing.T) {
			b := decode(d, full[vw.RedemptionEvent].String(), fast...)
			if len(b.Events) != 1 {
				t.Fatalf("dead letter: %+v", b.Dead)
			}
			e := b.Events[0]
			got := map[string]string{"id": b.String(e.ID.Text), "at": b.String(e.AtText), "voucher": b.String(e.Voucher.Text),
				"customer": b.String(e.Customer.Text), "merchant": b.String(e.Merchant.Text), "device": b.String(e.Device.Text),
				"card": b.String(e.Card.Text), "terminal": b.String(e.Terminal.Text), "cashier": b.String(e.Cashier.Text),
				"order": b.String(e.Order.Text), "mcc": b.String(e.MCC), "district": b.String(e.District), "raw": b.String(e.Raw)}
			want := map[string]string{"id": "r7800c4284a9d3e", "at": "2022-09-20T10:05:53.634+08:00", "voucher": "v1", "customer": "u1",
				"merchant": "773968251198546", "device": "d1", "card": "k1", "terminal": "98590982", "cashier": "c1",
				"order": "20220920T100553-9824", "mcc": "5814", "district": "140581", "raw": full[vw.RedemptionEvent].String()}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("texts (-want +got):\n%s", diff)
			}
			for _, r := range []vw.Ref{e.ID, e.Voucher, e.Customer, e.Merchant, e.Device, e.Card, e.Terminal, e.Cashier, e.Order} {
				if r.Key != vw.Hash(b.Bytes(r.Text)) {
					t.Errorf("key of %q is not its hash", b.String(r.Text))
				}
			}
			at := func(s string) vw.Millis {
				u, err := time.Parse(time.RFC3339, s)
				if err != nil {
					t.Fatal(err)
				}
				return vw.Millis(u.UnixMilli())
			}
			rest := vw.Event{Type: vw.RedemptionEvent, Channel: vw.POS, VoucherType: 2, Zone: 480, LineCount: 1,
				At: at("2022-09-20T10:05:53.634+08:00"), ClaimedAt: at("2022-09-20T10:02:58.070+08:00"), OrderFen: 6700, DiscountFen: 1000,
				PaidFen: 5700, Lon: 112.974399, Lat: 35.84649, Source: 0, Line: 7,
				Has: vw.FieldDevice | vw.FieldCard | vw.FieldClaimedAt | vw.FieldTerminal | vw.FieldCashier | vw.FieldOrder | vw.FieldMCC |
					vw.FieldDistrict | vw.FieldLocation | vw.FieldChannel | vw.FieldLines}
			e.ID, e.AtText, e.Voucher, e.Customer, e.Merchant, e.Device, e.Card, e.Terminal, e.Cashier, e.Order, e.MCC, e.District, e.Raw =
				rest.ID, rest.AtText, rest.Voucher, rest.Customer, rest.Merchant, rest.Device, rest.Card, rest.Terminal, rest.Cashier, rest.Order, rest.MCC, rest.District, rest.Raw
			if e != rest {
				t.Errorf("event:\nwant %+v\ngot  %+v", rest, e)
			}
			l := b.LinesOf(&b.Events[0])[0]
			if b.String(l.SKU.Text) != "S021" || l.SKU.Key != vw.HashString("S021") || b.String(l.Name) != "商品021" ||
				l.Kind != vw.Goods || l.Quantity != 2.5 || l.UnitFen != 840 || l.Fen != 2100 {
				t.Errorf("line: %+v", l)
			}
		})
	}
}

func TestTheOtherTypesReachTheEvent(t *testing.T) {
	d := newDecoder(t)
	lon, lat, seats := 112.919626, 35.71696, int64(101)
	for _, tt := range []struct {
		name string
		is   vw.EventType
		want any
		look func(b *vw.Batch, e *vw.Event) any
	}{
		{"a merchant is its registry row", vw.MerchantEvent,
			&vw.Merchant{Type: "merchant", ID: "m1", At: "2022-09-19T14:24:00.000+08:00", MerchantID: "967975402447338", Name: "高平市老李面馆",
				USCC: "91140581MA5MPTH938", Category: "hospitality", MCC: "5812", Status: "active", District: "140581", Lon: &lon, Lat: &lat,
				OpensAt: "08:30", ClosesAt: "22:00", Seats: &seats, Terminals: []string{"29373060", "35171821"}, OwnerCustomerIDs: []string{"u1"},
				SettlementAccount: "a1"},
			func(b *vw.Batch, e *vw.Event) any { return e.Detail }},
		{"a merchant has its key, name, place and status in the event", vw.MerchantEvent,
			[]any{"967975402447338", "高平市老李面馆", vw.Active, vw.FieldMCC | vw.FieldDistrict | vw.FieldLocation | vw.FieldName, lon, lat},
			func(b *vw.Batch, e *vw.Event) any {
				return []any{b.String(e.Merchant.Text), b.String(e.Name), e.Kind, e.Has, e.Lon, e.Lat}
			}},
		{"a claim has device and address", vw.ClaimEvent, []any{"c1", "v1", "u1", "d1", "i1", uint8(0), vw.FieldDevice | vw.FieldIP | vw.FieldLocation},
			func(b *vw.Batch, e *vw.Event) any {
				return []any{b.String(e.ID.Text), b.String(e.Voucher.Text), b.String(e.Customer.Text), b.String(e.Device.Text), b.String(e.IP.Text), e.VoucherType, e.Has}
			}},
		{"a refund has its target", vw.RefundEvent, []any{"r1", "m1", "u1", vw.Fen(5500), true},
			func(b *vw.Batch, e *vw.Event) any {
				return []any{b.String(e.Target.Text), b.String(e.Merchant.Text), b.String(e.Customer.Text), e.Amount, e.Returned}
			}},
		{"a cap is for merchant *", vw.PriceEvent, []any{vw.HashString("*"), "92#", vw.Fen(806), vw.Cap, "92号汽油", vw.FieldName},
			func(b *vw.Batch, e *vw.Event) any {
				return []any{e.Merchant.Key, b.String(e.SKU.Text), e.Amount, e.Kind, b.String(e.Name), e.Has}
			}},
		{"a complaint has its text in the detail", vw.ComplaintEvent, []any{vw.NoGoods, "没有拿到商品"},
			func(b *vw.Batch, e *vw.Event) any { return []any{e.Kind, e.Detail.(*vw.Complaint).Text} }},
		{"a beneficiary has agents", vw.BeneficiaryEvent, []any{vw.Listed, "u1", int64(100000), []string{"u2"}},
			func(b *vw.Batch, e *vw.Event) any {
				x := e.Detail.(*vw.Beneficiary)
				return []any{e.Kind, b.String(e.Customer.Text), x.LimitFen, x.AgentCustomerIDs}
			}},
		{"a row of a credit list has its basis", vw.CreditListEvent, []any{vw.Removed, "91140581MA9FNA990F", "失信被执行人"},
			func(b *vw.Batch, e *vw.Event) any {
				x := e.Detail.(*vw.CreditList)
				return []any{e.Kind, x.USCC, x.Basis}
			}},
		{"a verdict has its case", vw.VerdictEvent, []any{vw.DataError, "m1", "k1"},
			func(b *vw.Batch, e *vw.Event) any {
				return []any{e.Kind, b.String(e.Merchant.Text), e.Detail.(*vw.Verdict).CaseID}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := decode(d, full[tt.is].String(), readers["as by Decode"]...)
			if len(b.Events) != 1 {
				t.Fatalf("dead letter: %+v", b.Dead)
			}
			if e := &b.Events[0]; e.Type != tt.is {
				t.Errorf("type %v", e.Type)
			} else if diff := cmp.Diff(tt.want, tt.look(b, e)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnknownIsNotZero(t *testing.T) {
	d := newDecoder(t)
	for _, tt := range []struct {
		name   string
		change []string
		gone   vw.Field
	}{
		{"null", []string{"device_id", "null"}, vw.FieldDevice},
		{"empty string", []string{"cashier_id", `""`}, vw.FieldCashier},
		{"empty list where a string is expected", []string{"order_id", "[]"}, vw.FieldOrder},
		{"empty string where a number is expected", []string{"lat", `""`}, vw.FieldLocation},
		{"longitude alone is no place", []string{"lat", "null"}, vw.FieldLocation},
		{"no receipt", []string{"lines", "[ ]"}, vw.FieldLines},
		{"empty string for the receipt", []string{"lines", `""`}, vw.FieldLines},
		{"a channel that the contract does not know", []string{"channel", `"applet"`}, vw.FieldChannel},
		{"claimed_at null", []string{"claimed_at", "null"}, vw.FieldClaimedAt},
	} {
		for how, fast := range readers {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				b := decode(d, full[vw.RedemptionEvent].with(tt.change...).String(), fast...)
				if len(b.Events) != 1 {
					t.Fatalf("dead letter: %+v", b.Dead)
				}
				all := decode(d, full[vw.RedemptionEvent].String()).Events[0].Has
				if e := b.Events[0]; e.Has != all&^tt.gone {
					t.Errorf("has %b, want %b", e.Has, all&^tt.gone)
				} else if tt.gone == vw.FieldLocation && (e.Lon != 0 || e.Lat != 0) {
					t.Errorf("half a place is kept: %v %v", e.Lon, e.Lat)
				}
			})
		}
	}
}

func TestHalfAPlaceOfAMerchantIsUnknown(t *testing.T) {
	b := decode(newDecoder(t), full[vw.MerchantEvent].with("lat", "null", "terminals", "[]", "seats", `""`).String())
	if len(b.Events) != 1 {
		t.Fatal(b.Dead)
	}
	if m := b.Events[0].Detail.(*vw.Merchant); m.Lon != nil || m.Lat != nil || m.Terminals != nil || m.Seats != nil {
		t.Errorf("%+v", m)
	}
}

func TestDeadLettersSayWhatIsWrongAndWhere(t *testing.T) {
	r := full[vw.RedemptionEvent]
	line := func(change ...string) string { return r.with(change...).String() }
	for _, tt := range []struct{ name, line, code, reason string }{
		{"cut off", r.String()[:100], BadJSON, "at byte 101: not one JSON object: the record ends too early"},
		{"nothing", " ", BadJSON, "at byte 2: not one JSON object: the record ends too early"},
		{"an array", "[1]", BadJSON, "at byte 1: not one JSON object: another kind of value"},
		{"two objects", `{"type":"claim"}{}`, BadJSON, "at byte 18: not one JSON object: text after its end"},
		{"customer_id twice", strings.Replace(r.String(), `"merchant_id"`, `"customer_id":"u2","merchant_id"`, 1), BadJSON, "duplicate object member name"},
		{"an unknown name twice", line("x", "1", "y", "2")[:len(line("x", "1", "y", "2"))-1] + `,"x":1}`, BadJSON, "duplicate object member name"},
		{"invalid UTF-8", line("customer_id", "\"u\xff\""), BadJSON, "invalid UTF-8"},
		{"NaN", line("lon", "NaN"), BadJSON, "invalid character 'N'"},
		{"no type", r.without("type").String(), MissingField, "type is missing or empty: every event needs it"},
		{"type is a number", line("type", "3"), BadValue, "type at byte @: expected a string"},
		{"another type", line("type", `"payment"`), UnknownType, "type at byte @: expected one of the nine event types of the contract"},
		{"no customer", r.without("customer_id").String(), MissingField, "customer_id is missing or empty: a redemption needs it"},
		{"empty customer", line("customer_id", `""`), MissingField, "customer_id is missing or empty: a redemption needs it"},
		{"customer is a number", line("customer_id", "1391"), BadValue, "customer_id at byte @: expected a string of 1 to 64 characters"},
		{"an identifier of 65 characters", line("device_id", `"`+strings.Repeat("设", 65)+`"`), BadValue, "device_id at byte @: expected a string of 1 to 64 characters"},
		{"below zero", line("paid_fen", "-5700"), NegativeMoney, "paid_fen at byte @: expected a whole number of fen from 0 to 1000000000000000"},
		{"half a fen", line("paid_fen", "5700.5"), BadValue, "paid_fen at byte @: expected a whole number of fen"},
		{"an exponent", line("paid_fen", "57e2"), BadValue, "paid_fen at byte @"},
		{"above the limit", line("paid_fen", "1000000000000001"), BadValue, "paid_fen at byte @"},
		{"twenty digits", line("paid_fen", "99999999999999999999"), BadValue, "paid_fen at byte @"},
		{"another voucher", line("voucher_type", `"retail-70-15"`), UnknownVoucherType, "voucher_type at byte @: expected a voucher type of the campaign"},
		{"a day without a time", line("at", `"2022-09-20"`), BadTime, "at at byte @: expected a time like"},
		{"a time without an offset", line("at", `"2022-09-20T10:05:53"`), BadTime, "at at byte @"},
		{"30 February", line("at", `"2022-02-30T10:05:53Z"`), BadTime, "at at byte @"},
		{"1999", line("at", `"1999-12-31T10:05:53Z"`), BadTime, "at at byte @"},
		{"a minute too late", line("at", `"2022-10-02T12:01:00Z"`), FutureTime, "at at byte @"},
		{"claimed in 2099", line("claimed_at", `"2099-10-02T12:01:00Z"`), FutureTime, "claimed_at at byte @"},
		{"too far east", line("lon", "180.01"), BadValue, "lon at byte @: expected a number of degrees from -180 to 180"},
		{"an infinite place", line("lon", "1e400"), BadValue, "lon at byte @"},
		{"a receipt line without an amount", line("lines", `[{"sku":"a","quantity":1,"unit_price_fen":1}]`), MissingField, "lines[0].amount_fen is missing or empty: a receipt line needs it"},
		{"a receipt line below zero", line("lines", `[{"sku":"a","quantity":1,"unit_price_fen":-1,"amount_fen":1}]`), NegativeMoney, "lines[0].unit_price_fen at byte @: expected a whole number of fen"},
		{"a receipt of numbers", line("lines", "[1]"), BadValue, "lines[0] at byte @+1: expected an array of at most 10000 receipt lines"},
		{"a name twice in a receipt line", line("lines", `[{"sku":"a","sku":"b"}]`), BadJSON, "duplicate object member name"},
		{"an unknown merchant status", full[vw.MerchantEvent].with("status", `"closed"`).String(), BadValue, "status at byte @: expected one of active, suspended, removed"},
		{"a terminal that is a number", full[vw.MerchantEvent].with("terminals", `["1",2]`).String(), BadValue, "terminals at byte @+5: expected an array of strings"},
		{"opening at 24:00", full[vw.MerchantEvent].with("opens_at", `"24:00"`).String(), BadValue, "opens_at"},
		{"minus one seat", full[vw.MerchantEvent].with("seats", "-1").String(), BadValue, "seats"},
		{"dishonest is a word", full[vw.MerchantEvent].with("dishonest", `"no"`).String(), BadValue, "dishonest"},
		{"a refund without its flag", full[vw.RefundEvent].with("voucher_returned", "null").String(), MissingField, "voucher_returned"},
	} {
		for how, fast := range readers {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				b := decode(newDecoder(t), tt.line, fast...)
				if len(b.Events)+len(b.Lines) > 0 || len(b.Dead) != 1 {
					t.Fatalf("%d events, %d lines, %d dead letters", len(b.Events), len(b.Lines), len(b.Dead))
				}
				d := b.Dead[0]
				reason := placed(tt.reason, tt.line)
				if d.Code != tt.code || !strings.Contains(d.Reason, reason) {
					t.Errorf("%s: %s\nwant %s: %s", d.Code, d.Reason, tt.code, reason)
				}
				if !slices.Contains(Codes[:], d.Code) {
					t.Errorf("code %q is not one of the set", d.Code)
				}
				if string(d.Raw) != tt.line || d.RawBytes != int64(len(tt.line)) || d.Source != "day.ndjson" || d.Position != 7 {
					t.Errorf("letter: %+v", d)
				}
			})
		}
	}
}

// placed writes for @ the byte, from 1, at which the value of the field that begins the reason stands,
// and for @+5 five more.
func placed(reason, line string) string {
	before, after, ok := strings.Cut(reason, "@")
	if !ok {
		return reason
	}
	path, _, _ := strings.Cut(before, " ")
	field := path[strings.LastIndexByte(path, '.')+1:]
	field, _, _ = strings.Cut(field, "[")
	at := strings.Index(line, `"`+field+`":`) + len(field) + 4
	if strings.HasPrefix(after, "+") {
		at += int(after[1] - '0')
		after = after[2:]
	}
	return before + strconv.Itoa(at) + after
}

func TestASumThatDoesNotAddUpIsNotMalformed(t *testing.T) {
	if b := decode(newDecoder(t), full[vw.RedemptionEvent].with("paid_fen", "1").String(), readers["as by Decode"]...); len(b.Events) != 1 {
		t.Errorf("dead letter: %+v", b.Dead)
	}
}

func TestTomorrowIsJudgedByTheClockOfTheMoment(t *testing.T) {
	at := now
	d, err := NewDecoder(Options{VoucherTypes: []string{"hospitality-50-10"}, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	line := full[vw.RedemptionEvent].with("at", `"2022-10-03T12:00:00Z"`).String()
	if b := decode(d, line, readers["as by Decode"]...); len(b.Dead) != 1 {
		t.Error("two days ahead is accepted")
	}
	at = at.Add(24 * time.Hour)
	if b := decode(d, line, readers["as by Decode"]...); len(b.Events) != 1 {
		t.Errorf("exactly 24 hours ahead is rejected: %+v", b.Dead)
	}
}

func TestFrequentTypesAreReadWithoutAllocating(t *testing.T) {
	d := newDecoder(t)
	for _, is := range []vw.EventType{vw.RedemptionEvent, vw.ClaimEvent, vw.RefundEvent, vw.PriceEvent} {
		line := full[is].String()
		b := decode(d, line)
		if n := testing.AllocsPerRun(100, func() {
			b.Events, b.Lines = b.Events[:0], b.Lines[:0]
			d.Decode(b, 0, 1, vw.Text{Len: uint32(len(line))})
		}); n > 0 {
			t.Errorf("%v: %v allocations", is, n)
		}
	}
}

func TestADecoderNeedsVouchersAndAClock(t *testing.T) {
	_, err := NewDecoder(Options{VoucherTypes: []string{"a", "a"}})
	if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "given twice") || !strings.Contains(err.Error(), "now: is required") {
		t.Errorf("error: %v", err)
	}
}
