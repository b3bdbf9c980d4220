package alerts

import (
	"fmt"
	"slices"
	"strings"

	vw "voucherwatch"
	"voucherwatch/internal/yamlfile"
)

// Match chooses alerts: every field that is given must hold, a list holds when any of its words does.
// The zero Match holds for all.
type Match struct {
	What       []string `yaml:"what" json:"what,omitempty"`
	Typology   []string `yaml:"typology" json:"typology,omitempty"`
	Agency     []string `yaml:"agency" json:"agency,omitempty"`
	Severity   []string `yaml:"severity" json:"severity,omitempty"`
	District   []string `yaml:"district" json:"district,omitempty"`
	Merchant   []string `yaml:"merchant" json:"merchant,omitempty"` // merchant_id
	Case       []string `yaml:"case" json:"case,omitempty"`         // case_id
	AmountFrom Amount   `yaml:"amount_from" json:"amount_from,omitzero"`
	AmountTo   Amount   `yaml:"amount_to" json:"amount_to,omitzero"` // exclusive
}

// Amount is money, written as people do: 3000元, 3万元.
type Amount vw.Fen

// UnmarshalText reads "3000元".
func (m *Amount) UnmarshalText(text []byte) error { return (*yamlfile.Money)(m).UnmarshalText(text) }

// MarshalText writes what UnmarshalText reads.
func (m Amount) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m Amount) String() string { return yamlfile.Money(m).String() }

// Why says what of the alert the match holds for, a word for every field that is given, or ok false
// with the first that does not hold.
func (m *Match) Why(a *Alert) (reasons []string, ok bool) {
	for _, f := range []struct {
		name string
		want []string
		have []string
	}{
		{"what", m.What, []string{string(a.What)}},
		{"typology", m.Typology, a.Typologies},
		{"agency", m.Agency, a.Agencies},
		{"severity", m.Severity, []string{string(a.Severity)}},
		{"district", m.District, []string{a.District}},
		{"merchant", m.Merchant, []string{a.MerchantID}},
		{"case", m.Case, []string{a.Case}},
	} {
		if len(f.want) == 0 {
			continue
		}
		i := slices.IndexFunc(f.have, func(s string) bool { return s != "" && slices.Contains(f.want, s) })
		if i < 0 {
			return []string{fmt.Sprintf("%s is %s, not %s", f.name, orNone(f.have), strings.Join(f.want, "/"))}, false
		}
		reasons = append(reasons, f.name+" "+f.have[i])
	}
	if m.AmountFrom > 0 {
		if a.SubsidyFen < vw.Fen(m.AmountFrom) {
			return []string{fmt.Sprintf("amount is %s, less than %s", a.SubsidyFen.Yuan(), vw.Fen(m.AmountFrom).Yuan())}, false
		}
		reasons = append(reasons, "amount "+a.SubsidyFen.Yuan()+" ≥ "+vw.Fen(m.AmountFrom).Yuan())
	}
	if m.AmountTo > 0 {
		if a.SubsidyFen >= vw.Fen(m.AmountTo) {
			return []string{fmt.Sprintf("amount is %s, not below %s", a.SubsidyFen.Yuan(), vw.Fen(m.AmountTo).Yuan())}, false
		}
		reasons = append(reasons, "amount "+a.SubsidyFen.Yuan()+" < "+vw.Fen(m.AmountTo).Yuan())
	}
	return reasons, true
}

// Holds says whether the alert is chosen.
func (m *Match) Holds(a *Alert) bool {
	_, ok := m.Why(a)
	return ok
}

func (m *Match) empty() bool {
	return len(m.What)+len(m.Typology)+len(m.Agency)+len(m.Severity)+len(m.District)+len(m.Merchant)+len(m.Case) == 0 && m.AmountFrom == 0 && m.AmountTo == 0
}

func (m *Match) check(c *yamlfile.Check, path string) {
	words := func(field string, have []string, known []string) {
		for i, w := range have {
			if at := fmt.Sprintf("%s.%s[%d]", path, field, i); !slices.Contains(known, w) {
				c.Fault(at, "is %q: use %s", w, strings.Join(known, ", "))
			}
		}
	}
	words("what", m.What, strings.Split(list(whats), ", "))
	words("agency", m.Agency, agencies)
	words("severity", m.Severity, strings.Split(list(severities), ", "))
	for i, t := range m.Typology {
		if !typologyForm.MatchString(t) {
			c.Fault(fmt.Sprintf("%s.typology[%d]", path, i), "is %q: want a code such as T06, P01 or C03", t)
		}
	}
	for i, d := range m.District {
		if !districtForm.MatchString(d) {
			c.Fault(fmt.Sprintf("%s.district[%d]", path, i), "is %q: want a code of GB/T 2260 such as \"140581\"", d)
		}
	}
	if m.AmountTo > 0 && m.AmountTo <= m.AmountFrom {
		c.Fault(path+".amount_to", "is %s: want more than amount_from, %s", m.AmountTo, m.AmountFrom)
	}
}

// label is the value of an alert that groups are made of.
func label(name string, a *Alert) string {
	switch name {
	case "case":
		return a.Case
	case "merchant":
		return a.MerchantID
	case "district":
		return a.District
	case "severity":
		return string(a.Severity)
	case "what":
		return string(a.What)
	case "typology":
		return strings.Join(slices.Sorted(slices.Values(a.Typologies)), "+")
	case "agency":
		return strings.Join(slices.Sorted(slices.Values(a.Agencies)), "+")
	}
	return ""
}

// labels are the names that groups and inhibition know.
var labels = []string{"case", "merchant", "district", "severity", "what", "typology", "agency"}

func orNone(words []string) string {
	if s := strings.Join(words, "/"); s != "" {
		return s
	}
	return "none"
}
