package cases

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	vw "voucherwatch"
)

// open is a new case. Before are the closed cases of the same subject.
func (d *Desk) open(s vw.Subject, before []vw.Case, fs []vw.Finding, now string) *vw.Case {
	c := &vw.Case{CaseID: CaseID(d.Campaign, s, len(before)+1), Campaign: d.Campaign, Subject: s,
		Status: Open, OpenedAt: now, UpdatedAt: now, Revision: 1}
	d.summarise(c, fs)
	lead := strongest(fs)
	text := vw.Bilingual{
		Zh: fmt.Sprintf("因线索 %s（%s，评分 %d）立案待核查；立案线为 %d 分。", lead.FindingID, lead.Typology, lead.Score, d.OpenAt),
		En: fmt.Sprintf("Opened for finding %s (%s, score %d); a case opens at %d.", lead.FindingID, lead.Typology, lead.Score, d.OpenAt),
	}
	if n := len(before); n > 0 {
		text.Zh += fmt.Sprintf("同一对象的前一案件 %s 已结案。", before[n-1].CaseID)
		text.En += fmt.Sprintf(" The subject's case before, %s, is closed.", before[n-1].CaseID)
	}
	note(c, now, WasOpened, text, lead.FindingID)
	for i := range fs {
		if fs[i].FindingID != lead.FindingID {
			attached(c, now, &fs[i])
		}
	}
	c.DueAt = d.due(c)
	return c
}

// revise is an open case brought up to its findings, or nil when it is already.
func (d *Desk) revise(old *vw.Case, fs []vw.Finding, now string) *vw.Case {
	c := d.update(old, fs, now)
	if d.figuresOf(old) != d.figuresOf(c) {
		note(c, now, WasRevised, moved(old, c), strongest(fs).FindingID)
	}
	if c.DueAt = d.due(c); same(old, c) {
		return nil
	}
	return c
}

// reopen is a closed case opened again, or nil when the fresh findings make it no worse.
func (d *Desk) reopen(old *vw.Case, fs []vw.Finding, now string) *vw.Case {
	c := d.update(old, fs, now)
	a, b := d.figuresOf(old), d.figuresOf(c)
	news := slices.ContainsFunc(c.Typologies, func(t string) bool { return !slices.Contains(old.Typologies, t) })
	if b.band <= a.band && b.severity <= a.severity && b.step <= a.step && !news {
		return nil
	}
	text := moved(old, c)
	if d.AskToReopen {
		return ask(old, text, strongest(fs).FindingID, now)
	}
	c.Status = Open
	text.Zh = fmt.Sprintf("结案后 %d 日内出现新的更重线索，重新打开。", d.ReopenDays) + text.Zh
	text.En = fmt.Sprintf("Reopened: graver evidence within %d days of closing. ", d.ReopenDays) + text.En
	note(c, now, WasReopened, text, strongest(fs).FindingID)
	c.DueAt = d.due(c)
	return c
}

// ask is a closed case that says what would reopen it, once; nil when it says so already.
func ask(old *vw.Case, text vw.Bilingual, ref, now string) *vw.Case {
	text.Zh, text.En = "结案后出现更重线索，请两人决定是否重启。"+text.Zh, "Graver evidence after closing: two people decide whether to reopen. "+text.En
	if last := old.Timeline[len(old.Timeline)-1]; last.What == WasAsked && last.Text == text && last.Ref == ref {
		return nil
	}
	c := new(*old)
	c.Timeline = slices.Clip(c.Timeline)
	note(c, now, WasAsked, text, ref)
	c.UpdatedAt, c.Revision = now, old.Revision+1
	return c
}

// namedSingly is how many findings a time line names one by one. Beyond it a case still takes every finding in, and says how
// many it has.
const namedSingly = 500

