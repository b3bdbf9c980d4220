package voucherwatch

// The results as the contract writes them. Field order is the order on the wire.

// Bilingual is a sentence for people, Chinese first.
type Bilingual struct {
	Zh string `json:"zh"`
	En string `json:"en"`
}

// Reason is one piece of evidence in favour (or, with a negative weight, against), in the additive
// log-odds of the score.
type Reason struct {
	Typology string    `json:"typology"` // T01 … T25, P01, C01 … C05
	Code     string    `json:"code"`     // the detector's name for it: "split.session"
	Weight   float64   `json:"weight"`   // contribution to the log-odds
	Text     Bilingual `json:"text"`
	Observed float64   `json:"observed"`
	Expected *float64  `json:"expected,omitempty"`
	PValue   *float64  `json:"p_value,omitempty"`
	Window   string    `json:"window,omitempty"` // "day", "14d", "2022-09-20/2022-09-30"
	Peers    string    `json:"peers,omitempty"`  // the peer group compared with: "hospitality 50-10, 41 merchants"
	Evidence []string  `json:"evidence"`         // redemption ids, at most 20
}

// Blind says that a detector could not look, for want of a field.
type Blind struct {
	Detector string `json:"detector"`
	Field    string `json:"field"`
}

// Band is the action a score asks for.
type Band string

const (
	Low    Band = "low"
	Review Band = "review"
	High   Band = "high"
)

// Score is written once per distinct redemption, from what had been seen by then.
type Score struct {
	RedemptionID  string   `json:"redemption_id"`
	At            string   `json:"at"`
	MerchantID    string   `json:"merchant_id"`
	CustomerID    string   `json:"customer_id"`
	Score         int      `json:"score"` // 0–1000: 1000 × calibrated probability
	Band          Band     `json:"band"`
	Reasons       []Reason `json:"reasons"`
	Blind         []Blind  `json:"blind"`
	PolicyVersion string   `json:"policy_version"`
}

// Subject is whom a finding is about. With is the customer of a pair.
type Subject struct {
	Kind string `json:"kind"` // merchant customer device pair ring voucher campaign
	ID   string `json:"id"`
	With string `json:"with,omitempty"`
}

// Severity orders findings for people: low, medium, high, critical.
type Severity string

// Finding is what is wrong with a subject; an upsert by FindingID, which is a pure function of
// campaign, typology, subject and period.
type Finding struct {
	FindingID     string   `json:"finding_id"`
	Typology      string   `json:"typology"`
	Subject       Subject  `json:"subject"`
	Period        string   `json:"period"`
	FirstAt       string   `json:"first_at"`
	LastAt        string   `json:"last_at"`
	DetectedAt    string   `json:"detected_at"`
	Score         int      `json:"score"`
	Severity      Severity `json:"severity"`
	RedemptionIDs []string `json:"redemption_ids"`
	SubsidyFen    Fen      `json:"subsidy_fen"`
	Reasons       []Reason `json:"reasons"`
	// MerchantIDs are the merchants the finding touches: the subject itself, a pair's or split's
	// merchant, a ring's members. A case of a merchant takes the findings that name it.
	MerchantIDs   []string `json:"merchant_ids,omitempty"`
	PolicyVersion string   `json:"policy_version"`
	// BaselineVersion is the event-time boundary of the nulls and peer baselines that were used.
	BaselineVersion string `json:"baseline_version,omitempty"`
	Revision        int    `json:"revision"`
}

// Case is what a person works on: the findings of one subject grouped under a policy.
type Case struct {
	CaseID     string          `json:"case_id"`
	Campaign   string          `json:"campaign"`
	Subject    Subject         `json:"subject"`
	Status     string          `json:"status"` // open, in_review, closed
	Typologies []string        `json:"typologies"`
	Agencies   []string        `json:"agencies"`
	Score      int             `json:"score"`
	Severity   Severity        `json:"severity"`
	SubsidyFen Fen             `json:"subsidy_fen"`
	FindingIDs []string        `json:"finding_ids"`
	Assignee   string          `json:"assignee,omitempty"`
	OpenedAt   string          `json:"opened_at"`
	UpdatedAt  string          `json:"updated_at"`
	DueAt      string          `json:"due_at"`
	Timeline   []TimelineEntry `json:"timeline"`
	Revision   int             `json:"revision"`
}

// TimelineEntry is one thing that happened to a case.
type TimelineEntry struct {
	At   string    `json:"at"`
	Who  string    `json:"who"` // "system" or a user
	What string    `json:"what"`
	Text Bilingual `json:"text"`
	Ref  string    `json:"ref,omitempty"` // a finding id, a note
}

// DeadLetter is a record that could not be read. Raw is the bytes as read, cut at 64 KiB; RawBytes is
// their full length.
type DeadLetter struct {
	Source   string `json:"source"`
	Position int64  `json:"position"` // 1-based line, or offset
	Code     string `json:"code"`     // bad_json, missing_field, …: a closed set, see stream
	Reason   string `json:"reason"`   // a sentence: what is wrong and where in the record
	Raw      []byte `json:"raw"`      // base64 in JSON
	RawBytes int64  `json:"raw_bytes"`
}
