package cases

import (
	"context"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	vw "voucherwatch"
)

// The kinds of evidence.
const (
	FrozenEvidence = "frozen"     // what the system saw, as it saw it: see Freeze
	Attachment     = "attachment" // a file
)

// Evidence is an item of the file (证据). The bytes lie in Blobs under their digest; nothing deletes them. Who
// looked at it stands in the audit log under its case and id: that is the log of custody.
type Evidence struct {
	ID        string `json:"id"`
	Signature `json:",inline"`
	Kind      string `json:"kind"`
	Title     string `json:"title"`
	Type      string `json:"type"` // media type
	Bytes     int64  `json:"bytes"`
	Hash      Digest `json:"hash"`
	// Of frozen evidence: what it holds, made with which policy and nulls.
	Findings        []string `json:"findings,omitempty"`
	PolicyVersion   string   `json:"policy_version,omitempty"`
	BaselineVersion string   `json:"baseline_version,omitempty"`
}

// Blobs keeps bytes by their SHA-256. Put is idempotent and returns when the bytes are durable. Get is vw.NotFound
// for an unknown digest and vw.Internal when the bytes are not those of the digest any more.
type Blobs interface {
	Put(ctx context.Context, b []byte) (Digest, error)
	Get(ctx context.Context, d Digest) ([]byte, error)
}

// Frozen is evidence that the system made: findings with their feature values, and the events that they
// rest on, byte for byte as they came in.
type Frozen struct {
	CaseID   string           `json:"case_id"`
	At       string           `json:"at"`
	Findings []vw.Finding     `json:"findings"`
	Events   []jsontext.Value `json:"events"`
}

// Freeze makes the bytes of frozen evidence and its description. Events may be fewer than the findings
// list: what the event log no longer holds is missing openly.
func Freeze(c *vw.Case, findings []vw.Finding, events []jsontext.Value, at string) ([]byte, Evidence, error) {
	b, err := json.Marshal(Frozen{c.CaseID, at, findings, events}, json.Deterministic(true))
	if err != nil {
		return nil, Evidence{}, &vw.Error{Op: "cases.Freeze", Code: vw.Invalid, Err: err}
	}
	e := Evidence{Kind: FrozenEvidence, Title: "系统固定证据 frozen findings and events", Type: "application/json", Bytes: int64(len(b)), Hash: DigestOf(b)}
	var policies, baselines []string
	for i := range findings {
		e.Findings = append(e.Findings, findings[i].FindingID)
		policies = append(policies, findings[i].PolicyVersion)
		baselines = append(baselines, findings[i].BaselineVersion)
	}
	e.PolicyVersion, e.BaselineVersion = listed(policies), listed(baselines)
	return b, e, nil
}

func listed(words []string) string {
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " ")
}

var evidenceFit = Guard{"evidence", func(m *move) error {
	e := m.cmd.Evidence
	if e == nil || e.Hash.SHA256 == "" || e.Hash.SM3 == "" {
		return refuse(vw.Invalid, "evidence", "证据须有哈希", "evidence needs its hashes")
	}
	for name, s := range map[string]string{"title": e.Title, "type": e.Type, "policy_version": e.PolicyVersion, "baseline_version": e.BaselineVersion} {
		if err := plainText(name, s); err != nil {
			return err
		}
	}
	media, _, _ := strings.Cut(e.Type, ";")
	n := 0
	for _, x := range m.doc.Work.Evidence {
		if x.Hash == e.Hash {
			return refuse(vw.Conflict, "evidence_known", "已在卷：%s", "it is in the file already: %s", x.ID)
		}
		if x.Kind == Attachment {
			n++
		}
	}
	switch {
	case e.Kind != FrozenEvidence && e.Kind != Attachment:
		return refuse(vw.Invalid, "evidence", "证据种类有误", "the kind is frozen or attachment")
	case strings.TrimSpace(e.Title) == "":
		return refuse(vw.Invalid, "evidence", "请填写证据名称", "give the evidence a title")
	case e.Kind == Attachment && e.Bytes > m.p.Evidence.AttachmentBytes:
		return refuse(vw.Invalid, "too_large", "附件 %d 字节，上限 %d", "the file has %d bytes, the limit is %d", e.Bytes, m.p.Evidence.AttachmentBytes)
	case e.Kind == Attachment && n >= m.p.Evidence.Attachments:
		return refuse(vw.Invalid, "too_many", "附件已达上限 %d 件", "a case has at most %d attachments", m.p.Evidence.Attachments)
	case e.Kind == Attachment && !slices.Contains(m.p.Evidence.Types, strings.TrimSpace(media)):
		return refuse(vw.Invalid, "media_type", "不接受这类文件", "this type of file is not taken in")
	}
	return nil
}}

func (m *move) addEvidence() error {
	w := &m.doc.Work
	e := *m.cmd.Evidence
	e.ID, e.Signature = "ev-"+itoa(len(w.Evidence)+1), m.sign()
	w.Evidence = append(w.Evidence, e)
	m.ref = e.ID
	m.say("add_evidence", "入卷 %s：%s（SHA-256 %s）", "filed %s: %s (SHA-256 %s)", e.ID, e.Title, e.Hash.SHA256[:min(12, len(e.Hash.SHA256))])
	return nil
}
