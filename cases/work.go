package cases

import (
	"slices"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
)

// Document is a case as it is stored and read whole: what the Desk found and what people did with it.
// Both share one revision, so a transition, its approvals and what must leave the building because of
// it are one write. Case.Status and Case.Assignee follow from Work.
type Document struct {
	Case vw.Case `json:"case"`
	Work Work    `json:"work"`
}

// Work is what people did. The zero Work is a case that nobody has touched.
type Work struct {
	// Version counts what people did: unlike the revision it stands still while messages leave and findings come in.
	Version int   `json:"version,omitempty"`
	Track   Track `json:"track,omitempty"` // empty is A
	Stage   State `json:"stage,omitempty"` // empty is suspicion
	// Source is why a case was opened that the Desk did not open: a complaint, an audit, a referral.
	Source string `json:"source,omitempty"`
	// Alleged are the typologies that the source names, besides those of the findings.
	Alleged []string `json:"alleged,omitempty"`
	Outcome string   `json:"outcome,omitempty"` // recommended, then decided: confirmed, refuted, inconclusive
	// DataError says that a refuted case rests on wrong data: that does not count against a rule.
	DataError   bool         `json:"data_error,omitempty"`
	Contacted   bool         `json:"contacted,omitempty"` // the merchant was spoken to and must be told the end
	Declared    []Declared   `json:"declared,omitempty"`
	Assessments []Assessment `json:"assessments,omitempty"`
	Technical   []Signature  `json:"technical,omitempty"` // technical reviews, 行政处罚法 Art. 41
	Tasks       []Task       `json:"tasks,omitempty"`
	Notes       []Note       `json:"notes,omitempty"`
	Evidence    []Evidence   `json:"evidence,omitempty"`
	Clocks      []Clock      `json:"clocks,omitempty"`
	Approvals   []Approval   `json:"approvals,omitempty"`
	Notice      *Notice      `json:"notice,omitempty"`
	Measures    []Measure    `json:"measures,omitempty"`
	Entries     []Entry      `json:"entries,omitempty"`
	Stops       []Stop       `json:"stops,omitempty"`
	Appeals     []Appeal     `json:"appeals,omitempty"`
	Repairs     []Repair     `json:"repairs,omitempty"`
	Links       []Link       `json:"links,omitempty"`
	Outbox      []Message    `json:"outbox,omitempty"`
	// Sent counts the messages that left and were taken out of the outbox; their receipts are in the audit.
	Sent int `json:"sent,omitempty"`
}

// Signature is who did something, when.
type Signature struct {
	By string `json:"by"`
	At string `json:"at"`
}

// Declared is an answer to the conflict-of-interest question.
type Declared struct {
	Signature `json:",inline"`
	Conflict  bool   `json:"conflict"`
	Text      string `json:"text,omitempty"`
}

// Assessment is what an investigator holds of one allegation.
type Assessment struct {
	Signature `json:",inline"`
	Typology  string   `json:"typology"`
	Result    string   `json:"result"` // proven, not_proven, unclear
	Text      string   `json:"text"`
	Evidence  []string `json:"evidence,omitempty"` // ids
}

// Task is something to do. What is required gates the way to review; closing deletes none.
type Task struct {
	ID       string       `json:"id"`
	Text     vw.Bilingual `json:"text"`
	Typology string       `json:"typology,omitempty"`
	Required bool         `json:"required,omitempty"`
	For      string       `json:"for,omitempty"`
	Done     *Signature   `json:"done,omitempty"`
	Result   string       `json:"result,omitempty"`
}

// Note is a comment. An edit adds a version; nobody edits another's.
type Note struct {
	ID       string   `json:"id"`
	By       string   `json:"by"`
	Versions []Text   `json:"versions"`
	Mentions []string `json:"mentions,omitempty"`
}

// Text is a version of a note.
type Text struct {
	At   string `json:"at"`
	Text string `json:"text"`
}

// Link ties a case to another, reversibly: both keep everything.
type Link struct {
	To     string     `json:"to"`
	Kind   string     `json:"kind"` // duplicate_of, related, track_b, track_a
	Reason string     `json:"reason"`
	Made   Signature  `json:"made"`
	Undone *Signature `json:"undone,omitempty"`
}

// Notice is the advance notice to the party (告知书) and the answer to it.
type Notice struct {
	Number   string     `json:"number"`
	Hash     Digest     `json:"hash"` // of the document served
	ServedAt string     `json:"served_at"`
	Replies  []Reply    `json:"replies,omitempty"`
	Waived   *Signature `json:"waived,omitempty"` // the party waived its reply, in writing
	Hearing  string     `json:"hearing,omitempty"`
}

// Reply is a point that the party made, and what was answered to it.
type Reply struct {
	ID     string     `json:"id"`
	At     string     `json:"at"`
	Text   string     `json:"text"`
	Answer string     `json:"answer,omitempty"`
	By     *Signature `json:"by,omitempty"`
}

// track is the track of a case; a case nobody has touched is on A.
func (w *Work) track() Track {
	if w.Track == "" {
		return TrackA
	}
	return w.Track
}

func (w *Work) stage() State {
	if w.Stage == "" {
		return Suspicion
	}
	return w.Stage
}

// Objected: an appeal or objection is open (异议中).
func (w *Work) Objected() bool {
	return slices.ContainsFunc(w.Appeals, func(a Appeal) bool { return a.State != AppealNotified })
}

// clock is the running or paused clock of a name, nil when there is none.
func (w *Work) clock(name string) *Clock {
	for i := len(w.Clocks) - 1; i >= 0; i-- {
		if c := &w.Clocks[i]; c.Name == name && c.StoppedAt == "" {
			return c
		}
	}
	return nil
}

// Due is the nearest end of a running clock, or when the Desk wants an untouched case looked at; empty
// when nothing runs.
func (d *Document) Due() string {
	due := ""
	for i := range d.Work.Clocks {
		c := &d.Work.Clocks[i]
		if c.Running() && (due == "" || moment(c.DueAt).Before(moment(due))) {
			due = c.DueAt
		}
	}
	if due == "" && d.Work.Stage == "" {
		due = d.Case.DueAt
	}
	return due
}

// allegations are what a case must answer: the typologies of its findings and of its source.
func (d *Document) allegations() []string {
	all := slices.Concat(d.Case.Typologies, d.Work.Alleged)
	slices.Sort(all)
	return slices.Compact(all)
}

// authors are who wrote what a decision rests on: assessments, evidence, technical reviews.
func (w *Work) authors() (ids []string) {
	for _, a := range w.Assessments {
		ids = append(ids, a.By)
	}
	for _, e := range w.Evidence {
		ids = append(ids, e.By)
	}
	return ids
}

// clone is a deep copy, by way of JSON: what Apply changes is not what a Store handed out.
func (d *Document) clone() (out Document, err error) {
	b, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	return out, err
}

func find[T any](list []T, id string, of func(*T) string) *T {
	for i := range list {
		if of(&list[i]) == id {
			return &list[i]
		}
	}
	return nil
}
