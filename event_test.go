package voucherwatch

import (
	"reflect"
	"testing"
)

// TestAnAppendedEventKeepsEveryText fills every text that an event and its line have, by reflection, so
// that a field which is added later is not forgotten.
func TestAnAppendedEventKeepsEveryText(t *testing.T) {
	from := Batch{Data: []byte("before "), Events: make([]Event, 1), Lines: make([]Line, 2)}
	e, l := &from.Events[0], &from.Lines[1]
	e.LineFirst, e.LineCount = 1, 1
	start := uint32(len(from.Data))
	n := 0
	texts := func(v reflect.Value, each func(*Text)) {
		var walk func(reflect.Value)
		walk = func(v reflect.Value) {
			if x, ok := v.Addr().Interface().(*Text); ok {
				each(x)
			} else if v.Kind() == reflect.Struct {
				for i := range v.NumField() {
					walk(v.Field(i))
				}
			}
		}
		walk(v.Elem())
	}
	fill := func(x *Text) {
		word := []byte{'a' + byte(n%26), 'A' + byte(n%26)}
		*x = Text{uint32(len(from.Data)), uint32(len(word))}
		from.Data, n = append(from.Data, word...), n+1
	}
	texts(reflect.ValueOf(e), fill)
	texts(reflect.ValueOf(l), fill)
	piece := Text{start, uint32(len(from.Data)) - start}
	b := Batch{Data: []byte("some other event "), Lines: make([]Line, 3)}
	b.Append(&from, e, piece, 7)
	got := &b.Events[0]
	if got.Source != 7 || len(b.LinesOf(got)) != 1 {
		t.Fatalf("source %d, %d lines", got.Source, len(b.LinesOf(got)))
	}
	var want []string
	collect := func(x *Text) { want = append(want, from.String(*x)) }
	texts(reflect.ValueOf(e), collect)
	texts(reflect.ValueOf(l), collect)
	i := 0
	check := func(x *Text) {
		if b.String(*x) != want[i] {
			t.Errorf("text %d is %q, want %q", i, b.String(*x), want[i])
		}
		i++
	}
	texts(reflect.ValueOf(got), check)
	texts(reflect.ValueOf(&b.LinesOf(got)[0]), check)
	if i != n || n < 15 {
		t.Errorf("looked at %d texts of %d", i, n)
	}
}
