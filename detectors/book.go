package detectors

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"

	vw "voucherwatch"
)

// Found is what a detector says is wrong with a subject. The same typology, subject and period make
// the same finding: what is found again revises it.
type Found struct {
	Typology string
	Subject  vw.Subject
	Period   string // "2022-10-03", "round-2", "campaign"
	At       vw.Millis
	LogOdds  float64
	// Redemptions are added to those that the finding rests on already, or replace them.
	Redemptions []FoundRedemption
	Replace     bool
	// Subsidy is the state money at stake; SumOfDiscounts adds up the redemptions'.
	Subsidy   vw.Fen
	Merchants []string
	Reasons   []vw.Reason
	Baseline  string
}

// SumOfDiscounts as Found.Subsidy: all that was paid for the redemptions is at stake.
const SumOfDiscounts vw.Fen = -1

// FoundRedemption is a redemption that a finding rests on.
type FoundRedemption struct {
	ID       string
	At       vw.Millis
	Discount vw.Fen
}

type proposal struct {
	Found
	event    int32
	lane     Lane
	detector uint8
}

// book holds the findings, each once, and knows which have changed since they were last given out.
// A finding that nothing was added to for the horizon is dropped after it was given out.
type book struct {
	campaign *vw.Campaign
	settings *Settings
	entries  map[findingKey]*entryOf
	dirty    []*entryOf
	due      bool // changed findings are given out with the next batch
}

type findingKey struct{ typology, kind, id, with, period string }

type entryOf struct {
	finding     vw.Finding
	redemptions map[string]FoundRedemption
	subsidy     vw.Fen // as found; SumOfDiscounts to add up
	first, last vw.Millis
	logOdds     float64
	dirty       bool
	fresh       bool
}

const findingHorizon = 75 * vw.Day

func newBook(c *vw.Campaign, s *Settings) *book {
	return &book{campaign: c, settings: s, entries: map[findingKey]*entryOf{}}
}

// leadFrom is the score from which statistics make a finding; what is less likely is in the scores only
// (detection.md, bands). A broken rule is a finding whatever it weighs.
const leadFrom = 300

// add takes in a proposal.
func (b *book) add(f *Found) {
	key := findingKey{f.Typology, f.Subject.Kind, f.Subject.ID, f.Subject.With, f.Period}
	e := b.entries[key]
	isNew := e == nil
	if _, hard := b.settings.Hard[f.Typology]; isNew && !hard && probability(f.LogOdds) < leadFrom {
		return
	}
	if isNew {
		e = &entryOf{redemptions: map[string]FoundRedemption{}, first: math.MaxInt64, logOdds: math.Inf(-1), fresh: true}
		e.finding = vw.Finding{
			FindingID: findingID(b.campaign.ID, f.Typology, f.Subject, f.Period),
			Typology:  f.Typology, Subject: f.Subject, Period: f.Period, DetectedAt: b.text(f.At),
		}
		b.entries[key] = e
	}
	changed := isNew
	if f.Replace {
		clear(e.redemptions)
		e.first, e.last = math.MaxInt64, 0
		changed = true
	}
	for _, r := range f.Redemptions {
		if _, ok := e.redemptions[r.ID]; !ok {
			e.redemptions[r.ID] = r
			e.first, e.last = min(e.first, r.At), max(e.last, r.At)
			changed = true
		}
	}
	for _, m := range f.Merchants {
		if !slices.Contains(e.finding.MerchantIDs, m) {
			e.finding.MerchantIDs = append(e.finding.MerchantIDs, m)
			changed = true
		}
	}
	if e.explain(f) {
		changed = true
	}
	if f.Subsidy != e.subsidy {
		e.subsidy, changed = f.Subsidy, true
	}
	if e.first == math.MaxInt64 {
		e.first, e.last = f.At, f.At
	}
	if changed {
		// Revisions count changes, not what was given out, so that they do not depend on the batches.
		e.finding.Revision++
	}
	if changed && !e.dirty {
		e.dirty = true
		b.dirty = append(b.dirty, e)
	}
}

