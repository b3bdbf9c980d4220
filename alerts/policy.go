package alerts

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	vw "voucherwatch"
	"voucherwatch/internal/worktime"
	"voucherwatch/internal/yamlfile"
)

//go:embed default.yaml
var defaultSource string

// Default is the built-in policy's file, comments included, for users to copy.
func Default() []byte { return []byte(defaultSource) }

// Policy is a routing file, checked. It is not changed after Parse and may be shared.
type Policy struct {
	Name string `yaml:"name,required"`
	// Version is the name, "@" and 12 hex digits of the SHA-256 of what the file says.
	Version string
	// Link leads to a case in the console; {case} is its number.
	Link        string               `yaml:"link"`
	Zone        Zone                 `yaml:"zone,required"`
	Calendars   map[string]Calendar  `yaml:"calendars"`
	Channels    map[string]Channeled `yaml:"channels,required"`
	Rosters     map[string]Roster    `yaml:"rosters"`
	Receivers   map[string]Receiver  `yaml:"receivers,required"`
	Route       Route                `yaml:"route,required"`
	Inhibit     []Inhibition         `yaml:"inhibit"`
	Escalations map[string]Ladder    `yaml:"escalations"`
	Retry       Retry                `yaml:"retry"`
	Silences    SilenceLimits        `yaml:"silences"`
	// Typology gives the names of a typology; nil: the code stands for itself.
	Typology func(code string) vw.Bilingual

	file *yamlfile.File
}

// Zone is an offset such as +08:00.
type Zone struct{ *time.Location }

// UnmarshalText reads "+08:00".
func (z *Zone) UnmarshalText(text []byte) error {
	t, err := time.Parse("-07:00", string(text))
	if err != nil {
		return errors.New("is " + string(text) + ": want an offset such as \"+08:00\"")
	}
	_, seconds := t.Zone()
	z.Location = time.FixedZone(string(text), seconds)
	return nil
}

func (p *Policy) zone() *time.Location {
	if p.Zone.Location == nil {
		return time.UTC
	}
	return p.Zone.Location
}

// Clock is a time of day, "08:30".
type Clock int

// UnmarshalText reads "08:30" to "24:00".
func (k *Clock) UnmarshalText(text []byte) error {
	if string(text) == "24:00" {
		*k = 24 * 60
		return nil
	}
	t, err := time.Parse("15:04", string(text))
	if err != nil {
		return errors.New("is " + string(text) + ": want a time of day such as \"08:30\"")
	}
	*k = Clock(t.Hour()*60 + t.Minute())
	return nil
}

