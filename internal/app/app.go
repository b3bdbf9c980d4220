// Package app joins the parts into the programs that people run: replay, demo, serve. It is the only
// package that knows all of them; the command line only parses flags into its options.
package app

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"voucherwatch/campaign"
	"voucherwatch/cases"
	"voucherwatch/detectors"
	"voucherwatch/rules"
	"voucherwatch/stream"

	vw "voucherwatch"
)

// engineSettings is what the detectors take from the policy.
func engineSettings(p *rules.Policy) detectors.Settings {
	s := detectors.Settings{
		Version: p.Version, Prior: p.Score.PriorLogOdds, Review: p.Score.Review, High: p.Score.High, MinWeight: p.Score.ReasonMinWeight,
		Detectors: map[string]detectors.Setting{}, Hard: map[string]float64{}, Params: p.Params, Severity: p.Severity,
	}
	for name, d := range p.Detectors {
		s.Detectors[name] = detectors.Setting{Enabled: d.Enabled, Weight: d.Weight, Cap: d.Cap}
	}
	for code, t := range p.Typologies {
		if t.Hard {
			s.Hard[code] = t.Weight
		}
	}
	return s
}

// NewEngine makes an engine of a campaign and a policy.
func NewEngine(c *vw.Campaign, p *rules.Policy, slots int) (*detectors.Engine, error) {
	return detectors.New(detectors.Options{Campaign: c, Settings: engineSettings(p), Slots: slots})
}

// NewDesk makes a desk of a campaign and a policy over a store.
func NewDesk(c *vw.Campaign, p *rules.Policy, store cases.Store) (*cases.Desk, error) {
	return cases.NewDesk(cases.Options{
		Store: store, Campaign: c.ID, OpenAt: p.Grouping.OpenAt, HighAt: p.Score.High, DueHours: p.Grouping.DueHours, ReopenDays: p.Grouping.ReopenDays, AskToReopen: true,
		Agencies: func(code string) []string { return p.Typologies[code].Agencies },
		Severity: p.Severity,
	})
}

// newDecoder reads events of a campaign.
func newDecoder(c *vw.Campaign, now func() time.Time) (*stream.Decoder, error) {
	o := stream.Options{Now: now}
	for i := range c.Vouchers {
		o.VoucherTypes = append(o.VoucherTypes, c.Vouchers[i].Code)
	}
	return stream.NewDecoder(o)
}

// loadPolicy reads a policy and finds detectors in it that do not exist, or are missing.
func loadPolicy(nameOrFile string) (*rules.Policy, error) {
	p, err := rules.Load(nameOrFile)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, s := range detectors.Specs() {
		known = append(known, s.Name)
	}
	return p, p.CheckDetectors(known)
}

// plan loads what a run is judged by: a campaign and a policy.
func plan(campaignName, policyName string) (*vw.Campaign, *rules.Policy, error) {
	c, err := campaign.Load(campaignName)
	if err != nil {
		return nil, nil, err
	}
	p, err := loadPolicy(policyName)
	return c, p, err
}

// CheckPolicy loads a policy and has every detector read its parameters.
func CheckPolicy(nameOrFile string) (*rules.Policy, error) {
	p, err := loadPolicy(nameOrFile)
	if err != nil {
		return nil, err
	}
	c, err := campaign.Load(campaign.BuiltIn()[0])
	if err != nil {
		return nil, err
	}
	e, err := NewEngine(c, p, 1)
	if err != nil {
		return nil, err
	}
	e.Close()
	return p, nil
}

// MustExist is an error that says what to do when a file is not there.
func MustExist(path string) error {
	if _, err := os.Stat(path); err != nil {
		return &vw.Error{Op: "app.MustExist", Code: vw.NotFound, Hint: "serve and demo make the file of cases; name it", Err: err}
	}
	return nil
}

// WriteSummary says a replay's outcome in a few lines.
func WriteSummary(w io.Writer, s Summary, dir string) {
	dead, why := int64(0), ""
	for _, code := range slices.Sorted(maps.Keys(s.DeadLetters)) {
		dead += s.DeadLetters[code]
		why += fmt.Sprintf(", %s %d", code, s.DeadLetters[code])
	}
	fmt.Fprintf(w, "%d redemptions scored (%.0f/s): %d review, %d high; %d duplicates, %d late, %d dead letters\n", s.Redemptions, s.PerSecond, s.Bands[vw.Review], s.Bands[vw.High], s.Duplicates, s.Late, dead)
	fmt.Fprintf(w, "%d findings in %d cases; subsidy %s, of redemptions in review or above %s\n", s.Findings, s.Cases, s.SubsidyFen.Yuan(), s.AtRiskFen.Yuan())
	for _, code := range slices.Sorted(maps.Keys(s.Typologies)) {
		t := s.Typologies[code]
		fmt.Fprintf(w, "  %s  %5d findings (%d review or above), %d redemptions, %s\n", code, t.Findings, t.Review, t.Redemptions, t.SubsidyFen.Yuan())
	}
	if dead > 0 {
		fmt.Fprintf(w, "not read: %s; see dead_letters.ndjson\n", why[2:])
	}
	fmt.Fprintf(w, "results in %s\n", dir)
}
