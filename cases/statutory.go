package cases

import (
	"slices"
	"strings"
	"time"

	vw "voucherwatch"
)

// Opened is a case that a person opens, from a complaint, an audit or a referral (Source is the written source).
// ID is that of the subject's next generation, so that the Desk files what it finds later into it.
func (p *Procedure) Opened(id, campaign string, s vw.Subject, typologies []string, source string, actor Actor, now time.Time) (Document, error) {
	if strings.TrimSpace(source) == "" {
		return Document{}, refuse(vw.Invalid, "source", "请注明书面来源", "name the written source")
	}
	if err := plainText("source", source); err != nil {
		return Document{}, err
	}
	if !actor.any(staff) {
		return Document{}, refuse(vw.Forbidden, "wrong_role", "您的角色不能立案", "your role cannot open a case")
	}
	d := Document{Case: vw.Case{CaseID: id, Campaign: campaign, Subject: s, Status: Open, Typologies: slices.Sorted(slices.Values(typologies)),
		Agencies: []string{"GX"}, Severity: "low", OpenedAt: stamp(now)}, Work: Work{Source: source, Alleged: typologies}}
	return p.begin(d, actor, now, "立案：%s", "opened: %s", source)
}

// Statutory opens the statutory procedure (track B) beside a case of track A: a case of its own, linked, so that
// the two tracks never mix. It needs penalty power, or a referral that was handed over with a receipt.
func (p *Procedure) Statutory(a Document, actor Actor, now time.Time) (Document, error) {
	receipt := ""
	for _, x := range a.Work.Measures {
		if x.State == MeasureHanded {
			receipt = x.Receipt
		}
	}
	switch {
	case a.Work.track() != TrackA:
		return Document{}, refuse(vw.Conflict, "wrong_track", "本案已是法定程序", "the case is on track B already")
	case !p.PenaltyPower && receipt == "":
		return Document{}, refuse(vw.Conflict, "penalty_power", "须有处罚权或主管机关回执", "penalty power or the authority's receipt is needed")
	case !actor.any(staff):
		return Document{}, refuse(vw.Forbidden, "wrong_role", "您的角色不能立案", "your role cannot open a case")
	}
	c := a.Case
	c.CaseID, c.Assignee, c.Timeline, c.Revision, c.Status, c.OpenedAt = a.Case.CaseID+"-b", "", nil, 0, Open, stamp(now)
	d := Document{Case: c, Work: Work{Track: TrackB, Source: receipt,
		Links: []Link{{To: a.Case.CaseID, Kind: "track_a", Reason: receipt, Made: Signature{actor.ID, stamp(now)}}}}}
	return p.begin(d, actor, now, "转入法定程序：%s", "statutory procedure begun: %s", receipt)
}

func (p *Procedure) begin(d Document, actor Actor, now time.Time, zh, en string, args ...any) (Document, error) {
	m := &move{p: p, doc: &d, cmd: &Command{Verb: "open"}, actor: actor, now: now, t: Transition{Machine: CaseMachine, Verb: "open"}}
	m.say(WasOpened, zh, en, args...)
	if l, ok := p.Limits[d.Work.track()]["triage"]; ok {
		d.Work.Clocks = append(d.Work.Clocks, p.Calendar.start("triage", l, now))
	}
	if err := m.audit("open"); err != nil {
		return d, err
	}
	return d, p.finish(&d, now)
}
