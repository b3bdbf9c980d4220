// Package evidence makes the pack that goes with a referral: one zip with the frozen events, the
// findings, the time line, hashes of everything, a chain over the events, a report in Chinese to read
// (PDF) and the letter to edit (Word).
//
// In: a Dossier, from whoever keeps cases, findings and events. Out: bytes, the same for the same
// dossier. Verify finds a flipped byte in any of them. It decides nothing: that a case is referred, to
// whom and by whose approval, is settled before; numbering and receipts are alerts.Register's.
package evidence

import (
	"archive/zip"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"voucherwatch/alerts"

	vw "voucherwatch"
)

// Dossier is everything about a case that goes to an agency.
type Dossier struct {
	Number   string // alerts.PackNumber
	Version  int
	Campaign string
	Case     vw.Case
	Findings []vw.Finding // those of the case
	Merchant Merchant
	// Events are the lines that the findings rest on, and the other redemptions of the merchant in the
	// period, exactly as they came in.
	Events []Event
	// Audit is the audit log of the case, one JSON object a line, as its keeper verifies it.
	Audit  []byte
	Letter Letter
	Sealed time.Time // in the campaign's zone
	By     string    // who sealed it
	// Typology gives the names of a typology; Law the legal bases that held on the day of the deed.
	Typology func(code string) vw.Bilingual `json:"-"`
	Law      func(code string) []string     `json:"-"`
}

// Merchant is whom the case is about, from the registry.
type Merchant struct {
	ID, Name, USCC, Category, District, Address string
}

// Event is a line of input as it was read.
type Event struct {
	Source   string // file or log
	Position int64
	Raw      []byte // without the line end
}

// Kind is what a letter asks for.
type Kind string

const (
	Referral      Kind = "referral"       // 线索移送函, to the police or another authority
	PriceReferral Kind = "price_referral" // 价格线索移送函, to market supervision
	Notice        Kind = "notice"         // 约谈/告知书, to the merchant
)

// Letter is what the office says in its own words; the rest of a letter is of the case.
type Letter struct {
	Kind     Kind
	Number   string   // 文号; empty leaves room for it
	From     string   // the office that signs
	To       string   // the agency, or the merchant
	Agency   string   // its code, "" for the merchant
	Source   string   // 线索来源; empty: the platform's monitoring
	Measures []string // taken already, or intended
	Basis    []string // of a Notice: rules of the campaign and articles of the agreement
	Officers []string // at least two for a referral: name and telephone
	// ReplyBy is the last day for statement and defence (陈述、申辩), of a Notice; Interview when and where
	// the merchant is asked to come, may be empty.
	ReplyBy   time.Time
	Interview string
}

// mostEvents is how many redemptions the report lists; all are in events.ndjson.
const mostEvents = 60

// check is vw.Invalid with every fault.
func (d *Dossier) check() error {
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(d.Number != "", "number", "is required")
	need(d.Version >= 1, "version", "must be at least 1")
	need(d.Case.CaseID != "", "case.case_id", "is required")
	need(len(d.Findings) > 0, "findings", "a referral without findings says nothing")
	need(!d.Sealed.IsZero(), "sealed", "is required")
	need(d.By != "", "by", "is required")
	need(d.Letter.From != "", "letter.from", "is required")
	need(d.Letter.To != "", "letter.to", "is required")
	need(d.Merchant.ID != "" || d.Merchant.Name != "", "merchant", "is required")
	switch d.Letter.Kind {
	case Referral, PriceReferral:
		need(len(d.Letter.Officers) >= 2, "letter.officers", "at least two officers handle a referral")
		need(len(d.Events) > 0, "events", "a referral needs the events that it rests on")
	case Notice:
		need(d.Letter.ReplyBy.After(d.Sealed), "letter.reply_by", "must lie after the day of the notice")
		need(len(d.Letter.Measures) > 0, "letter.measures", "a notice says what is intended")
	default:
		need(false, "letter.kind", "must be one of referral, price_referral, notice")
	}
	for i := range d.Findings {
		need(slices.Contains(d.Case.FindingIDs, d.Findings[i].FindingID), fmt.Sprintf("findings[%d]", i), "is not one of the case")
	}
	for i := range d.Events {
		need(len(d.Events[i].Raw) > 0 && !bytes.ContainsAny(d.Events[i].Raw, "\r\n"), fmt.Sprintf("events[%d].raw", i), "must be one line")
	}
	if len(errs) > 0 {
		return &vw.Error{Op: "evidence.Seal", Code: vw.Invalid, Err: errors.Join(errs...)}
	}
	return nil
}

