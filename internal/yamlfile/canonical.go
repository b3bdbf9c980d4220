package yamlfile

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// appendCanonical writes a node as sorted, quoted, comma-ended text: unambiguous, because every text
// is quoted and every composite is closed.
func appendCanonical(b []byte, n *yaml.Node) []byte {
	switch n.Kind {
	case yaml.MappingNode:
		type entry struct{ key, value *yaml.Node }
		entries := make([]entry, 0, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			entries = append(entries, entry{n.Content[i], n.Content[i+1]})
		}
		slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.key.Value, b.key.Value) })
		b = append(b, '{')
		for _, e := range entries {
			b = strconv.AppendQuote(b, e.key.Value)
			b = append(b, ':')
			b = appendCanonical(b, e.value)
			b = append(b, ',')
		}
		return append(b, '}')
	case yaml.SequenceNode:
		b = append(b, '[')
		for _, item := range n.Content {
			b = append(appendCanonical(b, item), ',')
		}
		return append(b, ']')
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		// 8, 8.0 and 8e0 say the same.
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return strconv.AppendInt(b, i, 10)
		}
		if x, err := strconv.ParseFloat(n.Value, 64); err == nil {
			if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
				return strconv.AppendInt(b, int64(x), 10)
			}
			return strconv.AppendFloat(b, x, 'g', -1, 64)
		}
	case "!!bool":
		return append(b, strings.ToLower(n.Value)...)
	}
	return strconv.AppendQuote(b, n.Value)
}
