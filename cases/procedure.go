package cases

import (
	_ "embed"
	"maps"
	"slices"

	"voucherwatch/internal/yamlfile"

	vw "voucherwatch"
)

//go:embed procedure.yaml
var procedure []byte

// Track is which of two procedures a case follows; they never mix.
type Track string

const (
	TrackA Track = "A" // 活动规则处置: what the campaign office may do under its notice and the merchants' agreement
	TrackB Track = "B" // 法定程序: what an authority with penalty power does
)

// Procedure is the office's procedure: limits, approvals, measures, tasks, days off. It is not changed
// after Load and may be shared; Apply and Tick are its methods.
type Procedure struct {
	Name         string                     `yaml:"name,required"`
	PenaltyPower bool                       `yaml:"penalty_power,required"`
	Limits       map[Track]map[string]Limit `yaml:"limits,required"`
	StopHours    int                        `yaml:"stop_hours,required"`
	Reveal       struct {
		PerDay  int `yaml:"per_day,required"`
		Seconds int `yaml:"seconds,required"`
	} `yaml:"reveal,required"`
	Evidence struct {
		Least           int      `yaml:"least,required"`
		AttachmentBytes int64    `yaml:"attachment_bytes,required"`
		Attachments     int      `yaml:"attachments,required"`
		Types           []string `yaml:"types,required"`
	} `yaml:"evidence,required"`
	Dismiss   map[string]string      `yaml:"dismiss,required"`
	Suspend   map[string]string      `yaml:"suspend,required"`
	Approvals map[string]Quorum      `yaml:"approvals,required"`
	Measures  map[string]MeasureKind `yaml:"measures,required"`
	Repair    []RepairRule           `yaml:"repair,required"`
	Tasks     map[string][]TaskRule  `yaml:"tasks,required"`

	Calendar *Calendar
}

// Quorum is who must approve, one entry a person.
type Quorum struct {
	Roles []Role         `yaml:"roles,required"`
	Hours int            `yaml:"hours,required"` // until it expires
	Above yamlfile.Money `yaml:"above"`
	Large []Role         `yaml:"large"` // instead of Roles from Above on
}

// MeasureKind is an entry of the catalogue of measures.
type MeasureKind struct {
	Zh        string `yaml:"zh,required"`
	En        string `yaml:"en,required"`
	Track     Track  `yaml:"track,required"`
	Authority string `yaml:"authority,required"`
	Basis     string `yaml:"basis,required"`
	Money     bool   `yaml:"money"`   // names an amount
	Receipt   bool   `yaml:"receipt"` // ends with the receiver's receipt (回执)
	Serious   bool   `yaml:"serious"` // needs the quorum decide_serious
	List      string `yaml:"list"`    // makes an entry on this list
	Consent   string `yaml:"consent"` // whose consent the entry needs
}

// RepairRule is the shortest display time of an entry decided in a run of days.
type RepairRule struct {
	From          yamlfile.Day `yaml:"from,required"`
	To            yamlfile.Day `yaml:"to"`
	Months        int          `yaml:"months,required"`
	SeriousMonths int          `yaml:"serious_months,required"`
	Basis         string       `yaml:"basis,required"`
	Verify        bool         `yaml:"verify"`
}

// TaskRule is a task of the playbook of a typology.
type TaskRule struct {
	ID       string `yaml:"id,required"`
	Zh       string `yaml:"zh,required"`
	En       string `yaml:"en,required"`
	Required bool   `yaml:"required,required"`
}

