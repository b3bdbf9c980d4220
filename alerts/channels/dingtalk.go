package channels

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"voucherwatch/alerts"
)

// dingTalk posts to a robot of a DingTalk group with a signature (加签).
//
//	Limit: 20 messages a minute, then ten minutes of nothing: set per_minute to 18.
//	Ids:   none: after a lost answer a message can come twice.
type dingTalk struct {
	dingTalkSettings
	o      *Options
	client *http.Client
}

type dingTalkSettings struct {
	Token  Secret `yaml:"token,required"`  // access_token of the hook's address
	Secret Secret `yaml:"secret,required"` // SEC…, of the signature
	Base   string `yaml:"base_url"`
	Line   Line   `yaml:"line"`
}

func newDingTalk(o *Options, p *alerts.Policy, name string) (alerts.Channel, error) {
	c := &dingTalk{o: o, dingTalkSettings: dingTalkSettings{Base: "https://oapi.dingtalk.com"}}
	var err error
	c.client, err = settings(p, name, &c.dingTalkSettings, &c.Line)
	return c, err
}

// signDingTalk is base64(HMAC-SHA256(secret, timestamp + "\n" + secret)).
func signDingTalk(timestamp, secret string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(timestamp + "\n" + secret))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (c *dingTalk) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	const op = "dingtalk.Send"
	token, err := c.Token.read(c.o)
	if err != nil {
		return alerts.Receipt{}, err
	}
	secret, err := c.Secret.read(c.o)
	if err != nil {
		return alerts.Receipt{}, err
	}
	body, err := encode(op, map[string]any{"msgtype": "text", "text": map[string]any{"content": m.Plain(18_000)}})
	if err != nil {
		return alerts.Receipt{}, err
	}
	timestamp := strconv.FormatInt(c.o.Now().UnixMilli(), 10)
	query := url.Values{"access_token": {token}, "timestamp": {timestamp}, "sign": {signDingTalk(timestamp, secret)}}
	r, answer, err := call(ctx, c.client, op, http.MethodPost, c.Base+"/robot/send?"+query.Encode(), nil, body)
	if err != nil {
		return r, err
	}
	return errcode(op, "DingTalk", r, answer, map[int]time.Duration{
		-1: 0, 130101: 10 * time.Minute, 660026: 10 * time.Minute, 410100: time.Minute,
	})
}

// errcode reads the answer of WeCom and DingTalk: errcode 0 is success; the codes of retry can pass with
// time, after the time given.
func errcode(op, vendor string, r alerts.Receipt, answer []byte, retry map[int]time.Duration) (alerts.Receipt, error) {
	var a struct {
		Code  *int   `json:"errcode"`
		MsgID string `json:"msgid"`
	}
	if err := decode(op, answer, &a); err != nil {
		return r, err
	}
	if a.Code == nil {
		return r, temporary(op, "the answer is not %s's: it has no errcode", vendor)
	}
	r.ID, r.Code = a.MsgID, strconv.Itoa(*a.Code)
	if *a.Code == 0 {
		return r, nil
	}
	// The vendor's errmsg is left out: it repeats parts of the request.
	if wait, ok := retry[*a.Code]; ok {
		r.RetryAfter = wait
		return r, temporary(op, "%s says errcode %d", vendor, *a.Code)
	}
	return r, permanent(op, "%s says errcode %d", vendor, *a.Code)
}
