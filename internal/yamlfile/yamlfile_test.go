package yamlfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type shop struct {
	Name   string         `yaml:"name,required"`
	Opened Day            `yaml:"opened"`
	Rent   Money          `yaml:"rent"`
	Seats  int            `yaml:"seats"`
	Share  float64        `yaml:"share"`
	Open   bool           `yaml:"open"`
	Wait   time.Duration  `yaml:"wait"`
	Tags   []string       `yaml:"tags"`
	Stock  map[string]int `yaml:"stock"`
	Owner  owner          `yaml:"owner"`
	More   Later          `yaml:"more"`
	Inner  string         // not the file's
}

type owner struct {
	Name string `yaml:"name,required"`
	Age  int8   `yaml:"age"`
}

func TestAWellFormedFileIsDecodedAndWhatItDoesNotGiveIsKept(t *testing.T) {
	got := shop{Seats: 7, Wait: time.Hour}
	_, c := Parse("shop.yaml", []byte(`# a shop
name: 老王面馆
opened: 2022-09-20
rent: 1.25万元
share: 3
open: true
tags: [noodles, "8"]
stock: {bowls: 40, spoons: -1}
owner:
  name: "123"
more: {anything: [1, {goes: here}]}
`))
	c.Decode("", &got)
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
	want := shop{Name: "老王面馆", Opened: 19255, Rent: 1_250_000, Seats: 7, Share: 3, Open: true, Wait: time.Hour,
		Tags: []string{"noodles", "8"}, Stock: map[string]int{"bowls": 40, "spoons": -1}, Owner: owner{Name: "123"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestAFaultSaysFileLinePathAndWhatIsAllowed(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"a field that there is not", "name: a\nsaets: 3\n",
			`f.yaml:2: saets: is not a field here: use more, name, open, opened, owner, rent, seats, share, stock, tags, wait`},
		{"a field deep inside", "name: a\nowner:\n  name: b\n  hat: red\n",
			`f.yaml:4: owner.hat: is not a field here: use age, name`},
		{"a Go name is not a field", "name: a\nInner: b\n",
			`f.yaml:2: Inner: is not a field here: use more, name, open, opened, owner, rent, seats, share, stock, tags, wait`},
		{"a missing field", "name: a\nowner: {age: 3}\n", `f.yaml:2: owner.name: is missing`},
		{"a missing field of the whole file", "# hello\n\nseats: 3\n", `f.yaml:3: name: is missing`},
		{"text for a number", "name: a\nseats: many\n", `f.yaml:2: seats: is "many": want a whole number`},
		{"a fraction for a whole number", "name: a\nseats: 1.5\n", `f.yaml:2: seats: is "1.5": want a whole number`},
		{"a number that is octal to some", "name: a\nseats: 010\n", `f.yaml:2: seats: is "010": want a whole number`},
		{"a number too large", "name: a\nowner: {name: b, age: 200}\n", `f.yaml:2: owner.age: is "200": want a whole number`},
		{"a quoted number", "name: a\nseats: \"3\"\n", `f.yaml:2: seats: is "3": want a whole number`},
		{"no number", "name: a\nshare: .nan\n", `f.yaml:2: share: is ".nan": want a number`},
		{"an endless number", "name: a\nshare: -.inf\n", `f.yaml:2: share: is "-.inf": want a number`},
		{"a number beyond all floats", "name: a\nshare: 1e999\n", `f.yaml:2: share: is "1e999": want a number`},
		{"a number for text", "name: 110\n", `f.yaml:1: name: is "110": want text (quote it if it looks like a number or a date)`},
		{"blank text", "name: ' '\n", `f.yaml:1: name: is empty: give it a value or leave it out`},
		{"yes for true", "name: a\nopen: yes\n", `f.yaml:2: open: is "yes": want true or false`},
		{"a duration without unit", "name: a\nwait: 10\n", `f.yaml:2: wait: is "10": want a duration such as 90s, 10m or 24h`},
		{"a day that is not", "name: a\nopened: 2022-02-30\n", `f.yaml:2: opened: is "2022-02-30": want a day of the calendar such as 2022-09-20`},
		{"an amount without unit", "name: a\nrent: 50\n", `f.yaml:2: rent: is "50": want an amount with its unit, such as 50元, 12.50元 or 330.8万元`},
		{"an amount finer than a fen", "name: a\nrent: 0.001元\n", `f.yaml:2: rent: is "0.001元": want an amount with its unit, such as 50元, 12.50元 or 330.8万元`},
		{"a negative amount", "name: a\nrent: -5元\n", `f.yaml:2: rent: is "-5元": want an amount with its unit, such as 50元, 12.50元 or 330.8万元`},
		{"an amount beyond all money", "name: a\nrent: 999999999999万元\n", `f.yaml:2: rent: is more money than there is`},
		{"a list for an amount", "name: a\nrent: [50元]\n", `f.yaml:2: rent: is a list: want one value`},
		{"a tag of one's own", "name: a\nrent: !x 50元\n", `f.yaml:2: rent: is "50元": want one value`},
		{"a word for a list", "name: a\ntags: noodles\n", `f.yaml:2: tags: is "noodles": want a list`},
		{"a wrong item", "name: a\ntags:\n  - b\n  - {c: d}\n", `f.yaml:4: tags[1]: is a mapping: want text (quote it if it looks like a number or a date)`},
		{"a list for a mapping", "name: a\nstock: [1]\n", `f.yaml:2: stock: is a list: want a mapping`},
		{"a wrong value of a mapping", "name: a\nstock:\n  bowls: x\n", `f.yaml:3: stock.bowls: is "x": want a whole number`},
		{"a word for a struct", "name: a\nowner: b\n", `f.yaml:2: owner: is "b": want a mapping`},
		{"a word for what is decoded later", "name: a\nmore: b\n", `f.yaml:2: more: is "b": want a mapping`},
		{"nothing after the colon", "name: a\nseats:\n", `f.yaml:2: seats: is empty: give it a value or leave it out`},
		{"a key twice", "name: a\nowner:\n  name: b\n  name: c\n", `f.yaml:4: owner.name: is given twice: first on line 3`},
		{"a key twice in what is decoded later", "name: a\nmore: {x: 1, x: 2}\n", `f.yaml:2: more.x: is given twice: first on line 2`},
		{"a key that is a list", "name: a\n? [b]\n: c\n", `f.yaml:2: has a key that is not a word`},
		{"an anchor and its alias", "name: &n a\ntags:\n  - *n\n",
			"f.yaml:1: name: has an anchor (&n): anchors are not allowed, write the value out\n" +
				`f.yaml:3: tags[0]: is an alias (*n): aliases are not allowed, write the value out`},
		{"a second document beside other faults", "name: a\nseats: x\n---\nname: b\n",
			"f.yaml:2: seats: is \"x\": want a whole number\n" +
				`f.yaml:3: a second document begins here: put one document in a file`},
		{"not a mapping at all", "- a\n", `f.yaml:1: is a list: want a mapping`},
		{"no content", "# only this\n", `f.yaml:1: is empty: write a YAML mapping`},
		{"a list that does not end", "name: a\nseats: [1\n", `f.yaml:2: is not YAML from here on: did not find expected ',' or ']'`},
		{"a text that does not end", "name: a\n\nseats: \"1\n", `f.yaml:3: is not YAML from here on: found unexpected end of stream`},
		{"a tab for indentation", "name: a\nowner:\n\tname: b\n", `f.yaml:3: is not YAML from here on: found character that cannot start any token`},
		{"every fault at once, in the order of the lines", "seats: x\nhat: 1\nowner: {age: y}\n",
			"f.yaml:1: seats: is \"x\": want a whole number\n" +
				"f.yaml:1: name: is missing\n" +
				"f.yaml:2: hat: is not a field here: use more, name, open, opened, owner, rent, seats, share, stock, tags, wait\n" +
				"f.yaml:3: owner.age: is \"y\": want a whole number\n" +
				`f.yaml:3: owner.name: is missing`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, c := Parse("f.yaml", []byte(tt.file))
			c.Decode("", &shop{})
			if diff := cmp.Diff(tt.want, fmt.Sprint(c.Err())); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMistakeIsToldOnceAndWhatRestsOnItIsNotChecked(t *testing.T) {
	_, c := Parse("f.yaml", []byte("name: a\nseats: x\nstock:\n  bowls: 3\n"))
	c.Decode("", &shop{})
	c.Fault("seats", "is 0: want at least 1")
	c.Fault("stock.spoons", "are too few")
	c.Fault("stock.spoons.silver", "are too few")
	c.Fault("seatsx", "is another field")
	if c.Sound("stock.bowls", "seats") || !c.Sound("stock.bowls") || c.Sound("stock") {
		t.Error("sound: want stock.bowls alone")
	}
	want := "f.yaml:1: seatsx: is another field\n" +
		"f.yaml:2: seats: is \"x\": want a whole number\n" +
		"f.yaml:3: stock.spoons: are too few"
	if diff := cmp.Diff(want, fmt.Sprint(c.Err())); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if f, ok := errors.AsType[*Fault](c.Err()); !ok || f.Line != 1 || f.Path != "seatsx" {
		t.Errorf("first fault = %+v", f)
	}
}

func TestAPartOfAFileIsDecodedByItsPath(t *testing.T) {
	f, c := Parse("f.yaml", []byte("name: a\nmore:\n  name: b\n  hat: red\n"))
	c.Decode("", &shop{})
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
	var got owner
	part := f.Check()
	part.Decode("more", &got)
	if want := "f.yaml:4: more.hat: is not a field here: use age, name"; fmt.Sprint(part.Err()) != want || got.Name != "b" {
		t.Errorf("faults = %v, want %s; decoded %+v", part.Err(), want, got)
	}
	absent, untouched := f.Check(), owner{Age: 3}
	absent.Decode("nowhere", &untouched)
	if absent.Err() != nil || untouched.Age != 3 {
		t.Errorf("absent: %v, %+v", absent.Err(), untouched)
	}
}

func TestTheCanonicalFormIsWhatTheFileSays(t *testing.T) {
	canonical := func(text string) string {
		f, c := Parse("f.yaml", []byte(text))
		if err := c.Err(); err != nil {
			t.Fatal(err)
		}
		return string(f.Canonical())
	}
	base := canonical("a: {b: 0.6, c: [x, true]}\nd: 8\n")
	for _, same := range []string{
		"# comment\nd: 8 # eight\n\na:\n  c:\n    - 'x'\n    - True\n  b: .60\n",
		"a: {b: 6e-1, c: [\"x\", true]}\nd: 8.0\n",
	} {
		if got := canonical(same); got != base {
			t.Errorf("%q: %s, want %s", same, got, base)
		}
	}
	for _, other := range []string{
		"a: {b: 0.61, c: [x, true]}\nd: 8\n",
		"a: {b: 0.6, c: [true, x]}\nd: 8\n",
		"a: {b: 0.6, c: [x, 'true']}\nd: 8\n",
		"a: {b: 0.6, c: [x, true]}\nd: '8'\n",
		"a: {b: 0.6, c: [x, true]}\ne: 8\n",
		"a: {b: 0.6, c: ['x,true']}\nd: 8\n",
		"a: {b: 0.6, c: [x, true], d: 8}\n",
	} {
		if got := canonical(other); got == base {
			t.Errorf("%q: the same as the base, %s", other, got)
		}
	}
}

func TestMoneyIsExactAndReadsAsItWasWritten(t *testing.T) {
	for text, want := range map[string]Money{
		"0元": 0, "50元": 5000, "12.50元": 1250, "0.01元": 1, "330.8万元": 330_800_000, "1260.8万元": 1_260_800_000, "0.000001万元": 1,
	} {
		var m Money
		if err := m.UnmarshalText([]byte(text)); err != nil || m != want {
			t.Errorf("%s = %d, %v, want %d", text, m, err, want)
		}
		var again Money
		if err := again.UnmarshalText([]byte(m.String())); err != nil || again != m {
			t.Errorf("%s is written %s, which reads %d, %v", text, m, again, err)
		}
	}
	if got := []string{Money(-1250).String(), Money(1_000_000).String(), Money(999_999).String()}; !cmp.Equal(got, []string{"-12.50元", "1万元", "9999.99元"}) {
		t.Errorf("written as %q", got)
	}
}

func FuzzParseNeverPanicsAndSaysWhere(f *testing.F) {
	for _, seed := range []string{"name: a\nowner: {name: b}\n", "a: &x [*x]", "? {a: b}\n: c", "---\n---\n", "a: !!binary x", "{", "\"\": 1", "a: {b.c: 1}\na.b.c: 2", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, c := Parse("f.yaml", data)
		c.Decode("", &shop{})
		file.Canonical()
		if err := c.Err(); err != nil && !strings.HasPrefix(err.Error(), "f.yaml:") {
			t.Errorf("fault without a place: %v", err)
		}
	})
}
