// Package people keeps the accounts of those who work on cases: who they are, what roles they have, whom they stand in for, and whether
// they are who they say. In: names, passwords, codes, tokens of an identity provider. Out: a cases.Actor.
//
// Roles are given by two administrators and never by an identity provider. Passwords are kept as argon2id; every
// sign-in needs a second factor (RFC 6238), or comes from a provider by OpenID Connect. It knows nothing of cases.
package people

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// User is an account.
type User struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Roles     []cases.Role `json:"roles,omitempty"`
	Interests []string     `json:"interests,omitempty"` // merchants the person owns, works for or is related to
	Deputy    *Deputy      `json:"deputy,omitempty"`    // who stands in for the person
	Disabled  bool         `json:"disabled,omitempty"`
	Grant     *Grant       `json:"grant,omitempty"`   // roles that wait for a second administrator
	Subject   string       `json:"subject,omitempty"` // "issuer subject" of the identity provider

	Password string `json:"password,omitempty"`
	Secret   string `json:"secret,omitempty"`
	Used     int64  `json:"used,omitempty"` // last step of the second factor
	Failures int    `json:"failures,omitempty"`
	Locked   string `json:"locked,omitempty"` // until

	revision int
}

// Deputy is an absence.
type Deputy struct {
	ID    string `json:"id"`
	Until string `json:"until"` // RFC 3339
}

// Grant is a change of roles that one administrator asks for.
type Grant struct {
	Roles []cases.Role `json:"roles"`
	By    string       `json:"by"`
	At    string       `json:"at"`
}

// Options are what accounts live in.
type Options struct {
	Records cases.Records
	Audit   cases.AuditLog
	Now     func() time.Time
}

// Accounts are all of them. Safe for concurrent use.
type Accounts struct{ Options }

// New checks the options.
func New(o Options) (*Accounts, error) {
	if o.Records == nil || o.Audit == nil || o.Now == nil {
		return nil, &vw.Error{Op: "people.New", Code: vw.Invalid, Err: errors.New("records, audit and now are required")}
	}
	return &Accounts{o}, nil
}

const kind = "user"

func fail(code vw.Code, format string, args ...any) error {
	return &vw.Error{Op: "people", Code: code, Err: fmt.Errorf(format, args...)}
}

// errWho is all that a failed sign-in is told.
var errWho = errors.New("name, password or code is wrong, or the account is locked")

func (a *Accounts) read(ctx context.Context, id string) (*User, error) {
	r, err := a.Records.Record(ctx, kind, id)
	if err != nil {
		return nil, err
	}
	u := &User{revision: r.Revision}
	if err := json.Unmarshal(r.Body, u); err != nil {
		return nil, fail(vw.Internal, "read account: %w", err)
	}
	return u, nil
}

func (a *Accounts) write(ctx context.Context, u *User) error {
	b, err := json.Marshal(u)
	if err != nil {
		return fail(vw.Internal, "write account: %w", err)
	}
	return a.Records.PutRecord(ctx, cases.Record{Kind: kind, ID: u.ID, Revision: u.revision + 1, Body: b})
}

// change reads, changes and writes an account until nobody was in between, and enters it into the audit log.
func (a *Accounts) change(ctx context.Context, by, id, action string, do func(*User) error) error {
	for range 100 {
		u, err := a.read(ctx, id)
		if err != nil {
			return err
		}
		if err := do(u); err != nil {
			return err
		}
		switch err := a.write(ctx, u); {
		case vw.CodeOf(err) == vw.Conflict:
		case err != nil:
			return err
		default:
			return a.enter(ctx, by, action, id, "")
		}
	}
	return fail(vw.Unavailable, "the account kept changing")
}

func (a *Accounts) enter(ctx context.Context, by, action, id, result string) error {
	_, err := a.Audit.Append(ctx, cases.Entered{At: a.Now().In(cases.Zone).Format(time.RFC3339Nano), Actor: by, Action: action, Ref: id, Result: result})
	return err
}

// List are all accounts by id, without what is secret in them.
func (a *Accounts) List(ctx context.Context) ([]User, error) {
	rs, err := a.Records.Records(ctx, kind)
	if err != nil {
		return nil, err
	}
	out := make([]User, len(rs))
	for i, r := range rs {
		if err := json.Unmarshal(r.Body, &out[i]); err != nil {
			return nil, fail(vw.Internal, "read account: %w", err)
		}
		out[i].Password, out[i].Secret, out[i].Used = "", "", 0
	}
	return out, nil
}

