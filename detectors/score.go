package detectors

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	vw "voucherwatch"
)

// score turns what was said of the slot's share of the visits into scores, and writes them.
func (s *slot) score() {
	e := s.engine
	n, k := len(e.visits), len(e.slots)
	s.out = s.out[:0]
	for i := n * s.index / k; i < n*(s.index+1)/k; i++ {
		v := &e.visits[i]
		s.heard = e.heard(v, s.heard)
		e.judge(v, s.heard)
		s.out = e.appendScore(s.out, v, s.heard)
		band := e.band(v.score)
		s.bands[band]++
		if band > 0 {
			s.atRisk += v.Event.DiscountFen
		}
	}
}

// judge adds up the evidence: the prior, each detector's log likelihood ratio under its weight and
// cap, and the policy's log-odds for every exact rule that was broken.
func (e *Engine) judge(v *Visit, signals []*Signal) {
	// Signals of one detector are next to each other unless its lane came twice; sort makes sure.
	for i := 1; i < len(signals); i++ {
		for j := i; j > 0 && signals[j].detector < signals[j-1].detector; j-- {
			signals[j], signals[j-1] = signals[j-1], signals[j]
		}
	}
	logit := e.settings.Prior
	for i := 0; i < len(signals); {
		d := signals[i].detector
		soft := 0.0
		for ; i < len(signals) && signals[i].detector == d; i++ {
			if signals[i].hard {
				logit += signals[i].LLR
			} else {
				soft += signals[i].LLR
			}
		}
		w := e.weights[d]
		logit += w.Weight * clip(soft, -w.Cap, w.Cap)
	}
	v.logit = logit
	v.score = probability(logit)
}

// band is 0 low, 1 review, 2 high.
func (e *Engine) band(score int) int {
	switch {
	case score >= e.settings.High:
		return 2
	case score >= e.settings.Review:
		return 1
	}
	return 0
}

var bandNames = [3]vw.Band{vw.Low, vw.Review, vw.High}

// contribution is what a signal adds to the log-odds.
func (e *Engine) contribution(s *Signal) float64 {
	if s.hard {
		return s.LLR
	}
	w := e.weights[s.detector]
	return w.Weight * clip(s.LLR, -w.Cap, w.Cap)
}

// appendScore writes the score as a line of JSON, field by field as vw.Score has them.
func (e *Engine) appendScore(dst []byte, v *Visit, signals []*Signal) []byte {
	b := v.Batch
	dst = append(dst, `{"redemption_id":`...)
	dst = appendString(dst, b.Bytes(v.Event.ID.Text))
	dst = append(dst, `,"at":"`...)
	dst = append(dst, b.Bytes(v.Event.AtText)...)
	dst = append(dst, `","merchant_id":`...)
	dst = appendString(dst, b.Bytes(v.Event.Merchant.Text))
	dst = append(dst, `,"customer_id":`...)
	dst = appendString(dst, b.Bytes(v.Event.Customer.Text))
	dst = append(dst, `,"score":`...)
	dst = strconv.AppendInt(dst, int64(v.score), 10)
	dst = append(dst, `,"band":"`...)
	dst = append(dst, bandNames[e.band(v.score)]...)
	dst = append(dst, `","reasons":[`...)
	slices.SortStableFunc(signals, func(a, b *Signal) int { return cmp.Compare(e.contribution(b), e.contribution(a)) })
	for i, s := range signals[:min(len(signals), maxShown)] {
		c := e.contribution(s)
		if math.Abs(c) < e.settings.MinWeight {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendReason(dst, s.env(e).reason(s, c))
	}
	dst = append(dst, `],"blind":[`...)
	for i := range v.blind[:v.blinds] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"detector":"`...)
		dst = append(dst, e.specs[v.blind[i].detector].Name...)
		dst = append(dst, `","field":"`...)
		dst = append(dst, vw.FieldNames[v.blind[i].field]...)
		dst = append(dst, `"}`...)
	}
	dst = append(dst, `],"policy_version":"`...)
	dst = append(dst, e.settings.Version...)
	return append(dst, "\"}\n"...)
}

func (s *Signal) env(e *Engine) *Env { return e.slots[0].envs[s.detector] }

// maxShown bounds the reasons of a score.
const maxShown = 12

// reason is a signal as the contract writes it.
func (e *Env) reason(s *Signal, weight float64) vw.Reason {
	r := vw.Reason{
		Typology: s.Kind.Typology, Code: s.Kind.Code, Weight: round3(weight), Text: s.Kind.Text(s), Observed: round3(s.Observed),
		Expected: optional(s.Expected), PValue: optionalP(s.P), Window: s.Kind.Window, Peers: s.Peers, Evidence: []string{},
	}
	for i, id := range s.Evidence {
		if i == 20 {
			break
		}
		if b := s.arena.Bytes(id); b != nil {
			r.Evidence = append(r.Evidence, string(b))
		}
	}
	return r
}

// Reason writes down a signal for a finding.
func (e *Env) Reason(s Signal) vw.Reason {
	s.arena, s.detector = e.Arena, e.id
	w := e.settings.of(e.spec.Name)
	return e.reason(&s, w.Weight*clip(s.LLR, -w.Cap, w.Cap))
}

func round3(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return math.Round(x*1000) / 1000
}

func optional(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	x = round3(x)
	return &x
}

// optionalP keeps three significant digits of a p-value.
func optionalP(p float64) *float64 {
	if math.IsNaN(p) {
		return nil
	}
	p, _ = strconv.ParseFloat(strconv.FormatFloat(max(p, 1e-300), 'g', 3, 64), 64)
	return &p
}

func appendReason(dst []byte, r vw.Reason) []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic("detectors: a reason does not marshal: " + err.Error()) // plain strings and finite numbers only
	}
	return append(dst, b...)
}

// appendString writes a JSON string; plain ASCII, as identifiers are, without a look at each rune.
func appendString(dst, s []byte) []byte {
	for _, c := range s {
		if c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			q, err := json.Marshal(string(s))
			if err != nil {
				panic("detectors: a string does not marshal: " + err.Error())
			}
			return append(dst, q...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
