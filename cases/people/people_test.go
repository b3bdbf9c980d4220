package people

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	vw "voucherwatch"
	"voucherwatch/cases"
)

var start = time.Date(2022, 9, 26, 10, 0, 0, 0, cases.Zone)

const good = "correct horse battery"

type office struct {
	*Accounts
	store *cases.Memory
	now   time.Time
}

func open(t testing.TB) *office {
	t.Helper()
	o := &office{store: cases.NewMemory(), now: start}
	var err error
	if o.Accounts, err = New(Options{Records: o.store, Audit: o.store, Now: func() time.Time { return o.now }}); err != nil {
		t.Fatal(err)
	}
	return o
}

func admin(id string) cases.Actor {
	return cases.Actor{ID: id, Roles: []cases.Role{cases.Administrator}}
}

func (o *office) add(t testing.TB, by, id string, roles ...cases.Role) string {
	t.Helper()
	uri, err := o.Add(t.Context(), admin(by), id, id, good, roles)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("secret")
}

func (o *office) code(t testing.TB, secret string) string {
	t.Helper()
	c, err := codeAt(secret, o.now.Unix()/step)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wants(t testing.TB, what string, code vw.Code, err error) {
	t.Helper()
	if vw.CodeOf(err) != code {
		t.Errorf("%s: code %q, want %q (%v)", what, vw.CodeOf(err), code, err)
	}
}

// The vectors of RFC 6238, appendix B, for SHA-1, cut to six digits.
func TestCodesAreThoseOfTheRFC(t *testing.T) {
	secret := base32.StdEncoding.EncodeToString([]byte("12345678901234567890"))
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got, err := codeAt(secret, at/step); err != nil || got != want {
			t.Errorf("at %d: %s, want %s (%v)", at, got, want, err)
		}
	}
}

func TestACodeWorksOnceAndOnlyAroundItsTime(t *testing.T) {
	o := open(t)
	secret := o.add(t, "", "root", cases.Administrator)
	code := o.code(t, secret)
	actor, err := o.SignIn(t.Context(), "root", good, code)
	if err != nil || actor.ID != "root" || !slices.Equal(actor.Roles, []cases.Role{cases.Administrator}) {
		t.Fatalf("%+v, %v", actor, err)
	}
	_, err = o.SignIn(t.Context(), "root", good, code)
	wants(t, "the same code again", vw.Forbidden, err)
	o.now = o.now.Add(2 * step * time.Second)
	fresh := o.code(t, secret)
	o.now = o.now.Add(step * time.Second)
	if _, err := o.SignIn(t.Context(), "root", good, fresh); err != nil {
		t.Errorf("a clock half a minute behind: %v", err)
	}
	o.now = o.now.Add(time.Hour)
	old := o.code(t, secret)
	o.now = o.now.Add(2 * step * time.Second)
	_, err = o.SignIn(t.Context(), "root", good, old)
	wants(t, "an old code", vw.Forbidden, err)
}

func TestGuessingShutsTheAccountAndIsEntered(t *testing.T) {
	o := open(t)
	secret := o.add(t, "", "root", cases.Administrator)
	for range mostFailures {
		_, err := o.SignIn(t.Context(), "root", "wrong", o.code(t, secret))
		wants(t, "a wrong password", vw.Forbidden, err)
	}
	_, err := o.SignIn(t.Context(), "root", good, o.code(t, secret))
	wants(t, "the right one while shut", vw.Forbidden, err)
	o.now = o.now.Add(lockedFor)
	if _, err := o.SignIn(t.Context(), "root", good, o.code(t, secret)); err != nil {
		t.Errorf("after the time: %v", err)
	}
	_, err = o.SignIn(t.Context(), "nobody", good, "000000")
	wants(t, "an unknown name", vw.Forbidden, err)
	lines, _ := o.store.Lines(t.Context(), 1, 100)
	text := strings.Join(lines, "\n")
	if n := strings.Count(text, `"refused"`); n != mostFailures+2 {
		t.Errorf("%d refused sign-ins entered", n)
	}
	if strings.Contains(text, "nobody") || strings.Contains(text, "wrong") {
		t.Error("what somebody typed stands in the log") // people type passwords into the wrong field
	}
}

