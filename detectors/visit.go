package detectors

import (
	"math"
	"slices"

	vw "voucherwatch"
)

// Visit is one redemption on its way through the lanes: what is known of it and what the detectors
// have said so far. It is reused; nothing may be kept from it but values.
type Visit struct {
	Batch *vw.Batch
	Event *vw.Event
	// T is the effective event time: the event's own, or the clock's if it is dated into the future.
	T        vw.Millis
	Day      int // campaign-zone day of T
	Minute   int // minute of that day
	Late     bool
	Future   bool
	Merchant *Profile // never nil after the merchant lane
	Voucher  *vw.Voucher
	Round    int // index into Campaign.Rounds, or -1
	// Over is (order - threshold) / threshold; 0 for a balance voucher.
	Over float64
	// Amount is ln of how much likelier an amount so far above the threshold is among frauds than by the
	// merchant's own habit; set in the merchant lane, 0 when nothing can be said.
	Amount float64
	// DeviceOf and CardOf tell whose device and card it was; set in the customer lane.
	DeviceOf, CardOf Owner

	index  int32   // of the event in the batch
	said   saidRef // what was said of it last
	n      uint8   // how much was said
	blinds uint8
	keeps  uint8
	kept   [4]struct {
		in *Arena
		as IDRef
	}
	blind [maxBlinds]blindness
	logit float64
	score int
}

const maxBlinds = 12

// said holds the signals of the batch in hand that one slot's detectors gave. A visit's are a list through
// the slots, the last one first, so that a visit of which nothing is said carries no room for it.
type said struct {
	signals []Signal
	before  []saidRef // of the same visit
}

// saidRef is a slot's index << 24 | place in its list + 1; 0 is none.
type saidRef uint64

const saidPlaces = 24

type blindness struct{ detector, field uint8 }

// Signal is what one detector says of one redemption.
type Signal struct {
	Kind *Kind
	// LLR is the log likelihood ratio of fraud against honest trade, before weight and cap.
	LLR float64
	// Observed against Expected, and the p-value of it; NaN where there is none.
	Observed, Expected, P float64
	// Aux are further numbers for the sentence.
	Aux [6]float64
	// Note is a piece of text for the sentence: a name, a ladder. Usually empty.
	Note     string
	Peers    string
	Evidence []IDRef

	arena    *Arena
	level    float64 // of the subject's evidence, for the sentence
	noteEn   string  // Note in English, where it differs
	marks    uint16  // traits that speak against the redemption, as bits
	detector uint8
	hard     bool
}

// Kind describes a reason that a detector gives.
type Kind struct {
	Code     string // "split.session"
	Typology string
	Window   string
	// Text is the sentence an investigator would say.
	Text func(s *Signal) vw.Bilingual
}

// None marks a number that a signal does not have.
var None = math.NaN()

// Say adds a signal.
func (v *Visit) Say(e *Env, s Signal) {
	s.detector, s.arena = e.id, e.Arena
	e.said.signals, e.said.before = append(e.said.signals, s), append(e.said.before, v.said)
	v.said = saidRef(e.Slot<<saidPlaces | len(e.said.signals))
	v.n++
}

// heard are the signals of a visit in the order they were given.
func (e *Engine) heard(v *Visit, into []*Signal) []*Signal {
	into = slices.Grow(into[:0], int(v.n))
	for r := v.said; r != 0; {
		from, i := &e.slots[r>>saidPlaces].said, r&(1<<saidPlaces-1)-1
		into = append(into, &from.signals[i])
		r = from.before[i]
	}
	slices.Reverse(into)
	return into
}

// Break says that the redemption breaks an exact rule, and raises the finding of it.
func (v *Visit) Break(e *Env, kind *Kind, s Signal, subject vw.Subject, period string) {
	s.Kind, s.hard = kind, true
	s.LLR = e.settings.Hard[kind.Typology]
	v.Say(e, s)
	s.detector, s.arena = e.id, e.Arena
	e.Find(Found{
		Typology: kind.Typology, Subject: subject, Period: period, At: v.T, LogOdds: e.Hard(kind.Typology),
		Redemptions: []FoundRedemption{v.Found()}, Subsidy: SumOfDiscounts,
		Merchants: []string{v.MerchantID()},
		Reasons:   []vw.Reason{e.reason(&s, s.LLR)},
	})
}

// Blind says that the detector could not look, for want of a field.
func (v *Visit) Blind(e *Env, field vw.Field) {
	if v.blinds == maxBlinds {
		return
	}
	bit := uint8(0)
	for field > 1 {
		field >>= 1
		bit++
	}
	v.blind[v.blinds] = blindness{e.id, bit}
	v.blinds++
}

// Found is the redemption as a finding lists it.
func (v *Visit) Found() FoundRedemption {
	return FoundRedemption{ID: v.Batch.String(v.Event.ID.Text), At: v.T, Discount: v.Event.DiscountFen}
}

// MerchantID is the merchant's identifier.
func (v *Visit) MerchantID() string { return v.Batch.String(v.Event.Merchant.Text) }

// CustomerID is the customer's token.
func (v *Visit) CustomerID() string { return v.Batch.String(v.Event.Customer.Text) }

// Category is the merchant's registered line of business, else the voucher's.
func (v *Visit) Category() vw.Category {
	if v.Merchant != nil && v.Merchant.Category != vw.NoCategory {
		return v.Merchant.Category
	}
	return v.Voucher.Category
}

// Keep remembers the redemption's identifier as evidence; once per arena, however many detectors ask.
func (v *Visit) Keep(e *Env) IDRef {
	for i := range v.keeps {
		if v.kept[i].in == e.Arena {
			return v.kept[i].as
		}
	}
	r := e.Arena.Keep(v.Batch.Bytes(v.Event.ID.Text), v.Day)
	if int(v.keeps) < len(v.kept) {
		v.kept[v.keeps].in, v.kept[v.keeps].as = e.Arena, r
		v.keeps++
	}
	return r
}
