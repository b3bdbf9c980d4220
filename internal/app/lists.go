package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"voucherwatch/alerts"
	"voucherwatch/credit"
	creditstore "voucherwatch/credit/sqlite"

	vw "voucherwatch"
)

// ReadJSON reads a JSON file strictly: an unknown field is an error with its place.
func ReadJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return &vw.Error{Op: "app.ReadJSON", Code: vw.NotFound, Hint: "give the path of a JSON file", Err: err}
	}
	if err := json.Unmarshal(data, into, json.RejectUnknownMembers(true)); err != nil {
		return &vw.Error{Op: "app.ReadJSON", Code: vw.Invalid, Hint: "correct the file", Err: fmt.Errorf("%s: %w", path, err)}
	}
	return nil
}

// CheckProposal looks at the gates of a proposal in a file, {"proposal": …, "grounds": …}, and says what
// is missing. It changes nothing. The error is a *credit.Refusal when something is.
func CheckProposal(w io.Writer, path, rulesFile string, now time.Time) error {
	var in struct {
		Proposal credit.Proposal `json:"proposal"`
		Grounds  credit.Grounds  `json:"grounds"`
	}
	if err := ReadJSON(path, &in); err != nil {
		return err
	}
	r, err := credit.LoadRules(rulesFile)
	if err != nil {
		return err
	}
	missing, warnings := r.Check(&in.Proposal, &in.Grounds, now)
	fmt.Fprintf(w, "%s  %s  %s\n待审批内容摘要 payload %s\n", credit.NewID(&in.Proposal), in.Proposal.Tier.Label(), in.Proposal.Party.Name, in.Proposal.Hash())
	for _, s := range warnings {
		fmt.Fprintf(w, "注意 warning: %s\n", s)
	}
	if len(missing) > 0 {
		return &vw.Error{Op: "app.CheckProposal", Code: vw.Invalid, Hint: "complete what is missing; nobody is listed without it", Err: &credit.Refusal{Missing: missing}}
	}
	_, err = fmt.Fprintln(w, "各项要件齐备。 Every gate is passed.")
	return err
}

// WriteEntries prints a list as it stands.
func WriteEntries(ctx context.Context, w io.Writer, path string, tier credit.Tier, all bool) error {
	if err := MustExist(path); err != nil {
		return err
	}
	s, err := creditstore.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	n := 0
	for after := int64(0); ; {
		page, err := s.Page(ctx, credit.Query{Tier: tier, AsOf: head, After: after, Live: !all, Limit: 1000})
		if err != nil {
			return err
		}
		for i := range page {
			e := &page[i].Entry
			after, n = page[i].Seq, n+1
			mark := ""
			if e.Disputed() {
				mark = "  异议中 disputed"
			}
			if _, err := fmt.Fprintf(w, "%s  %s  %-9s %s — %s  %s  %s  %s%s\n", e.ID, e.Tier.Label(), e.State, e.Start, e.End, e.Party.USCC, e.Party.Name, e.Instrument.Number, mark); err != nil {
				return err
			}
		}
		if len(page) == 0 {
			break
		}
	}
	_, err = fmt.Fprintf(w, "共 %d 条 (%d entries)\n", n, n)
	return err
}

// ExclusionEvent is the registry's row of a merchant as the stream must see it from a moment on: suspended
// while the exclusion is in force, and as the registry has it when that has ended. Later redemptions there
// are findings (T14) at once.
func ExclusionEvent(registry []byte, e *credit.Entry, at time.Time) ([]byte, error) {
	const op = "app.ExclusionEvent"
	row := map[string]jsontext.Value{}
	if err := json.Unmarshal(registry, &row); err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Err: err}
	}
	var id string
	if err := json.Unmarshal(row["merchant_id"], &id); err != nil || id != e.Party.MerchantID || e.Tier != credit.Exclusion {
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Err: fmt.Errorf("the row is not of the merchant that entry %s excludes", e.ID)}
	}
	change := map[string]string{"id": fmt.Sprintf("%s-%d", e.ID, e.Revision), "at": at.Format("2006-01-02T15:04:05.000Z07:00")}
	if e.State == credit.InForce {
		change["status"] = "suspended"
	}
	for k, v := range change {
		text, err := jsontext.AppendQuote(nil, v)
		if err != nil {
			return nil, &vw.Error{Op: op, Code: vw.Invalid, Err: err}
		}
		row[k] = text
	}
	out, err := json.Marshal(row, json.Deterministic(true))
	if err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Err: err}
	}
	return []byte(strings.TrimSpace(string(out))), nil
}

// ListingAlert is the news of an entry's newest version for the agencies: that it was made, has ended, or is
// disputed. Sequence is the caller's, among the alerts of the case.
func ListingAlert(e *credit.Entry, sequence int, at time.Time) alerts.Alert {
	what := alerts.Excluded
	switch {
	case e.State != credit.InForce:
		what = alerts.Withdrawn
	case e.Disputed():
		what = alerts.Appealed
	case e.Tier == credit.Record:
		what = alerts.Listed
	}
	a := alerts.Alert{
		ID: alerts.NewID(e.Case, what, fmt.Sprintf("%s %d", e.ID, e.Revision)), Case: e.Case, Sequence: sequence, What: what, At: at,
		Agencies: []string{"GX", "FG"}, Severity: "medium", MerchantID: e.Party.MerchantID, Merchant: e.Party.Name,
	}
	if e.Ended != nil {
		a.DueAt = e.Ended.TellBy
	}
	return a
}
