package simulate

import (
	"bufio"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
)

// Label says what a fraudulent redemption is.
type Label struct {
	Case     string `json:"case"`
	Family   string `json:"family"` // split, cashout, pair_ring, price
	Role     string `json:"role"`
	Session  string `json:"session,omitzero"` // of a split: the id of its first part
	StakeFen vw.Fen `json:"stake_fen"`        // state money improperly paid
	Typology string `json:"typology"`
}

// Case is one fraud: who did it, with what, at what cost.
type Case struct {
	AtTheTill     bool     `json:"at_the_till,omitzero"` // the shelf kept the old price
	Case          string   `json:"case"`
	Coached       bool     `json:"coached,omitzero"` // the merchant makes its customers split
	Codes         []string `json:"codes"`            // of the contract
	Customers     []string `json:"customers"`
	Family        string   `json:"family"`
	FirstFraudAt  string   `json:"first_fraud_at"`
	HeldOut       bool     `json:"held_out,omitzero"` // of a form that is kept out of every tuning
	Merchants     []string `json:"merchants"`
	Moves         []Move   `json:"moves,omitempty"` // of a gang that learns, by day
	Pairs         []Pair   `json:"pairs"`
	RaisedOn      string   `json:"raised_on,omitzero"`
	RedemptionIDs []string `json:"redemption_ids"` // in order of time
	SKUs          []string `json:"skus,omitempty"`
	StakeFen      vw.Fen   `json:"stake_fen"`
	Typology      string   `json:"typology"`
}

// Pair is [merchant, customer, redemptions].
type Pair struct {
	Merchant, Customer string
	Redemptions        int
}

// MarshalJSON writes the pair as an array.
func (p Pair) MarshalJSON() ([]byte, error) {
	b := appendText([]byte{'['}, p.Merchant)
	b = appendText(append(b, ','), p.Customer)
	return append(strconv.AppendInt(append(b, ','), int64(p.Redemptions), 10), ']'), nil
}

// Malformed is a line that must end in the dead letters.
type Malformed struct {
	ID     string `json:"id"`
	Line   int    `json:"line"` // 1-based
	Reason string `json:"reason"`
}

// Counts are numbers of events: Events = Distinct + Duplicates, malformed lines apart.
type Counts struct {
	Distinct   map[string]int `json:"distinct"`
	Duplicates map[string]int `json:"duplicates"`
	Events     map[string]int `json:"events"`
	Lines      int            `json:"lines"`
	Malformed  int            `json:"malformed"`
}

// mark is a look-alike in 16 bytes.
type mark struct {
	key  uint64
	tags tag
}

// book collects the truth while the world is played.
type book struct {
	marks      []mark
	fillers    []string
	labels     map[string]Label
	violations map[string]string
	cases      []*fraud
}

// label is the truth about one planned act.
type label struct {
	fraud     *fraud
	role      string
	session   uint64 // key of the first part of a split
	stake     vw.Fen
	violation string
	filler    bool
}

func newBook() *book {
	return &book{labels: map[string]Label{}, violations: map[string]string{}}
}

// enter records a redemption that was written.
func (b *book) enter(a *act, m *merchant) {
	id := redemptionID(a.key)
	switch l := &a.label; {
	case l.violation != "":
		b.violations[id] = l.violation
	case l.fraud != nil:
		out := Label{Case: l.fraud.name, Family: l.fraud.family, Role: l.role, StakeFen: l.stake, Typology: l.fraud.typology}
		if l.session != 0 {
			out.Session = redemptionID(l.session)
		}
		b.labels[id] = out
	case l.filler || m.barDay > 0:
		b.fillers = append(b.fillers, id)
	case a.tags != 0:
		b.marks = append(b.marks, mark{a.key, a.tags})
	}
}

func (t tag) names() []string {
	var out []string
	for i, name := range tagNames {
		if t>>i&1 == 1 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// write puts out one JSON object, members in alphabetical order. Look-alikes are streamed: a county has
// half a million of them.
func (b *book) write(to io.Writer, g *generator) (Summary, error) {
	w := g.w
	out := bufio.NewWriterSize(to, 1<<20)
	s := Summary{Counts: g.stage.counts, Redemptions: map[string]int{}, Cases: map[string]int{}, StakeFen: map[string]vw.Fen{},
		Violations: map[string]int{}, LookAlikes: map[string]int{}, LookAlikeAll: len(b.marks), Merchants: len(w.merchants), Customers: len(w.customers), Difficulty: g.difficulty}
	shops := map[string][]string{}
	for i := range w.merchants {
		m := &w.merchants[i]
		var t tag
		for _, x := range []struct {
			is  bool
			tag tag
		}{{m.kind == fixedPrice, h5}, {m.openDay > 0, h7}, {m.sale, h9}, {m.street, h11}, {m.giant, h15}, {m.twoLists, h17}} {
			if x.is {
				t |= x.tag
			}
		}
		if t != 0 && i < w.honest {
			shops[m.id] = t.names()
		}
	}
	cases := make([]Case, 0, len(b.cases))
	for _, f := range b.cases {
		if len(f.acts) == 0 {
			continue // a gang that never came to act
		}
		c := f.sum(w)
		cases = append(cases, c)
		s.Cases[c.Typology]++
		s.Redemptions[c.Typology] += len(c.RedemptionIDs)
		s.StakeFen[c.Typology] += c.StakeFen
	}
	for _, v := range b.violations {
		s.Violations[v]++
	}
	slices.Sort(b.fillers)
	type id struct {
		text string
		tags tag
	}
	marks := make([]id, len(b.marks))
	for i, m := range b.marks {
		marks[i] = id{redemptionID(m.key), m.tags}
		for _, name := range m.tags.names() {
			s.LookAlikes[name]++
		}
	}
	slices.SortFunc(marks, func(a, b id) int { return cmpText(a.text, b.text) })
	var err error
	member := func(name string, v any) {
		if err != nil {
			return
		}
		if name != "cases" {
			out.WriteByte(',')
		}
		out.WriteString("\n" + strconv.Quote(name) + ":")
		err = json.MarshalWrite(out, v, json.Deterministic(true))
	}
	out.WriteByte('{')
	member("cases", cases)
	member("counts", g.stage.counts)
	member("days", w.last-w.Start+1)
	member("difficulty", g.difficulty)
	member("fillers", b.fillers)
	member("hard_negative_merchants", shops)
	out.WriteString(",\n\"hard_negatives\":{")
	for i, m := range marks {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\"" + m.text + "\":")
		for j, name := range m.tags.names() {
			out.WriteByte("[,"[min(j, 1)])
			out.WriteString("\"" + name + "\"")
		}
		out.WriteByte(']')
	}
	out.WriteByte('}')
	member("malformed", g.stage.bad)
	member("merchants", len(w.merchants))
	member("nuisance", w.p.named())
	member("placebo", g.o.NoFraud)
	member("redemptions", b.labels)
	member("scale", g.o.Scale)
	member("seed", g.o.Seed)
	member("violations", b.violations)
	out.WriteString("}\n")
	if err != nil {
		return s, err
	}
	return s, out.Flush()
}
