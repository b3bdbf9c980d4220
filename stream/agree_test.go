package stream

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	vw "voucherwatch"
)

// FuzzReadersAgree holds the three readers against each other, and the strict one against json/v2
// and package time: what one of the fast readers accepts the strict one accepts too,
// with the same event and the same receipt lines, bit by bit.
func FuzzReadersAgree(f *testing.F) {
	for _, line := range oddLines() {
		f.Add([]byte(line))
	}
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, line []byte) {
		agree(t, d, line)
	})
}

func agree(t *testing.T, d *Decoder, line []byte) {
	t.Helper()
	strict := decode(d, string(line))
	if len(strict.Events)+len(strict.Dead) != 1 {
		t.Fatalf("%d events, %d dead letters", len(strict.Events), len(strict.Dead))
	}
	for name, read := range map[string]reader{"planned": (*Decoder).planned, "general": (*Decoder).general} {
		// What follows the line in a batch must not be read: it would complete a string or an object.
		b := &vw.Batch{Data: append(slices.Clone(line), `","id":"x"}}]}`...)}
		e := vw.Event{Line: 7, Raw: vw.Text{Len: uint32(len(line))}}
		if !read(d, b, &e, e.Raw) {
			continue
		}
		if len(strict.Dead) > 0 {
			t.Fatalf("the %s reader accepts what the strict one rejects: %s\n%s", name, strict.Dead[0].Reason, line)
		}
		if diff := cmp.Diff(strict.Events[0], e); diff != "" {
			t.Fatalf("event (-strict +%s):\n%s\n%s", name, diff, line)
		}
		if !slices.EqualFunc(strict.Lines, b.Lines, func(x, y vw.Line) bool {
			return x == y && math.Float64bits(x.Quantity) == math.Float64bits(y.Quantity)
		}) {
			t.Fatalf("lines (-strict +%s):\n%s\n%s", name, cmp.Diff(strict.Lines, b.Lines), line)
		}
	}
	// One after the other, the next starts afresh.
	if all := decode(d, string(line), readers["as by Decode"]...); len(strict.Dead) == 0 {
		if diff := cmp.Diff([]any{strict.Events, strict.Lines}, []any{all.Events, all.Lines}, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-strict +Decode):\n%s\n%s", diff, line)
		}
	}
	if len(strict.Events) == 1 && strict.Events[0].Type == vw.RedemptionEvent {
		asByJSON(t, strict, line)
	}
}

// asByJSON reads an accepted redemption with json/v2 alone.
func asByJSON(t *testing.T, b *vw.Batch, line []byte) {
	t.Helper()
	var w struct {
		ID          string         `json:"id"`
		At          string         `json:"at"`
		VoucherID   string         `json:"voucher_id"`
		CustomerID  string         `json:"customer_id"`
		MerchantID  string         `json:"merchant_id"`
		OrderFen    int64          `json:"order_fen"`
		DiscountFen int64          `json:"discount_fen"`
		PaidFen     int64          `json:"paid_fen"`
		DeviceID    any            `json:"device_id"`
		Lon         any            `json:"lon"`
		Lat         any            `json:"lat"`
		Lines       jsontext.Value `json:"lines"`
	}
	if err := json.Unmarshal(line, &w); err != nil {
		t.Fatalf("json/v2 rejects what is accepted: %v\n%s", err, line)
	}
	e := &b.Events[0]
	at, err := time.Parse(time.RFC3339Nano, w.At)
	if err != nil {
		t.Fatalf("package time rejects what is accepted: %v\n%s", err, line)
	}
	_, offset := at.Zone()
	got := []any{b.String(e.ID.Text), b.String(e.Voucher.Text), b.String(e.Customer.Text), b.String(e.Merchant.Text), b.String(e.Device.Text),
		int64(e.OrderFen), int64(e.DiscountFen), int64(e.PaidFen), int64(e.At), int(e.Zone) * 60}
	device, _ := w.DeviceID.(string)
	want := []any{w.ID, w.VoucherID, w.CustomerID, w.MerchantID, device,
		w.OrderFen, w.DiscountFen, w.PaidFen, at.UnixMilli(), offset}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-json/v2 +decoder):\n%s\n%s", diff, line)
	}
	if e.Has&vw.FieldLocation != 0 && (w.Lon != e.Lon || w.Lat != e.Lat) {
		t.Fatalf("place %v %v\n%s", e.Lon, e.Lat, line)
	}
	if e.LineCount == 0 {
		return
	}
	var rows []struct {
		SKU       string  `json:"sku"`
		Name      any     `json:"name"`
		Quantity  float64 `json:"quantity"`
		AmountFen int64   `json:"amount_fen"`
	}
	if err := json.Unmarshal(w.Lines, &rows); err != nil || len(rows) != int(e.LineCount) {
		t.Fatalf("%d lines of %d: %v\n%s", e.LineCount, len(rows), err, line)
	}
	for i, l := range b.LinesOf(e) {
		name, _ := rows[i].Name.(string)
		if r := rows[i]; r.SKU != b.String(l.SKU.Text) || name != b.String(l.Name) || r.Quantity != l.Quantity || r.AmountFen != int64(l.Fen) {
			t.Fatalf("line %d: %+v of %+v", i, l, r)
		}
	}
}

