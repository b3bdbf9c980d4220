package evaluate

import (
	"errors"
	"strings"
	"testing"

	vw "voucherwatch"
)

const goodLabels = `{
"cases": [{"case":"s-1","typology":"split","family":"split","codes":["T01"],"merchants":["m"],"customers":["c"],"pairs":[["m","c",2]],"redemption_ids":["r1"],"first_fraud_at":"2022-09-20T10:00:00+08:00","stake_fen":5}],
"redemptions": {"r1":{"case":"s-1","family":"split","role":"part","stake_fen":5,"typology":"split"}},
"violations": {"r2":"X-sum"}, "hard_negatives": {"r3":["H10","H2"]}, "hard_negative_merchants": {"m":["H5"]},
"fillers": ["r4"], "malformed": [{"id":"r5","line":7,"reason":"bad_json"}], "counts": {"lines": 9}, "placebo": false, "seed": 3
}`

func TestLabelsAreRead(t *testing.T) {
	l, err := ReadLabels("l", strings.NewReader(goodLabels))
	if err != nil {
		t.Fatal(err)
	}
	key := vw.HashString
	if l.fraud[key("r1")].stake != 5 || l.rules[l.broken[key("r2")]] != "X-sum" || l.honest[key("r3")] != 3 || l.shops[key("m")] != 4 || !l.fillers[key("r4")] || !l.invalid[key("r5")] {
		t.Errorf("labels: %+v", l)
	}
	if c := l.cases[0]; c.name != "s-1" || c.merchants[0] != key("m") || c.customers[0] != key("c") || c.first != 1663639200000 {
		t.Errorf("case: %+v", c)
	}
}

func TestFaultyLabelsSayWhereAndWhat(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"cut short", goodLabels[300:], "", "l:3: the file ends before its last bracket"},
		{"empty", goodLabels, "", "l:1: the file ends before its last bracket"},
		{"no object", goodLabels, "[]", "l:1: an object is expected"},
		{"another file", goodLabels, `{"summary": 1}`, `l:1: there is no member "cases": this is no labels file`},
		{"an unknown case", `"r1":{"case":"s-1"`, `"r1":{"case":"s-2"`, `l:6: redemptions: the case "s-2" is not among the cases`},
		{"a redemption that is not labelled", `"redemption_ids":["r1"]`, `"redemption_ids":["r9"]`, `l:6: cases: "s-1" lists a redemption that redemptions does not label`},
		{"negative money", `"stake_fen":5,"typology"`, `"stake_fen":-5,"typology"`, `l:3: redemptions: "r1": case is required`},
		{"a word for a list", `"codes":["T01"]`, `"codes":"T01"`, "l:2: "},
		{"no time", `"2022-09-20T10:00:00+08:00"`, `"yesterday"`, `l:2: cases: "s-1": first_fraud_at "yesterday" is no RFC 3339 time`},
		{"fraud in a placebo", `"placebo": false`, `"placebo": true`, "l:6: placebo is true, but"},
		{"a trailing comma", `"seed": 3`, `"seed": 3,`, "l:5: "},
		{"a name twice", `"counts": {"lines": 9}`, `"cases": []`, "l:5: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(goodLabels, tt.old, tt.new, 1)
			if text == goodLabels {
				t.Fatal("nothing was spoiled")
			}
			_, err := ReadLabels("l", strings.NewReader(text))
			e, ok := errors.AsType[*vw.Error](err)
			if !ok || e.Code != vw.Invalid || !strings.HasPrefix(e.Err.Error(), tt.want) || e.Hint == "" {
				t.Errorf("error is %v, want %s …", err, tt.want)
			}
		})
	}
}

func FuzzReadLabels(f *testing.F) {
	f.Add(goodLabels)
	f.Add(`{"cases":[],"redemptions":{}}`)
	f.Add(`{"cases":[{"pairs":[[1,2,3]]}],"redemptions":{"":{}}}`)
	f.Add(`{"hard_negatives":{"a":[]},"placebo":true}`)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ReadLabels("l", strings.NewReader(text))
		if err != nil {
			if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "l:") {
				t.Fatal(err)
			}
			return
		}
		// What is accepted can be evaluated: every label leads to a case and every tag to a name.
		for _, x := range l.fraud {
			_ = l.cases[x.kase]
		}
		for _, x := range l.broken {
			_ = l.rules[x]
		}
		for _, x := range l.honest {
			if x>>len(l.names) != 0 {
				t.Errorf("tags %b of %d names", x, len(l.names))
			}
		}
	})
}