var idForm = regexp.MustCompile(`^[a-z][a-z0-9._-]{1,30}$`)

// Add makes an account with a password and a second factor, and returns what the authenticator app reads. Its roles
// wait for another administrator, but for the first two administrators, who begin. By is an administrator; for the very first
// account it is nobody.
func (a *Accounts) Add(ctx context.Context, by cases.Actor, id, name, password string, roles []cases.Role) (uri string, err error) {
	if !idForm.MatchString(id) || id == cases.TheSystem.ID {
		return "", fail(vw.Invalid, "the name of an account is 2 to 31 lower-case letters, digits, dots, hyphens")
	}
	if err := weak(id, password); err != nil {
		return "", fail(vw.Invalid, "%w", err)
	}
	if err := a.known(roles); err != nil {
		return "", err
	}
	all, err := a.List(ctx)
	if err != nil {
		return "", err
	}
	first := len(all) == 0
	if !first && !cases.Allowed(by, cases.ManageUsers, "") {
		return "", fail(vw.Forbidden, "only an administrator makes accounts")
	}
	u := &User{ID: id, Name: name, Password: hashPassword(password), Secret: newSecret()}
	if administrators(all) < 2 && slices.Equal(roles, []cases.Role{cases.Administrator}) {
		u.Roles = roles
	} else if first {
		return "", fail(vw.Invalid, "the first two accounts are administrators, and nothing else: they give the others their roles")
	} else {
		u.Grant = &Grant{roles, by.ID, a.stamp()}
	}
	if err := a.write(ctx, u); err != nil {
		return "", err
	}
	who := by.ID
	if first {
		who = cases.TheSystem.ID
	}
	return keyURI(id, u.Secret), a.enter(ctx, who, "user.add", id, "")
}

func (a *Accounts) stamp() string { return a.Now().In(cases.Zone).Format(time.RFC3339) }

func administrators(all []User) (n int) {
	for _, u := range all {
		if !u.Disabled && slices.Contains(u.Roles, cases.Administrator) {
			n++
		}
	}
	return n
}

// known refuses roles that do not exist, and those that must not meet in one person: who runs the system decides no
// case, and who audits does neither (三权分立).
func (a *Accounts) known(roles []cases.Role) error {
	for _, r := range roles {
		if !slices.Contains(cases.Roles, r) {
			return fail(vw.Invalid, "there is no role %q", r)
		}
	}
	for _, alone := range []cases.Role{cases.Administrator, cases.Auditor, cases.Regulator} {
		if len(roles) > 1 && slices.Contains(roles, alone) {
			return fail(vw.Invalid, "%s goes with no other role", alone)
		}
	}
	return nil
}

// Ask proposes another set of roles for a person.
func (a *Accounts) Ask(ctx context.Context, by cases.Actor, id string, roles []cases.Role) error {
	if !cases.Allowed(by, cases.ManageUsers, "") {
		return fail(vw.Forbidden, "only an administrator gives roles")
	}
	if err := a.known(roles); err != nil {
		return err
	}
	return a.change(ctx, by.ID, id, "user.ask_roles", func(u *User) error {
		u.Grant = &Grant{roles, by.ID, a.stamp()}
		return nil
	})
}

// Grant gives the roles that wait: by an administrator who neither asked for them nor gets them.
func (a *Accounts) Grant(ctx context.Context, by cases.Actor, id string) error {
	return a.change(ctx, by.ID, id, "user.grant_roles", func(u *User) error {
		switch {
		case !cases.Allowed(by, cases.ManageUsers, ""):
			return fail(vw.Forbidden, "only an administrator gives roles")
		case u.Grant == nil:
			return fail(vw.Conflict, "no roles wait for this person")
		case u.Grant.By == by.ID || id == by.ID || slices.Contains(by.StandsFor, u.Grant.By):
			return fail(vw.Forbidden, "another administrator must agree: self_approval")
		}
		u.Roles, u.Grant = u.Grant.Roles, nil
		return nil
	})
}

// Disable shuts an account, or opens it again. One person may do it: it only takes away.
func (a *Accounts) Disable(ctx context.Context, by cases.Actor, id string, off bool) error {
	if !cases.Allowed(by, cases.ManageUsers, "") {
		return fail(vw.Forbidden, "only an administrator shuts accounts")
	}
	all, err := a.List(ctx)
	if err != nil {
		return err
	}
	return a.change(ctx, by.ID, id, map[bool]string{true: "user.disable", false: "user.enable"}[off], func(u *User) error {
		if off && administrators(all) == 1 && slices.Contains(u.Roles, cases.Administrator) && !u.Disabled {
			return fail(vw.Conflict, "this is the last administrator")
		}
		u.Disabled, u.Failures, u.Locked = off, 0, ""
		return nil
	})
}

