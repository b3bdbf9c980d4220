package simulate

import (
	"bytes"

	vw "voucherwatch"
)

// mangling is how a redemption's line is broken: its fields before it is written, or its bytes after.
type mangling struct {
	reason string
	spoil  func(*record)
	bytes  func([]byte) []byte
}

func manglings() []mangling {
	return []mangling{
		{"bad_json", nil, func(b []byte) []byte { return b[:len(b)*6/10] }},
		{"missing_field", nil, func(b []byte) []byte {
			from := bytes.Index(b, []byte(`"voucher_id":`))
			to := bytes.Index(b, []byte(`"voucher_type":`))
			return append(b[:from], b[to:]...)
		}},
		{"negative_money", func(e *record) { e.OrderFen = -e.OrderFen }, nil},
		{"unknown_voucher_type", func(e *record) { e.VoucherType = "unknown-70-15" }, nil},
		{"future_time", func(e *record) { e.At = "2099" + e.At[4:] }, nil},
	}
}

// mangle plans a few lines of each kind that nothing can read.
func (g *generator) mangle() {
	for i, m := range manglings() {
		for n := range max(2, int(4*g.o.Scale*g.w.portion())) {
			key := hash(g.w.seed, forMalformed, uint64(i), uint64(n))
			r := chance(key)
			for range 60 {
				if a, ok := g.extra(&r, mix(key)); ok {
					g.take(a.customer, a.day)
					a.mangle, a.spoil = m, m.spoil
					g.plan(&a)
					break
				}
			}
		}
	}
}

func (g *generator) putMangled(a *act, from int) {
	s := g.stage
	if a.mangle.bytes != nil {
		s.lines = append(s.lines[:from], a.mangle.bytes(s.lines[from:])...)
	}
	s.add(a.at+vw.Second, a.key, from, a.mangle.reason)
}
