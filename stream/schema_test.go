package stream

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	vw "voucherwatch"
)

const api = "../docs/api"

func compile(t testing.TB, ref string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(api + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid says what the schema makes of a line: nil, or why not. A line that is not JSON is not valid.
func valid(s *jsonschema.Schema, line string) error {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// beyondTheSchema are the faults that a JSON Schema cannot say, in lines that it accepts.
var beyondTheSchema = []struct{ name, code, line string }{
	{"a name twice", BadJSON, strings.Replace(full[vw.ClaimEvent].String(), "{", `{"customer_id":"u2",`, 1)},
	{"a voucher type of another campaign", UnknownVoucherType, full[vw.ClaimEvent].with("voucher_type", `"fuel-1-1"`).String()},
	{"a time in the future", FutureTime, full[vw.ClaimEvent].with("at", `"2099-01-01T00:00:00Z"`).String()},
	{"whole fen with a point", BadValue, full[vw.RefundEvent].with("refund_fen", "100.0").String()},
	{"whole fen with an exponent", BadValue, full[vw.RefundEvent].with("refund_fen", "1e2").String()},
}

func TestWhatTheSchemaCannotSay(t *testing.T) {
	s, d := compile(t, "events.schema.json"), newDecoder(t)
	for _, tt := range beyondTheSchema {
		if err := valid(s, tt.line); err != nil {
			t.Errorf("%s: the schema can say it: %v", tt.name, err)
		}
		if b := decode(d, tt.line, readers["as by Decode"]...); len(b.Dead) != 1 || b.Dead[0].Code != tt.code {
			t.Errorf("%s: %+v, want %s", tt.name, b.Dead, tt.code)
		}
	}
}

// values are tried in every field of every type.
var values = []string{"null", `""`, "[]", "{}", "[1]", `["a"]`, `[""]`, "true", "false", "0", "-0", "-1", "1", "0.5", "-0.5", "1e400", "90.5", "180.5", "-90.5", "-180.5", "1000000000",
	"1000000001", "1000000000000000", "1000000000000001", `"x"`, `"love"`, `"12:30"`, `"24:00"`, `"1:30"`, `"active"`, `"listed"`, `"removed"`, `"price"`, `"cap"`, `"qr"`,
	`"confirmed"`, `"fuel"`, `"2022-09-20T10:00:00Z"`, `"2022-09-20T10:00:00.123456+08:00"`, `"2022-09-20T10:00:00.1234567890Z"`, `"2022-02-30T10:00:00Z"`, `"2022-09-20T10:00:60Z"`,
	`"2016-12-31T23:59:60Z"`, `"2022-09-20T10:00:00"`, `"2022-09-20t10:00:00z"`, `"1999-09-20T10:00:00Z"`, `"2022-09-20T10:00:00+24:00"`,
	`"` + strings.Repeat("设", 64) + `"`, `"` + strings.Repeat("x", 65) + `"`, `"a\u0062"`, "[" + strings.Repeat(`"a",`, 99) + `"a"]`,
	`[{"sku":"s","quantity":0.5,"unit_price_fen":0,"amount_fen":1}]`}

func TestTheSchemaAndTheReadersAgree(t *testing.T) {
	s, d := compile(t, "events.schema.json"), newDecoder(t)
	tried, accepted := 0, 0
	check := func(what, line string) {
		t.Helper()
		b := decode(d, line, readers["as by Decode"]...)
		err := valid(s, line)
		if len(b.Dead) > 0 && (b.Dead[0].Code == UnknownVoucherType || b.Dead[0].Code == FutureTime) {
			return // TestWhatTheSchemaCannotSay
		}
		if tried++; err == nil {
			accepted++
		}
		if (err == nil) != (len(b.Dead) == 0) {
			t.Errorf("%s:\nschema: %v\nreader: %+v\n%s", what, err, b.Dead, line)
		}
	}
	for is, o := range full {
		check(fmt.Sprint("a full ", is), o.String())
		for i := 0; i < len(o); i += 2 {
			check(fmt.Sprint(is, " without ", o[i]), o.without(o[i]).String())
			for _, v := range values {
				check(fmt.Sprint(is, " with ", o[i], " ", v), o.with(o[i], v).String())
			}
		}
		for f := fType; f < fields; f++ { // another type's field is unknown, and ignored
			if !slices.Contains(o, fieldNames[f]) {
				check(fmt.Sprint(is, " with a strange ", fieldNames[f]), o.with(fieldNames[f], "{}").String())
			}
		}
	}
	row := object{"sku", `"s"`, "name", `"n"`, "quantity", "0.5", "unit_price_fen", "1", "amount_fen", "2", "kind", `"goods"`}
	receipt := func(row object) string {
		return full[vw.RedemptionEvent].with("lines", "["+row.String()+"]").String()
	}
	for i := 0; i < len(row); i += 2 {
		check("a row without "+row[i], receipt(row.without(row[i])))
		for _, v := range values {
			check("a row with "+row[i]+" "+v, receipt(row.with(row[i], v)))
		}
	}
	rows := func(n int) string {
		return full[vw.RedemptionEvent].with("lines", "["+strings.Repeat(row.String()+",", n-1)+row.String()+"]").String()
	}
	check("10000 rows", rows(10_000))
	check("10001 rows", rows(10_001))
	for _, line := range []string{"null", "[]", "1", `"x"`, "{}", `{"type":null}`, `{"type":"payment"}`, `{"type":3}`, "{", ""} {
		check("no event", line)
	}
	if tried < 3000 || accepted < 500 || tried-accepted < 500 {
		t.Errorf("tried %d lines, accepted %d: the test has lost its teeth", tried, accepted)
	}
}

func TestTheSchemaListsTheFieldsOfTheContract(t *testing.T) {
	for is := vw.MerchantEvent; is < vw.EventTypes; is++ {
		s := definition(t, "events.schema.json", is.String())
		var want, need []string
		for f := fType; f < fields; f++ {
			if contract[is].kinds[f] != noKind {
				want = append(want, fieldNames[f])
			}
			if contract[is].required&(1<<f) != 0 {
				need = append(need, fieldNames[f])
			}
		}
		same(t, is.String(), want, keys(s["properties"]))
		same(t, is.String()+" required", need, names(s["required"]))
	}
	for i, n := range fieldNames {
		if i > 0 && fieldOf([]byte(n)) != field(i) {
			t.Errorf("field %q is found as %d", n, fieldOf([]byte(n)))
		}
	}
}

func TestTheWireStructsHaveTheFieldsOfTheSchema(t *testing.T) {
	for name, v := range map[string]any{
		"events.schema.json merchant": vw.Merchant{}, "events.schema.json claim": vw.Claim{}, "events.schema.json redemption": vw.Redemption{},
		"events.schema.json receipt_line": vw.ReceiptLine{}, "events.schema.json refund": vw.Refund{}, "events.schema.json price": vw.Price{},
		"events.schema.json complaint": vw.Complaint{}, "events.schema.json beneficiary": vw.Beneficiary{},
		"events.schema.json credit_list": vw.CreditList{}, "events.schema.json verdict": vw.Verdict{},
		"results.schema.json score": vw.Score{}, "results.schema.json reason": vw.Reason{}, "results.schema.json bilingual": vw.Bilingual{},
		"results.schema.json blind": vw.Blind{}, "results.schema.json subject": vw.Subject{}, "results.schema.json finding": vw.Finding{},
		"results.schema.json case": vw.Case{}, "results.schema.json timeline_entry": vw.TimelineEntry{}, "results.schema.json dead_letter": vw.DeadLetter{},
	} {
		file, def, _ := strings.Cut(name, " ")
		s := definition(t, file, def)
		var all, need []string
		for i := range reflect.TypeOf(v).NumField() {
			n, option, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get("json"), ",")
			if all = append(all, n); option == "" {
				need = append(need, n)
			}
		}
		same(t, name, keys(s["properties"]), all)
		same(t, name+" required", names(s["required"]), need)
	}
}

func TestResultsAreValid(t *testing.T) {
	p := 0.001
	reason := vw.Reason{Typology: "T01", Code: "split.session", Weight: 3, Text: vw.Bilingual{Zh: "分单", En: "split"}, PValue: &p, Evidence: []string{"r1"}}
	at := "2022-09-20T10:02:48.886+08:00"
	for def, v := range map[string]any{
		"score": vw.Score{RedemptionID: "r1", At: at, Score: 900, Band: vw.High, Reasons: []vw.Reason{reason}, Blind: []vw.Blind{{Detector: "d", Field: "lines"}}},
		"finding": vw.Finding{FindingID: "f", Typology: "P01", Subject: vw.Subject{Kind: "pair", ID: "m", With: "u"}, FirstAt: at, LastAt: at, DetectedAt: at,
			Severity: "high", RedemptionIDs: []string{"r1"}, Reasons: []vw.Reason{reason}, Revision: 1},
		"case": vw.Case{CaseID: "c", Subject: vw.Subject{Kind: "merchant", ID: "m"}, Status: "open", Typologies: []string{"C03"}, Agencies: []string{"GX"}, Severity: "low",
			FindingIDs: []string{"f"}, OpenedAt: at, UpdatedAt: at, DueAt: at, Timeline: []vw.TimelineEntry{{At: at, Who: "system", What: "opened"}}},
		"dead_letter": NewDeadLetter("in", 1, TooLong, "why", []byte("x")),
	} {
		text, err := stdjson.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		s := compile(t, "results.schema.json#/$defs/"+def)
		if err := valid(s, string(text)); err != nil {
			t.Errorf("%s: %v", def, err)
		}
		if valid(s, strings.Replace(string(text), `:"`, `:7,"was":"`, 1)) == nil {
			t.Errorf("%s: a number for a string is valid", def)
		}
	}
	codes := definition(t, "results.schema.json", "dead_letter")["properties"].(map[string]any)["code"].(map[string]any)["enum"]
	same(t, "codes", Codes[:], names(codes))
}

func TestEveryTopicIsInAsyncAPI(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(api, "asyncapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if doc["asyncapi"] != "3.0.0" {
		t.Errorf("version %v", doc["asyncapi"])
	}
	walk(t, doc, doc)
	keysOf := map[string]string{"merchants": "merchant_id", "claims": "customer_id", "redemptions": "merchant_id", "refunds": "merchant_id",
		"prices": "merchant_id", "complaints": "merchant_id", "beneficiaries": "customer_id", "credit_lists": "uscc", "verdicts": "merchant_id",
		"scores": "merchant_id", "findings": "finding_id", "cases": "case_id", "alerts": "case_id", "blacklist": "merchant_id", "dead_letters": ""}
	got := map[string]string{}
	for topic, c := range doc["channels"].(map[string]any) {
		if c := c.(map[string]any); c["address"] != topic || len(c["messages"].(map[string]any)) != 1 {
			t.Errorf("channel %s: %v", topic, c)
		} else {
			for _, m := range c["messages"].(map[string]any) {
				message := resolve(t, doc, m.(map[string]any)["$ref"].(string)).(map[string]any)
				got[topic] = ""
				if b, ok := message["bindings"]; ok {
					got[topic] = b.(map[string]any)["kafka"].(map[string]any)["key"].(map[string]any)["description"].(string)
				}
			}
		}
	}
	if diff := cmp.Diff(keysOf, got); diff != "" {
		t.Errorf("topics and keys (-want +got):\n%s", diff)
	}
	operated := map[string]bool{}
	for _, o := range doc["operations"].(map[string]any) {
		ref := o.(map[string]any)["channel"].(map[string]any)["$ref"].(string)
		operated[strings.TrimPrefix(ref, "#/channels/")] = true
	}
	same(t, "operations", keys(doc["channels"]), slices.Collect(maps.Keys(operated)))
}

// walk resolves every $ref under v.
func walk(t *testing.T, doc, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if ref, ok := x.(string); ok && k == "$ref" {
				resolve(t, doc, ref)
			}
			walk(t, doc, x)
		}
	case []any:
		for _, x := range v {
			walk(t, doc, x)
		}
	}
}

// resolve follows "#/a/b" or "./file.json#/a/b".
func resolve(t *testing.T, doc any, ref string) any {
	t.Helper()
	file, pointer, _ := strings.Cut(ref, "#/")
	if file != "" {
		text, err := os.ReadFile(filepath.Join(api, file))
		if err != nil {
			t.Fatal(err)
		}
		if doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range strings.Split(pointer, "/") {
		m, _ := doc.(map[string]any)
		if doc = m[name]; doc == nil {
			t.Fatalf("%s leads nowhere: no %s", ref, name)
		}
	}
	return doc
}

func definition(t *testing.T, file, name string) map[string]any {
	t.Helper()
	return resolve(t, nil, "./"+file+"#/$defs/"+name).(map[string]any)
}

func keys(m any) []string { return slices.Collect(maps.Keys(m.(map[string]any))) }

func names(list any) (ns []string) {
	for _, n := range list.([]any) {
		ns = append(ns, n.(string))
	}
	return ns
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