func TestRolesAreGivenByTwoAdministrators(t *testing.T) {
	o := open(t)
	_, err := o.Add(t.Context(), cases.Actor{}, "li", "李", good, []cases.Role{cases.Investigator})
	wants(t, "the first account is no administrator", vw.Invalid, err)
	o.add(t, "", "root", cases.Administrator)
	_, err = o.Add(t.Context(), cases.Actor{ID: "x", Roles: []cases.Role{cases.Supervisor}}, "other", "x", good, nil)
	wants(t, "an account by no administrator", vw.Forbidden, err)
	o.add(t, "root", "root2", cases.Administrator)
	secret := o.add(t, "root", "li", cases.Investigator)
	actor, err := o.SignIn(t.Context(), "li", good, o.code(t, secret))
	if err != nil || len(actor.Roles) != 0 {
		t.Errorf("before the grant: %+v, %v", actor, err)
	}
	for _, by := range []cases.Actor{admin("root"), admin("li"), {ID: "x", Roles: []cases.Role{cases.Supervisor}}, {ID: "root2", Roles: []cases.Role{cases.Administrator}, StandsFor: []string{"root"}}} {
		wants(t, "a grant by "+by.ID, vw.Forbidden, o.Grant(t.Context(), by, "li"))
	}
	if err := o.Grant(t.Context(), admin("root2"), "li"); err != nil {
		t.Fatal(err)
	}
	wants(t, "a second grant", vw.Conflict, o.Grant(t.Context(), admin("root2"), "li"))
	_, err = o.Add(t.Context(), admin("root"), "mix", "x", good, []cases.Role{cases.Administrator, cases.Supervisor})
	wants(t, "powers that must not meet", vw.Invalid, err)
	_, err = o.Add(t.Context(), admin("root"), "root3", "x", good, []cases.Role{cases.Administrator})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Disable(t.Context(), admin("root"), "root2", true); err != nil {
		t.Fatal(err)
	}
	wants(t, "the last administrator", vw.Conflict, o.Disable(t.Context(), admin("root"), "root", true))
	for _, password := range []string{"short", "xxroot9xxxxxx", strings.Repeat("x", 201)} {
		_, err := o.Add(t.Context(), admin("root"), "root9", "x", password, nil)
		wants(t, "password "+password[:5], vw.Invalid, err)
	}
	all, err := o.List(t.Context())
	if err != nil || len(all) != 4 {
		t.Fatal(len(all), err)
	}
	for _, u := range all {
		if u.Password != "" || u.Secret != "" {
			t.Error("a list shows secrets")
		}
	}
}

func TestADeputyIsKnownAsOneWhileTheAbsenceLasts(t *testing.T) {
	o := open(t)
	o.add(t, "", "root", cases.Administrator)
	o.add(t, "root", "root2", cases.Administrator)
	secret := o.add(t, "root", "wang", cases.Supervisor)
	o.add(t, "root", "zhao", cases.Supervisor)
	if err := o.Declare(t.Context(), admin("root"), "zhao", []string{"m7"}, &Deputy{"wang", start.Add(time.Hour).Format(time.RFC3339)}); err != nil {
		t.Fatal(err)
	}
	actor, err := o.SignIn(t.Context(), "wang", good, o.code(t, secret))
	if err != nil || !slices.Equal(actor.StandsFor, []string{"zhao"}) {
		t.Errorf("%+v, %v", actor, err)
	}
	o.now = start.Add(time.Hour)
	if actor, err = o.SignIn(t.Context(), "wang", good, o.code(t, secret)); err != nil || len(actor.StandsFor) != 0 {
		t.Errorf("afterwards: %+v, %v", actor, err)
	}
}

// provider is an identity provider that signs whatever claims it is told to.
func provider(t testing.TB, claims func(issuer string) string) *httptest.Server {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%[1]s/auth","token_endpoint":"%[1]s/token","jwks_uri":"%[1]s/keys","id_token_signing_alg_values_supported":["RS256"]}`, srv.URL)
		case "/keys":
			fmt.Fprintf(w, `{"keys":[{"kty":"RSA","kid":"k","alg":"RS256","use":"sig","n":%q,"e":%q}]}`, b64.EncodeToString(key.N.Bytes()), b64.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
		case "/token":
			signed := b64.EncodeToString([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + b64.EncodeToString([]byte(claims(srv.URL)))
			sum := sha256.Sum256([]byte(signed))
			sig, _ := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
			fmt.Fprintf(w, `{"access_token":"a","token_type":"Bearer","id_token":%q}`, signed+"."+b64.EncodeToString(sig))
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestAProviderSaysWhoAndTheAccountSaysWhat(t *testing.T) {
	o := open(t)
	o.add(t, "", "root", cases.Administrator)
	nonce, audience, subject, expires := "", "vw", "s1", start.Add(time.Minute).Unix()
	srv := provider(t, func(issuer string) string {
		return fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":%q,"exp":%d,"nonce":%q,"roles":["supervisor"]}`, issuer, audience, subject, expires, nonce)
	})
	p, err := NewProvider(context.Background(), ProviderOptions{Issuer: srv.URL, ClientID: "vw", RedirectURL: "https://vw.example/back", Accounts: o.Accounts})
	if err != nil {
		t.Fatal(err)
	}
	try := func(change func(b *Begun)) (cases.Actor, error) {
		b := p.Begin()
		nonce = b.Nonce
		state := b.State
		change(&b)
		return p.Finish(t.Context(), b, state, "code")
	}
	same := func(*Begun) {}
	_, err = try(same)
	wants(t, "nobody is bound", vw.Forbidden, err)
	if err := o.Bind(t.Context(), admin("root"), "root", srv.URL, "s1"); err != nil {
		t.Fatal(err)
	}
	actor, err := try(same)
	if err != nil || actor.ID != "root" || !slices.Equal(actor.Roles, []cases.Role{cases.Administrator}) {
		t.Errorf("%+v, %v", actor, err)
	}
	_, err = try(func(b *Begun) { b.State = "other" })
	wants(t, "another state", vw.Forbidden, err)
	_, err = try(func(b *Begun) { b.Nonce = "other" })
	wants(t, "another nonce", vw.Forbidden, err)
	audience = "another"
	_, err = try(same)
	wants(t, "a token for somebody else", vw.Forbidden, err)
	audience, expires = "vw", start.Add(-time.Hour).Unix()
	_, err = try(same)
	wants(t, "an old token", vw.Forbidden, err)
}