// oddLines are lines where readers of JSON are known to differ, and the plain ones.
func oddLines() (lines []string) {
	for _, o := range full {
		lines = append(lines, o.String(), shuffled(o).String(), strings.ReplaceAll(o.String(), ",", " ,\t"))
	}
	r, c := full[vw.RedemptionEvent], full[vw.ClaimEvent]
	put := func(o object, change ...string) { lines = append(lines, o.with(change...).String()) }
	for _, number := range []string{"-0", "0", "00", "01", "1.0", "1e3", "1E400", "-1", "+1", ".5", "5.", "999999999999999", "1000000000000000",
		"1000000000000001", "9223372036854775808", "184467440737095516160", "NaN", "Infinity", "true", `"1"`, "null", "[]", "{}", "0x10", "1_0"} {
		put(r, "order_fen", number)
		put(r, "paid_fen", number)
		put(r, "lon", number)
		put(r, "unknown", number)
		put(r, "lines", strings.Replace(oneLine, "2.5", number, 1))
		put(r, "lines", strings.Replace(oneLine, "2100", number, 1))
	}
	for _, number := range []string{"0.1", "112.97439912345678", "112.974399123456", "180.0", "180.00000000001", "0.000000000000001", "-112.5", "-0.0", "90", "9.5e1"} {
		put(r, "lon", number)
		put(r, "lat", number)
		put(c, "lat", number)
	}
	for _, text := range []string{`"a\u0062c"`, `"\""`, `"\\"`, `"\/"`, `"\ud800"`, `"\ud83d\ude00"`, `"😀"`, "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\x00\"",
		"\"\t\"", "\"\x7f\"", `"`, `"abc`, `'a'`, `"` + strings.Repeat("x", 64) + `"`, `"` + strings.Repeat("x", 65) + `"`,
		`"` + strings.Repeat("设", 64) + `"`, `"12345678"`, `"1234567"`, `"` + strings.Repeat("字", 3) + `\n"`, "null", `""`, "[]", "[ ]", "{}", "[1]", "nul", "nullx", "1"} {
		for _, name := range []string{"id", "customer_id", "device_id", "mcc", "voucher_type", "channel", "claimed_at", "unknown", "lines"} {
			put(r, name, text)
		}
		put(r, "lines", strings.Replace(oneLine, `"商品021"`, text, 1))
		put(c, "ip_token", text)
	}
	for _, time := range []string{"2022-09-20T10:05:53Z", "2022-09-20T10:05:53.1+08:00", "2022-09-20T10:05:53.123456789-11:30", "2022-09-20T10:05:53.1234567890Z",
		"2022-09-20T10:05:60Z", "2022-09-20T24:00:00Z", "2020-02-29T10:05:53Z", "2021-02-29T10:05:53Z", "2000-02-29T10:05:53Z", "2100-02-29T10:05:53Z",
		"2022-09-31T10:05:53Z", "2022-00-10T10:05:53Z", "2022-09-20t10:05:53z", "2022-09-20 10:05:53Z", "2022-09-20T10:05:53,5Z", "2022-09-20T10:05:53.Z",
		"2022-09-20T10:05:53+0800", "2022-09-20T10:05:53+24:00", "2022-09-20T10:05:53-00:00", "1999-12-31T23:59:59Z", "2000-01-01T00:00:00+08:00", "2099-01-01T00:00:00Z"} {
		put(r, "at", `"`+time+`"`)
		put(r, "claimed_at", `"`+time+`"`)
	}
	twice := func(o object, pair ...string) { lines = append(lines, append(slices.Clone(o), pair...).String()) }
	twice(r, "customer_id", `"u2"`)
	// In the two places where the plan asks for a field.
	for _, p := range [][2]string{{"device_id", "merchant_id"}, {"card_id", "merchant_id"}, {"claimed_at", "merchant_id"}, {"terminal_id", "order_fen"},
		{"cashier_id", "order_fen"}, {"order_id", "order_fen"}, {"mcc", "lon"}, {"district", "lon"}} {
		again := fmt.Sprintf(`"%s":%s,"%s":`, p[0], r[slices.Index(r, p[0])+1], p[1])
		lines = append(lines, strings.Replace(r.String(), `"`+p[1]+`":`, again, 1))
	}
	twice(r, "mcc", `"1"`)
	twice(r.with("mcc", "null"), "mcc", `"1"`)
	twice(r.with("device_id", `""`), "device_id", `"d2"`)
	twice(r.without("device_id"), "devi\\u0063e_id", `"d2"`)
	twice(r, "devi\\u0063e_id", `"d2"`)
	twice(r, "x", "1", "x", "2")
	twice(r, "x", "1", "\\u0078", "2")
	twice(r, "x", "1", "X", "2")
	twice(r, "a", "1", "b", "1", "c", "1", "d", "1", "e", "1", "f", "1", "g", "1", "h", "1", "i", "1")
	twice(r, "x", "1")
	twice(r, "x", "-1")
	twice(r, "x", `{"a":1,"a":2}`)
	twice(r, "x", `{"a":[1,{"b":null}]}`)
	twice(r, "x", strings.Repeat("[", 200)+strings.Repeat("]", 200))
	twice(r, "x", strings.Repeat("[", 20_000))
	put(r, "lines", strings.Replace(oneLine, `"sku"`, `"sku":"a","sku"`, 1))
	put(r, "lines", strings.Replace(oneLine, `"kind"`, `"x":1,"x":2,"kind"`, 1))
	put(r, "lines", strings.Replace(oneLine, `"kind"`, `"lines":[],"kind"`, 1))
	put(r, "lines", oneLine[:len(oneLine)-1]+","+oneLine[1:])
	put(r, "lines", oneLine[:len(oneLine)-1]+",]")
	put(full[vw.PriceEvent], "lines", oneLine)
	put(full[vw.PriceEvent], "kind", `"discount"`)
	put(full[vw.RefundEvent], "voucher_returned", "false")
	lines = append(lines, "", " ", "{}", "null", "{", "}", "[]", `{"type":"claim"`, `{"type":"redemption","id":`, `{"type":"redemption","id":"a"}`,
		"\ufeff"+r.String(), r.String()+" ", " "+r.String(), r.String()+"}", r.String()+"\n"+r.String(), r.String()+"\x00", "{"+r.String()[1:]+",",
		strings.Replace(r.String(), "}", ",}", 1), `{"type":null,`+r.String()[1:], strings.Replace(r.String(), "redemption", "Redemption", 1))
	for i := range r.String() {
		lines = append(lines, r.String()[:i])
	}
	return lines
}

