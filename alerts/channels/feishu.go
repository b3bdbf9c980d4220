package channels

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"

	"voucherwatch/alerts"

	vw "voucherwatch"
)

// feishu posts a card to a robot of a Feishu group with a signature (签名校验).
//
//	Limit: 100 messages a minute, 5 a second.
//	Ids:   none: after a lost answer a message can come twice.
type feishu struct {
	feishuSettings
	o      *Options
	client *http.Client
}

type feishuSettings struct {
	Hook   Secret `yaml:"hook,required"`   // the last part of the hook's address
	Secret Secret `yaml:"secret,required"` // of the signature
	Base   string `yaml:"base_url"`
	Line   Line   `yaml:"line"`
}

func newFeishu(o *Options, p *alerts.Policy, name string) (alerts.Channel, error) {
	c := &feishu{o: o, feishuSettings: feishuSettings{Base: "https://open.feishu.cn"}}
	var err error
	c.client, err = settings(p, name, &c.feishuSettings, &c.Line)
	return c, err
}

// signFeishu is base64(HMAC-SHA256(key timestamp + "\n" + secret, of nothing)): the key is the text.
func signFeishu(timestamp, secret string) string {
	return base64.StdEncoding.EncodeToString(hmac.New(sha256.New, []byte(timestamp+"\n"+secret)).Sum(nil))
}

var feishuColour = map[vw.Severity]string{"low": "blue", "medium": "yellow", "high": "orange", "critical": "red"}

func (c *feishu) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	const op = "feishu.Send"
	hook, err := c.Hook.read(c.o)
	if err != nil {
		return alerts.Receipt{}, err
	}
	secret, err := c.Secret.read(c.o)
	if err != nil {
		return alerts.Receipt{}, err
	}
	plain := func(s string) map[string]any { return map[string]any{"tag": "plain_text", "content": s} }
	rest := m
	rest.Title, rest.Link = "", ""
	elements := []any{map[string]any{"tag": "div", "text": plain(rest.Plain(15_000)[1:])}}
	if m.Link != "" {
		elements = append(elements, map[string]any{"tag": "action", "actions": []any{map[string]any{"tag": "button", "type": "primary", "text": plain("查看案件"), "url": m.Link}}})
	}
	timestamp := strconv.FormatInt(c.o.Now().Unix(), 10)
	body, err := encode(op, map[string]any{
		"timestamp": timestamp, "sign": signFeishu(timestamp, secret), "msg_type": "interactive",
		"card": map[string]any{"header": map[string]any{"template": feishuColour[m.Severity], "title": plain(m.Title)}, "elements": elements},
	})
	if err != nil {
		return alerts.Receipt{}, err
	}
	r, answer, err := call(ctx, c.client, op, http.MethodPost, c.Base+"/open-apis/bot/v2/hook/"+hook, nil, body)
	var a struct {
		Code *int `json:"code"`
	}
	// Feishu says why with status 400, too.
	if err != nil && (r.Status != http.StatusBadRequest || decode(op, answer, &a) != nil || a.Code == nil) {
		return r, err
	}
	if err := decode(op, answer, &a); err != nil {
		return r, err
	}
	if a.Code == nil {
		return r, temporary(op, "the answer is not Feishu's: it has no code")
	}
	switch r.Code = strconv.Itoa(*a.Code); *a.Code {
	case 0:
		return r, nil
	case 11232, 9499, 99991400: // too many
		r.RetryAfter = max(r.RetryAfter, time.Minute)
		return r, temporary(op, "Feishu says code %d", *a.Code)
	}
	return r, permanent(op, "Feishu says code %d", *a.Code)
}
