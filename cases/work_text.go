package cases

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	vw "voucherwatch"
)

// WriteWork prints what people did with a case, for a terminal, after WriteCase. It prints nothing for a case that nobody has
// touched. The error is the writer's.
func WriteWork(w io.Writer, d *Document) error {
	x := &d.Work
	if x.Version == 0 && x.Stage == "" {
		return nil
	}
	p := &page{}
	objected := ""
	if x.Objected() {
		objected = "  异议中 objected to"
	}
	p.line("\n阶段 Stage %s, 程序 track %s%s", both(StateName(x.stage())), string(x.track()), objected)
	if due := d.Due(); due != "" {
		p.line("期限 Due %s", minute(due))
	}
	if len(x.Clocks) > 0 {
		p.head("期限", "Clocks")
		rows := [][]string{}
		for i := range x.Clocks {
			c := &x.Clocks[i]
			state := "至 until " + minute(c.DueAt)
			switch {
			case c.StoppedAt != "":
				state = "已止 ended " + minute(c.StoppedAt)
			case c.DueAt == "":
				state = "中止 paused: " + c.Pauses[len(c.Pauses)-1].Reason
			}
			if c.Verify || c.Provisional {
				state += "（待核 to be confirmed）"
			}
			rows = append(rows, []string{"  " + c.Name, fmt.Sprint(c.N, " ", c.Unit), state, c.Basis})
		}
		p.table(rows)
	}
	if left := slices.DeleteFunc(slices.Clone(x.Tasks), func(t Task) bool { return t.Done != nil }); len(left) > 0 {
		p.head("待办", "Tasks")
		for _, t := range left {
			must := ""
			if t.Required {
				must = " *"
			}
			p.line("  %s%s  %s", t.ID, must, both(t.Text))
		}
	}
	for _, a := range x.Approvals {
		if a.Open() {
			var roles []string
			for _, r := range a.Roles {
				roles = append(roles, string(r))
			}
			p.head("待批", "Waiting for approval")
			p.line("  %s %s  由 by %s, 须 needs %s, 已 has %d, 至 until %s", a.ID, a.Verb, a.Proposer, strings.Join(roles, "+"), len(a.By), minute(a.ExpiresAt))
			p.line("  --hash %s", a.Hash.SHA256)
		}
	}
	if len(x.Evidence) > 0 {
		p.head("证据", "Evidence")
		for _, e := range x.Evidence {
			p.line("  %s %s, %d B, SHA-256 %s", e.ID, e.Title, e.Bytes, e.Hash.SHA256)
			p.line("    SM3 %s", e.Hash.SM3)
		}
	}
	for _, s := range x.Stops {
		p.head("停用", "Stop")
		p.line("  %s 由 by %s 至 until %s, %s", s.ID, s.Made.By, minute(s.ExpiresAt), cmp.Or(s.Ended, "在停 in force"))
	}
	for _, m := range x.Measures {
		p.head("处置", "Measure")
		p.line("  %s %s: %s", m.ID, m.Kind, string(m.State))
	}
	if n := x.Pending(); n > 0 {
		p.line("\n待送出消息 messages still to leave: %d", n)
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// WritePrecision prints how often typologies and rules were right, for a terminal.
func WritePrecision(w io.Writer, typologies, rules []Rate) error {
	for _, part := range []struct {
		head  string
		rates []Rate
	}{{"类型 TYPOLOGY", typologies}, {"规则 RULE", rules}} {
		rows := [][]string{{part.head, "属实 CONFIRMED", "排除 REFUTED", "数据错误 DATA", "未定 UNDECIDED", "准确率 PRECISION"}}
		for _, r := range part.rates {
			rows = append(rows, []string{r.Name, fmt.Sprint(r.Confirmed), fmt.Sprint(r.Refuted), fmt.Sprint(r.DataError), fmt.Sprint(r.Undecided),
				fmt.Sprintf("%.2f (%.2f–%.2f)", r.Precision, r.Lowest, r.Highest)})
		}
		if err := writeTable(w, rows, 1, 2, 3, 4); err != nil {
			return err
		}
	}
	return nil
}

// StateName names a stage of a case for people.
func StateName(s State) vw.Bilingual {
	zh := map[State]string{Suspicion: "待核查", Investigating: "调查中", Suspended: "中止", InReviewStage: "待审核", Returned: "退回", Refuted: "排除", Inconclusive: "证据不足",
		Confirmed: "属实", PenaltyProposed: "拟处置", Notified: "告知", Approved: "已批准", Executing: "执行中", ClosedStage: "结案", Reopened: "重启"}[s]
	return vw.Bilingual{Zh: cmp.Or(zh, string(s)), En: string(s)}
}

// WriteTable prints the table of transitions as Markdown: part of docs/cases.md.
func WriteTable(w io.Writer) error {
	var b strings.Builder
	words := func(of []string) string { return cmp.Or(strings.Join(of, ", "), "–") }
	for _, m := range []Machine{CaseMachine, MeasureMachine, EntryMachine, StopMachine, AppealMachine, RepairMachine, AlertMachine} {
		fmt.Fprintf(&b, "\n### %s\n\n| verb | 操作 | from | to | who | guards | approval | clocks |\n|---|---|---|---|---|---|---|---|\n", m)
		for _, t := range Table() {
			if t.Machine != m {
				continue
			}
			var from, who, guards, clocks []string
			for _, s := range t.From {
				from = append(from, string(s))
			}
			for _, r := range t.Roles {
				who = append(who, string(r))
			}
			for _, g := range t.Guards {
				guards = append(guards, g.Name)
			}
			for _, c := range t.Stops {
				clocks = append(clocks, "−"+c)
			}
			for _, c := range t.Starts {
				clocks = append(clocks, "+"+c)
			}
			stays := "any but closed"
			if m != CaseMachine {
				stays = "–"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", t.Verb, t.Zh, cmp.Or(strings.Join(from, ", "), stays), cmp.Or(string(t.To), "stays"),
				words(who), words(guards), cmp.Or(t.Approval, "–"), words(clocks))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
