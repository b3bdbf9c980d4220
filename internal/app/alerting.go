package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"voucherwatch/alerts"
	"voucherwatch/alerts/channels"
	"voucherwatch/alerts/evidence"
	alertstore "voucherwatch/alerts/sqlite"
	"voucherwatch/rules"

	vw "voucherwatch"
)

// AlertingOptions are those of OpenAlerting.
type AlertingOptions struct {
	Policy string // routing file; "": the built-in one
	Rules  string // policy file, for the names of typologies; "": the built-in one
	Store  string // file of alerts, deliveries and the register; "": memory, which forgets
	Packs  string // directory of sealed packs; "": beside the store
	Logger *slog.Logger
	Now    func() time.Time
}

// Alerting tells the agencies: a router and a courier over one store. One Alerting at a time works on a
// store.
type Alerting struct {
	Policy   *alerts.Policy
	Router   *alerts.Router
	Courier  *alerts.Courier
	Ledger   alerts.Ledger
	Register *alerts.Register
	packs    string
	now      func() time.Time
	close    func() error
}

// LoadRouting reads a routing file and gives it the names of typologies.
func LoadRouting(policy, rulesFile string) (*alerts.Policy, *rules.Policy, error) {
	p, err := alerts.Load(policy)
	if err != nil {
		return nil, nil, err
	}
	r, err := rules.Load(rulesFile)
	if err != nil {
		return nil, nil, err
	}
	p.Typology = func(code string) vw.Bilingual {
		return vw.Bilingual{Zh: r.Typologies[code].Zh, En: r.Typologies[code].En}
	}
	return p, r, nil
}