// shuffled has the type last and the rest backwards.
func shuffled(o object) (back object) {
	for i := len(o) - 2; i >= 0; i -= 2 {
		back = append(back, o[i], o[i+1])
	}
	return back
}

func TestTheFastReadersAreUsed(t *testing.T) {
	d := newDecoder(t)
	r := full[vw.RedemptionEvent]
	asContract := object{}
	for _, name := range []string{"type", "id", "at", "voucher_id", "voucher_type", "customer_id", "device_id", "card_id", "claimed_at", "merchant_id",
		"terminal_id", "cashier_id", "order_id", "order_fen", "discount_fen", "paid_fen", "mcc", "district", "lon", "lat", "channel", "lines"} {
		asContract = append(asContract, name, r[slices.Index(r, name)+1])
	}
	wire, err := json.Marshal(vw.Redemption{Type: "redemption", ID: "r", At: "2022-09-20T10:00:00Z", VoucherID: "v", VoucherType: "love", CustomerID: "u", MerchantID: "m",
		DeviceID: "d", CardID: "k", ClaimedAt: "2022-09-20T10:00:00Z", TerminalID: "t", CashierID: "c", OrderID: "o", MCC: "1", District: "1",
		Channel: "qr", Lines: []vw.ReceiptLine{{SKU: "s", Name: "n", Quantity: 0.1, Kind: "goods"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		read reader
		line string
	}{
		{"planned: all fields, as the acquirer exports them", (*Decoder).planned, r.String()},
		{"planned: all fields, as the contract lists them", (*Decoder).planned, asContract.String()},
		{"planned: as the wire struct is written", (*Decoder).planned, string(wire)},
		{"planned: no optional field", (*Decoder).planned, object(r[:20]).String()},
		{"planned: nulls and empties", (*Decoder).planned, r.with("device_id", "null", "cashier_id", `""`, "lon", "null", "lat", "null", "lines", "[]").String()},
		{"planned: claim", (*Decoder).planned, full[vw.ClaimEvent].String()},
		{"general: type last", (*Decoder).general, shuffled(r).String()},
		{"general: spaces", (*Decoder).general, strings.NewReplacer(`,"`, ` , "`, `":`, `" : `).Replace(full[vw.ClaimEvent].String())},
		{"general: unknown plain fields", (*Decoder).general, r.with("x", "1", "y", `"z"`, "z", "null").String()},
		{"general: refund", (*Decoder).general, full[vw.RefundEvent].String()},
		{"general: price", (*Decoder).general, full[vw.PriceEvent].String()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &vw.Batch{Data: []byte(tt.line)}
			var e vw.Event
			if !tt.read(d, b, &e, vw.Text{Len: uint32(len(tt.line))}) {
				t.Errorf("handed over: %s", tt.line)
			}
		})
	}
}

func TestEscapedTextIsReadWhole(t *testing.T) {
	line := full[vw.RedemptionEvent].with("customer_id", `"u\u4e2d\"1"`, "lines", strings.Replace(oneLine, "商品021", `商\t品`, 1)).String()
	b := decode(newDecoder(t), line, readers["as by Decode"]...)
	if len(b.Events) != 1 {
		t.Fatal(b.Dead)
	}
	e := &b.Events[0]
	if got := b.String(e.Customer.Text); got != `u中"1` || e.Customer.Key != vw.HashString(`u中"1`) {
		t.Errorf("customer %q", got)
	}
	if got := b.String(b.LinesOf(e)[0].Name); got != "商\t品" {
		t.Errorf("name %q", got)
	}
	if got := b.String(e.Raw); got != line {
		t.Errorf("raw %q", got)
	}
}

func TestADeadLetterIsOneLineOfJSON(t *testing.T) {
	var out bytes.Buffer
	letters := []vw.DeadLetter{NewDeadLetter("a\xff", 3, BadJSON, "why", []byte("x\xff\n")), NewDeadLetter("b", 4, TooLong, "why", bytes.Repeat([]byte("x"), 70_000))}
	if err := NewDeadLetterWriter(&out).Write(letters); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(out.String(), "\n")
	want := `{"source":"a` + "\ufffd" + `","position":3,"code":"bad_json","reason":"why","raw":"` + base64.StdEncoding.EncodeToString([]byte("x\xff\n")) + `","raw_bytes":3}` + "\n"
	if len(lines) != 3 || lines[0] != want {
		t.Errorf("got %d lines, the first is %s", len(lines), lines[0])
	}
	var long vw.DeadLetter
	if err := json.Unmarshal([]byte(lines[1]), &long); err != nil || len(long.Raw) != 64<<10 || long.RawBytes != 70_000 {
		t.Errorf("long one: %d of %d bytes, %v", len(long.Raw), long.RawBytes, err)
	}
}
