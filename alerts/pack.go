package alerts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	vw "voucherwatch"
)

// Pack is an evidence pack as it was sealed: what it is, not its bytes.
type Pack struct {
	Number  string     `json:"number"`  // "GP-2022-2-0147-GA": of a case and an agency, the same for all versions
	Version int        `json:"version"` // from 1; a sealed version never changes
	Case    string     `json:"case_id"`
	Agency  string     `json:"agency"`
	Bytes   int64      `json:"bytes"`
	SHA256  string     `json:"sha256"`
	SM3     string     `json:"sm3"`
	Sealed  time.Time  `json:"sealed"`
	By      string     `json:"by"`
	Returns []Returned `json:"returns"` // 回执, oldest first
}

// Returned is what the agency answered.
type Returned struct {
	Outcome string    `json:"outcome"` // accepted, returned, supplement
	Number  string    `json:"number"`  // of the agency's paper
	At      time.Time `json:"at"`
	Who     string    `json:"who"` // who entered it
	Note    string    `json:"note,omitempty"`
}

// The answers of an agency.
const (
	Accepted   = "accepted"   // 受理
	SentBack   = "returned"   // 退回
	Supplement = "supplement" // 要求补充材料
)

// PackStore keeps the register. PutPack writes a new version, or the returns of one that is there;
// anything else that differs from what is there is vw.Conflict. Packs are by number and version.
type PackStore interface {
	PutPack(ctx context.Context, p Pack) error
	Packs(ctx context.Context, number string) ([]Pack, error)
}

// Register numbers packs and keeps their receipts.
type Register struct{ Store PackStore }

// PackNumber is the number of a case's pack for an agency.
func PackNumber(caseID, agency string) string { return caseID + "-" + agency }

// Next is the version that a new pack will have.
func (r *Register) Next(ctx context.Context, number string) (int, error) {
	all, err := r.Store.Packs(ctx, number)
	return len(all) + 1, err
}

// Seal enters a version. The same bytes entered again change nothing; another pack under a version
// that is taken is vw.Conflict: seal it under the next.
func (r *Register) Seal(ctx context.Context, p Pack) error {
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(p.Number != "", "number", "is required")
	need(p.Version >= 1, "version", "must be at least 1")
	need(len(p.SHA256) == 64 && len(p.SM3) == 64, "sha256, sm3", "must be 64 hex digits each")
	need(p.By != "", "by", "is required")
	need(!p.Sealed.IsZero(), "sealed", "is required")
	need(len(p.Returns) == 0, "returns", "come later")
	if err := invalid("alerts.Seal", errs); err != nil {
		return err
	}
	all, err := r.Store.Packs(ctx, p.Number)
	if err != nil {
		return err
	}
	if len(all) >= p.Version && all[p.Version-1].SHA256 == p.SHA256 {
		return nil
	}
	if p.Version != len(all)+1 {
		return &vw.Error{Op: "alerts.Seal", Code: vw.Conflict, Hint: fmt.Sprintf("seal it as version %d", len(all)+1), Err: fmt.Errorf("pack %s: a sealed version is never replaced", p.Number)}
	}
	return r.Store.PutPack(ctx, p)
}

// Return records an agency's answer to a version.
func (r *Register) Return(ctx context.Context, number string, version int, ret Returned) (Pack, error) {
	const op = "alerts.Return"
	if outcomes := []string{Accepted, SentBack, Supplement}; !slices.Contains(outcomes, ret.Outcome) {
		return Pack{}, invalid(op, []error{fmt.Errorf("outcome: must be one of %s", strings.Join(outcomes, ", "))})
	}
	if ret.Who == "" || ret.At.IsZero() || ret.Number == "" && ret.Outcome == Accepted {
		return Pack{}, invalid(op, []error{fmt.Errorf("who, at and, for accepted, the number of the agency's paper are required")})
	}
	all, err := r.Store.Packs(ctx, number)
	if err != nil {
		return Pack{}, err
	}
	if version < 1 || version > len(all) {
		return Pack{}, notFound(op, fmt.Sprintf("pack %s has no version %d", number, version))
	}
	p := all[version-1]
	if slices.Contains(p.Returns, ret) {
		return p, nil
	}
	p.Returns = append(slices.Clone(p.Returns), ret)
	return p, r.Store.PutPack(ctx, p)
}

// agrees says whether next is the same sealed version with at least the returns of p.
func (p *Pack) agrees(next *Pack) bool {
	a, b := *p, *next
	if len(b.Returns) < len(a.Returns) || !slices.Equal(a.Returns, b.Returns[:len(a.Returns)]) {
		return false
	}
	return a.Number == b.Number && a.Version == b.Version && a.SHA256 == b.SHA256 && a.SM3 == b.SM3 && a.Case == b.Case && a.By == b.By && a.Sealed.Equal(b.Sealed)
}

// CheckPack is what a PackStore asks before a write, given the versions that are there.
func CheckPack(there []Pack, p *Pack) error {
	switch {
	case p.Version == len(there)+1:
		return nil
	case p.Version >= 1 && p.Version <= len(there) && there[p.Version-1].agrees(p):
		return nil
	}
	return &vw.Error{Op: "alerts.PutPack", Code: vw.Conflict, Hint: "seal a new version", Err: fmt.Errorf("pack %s version %d is sealed", p.Number, p.Version)}
}

func (m *Memory) PutPack(ctx context.Context, p Pack) error {
	there, err := m.Packs(ctx, p.Number)
	if err != nil {
		return err
	}
	if err := CheckPack(there, &p); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.packs[fmt.Sprintf("%s %09d", p.Number, p.Version)] = p
	return nil
}

func (m *Memory) Packs(_ context.Context, number string) (all []Pack, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for v := 1; ; v++ {
		p, ok := m.packs[fmt.Sprintf("%s %09d", number, v)]
		if !ok {
			return all, nil
		}
		all = append(all, p)
	}
}
