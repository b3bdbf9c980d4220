package channels

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"voucherwatch/alerts"
)

// webhook posts the message as JSON, signed.
//
//	Voucherwatch-Signature: t=<Unix seconds>,v1=<hex>[,v1=<hex>]   HMAC-SHA256(secret, t + "." + body)
//	Idempotency-Key:        the same for every attempt
//
// While a secret is changed, both the new and the old one sign. The receiver uses Verify. Private
// networks are refused unless allowed: a hook is an address that somebody typed in.
type webhook struct {
	webhookSettings
	o      *Options
	client *http.Client
}

type webhookSettings struct {
	URL          Secret `yaml:"url,required"`
	Secret       Secret `yaml:"secret,required"`
	Old          Secret `yaml:"old_secret"` // while it is changed
	AllowPrivate bool   `yaml:"allow_private"`
	Line         Line   `yaml:"line"`
}

// SignatureHeader carries the signature of a webhook.
const SignatureHeader = "Voucherwatch-Signature"

func newWebhook(o *Options, p *alerts.Policy, name string) (alerts.Channel, error) {
	c := &webhook{o: o}
	if err := p.Settings(name, &c.webhookSettings, nil); err != nil {
		return nil, err
	}
	c.Line.guarded, c.Line.private = true, c.AllowPrivate
	var err error
	c.client, err = settings(p, name, &c.webhookSettings, &c.Line)
	return c, err
}

func signWebhook(timestamp string, body []byte, secret string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

func (c *webhook) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	const op = "webhook.Send"
	address, err := c.URL.read(c.o)
	if err != nil {
		return alerts.Receipt{}, err
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && c.AllowPrivate) {
		return alerts.Receipt{}, permanent(op, "url: want an https address (http only with allow_private)")
	}
	body, err := encode(op, m)
	if err != nil {
		return alerts.Receipt{}, err
	}
	timestamp := strconv.FormatInt(c.o.Now().Unix(), 10)
	signature := "t=" + timestamp
	for _, s := range []Secret{c.Secret, c.Old} {
		if s == "" {
			continue
		}
		secret, err := s.read(c.o)
		if err != nil {
			return alerts.Receipt{}, err
		}
		signature += ",v1=" + signWebhook(timestamp, body, secret)
	}
	r, answer, err := call(ctx, c.client, op, http.MethodPost, address, http.Header{SignatureHeader: {signature}, "Idempotency-Key": {m.Key}}, body)
	if err != nil {
		return r, err
	}
	// An answer need not have a body; one that says that it failed is believed.
	var a struct {
		OK      *bool `json:"ok"`
		Code    *int  `json:"code"`
		ErrCode *int  `json:"errcode"`
	}
	if json.Unmarshal(answer, &a) == nil {
		for _, code := range []*int{a.Code, a.ErrCode} {
			if code != nil && *code != 0 && *code != http.StatusOK {
				r.Code = strconv.Itoa(*code)
				return r, temporary(op, "the receiver says code %d", *code)
			}
		}
		if a.OK != nil && !*a.OK {
			r.Code = "not ok"
			return r, temporary(op, "the receiver says that it is not ok")
		}
	}
	return r, nil
}

// Verify is what a receiver does with a webhook: the signature is by one of the secrets and not older or
// newer than window. A receiver also remembers the idempotency keys of that window, at least.
func Verify(header string, body []byte, now time.Time, window time.Duration, secrets ...string) error {
	timestamp, rest, _ := strings.Cut(header, ",")
	timestamp, ok := strings.CutPrefix(timestamp, "t=")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if !ok || err != nil {
		return errors.New("the signature has no time")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > window || age < -window {
		return fmt.Errorf("the signature is %s old: older or newer than %s", age, window)
	}
	for _, part := range strings.Split(rest, ",") {
		given, ok := strings.CutPrefix(part, "v1=")
		if !ok {
			continue
		}
		for _, secret := range secrets {
			if secret != "" && hmac.Equal([]byte(given), []byte(signWebhook(timestamp, body, secret))) {
				return nil
			}
		}
	}
	return errors.New("no signature is by a secret that is known here")
}
