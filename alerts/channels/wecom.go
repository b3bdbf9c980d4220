package channels

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"voucherwatch/alerts"
)

// weComRobot posts to a robot of a WeCom (企业微信, 政务微信) group.
//
//	Limit: 20 messages a minute: set per_minute to 18. Text of at most 2048 bytes.
//	Ids:   none: after a lost answer a message can come twice.
type weComRobot struct {
	weComRobotSettings
	o      *Options
	client *http.Client
}

type weComRobotSettings struct {
	Key  Secret `yaml:"key,required"` // of the hook's address
	Base string `yaml:"base_url"`     // of a 政务微信 of one's own
	Line Line   `yaml:"line"`
}

const weComBase = "https://qyapi.weixin.qq.com"

// weComBusy are the codes that pass with time.
var weComBusy = map[int]time.Duration{-1: 0, 45009: time.Minute, 45033: 10 * time.Second, 60020: 0}

func newWeComRobot(o *Options, p *alerts.Policy, name string) (alerts.Channel, error) {
	c := &weComRobot{o: o, weComRobotSettings: weComRobotSettings{Base: weComBase}}
	var err error
	c.client, err = settings(p, name, &c.weComRobotSettings, &c.Line)
	return c, err
}

func (c *weComRobot) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	const op = "wecom.Send"
	key, err := c.Key.read(c.o)
	if err != nil {
		return alerts.Receipt{}, err
	}
	body, err := encode(op, map[string]any{"msgtype": "text", "text": map[string]any{"content": m.Plain(2048)}})
	if err != nil {
		return alerts.Receipt{}, err
	}
	r, answer, err := call(ctx, c.client, op, http.MethodPost, c.Base+"/cgi-bin/webhook/send?"+url.Values{"key": {key}}.Encode(), nil, body)
	if err != nil {
		return r, err
	}
	return errcode(op, "WeCom", r, answer, weComBusy)
}

// weComApp sends to people, by an application of WeCom.
//
//	Limit: 30 messages a minute to one person.
//	Ids:   WeCom drops what is the same within duplicate_check_interval, half an hour here.
type weComApp struct {
	weComAppSettings
	o      *Options
	client *http.Client

	mu      sync.Mutex // one fetches a token, the others wait for it
	token   string
	expires time.Time
}

type weComAppSettings struct {
	Corp   string `yaml:"corp,required"`
	Agent  int    `yaml:"agent,required"`
	Secret Secret `yaml:"secret,required"`
	Users  string `yaml:"users"` // a|b|c
	Party  string `yaml:"party"` // departments, 1|2
	Base   string `yaml:"base_url"`
	Line   Line   `yaml:"line"`
}

func newWeComApp(o *Options, p *alerts.Policy, name string) (alerts.Channel, error) {
	c := &weComApp{o: o, weComAppSettings: weComAppSettings{Base: weComBase}}
	var err error
	if c.client, err = settings(p, name, &c.weComAppSettings, &c.Line); err != nil {
		return nil, err
	}
	return c, p.Settings(name, &c.weComAppSettings, func(fault func(string, string, ...any)) {
		if c.Users == "" && c.Party == "" {
			fault("", "reaches nobody: give it users or party")
		}
	})
}

// access is a token that is good for at least five more minutes.
func (c *weComApp) access(ctx context.Context, op string) (string, alerts.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.o.Now().Before(c.expires) {
		return c.token, alerts.Receipt{}, nil
	}
	secret, err := c.Secret.read(c.o)
	if err != nil {
		return "", alerts.Receipt{}, err
	}
	r, answer, err := call(ctx, c.client, op, http.MethodGet, c.Base+"/cgi-bin/gettoken?"+url.Values{"corpid": {c.Corp}, "corpsecret": {secret}}.Encode(), nil, nil)
	if err != nil {
		return "", r, err
	}
	if r, err = errcode(op, "WeCom", r, answer, weComBusy); err != nil {
		return "", r, err
	}
	var a struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	if err := decode(op, answer, &a); err != nil || a.Token == "" {
		return "", r, temporary(op, "the answer is not WeCom's: it has no token")
	}
	c.token, c.expires = a.Token, c.o.Now().Add(time.Duration(a.Expires)*time.Second-5*time.Minute)
	return c.token, r, nil
}

// forget drops a token that WeCom does not take any more.
func (c *weComApp) forget(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == token {
		c.token = ""
	}
}

func (c *weComApp) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	const op = "wecom.Send"
	body, err := encode(op, map[string]any{
		"touser": c.Users, "toparty": c.Party, "agentid": c.Agent, "msgtype": "text", "text": map[string]any{"content": m.Plain(2048)},
		"enable_duplicate_check": 1, "duplicate_check_interval": 1800,
	})
	if err != nil {
		return alerts.Receipt{}, err
	}
	for again := false; ; again = true {
		token, r, err := c.access(ctx, op)
		if err != nil {
			return r, err
		}
		r, answer, err := call(ctx, c.client, op, http.MethodPost, c.Base+"/cgi-bin/message/send?"+url.Values{"access_token": {token}}.Encode(), nil, body)
		if err != nil {
			return r, err
		}
		r, err = errcode(op, "WeCom", r, answer, weComBusy)
		if stale := r.Code == "40014" || r.Code == "42001" || r.Code == "41001"; stale && !again {
			c.forget(token)
			continue
		}
		if err != nil {
			return r, err
		}
		var a struct {
			Users string `json:"invaliduser"`
			Party string `json:"invalidparty"`
		}
		if err := decode(op, answer, &a); err != nil {
			return r, err
		}
		if n := len(a.Users) + len(a.Party); n > 0 {
			r.Code = "0, invaliduser " + strconv.Itoa(n)
			return r, permanent(op, "WeCom did not reach everybody: some of users or party are not there")
		}
		return r, nil
	}
}