// maxReasons bounds the reasons of a finding.
const maxReasons = 8

// explain takes over the reasons of what was found: those of a code that the finding does not have yet,
// and all when they are stronger or replace the rest. It tells whether anything changed.
func (e *entryOf) explain(f *Found) (changed bool) {
	stronger := f.LogOdds > e.logOdds || f.Replace
	if f.LogOdds > e.logOdds {
		e.logOdds, changed = f.LogOdds, true
	}
	if stronger {
		e.finding.BaselineVersion = f.Baseline
	}
	for _, r := range f.Reasons {
		i := slices.IndexFunc(e.finding.Reasons, func(have vw.Reason) bool { return have.Code == r.Code })
		switch {
		case i < 0 && len(e.finding.Reasons) < maxReasons:
			// A new slice: findings given out earlier share the old one.
			e.finding.Reasons = append(slices.Clip(e.finding.Reasons), r)
			changed = true
		case i >= 0 && stronger:
			e.finding.Reasons = slices.Clone(e.finding.Reasons)
			e.finding.Reasons[i] = r
			changed = true
		}
	}
	return changed
}

// take gives out the findings that changed: all of them, or only those never given out before.
func (b *book) take(all bool, into []vw.Finding) []vw.Finding {
	rest := b.dirty[:0]
	for _, e := range b.dirty {
		if !all && !e.fresh {
			rest = append(rest, e)
			continue
		}
		e.dirty, e.fresh = false, false
		into = append(into, b.render(e))
	}
	b.dirty = rest
	return into
}

func (b *book) render(e *entryOf) vw.Finding {
	f := e.finding
	f.Score = probability(e.logOdds)
	f.FirstAt, f.LastAt = b.text(e.first), b.text(e.last)
	list := make([]FoundRedemption, 0, len(e.redemptions))
	sum := vw.Fen(0)
	for _, r := range e.redemptions {
		list = append(list, r)
		sum += r.Discount
	}
	slices.SortFunc(list, func(x, y FoundRedemption) int {
		if x.At != y.At {
			return int(max(-1, min(1, x.At-y.At)))
		}
		return strings.Compare(x.ID, y.ID)
	})
	f.RedemptionIDs = make([]string, len(list))
	for i, r := range list {
		f.RedemptionIDs[i] = r.ID
	}
	f.SubsidyFen = e.subsidy
	if e.subsidy == SumOfDiscounts {
		f.SubsidyFen = sum
	}
	f.MerchantIDs = slices.Clone(f.MerchantIDs)
	slices.Sort(f.MerchantIDs)
	f.Severity = "medium"
	if b.settings.Severity != nil {
		f.Severity = b.settings.Severity(f.Typology, f.SubsidyFen)
	}
	f.PolicyVersion = b.settings.Version
	return f
}

// sweep drops findings that nothing was added to within the horizon.
func (b *book) sweep(now vw.Millis) {
	for k, e := range b.entries {
		if !e.dirty && e.last < now-findingHorizon {
			delete(b.entries, k)
		}
	}
}

func (b *book) text(t vw.Millis) string { return formatTime(t, b.campaign.Zone) }

// formatTime writes a moment as RFC 3339 with milliseconds and the zone's offset.
func formatTime(t vw.Millis, zone *time.Location) string {
	return t.Time(zone).Format("2006-01-02T15:04:05.000Z07:00")
}

// findingID is the first 16 hex digits of the SHA-256 of what the finding is about.
func findingID(campaign, typology string, s vw.Subject, period string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{campaign, typology, s.Kind, s.ID, s.With, period}, "\x00")))
	return "f" + hex.EncodeToString(sum[:8])
}

// probability is log-odds as 0 to 1000.
func probability(logOdds float64) int { return int(math.Round(1000 * logistic(logOdds))) }
