package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"voucherwatch/credit"
	"voucherwatch/credit/feed"
	"voucherwatch/credit/push"
	creditstore "voucherwatch/credit/sqlite"
	"voucherwatch/internal/yamlfile"

	vw "voucherwatch"
)

// partners is the file of those who pull the lists and of the platforms that they are pushed to.
type partners struct {
	Clients   []partnerClient   `yaml:"clients"`
	Platforms []partnerPlatform `yaml:"platforms"`
}

type partnerClient struct {
	Name      string   `yaml:"name,required"`
	Token     secret   `yaml:"token"`
	Subject   string   `yaml:"subject"` // common name of a certificate
	Tiers     []string `yaml:"tiers,required"`
	PerMinute int      `yaml:"per_minute"`
}

type partnerPlatform struct {
	Name     string `yaml:"name,required"`
	Base     string `yaml:"base,required"`
	Token    secret `yaml:"token,required"`
	Resource string `yaml:"resource,required"`
	KeyID    string `yaml:"key_id,required"`
	Ed25519  secret `yaml:"ed25519,required"` // private keys, PKCS #8 in PEM
	SM2      secret `yaml:"sm2,required"`
	CAFile   string `yaml:"ca_file"`
}

// secret is where a secret is: env:NAME or file:/path.
type secret string

// UnmarshalText reads "env:NAME" or "file:/path", and repeats nothing else.
func (s *secret) UnmarshalText(text []byte) error {
	kind, where, _ := strings.Cut(string(text), ":")
	if kind != "env" && kind != "file" || where == "" {
		return errors.New("is not a place: a secret never stands in the file; write env:NAME or file:/path")
	}
	*s = secret(text)
	return nil
}

func (s secret) read() (string, error) {
	kind, where, _ := strings.Cut(string(s), ":")
	value := os.Getenv(where)
	if kind == "file" {
		b, err := os.ReadFile(where)
		if err != nil {
			return "", &vw.Error{Op: "app.secret", Code: vw.Unavailable, Hint: "put the secret there", Err: err}
		}
		value = strings.TrimSpace(string(b))
	}
	if value == "" {
		return "", &vw.Error{Op: "app.secret", Code: vw.Unavailable, Hint: "put the secret there", Err: fmt.Errorf("there is no secret in %s", s)}
	}
	return value, nil
}

func loadPartners(path string) (*partners, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &vw.Error{Op: "app.loadPartners", Code: vw.NotFound, Hint: "give the file of clients and platforms", Err: err}
	}
	_, c := yamlfile.Parse(path, data)
	p := &partners{}
	c.Decode("", p)
	if err := c.Err(); err != nil {
		return nil, &vw.Error{Op: "app.loadPartners", Code: vw.Invalid, Err: err}
	}
	return p, nil
}

// NewFeed makes the pull feed of the clients in a file; mount it at GET /v1/blacklist. Receipts of pulls are kept in the
// store.
func NewFeed(path string, store *creditstore.Store, now func() time.Time) (*feed.Handler, error) {
	p, err := loadPartners(path)
	if err != nil {
		return nil, err
	}
	o := feed.Options{Store: store, Now: now, Pulled: store.Pulled}
	for _, c := range p.Clients {
		client := feed.Client{Name: c.Name, Subject: c.Subject, PerMinute: c.PerMinute}
		if c.Token != "" {
			if client.Token, err = c.Token.read(); err != nil {
				return nil, err
			}
		}
		for _, t := range c.Tiers {
			client.Tiers = append(client.Tiers, credit.Tier(t))
		}
		o.Clients = append(o.Clients, client)
	}
	return feed.New(o)
}

// NewPusher makes the pusher of a platform in a file.
func NewPusher(path, platform string, store credit.Store, outbox credit.Outbox, now func() time.Time) (*push.Pusher, error) {
	all, err := loadPartners(path)
	if err != nil {
		return nil, err
	}
	for _, p := range all.Platforms {
		if p.Name != platform {
			continue
		}
		var values [3]string
		for i, s := range []secret{p.Token, p.Ed25519, p.SM2} {
			if values[i], err = s.read(); err != nil {
				return nil, err
			}
		}
		signer, err := credit.NewSigner(p.KeyID, []byte(values[1]), []byte(values[2]))
		if err != nil {
			return nil, err
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if p.CAFile != "" {
			pem, err := os.ReadFile(p.CAFile)
			if err != nil {
				return nil, &vw.Error{Op: "app.NewPusher", Code: vw.NotFound, Hint: "correct ca_file", Err: err}
			}
			transport.TLSClientConfig.RootCAs = x509.NewCertPool()
			transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
		}
		client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		return push.New(push.Options{Platform: p.Name, Base: p.Base, Token: values[0], Resource: p.Resource, Client: client, Signer: signer, Store: store, Outbox: outbox, Now: now})
	}
	return nil, &vw.Error{Op: "app.NewPusher", Code: vw.NotFound, Hint: "name one of the file", Err: fmt.Errorf("there is no platform %q in %s", platform, path)}
}

// WithPusher opens a store of entries and lends its pusher of a platform to do.
func WithPusher(ctx context.Context, store, partnersFile, platform string, now func() time.Time, do func(*push.Pusher) error) error {
	if err := MustExist(store); err != nil {
		return err
	}
	s, err := creditstore.Open(ctx, store)
	if err != nil {
		return err
	}
	p, err := NewPusher(partnersFile, platform, s, s, now)
	if err == nil {
		err = do(p)
	}
	return errors.Join(err, s.Close())
}
