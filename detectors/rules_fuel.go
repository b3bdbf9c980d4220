package detectors

import (
	"fmt"

	vw "voucherwatch"
)

// rulesPrice checks fuel against the government's ceiling (T22): the price per litre on the receipt, and
// the amount for the litres, may not exceed the cap of the grade in force at that moment.
//
//	Key:   none; caps bind every merchant and every slot has them.
//	Late:  judged by the cap of its own time.
//	Basis: price law; 《价格违法行为行政处罚规定》 art. 9; catalogue T22 (above the cap by more than 0.01 yuan/L).
type rulesPrice struct {
	env    *Env
	params rulesPriceParams
	caps   map[uint64]history[vw.Fen] // by grade (sku)
}

type rulesPriceParams struct {
	// Tolerance is how far above the cap a litre may cost, in fen: the catalogue's 0.01 yuan, which is
	// what rounding to whole fen explains.
	Tolerance vw.Fen `yaml:"tolerance_fen"`
	// Litre is the error of the quantity on a receipt, in litres: half of the last digit of 0.01 L.
	Litre float64 `yaml:"litre"`
	// Skew is how far, in seconds, clocks of pumps and of the platform may differ when a cap changes at
	// 24:00; within it the higher cap counts.
	Skew int64 `yaml:"skew_seconds"`
}

var capKind = &Kind{Code: "rules_price.cap", Typology: "T22", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("%s 每升 %.2f 元，高于当日最高零售价 %.2f 元", s.Note, s.Observed/100, s.Expected/100),
		En: fmt.Sprintf("%s at %.2f yuan a litre, above the ceiling of %.2f then in force", s.Note, s.Observed/100, s.Expected/100),
	}
}}

func init() {
	register(Spec{
		Name: "rules_price", Lane: MerchantLane, Late: true, Typologies: []string{"T22"},
		Title:  vw.Bilingual{Zh: "油价超限：高于政府最高零售价", En: "fuel above the government's ceiling price"},
		Events: []vw.EventType{vw.PriceEvent},
		New: func(env *Env) (Detector, error) {
			d := &rulesPrice{env: env, params: rulesPriceParams{Tolerance: 1, Litre: 0.005, Skew: 90}, caps: map[uint64]history[vw.Fen]{}}
			return d, env.Params(&d.params)
		},
	})
}

// Apply takes in a ceiling.
func (d *rulesPrice) Apply(_ *vw.Batch, e *vw.Event, _ vw.Millis) {
	if e.Kind == vw.Cap {
		// Its own time and not the effective one: caps are announced before they hold.
		d.caps[e.SKU.Key] = d.caps[e.SKU.Key].put(e.At, e.Amount)
	}
}

// Visit compares the lines of fuel merchants with the caps of their grades. What has no cap, washing or
// a drink, is no business of the rule.
func (d *rulesPrice) Visit(v *Visit) {
	if v.Category() != vw.Fuel {
		return
	}
	if v.Event.LineCount == 0 {
		v.Blind(d.env, vw.FieldLines)
		return
	}
	for _, l := range v.Batch.LinesOf(v.Event) {
		limit, ok := d.limit(l.SKU.Key, v.T)
		if !ok || l.Quantity <= 0 {
			continue
		}
		price := float64(l.UnitFen)
		if price <= float64(limit+d.params.Tolerance) {
			// The printed price keeps the cap: does the amount? Rounding of both is granted.
			if float64(l.Fen) <= float64(limit+d.params.Tolerance)*(l.Quantity+d.params.Litre)+0.5 {
				continue
			}
			price = float64(l.Fen) / l.Quantity
		}
		name := v.Batch.String(l.Name)
		if name == "" {
			name = v.Batch.String(l.SKU.Text)
		}
		v.Break(d.env, capKind, Signal{
			Observed: price, Expected: float64(limit), P: None, Note: name, Evidence: []IDRef{v.Keep(d.env)},
		}, vw.Subject{Kind: "merchant", ID: v.MerchantID()}, campaignPeriod)
		return
	}
}

// limit is the highest cap of a grade in force at about t.
func (d *rulesPrice) limit(grade uint64, t vw.Millis) (limit vw.Fen, ok bool) {
	h := d.caps[grade]
	skew := vw.Millis(d.params.Skew) * vw.Second
	early, ok1 := h.on(t - skew)
	late, ok2 := h.on(t + skew)
	return max(early, late), ok1 || ok2
}
