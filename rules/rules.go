// Package rules holds the policy: how evidence becomes a score, which detectors run with which
// parameters, what each typology means, whom it concerns and by which law, how grave a finding is and
// when it makes a case. All of it is YAML, dated and versioned; the default is inside the program.
//
// It detects, groups and tells nothing itself: the application hands its values to those that do.
//
// In: YAML. Out: *Policy for the program, Describe for people; or every mistake of the file with its
// line.
package rules

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"

	vw "voucherwatch"
	"voucherwatch/internal/yamlfile"
)

//go:embed default.yaml
var defaultSource string

// Default is the built-in policy's file, comments included, for users to copy.
func Default() []byte { return []byte(defaultSource) }

// Load reads the built-in policy ("" or "default"), or else a file by path. No such file is
// vw.NotFound, a file that cannot be read vw.Unavailable, a faulty one vw.Invalid with every fault as
// "file:line: path: what is wrong".
func Load(nameOrFile string) (*Policy, error) {
	if nameOrFile == "" || nameOrFile == "default" {
		return Parse("default.yaml", Default())
	}
	data, err := os.ReadFile(nameOrFile)
	if err != nil {
		code := vw.Unavailable
		if errors.Is(err, fs.ErrNotExist) {
			code = vw.NotFound
		}
		return nil, &vw.Error{Op: "rules.Load", Code: code, Hint: "give the path of a YAML file, or the built-in policy: default", Err: err}
	}
	return Parse(nameOrFile, data)
}

// Parse reads a policy from the bytes of a file; the name is for its faults. Every error is vw.Invalid.
func Parse(file string, data []byte) (*Policy, error) {
	f, c := yamlfile.Parse(file, data)
	p := &Policy{file: f}
	c.Decode("", p)
	p.check(c)
	if err := c.Err(); err != nil {
		return nil, &vw.Error{Op: "rules.Parse", Code: vw.Invalid, Err: err}
	}
	for code, t := range p.Typologies {
		for _, law := range t.Laws {
			t.Legal = append(t.Legal, p.Laws[law]...)
		}
		p.Typologies[code] = t
	}
	sum := sha256.Sum256(f.Canonical())
	p.Version = p.Name + "@" + hex.EncodeToString(sum[:])[:12]
	return p, nil
}

// Policy is a policy file, checked. It is not changed after Parse and may be shared.
type Policy struct {
	Name string `yaml:"name,required"`
	// Version is the name, "@" and the first 12 hexadecimal digits of the SHA-256 of what the file
	// says: comments, layout, quotes, order of keys and spelling of numbers do not change it, any value
	// does.
	Version    string
	Score      Score               `yaml:"score,required"`
	Detectors  map[string]Detector `yaml:"detectors,required"`
	Typologies map[string]Typology `yaml:"typologies,required"`
	Laws       map[string][]Legal  `yaml:"laws"`
	Thresholds Thresholds          `yaml:"severity,required"`
	Grouping   Grouping            `yaml:"grouping,required"`

	file *yamlfile.File
}

// Score is how log-odds become a score and a band.
type Score struct {
	PriorLogOdds float64 `yaml:"prior_log_odds,required"`
	// Review and High are the scores from which the bands begin, 0 < Review < High <= 1000.
	Review          int     `yaml:"review,required"`
	High            int     `yaml:"high,required"`
	ReasonMinWeight float64 `yaml:"reason_min_weight,required"` // log-odds, >= 0
}

// Detector is the part that one detector has in the score. Its contribution is Weight times its
// evidence, the evidence cut at Cap.
type Detector struct {
	Enabled bool    `yaml:"enabled,required"`
	Weight  float64 `yaml:"weight,required"` // no unit, >= 0
	Cap     float64 `yaml:"cap,required"`    // log-odds, > 0
	// Params are decoded when the detector asks for them: see Policy.Params.
	Params yamlfile.Later `yaml:"params"`
}

// Typology is a way of doing wrong.
type Typology struct {
	Zh   string `yaml:"zh,required"`
	En   string `yaml:"en,required"`
	Hard bool   `yaml:"hard,required"`
	// Weight is what a hard rule adds to the log-odds; 0 for soft ones.
	Weight   float64     `yaml:"weight"`
	Floor    vw.Severity `yaml:"severity,required"` // the least severity of a finding
	Agencies []string    `yaml:"agencies,required"` // codes, GX among them
	Laws     []string    `yaml:"legal,required"`    // keys of Policy.Laws
	// Legal are all versions of those laws; Policy.LegalOn picks those of a day.
	Legal []Legal
}

// Legal is a legal basis as it read for a run of days.
type Legal struct {
	Basis  string       `yaml:"basis,required"`
	From   yamlfile.Day `yaml:"from,required"`
	To     yamlfile.Day `yaml:"to"` // inclusive; 0: still in force
	Source string       `yaml:"source"`
}

// Thresholds are the subsidies at stake from which a finding is at least of a severity.
type Thresholds struct {
	EffectiveFrom yamlfile.Day   `yaml:"effective_from,required"`
	Source        string         `yaml:"source,required"`
	Medium        yamlfile.Money `yaml:"medium,required"`
	High          yamlfile.Money `yaml:"high,required"`
	Critical      yamlfile.Money `yaml:"critical,required"`
}

// Grouping is how findings of a merchant in a campaign become a case.
type Grouping struct {
	OpenAt     int                 `yaml:"open_at,required"`     // score; findings below are kept, not cases
	ReopenDays int                 `yaml:"reopen_days,required"` // after closing
	DueHours   map[vw.Severity]int `yaml:"due_hours,required"`   // one for each severity
}

// The severities, in their order.
const (
	low      vw.Severity = "low"
	medium   vw.Severity = "medium"
	high     vw.Severity = "high"
	critical vw.Severity = "critical"
)

func severities() []vw.Severity { return []vw.Severity{low, medium, high, critical} }

// Severity is that of a finding: the higher of its typology's floor and what the subsidy at stake asks
// for. An unknown typology has no floor.
func (p *Policy) Severity(typology string, subsidy vw.Fen) vw.Severity {
	order := severities()
	rank := max(slices.Index(order, p.Typologies[typology].Floor), 0)
	for i, from := range []yamlfile.Money{p.Thresholds.Medium, p.Thresholds.High, p.Thresholds.Critical} {
		if subsidy >= vw.Fen(from) {
			rank = max(rank, i+1)
		}
	}
	return order[rank]
}

// LegalOn are the legal bases of a typology for a deed of that day (a day number), in the order of the
// file. None for an unknown typology.
func (p *Policy) LegalOn(code string, day int) []Legal {
	var on []Legal
	for _, l := range p.Typologies[code].Legal {
		if day >= int(l.From) && (l.To == 0 || day <= int(l.To)) {
			on = append(on, l)
		}
	}
	return on
}

// Params fills into, a pointer to the detector's own parameters with their defaults set, with what the
// policy gives for them, by their yaml tags (see yamlfile.Check.Decode). What the policy does not give
// stays as it is. A field that the detector does not have and a wrong type are vw.Invalid, with file
// and line, all at once.
func (p *Policy) Params(detector string, into any) error {
	c := p.file.Check()
	c.Decode("detectors."+detector+".params", into)
	if err := c.Err(); err != nil {
		return &vw.Error{Op: "rules.Params", Code: vw.Invalid, Err: err}
	}
	return nil
}