// Seal makes the pack and what alerts.Register keeps of it. A dossier that lacks something is
// vw.Invalid, with everything that it lacks.
func Seal(d *Dossier) ([]byte, alerts.Pack, error) {
	if err := d.check(); err != nil {
		return nil, alerts.Pack{}, err
	}
	visits, err := d.visits()
	if err != nil {
		return nil, alerts.Pack{}, err
	}
	var events bytes.Buffer
	for _, e := range d.Events {
		events.Write(e.Raw)
		events.WriteByte('\n')
	}
	chain, head := chainOf(d.Events)
	findings, err := lines(d.Findings)
	if err != nil {
		return nil, alerts.Pack{}, err
	}
	timeline, err := lines(d.Case.Timeline)
	if err != nil {
		return nil, alerts.Pack{}, err
	}
	one, err := pretty(d.Case)
	if err != nil {
		return nil, alerts.Pack{}, err
	}
	report, err := PDF(d.Report(visits, head))
	if err != nil {
		return nil, alerts.Pack{}, err
	}
	letter := d.Paper(visits, head)
	word, err := Word(letter)
	if err != nil {
		return nil, alerts.Pack{}, err
	}
	files := []File{
		{Name: "证据报告.pdf", data: report}, {Name: letter.Title + ".docx", data: word}, {Name: "case.json", data: one},
		{Name: "findings.ndjson", data: findings}, {Name: "timeline.ndjson", data: timeline}, {Name: "events.ndjson", data: events.Bytes()}, {Name: "chain.ndjson", data: chain},
	}
	if len(d.Audit) > 0 {
		files = append(files, File{Name: "audit.ndjson", data: d.Audit})
	}
	m := Manifest{
		Number: d.Number, Version: d.Version, Campaign: d.Campaign, Case: d.Case.CaseID, Revision: d.Case.Revision, Agency: cmp.Or(d.Letter.Agency, "merchant"),
		Kind: d.Letter.Kind, Sealed: d.Sealed, By: d.By, Personal: "pseudonymous: persons appear as tokens only", Chain: Chain{Algorithm: chainAlgorithm, Count: len(d.Events), Head: head},
	}
	data, err := pack(&m, files)
	if err != nil {
		return nil, alerts.Pack{}, err
	}
	sha, sm := Sums(data)
	return data, alerts.Pack{Number: d.Number, Version: d.Version, Case: d.Case.CaseID, Agency: m.Agency, Bytes: int64(len(data)), SHA256: sha, SM3: sm, Sealed: d.Sealed, By: d.By}, nil
}

func lines[T any](all []T) ([]byte, error) {
	var b bytes.Buffer
	for i := range all {
		line, err := json.Marshal(&all[i], json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("write a line: %w", err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// visit is a redemption among the events.
type visit struct {
	At       string `json:"at"`
	Type     string `json:"type"`
	ID       string `json:"id"`
	Voucher  string `json:"voucher_type"`
	Customer string `json:"customer_id"`
	Order    vw.Fen `json:"order_fen"`
	Discount vw.Fen `json:"discount_fen"`
	when     time.Time
	found    []string // typologies of the findings that list it
}

// visits are the redemptions among the events, by time.
func (d *Dossier) visits() (all []visit, err error) {
	found := map[string][]string{}
	for i := range d.Findings {
		for _, id := range d.Findings[i].RedemptionIDs {
			if t := d.Findings[i].Typology; !slices.Contains(found[id], t) {
				found[id] = append(found[id], t)
			}
		}
	}
	for i, e := range d.Events {
		var v visit
		if err := json.Unmarshal(e.Raw, &v); err != nil {
			return nil, &vw.Error{Op: "evidence.Seal", Code: vw.Invalid, Err: fmt.Errorf("events[%d], %s line %d: is not an event: %w", i, e.Source, e.Position, err)}
		}
		if v.Type != "redemption" {
			continue
		}
		if v.when, err = time.Parse(time.RFC3339, v.At); err != nil {
			return nil, &vw.Error{Op: "evidence.Seal", Code: vw.Invalid, Err: fmt.Errorf("events[%d], %s line %d: at: %w", i, e.Source, e.Position, err)}
		}
		v.found = slices.Sorted(slices.Values(found[v.ID]))
		all = append(all, v)
	}
	slices.SortStableFunc(all, func(a, b visit) int { return cmp.Or(a.when.Compare(b.when), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// typology is the Chinese name of a typology.
func (d *Dossier) typology(code string) string {
	if d.Typology != nil {
		if zh := d.Typology(code).Zh; zh != "" {
			return zh
		}
	}
	return code
}

// laws are the legal bases of the case's typologies, each once.
func (d *Dossier) laws() (all []string) {
	if d.Law == nil {
		return nil
	}
	for _, code := range d.Case.Typologies {
		for _, l := range d.Law(code) {
			if !slices.Contains(all, l) {
				all = append(all, l)
			}
		}
	}
	return all
}

// mask shows enough of a token to tell two apart, and not the token.
func mask(token string) string {
	if len(token) <= 8 {
		return token[:min(2, len(token))] + "****"
	}
	return token[:4] + "****" + token[len(token)-2:]
}

// mostBytes is how large a file of a pack may be.
const mostBytes = 1 << 30

// Unpack reads the files of a pack, by name.
func Unpack(data []byte) (map[string][]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("the pack is not a zip file: %w", err)
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		var b bytes.Buffer
		n, err := b.ReadFrom(io.LimitReader(r, mostBytes+1))
		if err == nil && n > mostBytes {
			err = errors.New("is larger than any pack's file")
		}
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if _, twice := files[f.Name]; twice {
			return nil, fmt.Errorf("%s: is in the pack twice", f.Name)
		}
		files[f.Name] = b.Bytes()
	}
	return files, nil
}

func hasName(m *Manifest, name string) bool {
	return slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == name }) || strings.HasPrefix(name, "manifest.") || name == "SHA256SUMS" || name == "SM3SUMS"
}
