package people

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// ProviderOptions are an identity provider. The secret comes from the environment or a file.
type ProviderOptions struct {
	Issuer, ClientID, ClientSecret, RedirectURL string
	Accounts                                    *Accounts
}

// Provider signs people in by OpenID Connect: code flow with PKCE. It says who somebody is; roles are those of the account
// bound to them.
type Provider struct {
	ProviderOptions
	verifier *oidc.IDTokenVerifier
	config   oauth2.Config
}

// NewProvider asks the issuer for its keys and addresses; ctx may carry a client (oidc.ClientContext).
func NewProvider(ctx context.Context, o ProviderOptions) (*Provider, error) {
	const op = "people.NewProvider"
	if o.Issuer == "" || o.ClientID == "" || o.RedirectURL == "" || o.Accounts == nil {
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Err: errors.New("issuer, client id, redirect url and accounts are required")}
	}
	p, err := oidc.NewProvider(ctx, o.Issuer)
	if err != nil {
		return nil, &vw.Error{Op: op, Code: vw.Unavailable, Hint: "check the issuer's address", Err: err}
	}
	return &Provider{o, p.Verifier(&oidc.Config{ClientID: o.ClientID, Now: o.Accounts.Now}),
		oauth2.Config{ClientID: o.ClientID, ClientSecret: o.ClientSecret, RedirectURL: o.RedirectURL, Endpoint: p.Endpoint(), Scopes: []string{oidc.ScopeOpenID}}}, nil
}

// Begun is a sign-in under way: it lives in the person's session until they come back.
type Begun struct{ URL, State, Nonce, Verifier string }

// Begin is where to send the person.
func (p *Provider) Begin() Begun {
	b := Begun{State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier()}
	b.URL = p.config.AuthCodeURL(b.State, oidc.Nonce(b.Nonce), oauth2.S256ChallengeOption(b.Verifier))
	return b
}

// Finish is who came back with a code and a state. What is wrong with them, and a person without an account, is vw.Forbidden.
func (p *Provider) Finish(ctx context.Context, b Begun, state, code string) (cases.Actor, error) {
	if b.State == "" || subtle.ConstantTimeCompare([]byte(b.State), []byte(state)) != 1 {
		return cases.Actor{}, fail(vw.Forbidden, "the sign-in was begun elsewhere")
	}
	token, err := p.config.Exchange(ctx, code, oauth2.VerifierOption(b.Verifier))
	if err != nil {
		return cases.Actor{}, fail(vw.Forbidden, "the identity provider did not take the code")
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return cases.Actor{}, fail(vw.Forbidden, "the identity provider's token is not valid")
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(b.Nonce)) != 1 {
		return cases.Actor{}, fail(vw.Forbidden, "the token is of another sign-in")
	}
	actor, err := p.Accounts.bySubject(ctx, id.Issuer, id.Subject)
	if err != nil {
		return actor, err
	}
	return actor, p.Accounts.enter(ctx, actor.ID, "user.login", "", "")
}
