package evaluate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
)

// finding is what was found, in the numbers of the world.
type finding struct {
	code      string
	kind      string
	subject   uint64
	with      uint64
	score     int
	detected  vw.Millis
	rows      []int32
	merchants []int32
	minP      float64 // the least p-value of its reasons; 2: none
	weights   []weight
	exact     bool
}

// weight is what one detector contributes to the log-odds.
type weight struct {
	detector string
	value    float64
}

type reason struct {
	Typology string   `json:"typology"`
	Code     string   `json:"code"`
	Weight   float64  `json:"weight"`
	P        *float64 `json:"p_value"`
}

// longestLine is that of a finding which lists every redemption of a county.
const longestLine = 256 << 20

func lines(name string, in io.Reader, take func(line []byte) error) (n int, err error) {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 1<<20), longestLine)
	fail := func(hint string, err error) (int, error) {
		return n, &vw.Error{Op: "evaluate.World", Code: vw.Invalid, Hint: hint, Err: fmt.Errorf("%s:%d: %w", name, n, err)}
	}
	for s.Scan() {
		n++
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		err := take(s.Bytes())
		var wrong mismatch
		switch {
		case errors.As(err, &wrong):
			return fail("the results are of other events; replay these events and give that folder", err)
		case err != nil:
			return fail("the results are cut short or damaged; replay the events again", err)
		}
	}
	if err := s.Err(); err != nil {
		n++
		return fail("the results cannot be read to their end; replay the events again", err)
	}
	return n, nil
}

// mismatch tells that results are not those of the events.
type mismatch struct{ error }

// Scores takes in scores.ndjson, once, after the events. Every redemption of the events must have exactly
// one score of one policy; faults are vw.Invalid errors with the file's name and line.
func (w *World) Scores(name string, in io.Reader) error {
	if !w.labels.Placebo || len(w.labels.broken)+len(w.labels.honest) > 0 {
		if err := w.known(); err != nil {
			return err
		}
	}
	var s struct {
		ID       string   `json:"redemption_id"`
		Merchant string   `json:"merchant_id"`
		Customer string   `json:"customer_id"`
		Score    int      `json:"score"`
		Reasons  []reason `json:"reasons"`
		Policy   string   `json:"policy_version"`
	}
	var weights []weight
	n, err := lines(name, in, func(line []byte) error {
		s.ID, s.Merchant, s.Customer, s.Score, s.Reasons, s.Policy = "", "", "", -1, s.Reasons[:0], ""
		if err := json.Unmarshal(line, &s); err != nil {
			return err
		}
		i, ok := w.index[vw.HashString(s.ID)]
		switch {
		case s.ID == "" || s.Score < 0 || s.Score > 1000:
			return errors.New("a score needs a redemption_id and a score of 0 to 1000")
		case !ok:
			return mismatch{fmt.Errorf("redemption %s is not among the events", s.ID)}
		}
		r := &w.rows[i]
		switch {
		case w.merchants[r.merchant].id != s.Merchant || w.customer[r.customer] != vw.HashString(s.Customer):
			return mismatch{fmt.Errorf("redemption %s has another merchant or customer than in the events", s.ID)}
		case r.score >= 0:
			return fmt.Errorf("redemption %s has a second score", s.ID)
		case w.policy == "":
			w.policy = s.Policy
		case w.policy != s.Policy:
			return fmt.Errorf("policy %s after %s: scores of two runs", s.Policy, w.policy)
		}
		r.score, r.after = int16(s.Score), int16(s.Score)
		weights = weights[:0]
		for _, x := range s.Reasons {
			if !w.o.Exact[x.Typology] {
				detector, _, _ := strings.Cut(x.Code, ".")
				weights = append(weights, weight{strings.Clone(detector), x.Weight})
			}
			if strings.HasPrefix(x.Code, "pair.") {
				r.pair += float32(x.Weight)
				r.pairP = r.pairP || x.P != nil && *x.P < tinyP
			}
		}
		if len(weights) > 0 {
			w.testify(r.merchant, weights)
		}
		w.scored++
		return nil
	})
	if err != nil {
		return err
	}
	if w.scored < len(w.rows) {
		return &vw.Error{Op: "evaluate.World", Code: vw.Invalid, Hint: "the results are cut short, or of fewer events; replay these events and give that folder",
			Err: fmt.Errorf("%s:%d: the file ends here, with scores of %d of the %d redemptions of the events", name, n, w.scored, len(w.rows))}
	}
	return nil
}

// tinyP is the p-value from which honest pairs are counted.
const tinyP = .001

// Findings takes in findings.ndjson, once, after the scores.
func (w *World) Findings(name string, in io.Reader) error {
	seen := map[string]bool{}
	_, err := lines(name, in, func(line []byte) error {
		var f struct {
			ID          string     `json:"finding_id"`
			Typology    string     `json:"typology"`
			Subject     vw.Subject `json:"subject"`
			Detected    string     `json:"detected_at"`
			Score       int        `json:"score"`
			Redemptions []string   `json:"redemption_ids"`
			Merchants   []string   `json:"merchant_ids"`
			Reasons     []reason   `json:"reasons"`
			Policy      string     `json:"policy_version"`
		}
		if err := json.Unmarshal(line, &f); err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339Nano, f.Detected)
		switch {
		case f.ID == "" || f.Typology == "":
			return errors.New("a finding needs a finding_id and a typology")
		case err != nil:
			return fmt.Errorf("detected_at %q is no RFC 3339 time", f.Detected)
		case seen[f.ID]:
			return fmt.Errorf("finding %s is given twice", f.ID)
		case f.Policy != w.policy && w.policy != "":
			return mismatch{fmt.Errorf("finding %s is of policy %s, the scores are of %s", f.ID, f.Policy, w.policy)}
		}
		seen[f.ID] = true
		out := finding{code: f.Typology, kind: f.Subject.Kind, subject: vw.HashString(f.Subject.ID), score: f.Score, detected: vw.Millis(at.UnixMilli()), minP: 2, exact: w.o.Exact[f.Typology]}
		if f.Subject.With != "" {
			out.with = vw.HashString(f.Subject.With)
		}
		for _, id := range f.Redemptions {
			i, ok := w.index[vw.HashString(id)]
			if !ok {
				return mismatch{fmt.Errorf("finding %s lists redemption %s, which is not among the events", f.ID, id)}
			}
			out.rows = append(out.rows, i)
			r := &w.rows[i]
			r.after = max(r.after, int16(f.Score))
			if f.Score >= w.o.Review && (r.found == 0 || out.detected < r.found) {
				r.found = out.detected
			}
		}
		for _, id := range f.Merchants {
			if i, ok := w.merchant[vw.HashString(id)]; ok {
				out.merchants = append(out.merchants, i)
			}
		}
		for _, x := range f.Reasons {
			if x.P != nil {
				out.minP = min(out.minP, *x.P)
			}
			detector, _, _ := strings.Cut(x.Code, ".")
			out.weights = append(out.weights, weight{detector, x.Weight})
		}
		if !out.exact {
			for _, m := range out.merchants {
				w.testify(m, out.weights)
			}
		}
		w.findings = append(w.findings, out)
		return nil
	})
	return err
}

// FindingCount is how many findings were taken in.
func (w *World) FindingCount() int { return len(w.findings) }