// Declare sets what a person has an interest in and who stands in for them.
func (a *Accounts) Declare(ctx context.Context, by cases.Actor, id string, interests []string, deputy *Deputy) error {
	if by.ID != id && !cases.Allowed(by, cases.ManageUsers, "") {
		return fail(vw.Forbidden, "only the person or an administrator")
	}
	return a.change(ctx, by.ID, id, "user.declare", func(u *User) error {
		u.Interests, u.Deputy = interests, deputy
		return nil
	})
}

// Bind ties an account to a person of an identity provider.
func (a *Accounts) Bind(ctx context.Context, by cases.Actor, id, issuer, subject string) error {
	if !cases.Allowed(by, cases.ManageUsers, "") {
		return fail(vw.Forbidden, "only an administrator binds accounts")
	}
	return a.change(ctx, by.ID, id, "user.bind", func(u *User) error {
		u.Subject = issuer + " " + subject
		return nil
	})
}

// The limits of guessing: after so many failures an account is shut for a time.
const (
	mostFailures = 5
	lockedFor    = 15 * time.Minute
)

// SignIn is who has a name, a password and a code of the second factor. Every failure is the same vw.Forbidden, takes the
// same time, and is entered; a code works once.
func (a *Accounts) SignIn(ctx context.Context, id, password, code string) (cases.Actor, error) {
	now := a.Now()
	for range 100 {
		u, err := a.read(ctx, id)
		if vw.CodeOf(err) == vw.NotFound || vw.CodeOf(err) == vw.Invalid {
			checkPassword("", password)
			return cases.Actor{}, errors.Join(fail(vw.Forbidden, "%w", errWho), a.enter(ctx, "unknown", "user.login", "", "refused"))
		}
		if err != nil {
			return cases.Actor{}, err
		}
		until, _ := time.Parse(time.RFC3339, u.Locked)
		locked := u.Disabled || now.Before(until)
		right := checkPassword(u.Password, password)
		used, fits := checkCode(u.Secret, code, now, u.Used)
		ok := right && fits && !locked
		if ok {
			u.Used, u.Failures, u.Locked = used, 0, ""
		} else if !locked {
			if u.Failures++; u.Failures >= mostFailures {
				u.Failures, u.Locked = 0, now.Add(lockedFor).Format(time.RFC3339)
			}
		}
		switch err := a.write(ctx, u); {
		case vw.CodeOf(err) == vw.Conflict: // the same code at the same time: one of them
			continue
		case err != nil:
			return cases.Actor{}, err
		case !ok:
			return cases.Actor{}, errors.Join(fail(vw.Forbidden, "%w", errWho), a.enter(ctx, u.ID, "user.login", "", "refused"))
		}
		if err := a.enter(ctx, u.ID, "user.login", "", ""); err != nil {
			return cases.Actor{}, err
		}
		return a.actor(ctx, u)
	}
	return cases.Actor{}, fail(vw.Unavailable, "the account kept changing")
}

// actor is a person with whom they stand in for.
func (a *Accounts) actor(ctx context.Context, u *User) (cases.Actor, error) {
	all, err := a.List(ctx)
	if err != nil {
		return cases.Actor{}, err
	}
	out := cases.Actor{ID: u.ID, Roles: u.Roles, Interests: u.Interests}
	for _, x := range all {
		if x.Deputy == nil || x.Deputy.ID != u.ID {
			continue
		}
		if until, err := time.Parse(time.RFC3339, x.Deputy.Until); err == nil && a.Now().Before(until) {
			out.StandsFor = append(out.StandsFor, x.ID)
		}
	}
	return out, nil
}

// bySubject is the account that is bound to a person of an identity provider.
func (a *Accounts) bySubject(ctx context.Context, issuer, subject string) (cases.Actor, error) {
	all, err := a.List(ctx)
	if err != nil {
		return cases.Actor{}, err
	}
	for i := range all {
		if u := &all[i]; u.Subject == issuer+" "+subject && strings.TrimSpace(subject) != "" && !u.Disabled {
			return a.actor(ctx, u)
		}
	}
	return cases.Actor{}, errors.Join(fail(vw.Forbidden, "%w", errWho), a.enter(ctx, "unknown", "user.login", "", "refused"))
}
