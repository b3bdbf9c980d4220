// Package channels reaches people: Slack, WeCom robot and app, DingTalk, Feishu, mail, a signed
// webhook, Alertmanager and the log. Each is one file that gives alerts.Message the vendor's form and
// reads the vendor's answer, in which HTTP status 200 means nothing: only the vendor's own code does.
//
// In: alerts.Message. Out: alerts.Receipt, or an error that says whether a retry can help. Secrets come
// from the environment or from files, are read anew for every message (so that a rotated one is used at
// once) and never stand in an error: hook addresses are secrets, too.
package channels

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"voucherwatch/alerts"

	vw "voucherwatch"
)

// Options are what all channels share.
type Options struct {
	Logger *slog.Logger     // of the log channel; required
	Now    func() time.Time // for signatures; required
	// Env reads the environment; nil: os.LookupEnv.
	Env func(name string) (string, bool)
}

// maker builds a channel of one type from its settings in the policy. Settings are decoded strictly.
type maker func(o *Options, p *alerts.Policy, name string) (alerts.Channel, error)

var makers = map[string]maker{
	"slack": newSlack, "wecom-robot": newWeComRobot, "wecom-app": newWeComApp, "dingtalk": newDingTalk, "feishu": newFeishu,
	"mail": newMail, "webhook": newWebhook, "alertmanager": newAlertmanager, "log": newLog,
}

// Types are the names that a policy may give as the type of a channel.
func Types() []string { return slices.Sorted(maps.Keys(makers)) }

// Build makes every channel of a policy. Nothing is connected to and no secret is read yet; every fault
// of the settings is told at once, vw.Invalid.
func Build(p *alerts.Policy, o Options) (map[string]alerts.Channel, error) {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	all, errs := map[string]alerts.Channel{}, []error(nil)
	for _, name := range slices.Sorted(maps.Keys(p.Channels)) {
		kind := p.Channels[name].Type
		build, ok := makers[kind]
		if !ok {
			errs = append(errs, fmt.Errorf("channels.%s.type: is %q: use %s", name, kind, strings.Join(Types(), ", ")))
			continue
		}
		c, err := build(&o, p, name)
		if err != nil {
			var e *vw.Error
			if errors.As(err, &e) {
				err = e.Err
			}
			errs = append(errs, err)
			continue
		}
		all[name] = c
	}
	if len(errs) > 0 {
		return nil, &vw.Error{Op: "channels.Build", Code: vw.Invalid, Err: errors.Join(errs...)}
	}
	return all, nil
}

// Secret says where a secret is: env:NAME or file:/path.
type Secret string

// UnmarshalText reads "env:NAME" or "file:/path". What it is given is not repeated in the error: it may be
// the secret itself.
func (s *Secret) UnmarshalText(text []byte) error {
	kind, where, _ := strings.Cut(string(text), ":")
	if kind != "env" && kind != "file" || where == "" {
		return errors.New("is not a place: a secret never stands in the file; write env:NAME or file:/path")
	}
	*s = Secret(text)
	return nil
}

// read fetches the secret, without the line end of a file.
func (s Secret) read(o *Options) (string, error) {
	kind, where, _ := strings.Cut(string(s), ":")
	var value string
	if kind == "env" {
		value, _ = o.Env(where)
	} else {
		b, err := os.ReadFile(where)
		if err != nil {
			return "", &vw.Error{Op: "channels.secret", Code: vw.Unavailable, Hint: "put the secret there", Err: fmt.Errorf("read the secret from %s: %w", s, errors.Unwrap(err))}
		}
		value = strings.TrimRight(string(b), "\r\n")
	}
	if value == "" {
		return "", &vw.Error{Op: "channels.secret", Code: vw.Unavailable, Hint: "put the secret there", Err: fmt.Errorf("there is no secret in %s", s)}
	}
	return value, nil
}

// Line is how a channel gets to the vendor; part of the settings of every HTTP channel.
type Line struct {
	Proxy   string `yaml:"proxy"`   // http://host:port
	CAFile  string `yaml:"ca_file"` // further certificates to trust, PEM
	private bool   // whether addresses of private networks may be reached
	guarded bool   // whether that is looked at
}

// client makes an HTTP client that follows no redirect: a hook that moved is looked at by a person.
func (l *Line) client() (*http.Client, error) {
	t := &http.Transport{
		TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	d := &net.Dialer{Timeout: 10 * time.Second}
	if l.guarded && !l.private {
		d.Control = publicOnly
	}
	t.DialContext = d.DialContext
	if l.Proxy != "" {
		u, err := url.Parse(l.Proxy)
		if err != nil || u.Host == "" {
			return nil, errors.New("proxy: want an address such as http://proxy:3128")
		}
		t.Proxy = http.ProxyURL(u)
	}
	if l.CAFile != "" {
		pem, err := os.ReadFile(l.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no certificate", l.CAFile)
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// settings decodes a channel's settings, and makes its client.
func settings(p *alerts.Policy, name string, into any, line *Line) (*http.Client, error) {
	if err := p.Settings(name, into, nil); err != nil {
		return nil, err
	}
	c, err := line.client()
	if err != nil {
		return nil, fmt.Errorf("channels.%s.settings.%w", name, err)
	}
	return c, nil
}