// Calendar is when an office works.
type Calendar struct {
	Days     []string       `yaml:"days,required"` // mon … sun
	From     Clock          `yaml:"from,required"`
	To       Clock          `yaml:"to,required"` // exclusive
	Holidays []yamlfile.Day `yaml:"holidays"`
	Workdays []yamlfile.Day `yaml:"workdays"` // weekends worked in exchange (调休)

	time *worktime.Calendar
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (k *Calendar) build(zone *time.Location) {
	k.time = &worktime.Calendar{Zone: zone, From: int(k.From), To: int(k.To), Holidays: map[string]bool{}, Workdays: map[string]bool{}}
	for _, d := range k.Days {
		if i := slices.Index(weekdays, d); i >= 0 {
			k.time.Days[i] = true
		}
	}
	for _, d := range k.Holidays {
		k.time.Holidays[d.String()] = true
	}
	for _, d := range k.Workdays {
		k.time.Workdays[d.String()] = true
	}
}

// Channeled is a way to reach somebody: a kind of channel with its own settings, decoded by whoever
// builds it (Policy.Settings).
type Channeled struct {
	Type     string         `yaml:"type,required"`
	Settings yamlfile.Later `yaml:"settings"`
	// PerMinute is how many messages the vendor takes in a minute, 0: any number. When more are waiting
	// than DigestOver, those that wait are sent as one digest.
	PerMinute  int `yaml:"per_minute"`
	DigestOver int `yaml:"digest_over"`
}

// Receiver is an agency or a team, reached over channels, or whoever is on duty.
type Receiver struct {
	Title    string   `yaml:"title,required"`
	Agency   string   `yaml:"agency"`
	Channels []string `yaml:"channels"`
	Duty     string   `yaml:"duty"` // a roster; its person hears of it besides the channels
}

// Inhibition holds a lesser alert back while a greater one about the same thing is open.
type Inhibition struct {
	Source Match         `yaml:"source,required"`
	Target Match         `yaml:"target,required"`
	Equal  []string      `yaml:"equal,required"`
	For    time.Duration `yaml:"for,required"` // after the source was decided
}

// Retry is how the courier tries again.
type Retry struct {
	Base     time.Duration `yaml:"base"`
	Longest  time.Duration `yaml:"longest"`
	Attempts int           `yaml:"attempts"` // then the delivery goes to the dead letters
}

// SilenceLimits bound what one person may silence alone.
type SilenceLimits struct {
	Longest   time.Duration `yaml:"longest"`
	Alone     time.Duration `yaml:"alone"`      // longer ones need a second person
	AloneMany int           `yaml:"alone_many"` // and so do those that match more open alerts than this
}

// Load reads the built-in policy ("" or "default"), or else a file by path, as rules.Load does.
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
		return nil, &vw.Error{Op: "alerts.Load", Code: code, Hint: "give the path of a routing file, or the built-in one: default", Err: err}
	}
	return Parse(nameOrFile, data)
}

// Parse reads a policy from the bytes of a file; the name is for its faults. Every error is vw.Invalid.
func Parse(file string, data []byte) (*Policy, error) {
	f, c := yamlfile.Parse(file, data)
	p := &Policy{
		file: f, Retry: Retry{Base: 2 * time.Second, Longest: 15 * time.Minute, Attempts: 12},
		Silences: SilenceLimits{Longest: 30 * 24 * time.Hour, Alone: 7 * 24 * time.Hour, AloneMany: 50},
	}
	c.Decode("", p)
	p.check(c)
	if err := c.Err(); err != nil {
		return nil, &vw.Error{Op: "alerts.Parse", Code: vw.Invalid, Err: err}
	}
	for name, k := range p.Calendars {
		k.build(p.zone())
		p.Calendars[name] = k
	}
	p.Route.inherit(nil)
	sum := sha256.Sum256(f.Canonical())
	p.Version = p.Name + "@" + hex.EncodeToString(sum[:])[:12]
	return p, nil
}

// Settings decodes the settings of a channel into a struct with yaml tags; faults have file and line
// and are vw.Invalid. Check, if not nil, adds its own faults under the paths that it is given.
func (p *Policy) Settings(channel string, into any, check func(fault func(field, format string, args ...any))) error {
	c := p.file.Check()
	path := "channels." + channel + ".settings"
	c.Decode(path, into)
	probe := p.file.Check()
	if probe.Decode(path, &struct{}{}); probe.Err() == nil { // there is nothing, so what is required is missing
		_, nothing := yamlfile.Parse(p.Name, []byte("{}"))
		nothing.Decode("", into)
		if f, ok := errors.AsType[*yamlfile.Fault](nothing.Err()); ok {
			c.Fault("channels."+channel, "has no settings: %s is required", f.Path)
		}
	}
	if check != nil {
		check(func(field, format string, args ...any) {
			at := path
			if field != "" {
				at += "." + field
			}
			c.Fault(at, format, args...)
		})
	}
	if err := c.Err(); err != nil {
		return &vw.Error{Op: "alerts.Settings", Code: vw.Invalid, Err: err}
	}
	return nil
}

// calendar is a named calendar; "" is always open.
func (p *Policy) calendar(name string) *worktime.Calendar {
	if k, ok := p.Calendars[name]; ok {
		return k.time
	}
	return &worktime.Calendar{Zone: p.zone()}
}
