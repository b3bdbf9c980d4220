package cases

import (
	"cmp"
	"maps"
	"math"
	"slices"

	vw "voucherwatch"
)

// VerdictEvent is the event that a decided case sends back to the stream (contract: verdict).
type VerdictEvent struct {
	Type       string `json:"type"`
	ID         string `json:"id"`
	At         string `json:"at"`
	MerchantID string `json:"merchant_id"`
	CaseID     string `json:"case_id"`
	Verdict    string `json:"verdict"` // confirmed, benign, data_error
	Reason     string `json:"reason"`
}

// Judged is a decided case with its findings: what precision is counted from, and what a reweighting of
// the evidence learns from. Findings are those that the case lists.
type Judged struct {
	Document Document
	Findings []vw.Finding
}

// Reweighter learns weights of the evidence from decided cases. Its proposal is compared and switched on
// by a person, as a policy file, never by itself. The one that exists is not in this package.
type Reweighter interface {
	// Propose reads cases in the order of their closing. Too few of them are vw.Conflict.
	Propose(cases []Judged) (policy []byte, err error)
}

// Rate is how often something was right. Cases with wrong data, and inconclusive ones, count for neither side.
type Rate struct {
	Name                 string // typology or rule
	Confirmed, Refuted   int
	DataError, Undecided int
	// Precision is Confirmed of both, Lowest to Highest its 95 % interval; 0 to 1 when nothing is known.
	Precision, Lowest, Highest float64
}

// Precision counts decided cases per typology and per rule (reason code). A typology is right where a person
// assessed it as proven, wrong where not proven or where the whole case was refuted. A rule has the result
// of the typology that its reason speaks of. Both lists are sorted by name.
func Precision(judged []Judged) (typologies, rules []Rate) {
	byType, byRule := map[string]*Rate{}, map[string]*Rate{}
	for i := range judged {
		w := &judged[i].Document.Work
		if w.Outcome == "" || !decided(w) {
			continue
		}
		seen := map[string]bool{}
		for _, t := range judged[i].Document.Case.Typologies {
			count(byType, t, w, t)
			for _, f := range judged[i].Findings {
				for _, r := range f.Reasons {
					if r.Typology == t && r.Weight > 0 && !seen[t+" "+r.Code] {
						seen[t+" "+r.Code] = true
						count(byRule, r.Code, w, t)
					}
				}
			}
		}
	}
	return rates(byType), rates(byRule)
}

// decided: beyond review, whatever came of it.
func decided(w *Work) bool {
	return !slices.Contains([]State{Suspicion, Investigating, Suspended, InReviewStage, Returned, Reopened}, w.stage())
}

func count(by map[string]*Rate, name string, w *Work, typology string) {
	if by[name] == nil {
		by[name] = &Rate{Name: name}
	}
	r := by[name]
	result := ""
	for _, a := range w.Assessments {
		if a.Typology == typology {
			result = a.Result
		}
	}
	switch {
	case w.Outcome == "refuted" && w.DataError:
		r.DataError++
	case w.Outcome == "refuted":
		r.Refuted++
	case w.Outcome == "inconclusive" || result == "" || result == "unclear":
		r.Undecided++
	case result == "proven":
		r.Confirmed++
	default:
		r.Refuted++
	}
}

func rates(by map[string]*Rate) (out []Rate) {
	for _, name := range slices.Sorted(maps.Keys(by)) {
		r := *by[name]
		r.Precision, r.Lowest, r.Highest = wilson(r.Confirmed, r.Confirmed+r.Refuted)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Rate) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// wilson is k of n with its 95 % interval (Wilson 1927), which holds for small numbers too. Nothing
// known: 0 to 1.
func wilson(k, n int) (p, low, high float64) {
	if n == 0 {
		return 0, 0, 1
	}
	const z = 1.959964
	m := float64(n)
	p = float64(k) / m
	mid, half := p+z*z/(2*m), z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return p, max(0, (mid-half)/(1+z*z/m)), min(1, (mid+half)/(1+z*z/m))
}
