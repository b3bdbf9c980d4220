package detectors

import (
	"fmt"
	"slices"
	"strings"

	vw "voucherwatch"
)

// Lane is the kind of key whose state a detector keeps. A redemption visits the lanes in this order;
// each is owned by key, so that a lane may live in another goroutine or, over topics, another process.
type Lane uint8

const (
	MerchantLane Lane = iota
	CustomerLane
	DeviceLane
	CardLane
	VoucherLane
	CampaignLane // one key: the campaign. In order of arrival, after all others.
	Lanes
)

var laneNames = [Lanes]string{"merchant", "customer", "device", "card", "voucher", "campaign"}

func (l Lane) String() string { return laneNames[l] }

// key is the key of an event in the lane; 0 means the event does not visit it.
func (l Lane) key(e *vw.Event) uint64 {
	switch l {
	case MerchantLane:
		return e.Merchant.Key
	case CustomerLane:
		return e.Customer.Key
	case DeviceLane:
		return e.Device.Key
	case CardLane:
		return e.Card.Key
	case VoucherLane:
		return e.Voucher.Key
	}
	return 1
}

// everywhere tells that an event binds keys of the lane that it does not name, so that every slot takes
// it in: lists and price caps every merchant, beneficiaries and refunds whatever voucher they concern.
func (l Lane) everywhere(e *vw.Event) bool {
	switch l {
	case MerchantLane:
		return e.Type == vw.CreditListEvent || e.Type == vw.PriceEvent && e.Kind == vw.Cap
	case VoucherLane:
		return e.Type == vw.BeneficiaryEvent || e.Type == vw.RefundEvent
	}
	return false
}

// A Detector looks at the redemptions of the keys it owns, in order of arrival, and remembers what it
// needs. One instance exists per slot, and one goroutine calls it at a time. Besides Visit it may
// implement Applier, Toucher, Sweeper and Sizer.
type Detector interface {
	// Visit looks at a redemption and says what it thinks of it (Visit.Say, Break, Blind, Env.Find).
	Visit(v *Visit)
}

// An Applier takes in events other than redemptions whose lane key it owns, at their place in the
// stream. The batch is valid only during the call.
type Applier interface {
	Apply(b *vw.Batch, e *vw.Event, t vw.Millis)
}

// A Toucher reads the state that Visit will want, so that the memory of many redemptions is fetched
// at the same time. What it returns is thrown away.
type Toucher interface{ Touch(v *Visit) uint64 }

// A Sweeper drops what has left its horizon. It is called once a week of event time, or once a day with
// Spec.Daily: a state outlives its horizon by that much at most.
type Sweeper interface{ Sweep(now vw.Millis) }

// A Sizer tells how many keys it holds and in how many bytes.
type Sizer interface{ Size() (keys, bytes int) }

// Spec registers a detector: its file holds all there is to it.
type Spec struct {
	Name       string   // as in the policy: "split"
	Lane       Lane     // whose keys it owns
	Typologies []string // what it can raise
	// Title says in a line what it looks for, Chinese and English, for lists.
	Title vw.Bilingual
	// Late is set when the detector wants redemptions beyond the allowed lateness, too: exact rules do,
	// windows do not.
	Late bool
	// Daily is set when most of the state lives for a day, so that it is swept every night.
	Daily bool
	// Events are the types besides redemptions that Apply wants.
	Events []vw.EventType
	// New makes the instance of one slot.
	New func(*Env) (Detector, error)
	// Learn, if set, is called with the instances of all slots at every hour of event time and at the
	// end, while no slot runs: it merges what they counted and gives each the same new baselines.
	Learn func(peers []Detector, tick *Tick)
}

var specs []Spec

// register adds a detector; it is called from the init of the detector's file.
func register(s Spec) {
	for _, have := range specs {
		if have.Name == s.Name {
			panic("detectors: two detectors are named " + s.Name)
		}
	}
	specs = append(specs, s)
	slices.SortFunc(specs, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) })
}

// Specs lists the registered detectors by name.
func Specs() []Spec { return slices.Clone(specs) }

// Env is what a detector instance may know of its surroundings.
type Env struct {
	Campaign *vw.Campaign
	Offset   int // of the campaign's zone, minutes east of UTC
	Slot     int
	Slots    int
	// Arena keeps the identifiers of the slot.
	Arena *Arena
	// Merchants is the registry as known to the slot's merchant lane.
	Merchants *merchants
	// Ledger is what the slot's customers used where, for the detectors of the customer lane.
	Ledger   *ledger
	settings *Settings
	spec     *Spec
	found    *[]proposal
	said     *said
	cause    *int32 // index of the event being looked at
	lane     Lane
	id       uint8
}

// Params fills the detector's parameters from the policy; what the policy does not name stays.
func (e *Env) Params(into any) error {
	if e.settings.Params == nil {
		return nil
	}
	if err := e.settings.Params(e.spec.Name, into); err != nil {
		return fmt.Errorf("parameters of %s: %w", e.spec.Name, err)
	}
	return nil
}

// Find raises or revises a finding.
func (e *Env) Find(f Found) {
	*e.found = append(*e.found, proposal{Found: f, event: *e.cause, lane: e.lane, detector: e.id})
}

// LogOdds is the evidence of this detector as log-odds above the given prior, under the policy's
// weight and cap.
func (e *Env) LogOdds(prior, llr float64) float64 {
	d := e.settings.of(e.spec.Name)
	return prior + d.Weight*clip(llr, 0, d.Cap)
}

// Hard is the log-odds that the policy gives a breach of an exact rule.
func (e *Env) Hard(typology string) float64 { return e.settings.Prior + e.settings.Hard[typology] }

// Tick is an event-time boundary.
type Tick struct {
	Now vw.Millis
	// Day is the campaign-zone day that Now lies in; NewDay is set when the last tick lay in another.
	Day    int
	NewDay bool
	// Last is set when the input has ended.
	Last bool
	// Version names the baselines that are made at this boundary.
	Version string
	// Campaign is as in Env.
	Campaign *vw.Campaign
}

// Find raises or revises a finding from the slow path on behalf of a detector of the given instance.
func (t *Tick) Find(env *Env, f Found) { env.Find(f) }

// Settings are what the engine takes from the policy.
type Settings struct {
	Version   string
	Prior     float64 // log-odds of a redemption before any evidence
	Review    int     // first score of the review band
	High      int
	MinWeight float64 // reasons below are not shown
	Detectors map[string]Setting
	// Hard is the log-odds that a breach of an exact rule adds, by typology.
	Hard map[string]float64
	// Params fills a detector's parameters strictly; may be nil.
	Params func(detector string, into any) error
	// Severity grades a finding; may be nil (medium).
	Severity func(typology string, subsidy vw.Fen) vw.Severity
}

// of is the policy's word on a detector; one that it does not name is enabled.
func (s *Settings) of(detector string) Setting {
	if d, ok := s.Detectors[detector]; ok {
		return d
	}
	return Setting{Enabled: true, Weight: 1, Cap: 12}
}

// Setting is the policy's word on one detector.
type Setting struct {
	Enabled     bool
	Weight, Cap float64
}