// OpenAlerting goes on where the store's last user stopped.
func OpenAlerting(ctx context.Context, o AlertingOptions) (*Alerting, error) {
	p, _, err := LoadRouting(o.Policy, o.Rules)
	if err != nil {
		return nil, err
	}
	all, err := channels.Build(p, channels.Options{Logger: o.Logger, Now: o.Now})
	if err != nil {
		return nil, err
	}
	a := &Alerting{Policy: p, packs: o.Packs, now: o.Now, close: func() error { return nil }}
	var store interface {
		alerts.Board
		alerts.Ledger
		alerts.PackStore
	} = alerts.NewMemory()
	if o.Store != "" {
		file, err := alertstore.Open(ctx, o.Store)
		if err != nil {
			return nil, err
		}
		store, a.close, a.packs = file, file.Close, cmp.Or(a.packs, filepath.Join(filepath.Dir(o.Store), "packs"))
	}
	a.Ledger, a.Register = store, &alerts.Register{Store: store}
	if a.Router, err = alerts.NewRouter(ctx, p, store, o.Now()); err == nil {
		a.Courier, err = alerts.NewCourier(alerts.Options{Policy: p, Ledger: store, Channels: all, Now: o.Now, Seed: uint64(os.Getpid()), Attach: a.attach})
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// Close closes the store.
func (a *Alerting) Close() error { return a.close() }

// Run takes alerts from an outbox, routes and sends them until ctx ends. News, if not nil, says that
// something was put into the outbox; without it the outbox is looked at every second.
func (a *Alerting) Run(ctx context.Context, from alerts.Outbox, news <-chan struct{}) error {
	for ctx.Err() == nil {
		if _, err := a.Router.Drain(ctx, from, a.now()); err != nil && vw.CodeOf(err) != vw.Unavailable {
			return err
		}
		next, err := a.Step(ctx)
		if err != nil && vw.CodeOf(err) != vw.Unavailable {
			return err
		}
		wait := time.Minute
		if news == nil || err != nil {
			wait = time.Second
		}
		if !next.IsZero() {
			wait = min(wait, max(next.Sub(a.now()), 0))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-news:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// Step does what is due now, and says when to come again; zero: not before there is news.
func (a *Alerting) Step(ctx context.Context) (time.Time, error) {
	route, err := a.Router.Tick(ctx, a.now())
	if err != nil {
		return time.Time{}, err
	}
	send, err := a.Courier.Drain(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if route.IsZero() || !send.IsZero() && send.Before(route) {
		return send, nil
	}
	return route, nil
}

// Seal makes the pack of a dossier, writes it where it is never written again, and enters it in the
// register. A dossier without a version gets the next one.
func (a *Alerting) Seal(ctx context.Context, d *evidence.Dossier) (alerts.Pack, error) {
	const op = "app.Seal"
	if a.packs == "" {
		return alerts.Pack{}, &vw.Error{Op: op, Code: vw.Invalid, Hint: "give a directory of packs", Err: errors.New("there is nowhere to keep a pack")}
	}
	if d.Version == 0 {
		var err error
		if d.Version, err = a.Register.Next(ctx, d.Number); err != nil {
			return alerts.Pack{}, err
		}
	}
	data, p, err := evidence.Seal(d)
	if err != nil {
		return p, err
	}
	if err := os.MkdirAll(a.packs, 0o750); err != nil {
		return p, &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
	}
	// A death before the register's entry leaves a file that the same seal writes again, byte for byte.
	path := a.packPath(p.Number, p.Version)
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, data, 0o440); err != nil {
		return p, &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
	}
	defer func() { _ = os.Remove(temporary) }()
	if there, err := os.ReadFile(path); err == nil && string(there) != string(data) {
		known, err := a.Register.Store.Packs(ctx, p.Number)
		if err != nil {
			return p, err
		}
		if len(known) >= p.Version {
			return p, &vw.Error{Op: op, Code: vw.Conflict, Hint: "seal the next version", Err: fmt.Errorf("pack %s version %d is sealed", p.Number, p.Version)}
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		return p, &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
	}
	return p, a.Register.Seal(ctx, p)
}

func (a *Alerting) packPath(number string, version int) string {
	return filepath.Join(a.packs, fmt.Sprintf("%s-v%d.zip", filepath.Base(number), version))
}

// Pack reads the newest version of a pack, and finds out whether it is as it was sealed.
func (a *Alerting) Pack(ctx context.Context, number string) (alerts.Pack, []byte, error) {
	all, err := a.Register.Store.Packs(ctx, number)
	if err != nil {
		return alerts.Pack{}, nil, err
	}
	if len(all) == 0 {
		return alerts.Pack{}, nil, &vw.Error{Op: "app.Pack", Code: vw.NotFound, Err: fmt.Errorf("there is no pack %s", number)}
	}
	p := all[len(all)-1]
	data, err := os.ReadFile(a.packPath(p.Number, p.Version))
	if err != nil {
		return p, nil, &vw.Error{Op: "app.Pack", Code: vw.Unavailable, Hint: "restore the file from a copy", Err: err}
	}
	if sha, sm := evidence.Sums(data); sha != p.SHA256 || sm != p.SM3 {
		return p, nil, &vw.Error{Op: "app.Pack", Code: vw.Internal, Hint: "restore the file from a copy", Err: fmt.Errorf("pack %s version %d is not as it was sealed", p.Number, p.Version)}
	}
	return p, data, nil
}

func (a *Alerting) attach(ctx context.Context, number string) ([]alerts.Attachment, error) {
	p, data, err := a.Pack(ctx, number)
	if err != nil {
		return nil, err
	}
	return []alerts.Attachment{{Name: fmt.Sprintf("%s-v%d.zip", p.Number, p.Version), Data: data}}, nil
}

// WriteDeliveries prints the delivery log, newest first.
func WriteDeliveries(w io.Writer, ds []alerts.Delivery) error {
	for i := range ds {
		d := &ds[i]
		line := fmt.Sprintf("%s  %-7s %-16s %-10s %s", d.Made.Format(time.DateTime), d.State, d.Channel, d.Message.Kind, d.ID)
		if d.Message.Case != "" {
			line += "  " + d.Message.Case
		}
		if d.Into != "" {
			line += "  in " + d.Into
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		for _, a := range d.Attempts {
			if _, err := fmt.Fprintf(w, "    %s  %s\n", a.At.Format(time.DateTime), attemptLine(&a)); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "共 %d 条 (%d deliveries)\n", len(ds), len(ds))
	return err
}

func attemptLine(a *alerts.Attempt) string {
	word := "failed"
	if a.OK {
		word = "ok"
	} else if a.Who != "" {
		return "sent again at the wish of " + a.Who
	}
	s := fmt.Sprintf("%s, code %s, %d ms", word, a.Code, a.LatencyMS)
	if a.Status != 0 {
		s += fmt.Sprintf(", status %d", a.Status)
	}
	if a.Error != "" {
		s += ": " + a.Error
	}
	return s
}

// WriteHealth prints how the channels do, those that were never used included.
func WriteHealth(w io.Writer, p *alerts.Policy, all []alerts.Health, names []string) error {
	known := map[string]alerts.Health{}
	for _, h := range all {
		known[h.Channel] = h
	}
	for _, name := range names {
		h := known[name]
		if _, err := fmt.Fprintf(w, "%-16s %-13s %-9s sent %d, waiting %d, dead %d", name, p.Channels[name].Type, h.Word(), h.Sent, h.Queued, h.Dead); err != nil {
			return err
		}
		if !h.LastSent.IsZero() {
			fmt.Fprintf(w, "; last sent %s", h.LastSent.Format(time.DateTime))
		}
		if h.LastCode != "" {
			fmt.Fprintf(w, "; last code %s, %d ms", h.LastCode, h.LastLatencyMS)
		}
		if !h.LastDrill.IsZero() {
			fmt.Fprintf(w, "; last drill %s", h.LastDrill.Format(time.DateTime))
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}
