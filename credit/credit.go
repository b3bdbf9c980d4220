// Package credit keeps the two lists that a merchant can be on, and never mixes them:
//
//   - activity_exclusion (活动资格取消): the campaign's own measure. The merchant may not take part. It rests
//     on the campaign's rules and the merchant's agreement, and is not a statement about credit.
//   - credit_record (依法列入): information for the credit platform. It rests on a legal instrument in
//     effect, by an authority that has the power.
//
// In: a Proposal, and through Gate what the case workflow knows about it: instrument, notice, reply,
// approvals. Desk lets nothing in that lacks a gate and says everything that is missing; it ends entries
// (expiry, revocation, repair) and hears objections. Out: entries with every version of them, in a Store
// from which credit/feed serves and credit/push sends; Row is all that leaves the building.
//
// It finds no facts, imposes no penalty and reads no clock. No algorithm puts anybody on a list.
package credit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	vw "voucherwatch"
)

// Tier is one of the two lists.
type Tier string

const (
	Exclusion Tier = "activity_exclusion"
	Record    Tier = "credit_record"
)

// Label is what people read. The first never says anything about credit (失信).
func (t Tier) Label() string {
	if t == Record {
		return "依法列入"
	}
	return "活动资格取消"
}

// Day is a calendar day of the campaign's zone, "2022-09-20". Days compare as text.
type Day string

func (d Day) valid() bool {
	_, err := vw.DayNumber(string(d))
	return err == nil
}

// DayOf is the day of a moment in a zone.
func DayOf(t time.Time, zone *time.Location) Day { return Day(t.In(zone).Format(time.DateOnly)) }

// Party is who is on a list. Natural persons never are.
type Party struct {
	Kind       string `json:"kind"` // organisation, sole_trader
	Name       string `json:"name"`
	USCC       string `json:"uscc,omitempty"`
	RegNo      string `json:"reg_no,omitempty"` // 15-digit registration number of old
	MerchantID string `json:"merchant_id,omitempty"`
	// RegistryChecked says who looked the party up in the registry (GSXT) and when, where the code's check
	// digit does not fit: codes that were issued so exist.
	RegistryChecked *Review `json:"registry_checked,omitempty"`
}

// The kinds of a party.
const (
	Organisation = "organisation" // 法人及非法人组织
	SoleTrader   = "sole_trader"  // 个体工商户
)

// Basis is the rule that authorises the measure.
type Basis struct {
	Code string `json:"code"` // of the rules file: plan-cashout, price-penalty-6
	Text string `json:"text"` // with its article
	// For is the list that the rule authorises: a plan of a county office cannot authorise a credit record.
	For  Tier `json:"for"`
	From Day  `json:"from"`
	To   Day  `json:"to,omitempty"` // inclusive; empty: still in force
	// CityConsent says that the upper level must agree (总局令第44号: county market supervision).
	CityConsent bool `json:"city_consent,omitempty"`
}

// Deed is what was done, and when.
type Deed struct {
	From Day    `json:"from"`
	To   Day    `json:"to"`
	Text string `json:"text"`
}

// Instrument is the paper that a listing rests on.
type Instrument struct {
	Kind          string `json:"kind"`
	Number        string `json:"number"`
	Date          Day    `json:"date"`
	Authority     string `json:"authority"`
	AuthorityUSCC string `json:"authority_uscc,omitempty"`
	Served        Day    `json:"served"`
	// Effective is the day from which it has legal effect.
	Effective Day `json:"effective"`
}

// The kinds of instruments: Decision is the campaign office's; the others have legal effect.
const (
	Decision    = "activity_decision"      // 活动资格取消决定
	Penalty     = "administrative_penalty" // 行政处罚决定书
	Judgment    = "judgment"               // 判决书
	Ruling      = "ruling"                 // 裁定书
	Enforcement = "enforcement_ruling"     // 执行裁定书
)

// Notice is the prior notice to the party (告知书).
type Notice struct {
	Number  string `json:"number"`
	Served  Day    `json:"served"`
	ReplyBy Day    `json:"reply_by"` // last day to state and defend
	Waived  bool   `json:"waived,omitempty"`
}

// Reply is what the party answered, and what was done with it.
type Reply struct {
	Received Day    `json:"received,omitempty"` // empty: none
	Reviewed Review `json:"reviewed,omitzero"`
	Answered Day    `json:"answered,omitempty"`
}

// Review is a look by one person.
type Review struct {
	By string `json:"by"`
	On Day    `json:"on"`
}

// Appeal is how far the instrument is fought.
type Appeal struct {
	// State is none, reconsideration, litigation, upheld or overturned.
	State string `json:"state"`
	Since Day    `json:"since,omitempty"`
	// Number is the case number of the reconsideration or lawsuit.
	Number string `json:"number,omitempty"`
}

// Approval is one person's signature under a payload.
type Approval struct {
	By      string    `json:"by"`
	Role    string    `json:"role"`
	At      time.Time `json:"at"`
	Payload string    `json:"payload_hash"` // Proposal.Hash
}

// State is where an entry stands.
type State string

const (
	InForce  State = "in_force"
	Expired  State = "expired"
	Revoked  State = "revoked"
	Repaired State = "repaired"
)

// Entry is one listing with its life. Revision counts its versions from 1.
type Entry struct {
	ID string `json:"entry_id"`
	Proposal
	Grounds    Grounds     `json:"grounds"`
	State      State       `json:"state"`
	Warnings   []string    `json:"warnings,omitempty"`
	Entered    time.Time   `json:"entered"`
	Ended      *Ending     `json:"ended,omitempty"`
	Objections []Objection `json:"objections,omitempty"`
	Repairs    []Repair    `json:"repairs,omitempty"`
	Revision   int         `json:"revision"`
}

// Disputed says whether an objection is open (异议中).
func (e *Entry) Disputed() bool {
	for i := range e.Objections {
		if e.Objections[i].Outcome == "" {
			return true
		}
	}
	return false
}

// Ending is why an entry is no longer in force.
type Ending struct {
	Kind   State     `json:"kind"` // expired, revoked, repaired
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	Number string    `json:"number,omitempty"` // of the instrument that ends it
	By     string    `json:"by"`
	Second string    `json:"second,omitempty"`
	// Decided is when it was decided; every consumer must know by TellBy.
	Decided time.Time `json:"decided"`
	TellBy  time.Time `json:"tell_by"`
}

// NewID is the id of an entry: of the campaign, the list, the party and the instrument. The same
// instrument against the same party is one entry.
func NewID(p *Proposal) string {
	party := p.Party.USCC
	for _, other := range []string{p.Party.RegNo, p.Party.MerchantID, p.Party.Name} {
		if party == "" {
			party = other
		}
	}
	h := sha256.New()
	for _, part := range []string{p.Campaign, string(p.Tier), party, p.Instrument.Authority, p.Instrument.Number} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	prefix := "excl-"
	if p.Tier == Record {
		prefix = "cred-"
	}
	return prefix + hex.EncodeToString(h.Sum(nil))[:16]
}

func invalid(op string, errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return &vw.Error{Op: op, Code: vw.Invalid, Err: err}
	}
	return nil
}
