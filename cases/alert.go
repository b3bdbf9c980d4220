package cases

import (
	"slices"
	"strings"
	"time"

	vw "voucherwatch"
)

// Alert is a finding on its way to a person: one each, under the finding's id, small enough for a list
// of thousands. What the finding says is looked up by that id.
type Alert struct {
	AlertID    string      `json:"alert_id"` // the finding's id
	Campaign   string      `json:"campaign"`
	Group      string      `json:"group"` // alerts of one group are worked together: subject and typology
	Subject    vw.Subject  `json:"subject"`
	Typology   string      `json:"typology"`
	Rules      []string    `json:"rules,omitempty"` // codes of its reasons
	Score      int         `json:"score"`
	Severity   vw.Severity `json:"severity"`
	SubsidyFen vw.Fen      `json:"subsidy_fen"`
	At         string      `json:"at"` // first detected
	LastAt     string      `json:"last_at"`
	Finding    int         `json:"finding"` // revision of the finding that it shows
	State      State       `json:"state"`
	CaseID     string      `json:"case_id,omitempty"`
	By         string      `json:"by,omitempty"` // who acknowledged, dismissed or snoozed it
	Reason     string      `json:"reason,omitempty"`
	Text       string      `json:"text,omitempty"`
	Until      string      `json:"until,omitempty"`  // of a snooze
	Factor     int         `json:"factor,omitempty"` // of a snooze: ends when the subsidy has grown so many times
	Then       vw.Fen      `json:"then,omitempty"`   // subsidy when it was snoozed or dismissed
	Was        vw.Severity `json:"was,omitempty"`    // severity then
	Revision   int         `json:"revision"`
}

func alertRows() []Transition {
	s := func(states ...State) []State { return states }
	return []Transition{
		{AlertMachine, "ack", "知悉", "acknowledge", s(AlertNew, AlertSnoozed), AlertAcked, staff, "", nil, nil, nil, nil},
		{AlertMachine, "dismiss", "排除", "dismiss", s(AlertNew, AlertAcked, AlertSnoozed), AlertDismissed, staff, "", nil, nil, nil, nil},
		{AlertMachine, "snooze", "暂缓", "snooze", s(AlertNew, AlertAcked), AlertSnoozed, staff, "", nil, nil, nil, nil},
		{AlertMachine, "attach", "并入案件", "attach to a case", s(AlertNew, AlertAcked, AlertSnoozed), AlertAttached, append([]Role{System}, staff...), "", nil, nil, nil, nil},
		{AlertMachine, "escalate", "升级重现", "come back graver", s(AlertDismissed, AlertSnoozed), AlertNew, machine, "", nil, nil, nil, nil},
		{AlertMachine, "wake", "暂缓到期", "end of a snooze", s(AlertSnoozed), AlertNew, machine, "", nil, nil, nil, nil},
	}
}

// Raise is the alert of a finding, new or brought up to a later revision of it, and whether it changed.
// CaseID is the case that lists the finding, if any: the alert is attached to it. A dismissed alert comes back
// only when its subsidy has doubled or its severity has risen since; a snoozed one as it was agreed.
func Raise(old Alert, campaign string, f *vw.Finding, caseID string) (Alert, bool) {
	s := SubjectOf(f)
	a := old
	if old.Revision == 0 {
		a = Alert{AlertID: f.FindingID, Campaign: campaign, Subject: s, Typology: f.Typology, State: AlertNew, At: f.DetectedAt,
			Group: strings.Join([]string{s.Kind, s.ID, s.With, f.Typology}, "/")}
	}
	news := f.Revision > old.Finding
	if news {
		a.Score, a.Severity, a.SubsidyFen, a.LastAt, a.Finding = f.Score, f.Severity, f.SubsidyFen, f.LastAt, f.Revision
		a.Rules = nil
		for _, r := range f.Reasons {
			a.Rules = append(a.Rules, r.Code)
		}
		slices.Sort(a.Rules)
		a.Rules = slices.Compact(a.Rules)
		graver := rank(a.Severity) > rank(a.Was)
		switch {
		case a.State == AlertDismissed && (graver || a.SubsidyFen >= 2*max(1, a.Then)),
			a.State == AlertSnoozed && (graver || a.Factor > 0 && a.SubsidyFen >= vw.Fen(a.Factor)*max(1, a.Then)):
			a.State, a.Until, a.Factor = AlertNew, "", 0
		}
	}
	attached := caseID != "" && a.State != AlertAttached && a.State != AlertDismissed
	if attached {
		a.State, a.CaseID = AlertAttached, caseID
	}
	if !news && !attached {
		return old, false
	}
	a.Revision++
	return a, true
}

// ApplyAlert is Apply for an alert: ack, dismiss (Code of the closed list), snooze (Text is the day it
// ends, Code "x3" its growth) and attach (To is the case). The audit line is the caller's to write.
func (p *Procedure) ApplyAlert(a Alert, cmd Command, actor Actor, now time.Time) (Alert, error) {
	if err := cmd.check(); err != nil {
		return a, err
	}
	if cmd.Seen != 0 && cmd.Seen != a.Revision {
		return a, refuse(vw.Conflict, "stale_revision", "线索已更新", "the alert moved on")
	}
	all := alertRows()
	i := slices.IndexFunc(all, func(t Transition) bool { return t.Verb == cmd.Verb })
	if i < 0 {
		return a, refuse(vw.Invalid, "unknown_verb", "没有这一操作", "there is no such verb")
	}
	t := all[i]
	switch {
	case !actor.any(t.Roles):
		return a, refuse(vw.Forbidden, "wrong_role", "您的角色不能“%s”", "your role cannot %s", both2(t))
	case !slices.Contains(t.From, a.State):
		return a, refuse(vw.Conflict, "wrong_stage", "当前为 %s，不能“%s”", "it is %s: cannot %s", string(a.State), both2(t))
	case slices.Contains(actor.Interests, a.Subject.ID):
		return a, refuse(vw.Forbidden, "conflict_of_interest", "与当事人有利害关系，应当回避", "the actor has an interest in the subject and must stand aside")
	}
	switch t.Verb {
	case "dismiss":
		if p.Dismiss[cmd.Code] == "" {
			return a, refuse(vw.Invalid, "dismiss_reason", "排除理由须在列", "the reason of a dismissal is one of the list")
		}
		a.Reason, a.Text, a.Then, a.Was = cmd.Code, cmd.Text, a.SubsidyFen, a.Severity
	case "snooze":
		until, err := time.ParseInLocation(time.DateOnly, cmd.Text, Zone)
		if err != nil || !until.After(now) || until.After(now.AddDate(0, 0, 30)) {
			return a, refuse(vw.Invalid, "until", "暂缓至三十日内的某日", "a snooze ends on a day within 30 days")
		}
		a.Until, a.Then, a.Was, a.Factor = stamp(until), a.SubsidyFen, a.Severity, 0
		if f, ok := strings.CutPrefix(cmd.Code, "x"); ok && len(f) == 1 && f[0] >= '2' && f[0] <= '9' {
			a.Factor = int(f[0] - '0')
		}
	case "attach":
		if cmd.To == "" {
			return a, refuse(vw.Invalid, "to", "请指明案件", "name the case")
		}
		a.CaseID = cmd.To
	case "wake":
		if a.Until == "" || now.Before(moment(a.Until)) {
			return a, refuse(vw.Conflict, "until", "未到期", "it is not time yet")
		}
		a.Until, a.Factor = "", 0
	}
	a.State, a.By = t.To, actor.ID
	a.Revision++
	return a, nil
}