// update is a copy of a case with the findings it now has, those that are new to it on its timeline.
func (d *Desk) update(old *vw.Case, fs []vw.Finding, now string) *vw.Case {
	c := new(*old)
	c.Timeline = slices.Clip(c.Timeline) // what a Store returns is read-only
	d.summarise(c, fs)
	more := 0
	for i := range fs {
		if _, had := slices.BinarySearch(old.FindingIDs, fs[i].FindingID); had {
			continue
		}
		if len(old.FindingIDs) >= namedSingly {
			more++
			continue
		}
		attached(c, now, &fs[i])
	}
	if more > 0 {
		note(c, now, WasAttached, vw.Bilingual{
			Zh: fmt.Sprintf("又并入线索 %d 条，共 %d 条；超过 %d 条后不再逐条列出。", more, len(fs), namedSingly),
			En: fmt.Sprintf("%d more findings attached, %d in all; beyond %d they are not named one by one.", more, len(fs), namedSingly),
		}, "")
	}
	c.UpdatedAt, c.Revision = now, old.Revision+1
	return c
}

// same says whether an update changed anything but its own time and number.
func same(a, b *vw.Case) bool {
	return a.Score == b.Score && a.Severity == b.Severity && a.SubsidyFen == b.SubsidyFen && a.DueAt == b.DueAt &&
		slices.Equal(a.FindingIDs, b.FindingIDs) && slices.Equal(a.Typologies, b.Typologies) &&
		slices.Equal(a.Agencies, b.Agencies)
}

func attached(c *vw.Case, now string, f *vw.Finding) {
	note(c, now, WasAttached, vw.Bilingual{
		Zh: fmt.Sprintf("并入线索 %s（%s，评分 %d）。", f.FindingID, f.Typology, f.Score),
		En: fmt.Sprintf("Finding %s attached (%s, score %d).", f.FindingID, f.Typology, f.Score),
	}, f.FindingID)
}

// moved tells how the figures of a case changed.
func moved(a, b *vw.Case) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("评分 %d→%d，严重程度 %s→%s，涉及补贴 %s→%s。", a.Score, b.Score,
			severityName(a.Severity).Zh, severityName(b.Severity).Zh, a.SubsidyFen.Yuan(), b.SubsidyFen.Yuan()),
		En: fmt.Sprintf("Score %d→%d, severity %s→%s, subsidy %s→%s.", a.Score, b.Score,
			a.Severity, b.Severity, a.SubsidyFen.Yuan(), b.SubsidyFen.Yuan()),
	}
}

func note(c *vw.Case, at, what string, text vw.Bilingual, ref string) {
	c.Timeline = append(c.Timeline, vw.TimelineEntry{At: at, Who: "system", What: what, Text: text, Ref: ref})
}

// strongest is the finding with the highest score, the first by id among equals.
func strongest(fs []vw.Finding) *vw.Finding {
	best := slices.MinFunc(fs, func(a, b vw.Finding) int {
		return cmp.Or(b.Score-a.Score, cmp.Compare(a.FindingID, b.FindingID))
	})
	return &best
}

// due counts from when the case was last opened, at its severity of now: a case that turns out graver
// is due sooner.
func (d *Desk) due(c *vw.Case) string {
	from := c.OpenedAt
	for _, e := range c.Timeline {
		if e.What == WasReopened {
			from = e.At
		}
	}
	return moment(from).Add(time.Duration(d.DueHours[c.Severity]) * time.Hour).Format(time.RFC3339Nano)
}

// closing is when a case was last closed.
func closing(c *vw.Case) time.Time {
	at := c.UpdatedAt
	for _, e := range c.Timeline {
		if e.What == WasClosed {
			at = e.At
		}
	}
	return moment(at)
}

func severityName(s vw.Severity) vw.Bilingual {
	zh := map[vw.Severity]string{"low": "低", "medium": "中", "high": "高", "critical": "紧急"}[s]
	return vw.Bilingual{Zh: cmp.Or(zh, string(s)), En: string(s)}
}
