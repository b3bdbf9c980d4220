package yamlfile

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Later marks a mapping that is decoded later, by its path, into a type that is not yet known.
type Later struct{}

// Decode fills into, a pointer, with what stands at a path ("": the whole file), and records every
// fault. Nothing at the path: into stays as it is.
//
// It knows structs, maps from strings, slices, strings, bools, integers, finite floats,
// time.Duration ("10m"), Later and every type that has UnmarshalText, whose error is the fault's text. A
// struct field is named by its yaml tag, `yaml:"name"`, is required by `yaml:"name,required"`, and
// keeps the value it has when the file does not give it. A field without a tag is not the file's.
func (c *Check) Decode(path string, into any) {
	if n := c.file.nodes[path]; n != nil {
		c.decode(n, path, reflect.ValueOf(into).Elem())
	}
}

func (c *Check) decode(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind == yaml.AliasNode {
		return // already at fault
	}
	wrong := func(want string) { c.Fault(path, "is %s: want %s", describe(n), want) }
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		c.Fault(path, "is empty: give it a value or leave it out")
		return
	}
	if u, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if n.Kind != yaml.ScalarNode || !plainTag(n) {
			wrong("one value")
		} else if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			c.Fault(path, "%v", err)
		}
		return
	}
	if into.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			wrong("a duration such as 90s, 10m or 24h")
		}
		into.SetInt(int64(d))
		return
	}
	scalar := func(tags ...string) bool {
		return n.Kind == yaml.ScalarNode && slices.Contains(tags, n.ShortTag())
	}
	if into.Type() == reflect.TypeFor[Later]() {
		if n.Kind != yaml.MappingNode {
			wrong("a mapping")
		}
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		c.decodeStruct(n, path, into)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			wrong("a mapping")
			return
		}
		m := reflect.MakeMap(into.Type())
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if p := join(path, key); n.Content[i].Kind == yaml.ScalarNode && c.file.nodes[p] == n.Content[i+1] {
				value := reflect.New(into.Type().Elem()).Elem()
				c.decode(n.Content[i+1], p, value)
				m.SetMapIndex(reflect.ValueOf(key).Convert(into.Type().Key()), value)
			}
		}
		into.Set(m)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			wrong("a list")
			return
		}
		s := reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content))
		for i, item := range n.Content {
			c.decode(item, path+"["+strconv.Itoa(i)+"]", s.Index(i))
		}
		into.Set(s)
	case reflect.String:
		if !scalar("!!str") {
			wrong("text (quote it if it looks like a number or a date)")
		} else if strings.TrimSpace(n.Value) == "" {
			c.Fault(path, "is empty: give it a value or leave it out")
		}
		into.SetString(n.Value)
	case reflect.Bool:
		if !scalar("!!bool") {
			wrong("true or false")
		}
		into.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, into.Type().Bits())
		if !scalar("!!int") || err != nil || len(n.Value) > 1 && n.Value[0] == '0' { // 010 is 8 to some, 10 to others
			wrong("a whole number")
		}
		into.SetInt(i)
	case reflect.Float32, reflect.Float64:
		x, err := strconv.ParseFloat(n.Value, 64)
		if !scalar("!!int", "!!float") || err != nil { // .inf and .nan are errors of ParseFloat
			wrong("a number")
		}
		into.SetFloat(x)
	default:
		panic(fmt.Sprintf("yamlfile: cannot decode into %s", into.Type())) // a bug in the caller's type
	}
}

func (c *Check) decodeStruct(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.MappingNode {
		c.Fault(path, "is %s: want a mapping", describe(n))
		return
	}
	fields, required := map[string]reflect.Value{}, map[string]bool{}
	for i := range into.NumField() {
		name, option, _ := strings.Cut(into.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "" {
			fields[name] = into.Field(i)
			required[name] = option == "required"
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		p := join(path, key.Value)
		if key.Kind != yaml.ScalarNode || c.file.nodes[p] != value {
			continue // not a word, or given twice: already at fault
		}
		field, ok := fields[key.Value]
		if !ok {
			c.add(key.Line, p, "is not a field here: %s", allowed(fields))
			continue
		}
		delete(required, key.Value)
		c.decode(value, p, field)
	}
	for _, name := range slices.Sorted(maps.Keys(required)) {
		if required[name] {
			c.add(c.file.line(path), join(path, name), "is missing")
		}
	}
}

func allowed(fields map[string]reflect.Value) string {
	if len(fields) == 0 {
		return "there are none"
	}
	return "use " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

// plainTag says that a scalar has no tag but those that YAML finds by itself.
func plainTag(n *yaml.Node) bool {
	return slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, n.ShortTag())
}

// describe says what stands there, for a fault.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	value := n.Value
	if r := []rune(value); len(r) > 40 {
		value = string(r[:40]) + "…"
	}
	return strconv.Quote(value)
}