// LoadProcedure reads a procedure; nil data reads the built-in one. Faults are vw.Invalid, all at once.
func LoadProcedure(file string, data []byte) (*Procedure, error) {
	if data == nil {
		file, data = "procedure.yaml", procedure
	}
	f, c := yamlfile.Parse(file, data)
	_ = f
	p := &Procedure{}
	c.Decode("", p)
	for _, track := range []Track{TrackA, TrackB} {
		for _, name := range []string{"triage", "investigation", "review", "reply", "appeal_accept", "appeal_decide", "objection_mark"} {
			if _, ok := p.Limits[track][name]; !ok {
				c.Fault("limits."+string(track), "has no %s", name)
			}
		}
	}
	for track, limits := range p.Limits {
		if track != TrackA && track != TrackB {
			c.Fault("limits."+string(track), "is no track: A or B")
		}
		for name, l := range limits {
			at := "limits." + string(track) + "." + name
			if l.N < 1 || l.N > 1000 {
				c.Fault(at+".n", "must be 1 to 1000")
			}
			if !slices.Contains([]string{WorkingDays, CalendarDays, Hours}, l.Unit) {
				c.Fault(at+".unit", "is %q: working_days, calendar_days or hours", l.Unit)
			}
		}
	}
	for name, q := range p.Approvals {
		for _, r := range append(slices.Clone(q.Roles), q.Large...) {
			if !slices.Contains(approvers, r) {
				c.Fault("approvals."+name, "%q cannot approve: supervisor, legal_reviewer or administrator", r)
			}
		}
		if len(q.Roles) == 0 || q.Hours < 1 || len(q.Large) > 0 && (len(q.Large) < len(q.Roles) || q.Above <= 0) {
			c.Fault("approvals."+name, "needs roles, hours, and with large an amount above and no fewer roles")
		}
	}
	for _, t := range Table() {
		if t.Approval != "" && t.Approval != "decide" && len(p.Approvals[t.Approval].Roles) == 0 {
			c.Fault("approvals", "has no %s", t.Approval)
		}
	}
	for name, m := range p.Measures {
		if m.Track != TrackA && m.Track != TrackB {
			c.Fault("measures."+name+".track", "must be A or B")
		}
		if m.List != "" && (m.List == ActivityExclusion) != (m.Track == TrackA) {
			c.Fault("measures."+name+".list", "track A has activity_exclusion only, track B never has it")
		}
	}
	for name, n := range map[string]int{"stop_hours": p.StopHours, "reveal.per_day": p.Reveal.PerDay, "reveal.seconds": p.Reveal.Seconds, "evidence.least": p.Evidence.Least} {
		if n < 1 {
			c.Fault(name, "must be above 0")
		}
	}
	err := c.Err()
	if err != nil {
		return nil, &vw.Error{Op: "cases.LoadProcedure", Code: vw.Invalid, Err: err}
	}
	p.Calendar, err = LoadCalendar("", nil)
	return p, err
}

// Unconfirmed lists what the procedure rests on and nobody has confirmed yet.
func (p *Procedure) Unconfirmed() (out []string) {
	for _, track := range []Track{TrackA, TrackB} {
		for _, name := range slices.Sorted(maps.Keys(p.Limits[track])) {
			if l := p.Limits[track][name]; l.Verify {
				out = append(out, "limits."+string(track)+"."+name+": "+l.Basis)
			}
		}
	}
	for _, r := range p.Repair {
		if r.Verify {
			out = append(out, "repair: "+r.Basis)
		}
	}
	for _, y := range p.Calendar.Unconfirmed() {
		out = append(out, "days off of "+itoa(y))
	}
	return out
}

// quorum is who must approve an action about so much money.
func (p *Procedure) quorum(action string, money vw.Fen) Quorum {
	q := p.Approvals[action]
	if len(q.Large) > 0 && money >= vw.Fen(q.Above) {
		q.Roles = q.Large
	}
	return q
}

// tasks are those of a case's typologies, the common ones first, each once.
func (p *Procedure) tasks(typologies []string) (out []Task) {
	for _, t := range append([]string{"*"}, typologies...) {
		for _, r := range p.Tasks[t] {
			if !slices.ContainsFunc(out, func(x Task) bool { return x.ID == r.ID }) {
				out = append(out, Task{ID: r.ID, Text: vw.Bilingual{Zh: r.Zh, En: r.En}, Required: r.Required, Typology: t})
			}
		}
	}
	return out
}
