package channels

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/slack-go/slack"

	"voucherwatch/alerts"

	vw "voucherwatch"
)

// slackChannel posts Block Kit messages by a bot, one thread for each case: the first message of a case
// begins it, and its ts comes back with the next ones as Message.Thread.
//
//	Limit: about one message a second and channel; status 429 with Retry-After.
//	Ids:   Slack has no idempotency key: after a lost answer a message can come twice.
type slackChannel struct {
	slackSettings
	o      *Options
	client *http.Client
}

type slackSettings struct {
	Token   Secret `yaml:"token,required"`   // xoxb-…, of a bot with chat:write
	Channel string `yaml:"channel,required"` // C0123456789
	Base    string `yaml:"base_url"`
	Line    Line   `yaml:"line"`
}

func newSlack(o *Options, p *alerts.Policy, name string) (alerts.Channel, error) {
	c := &slackChannel{o: o, slackSettings: slackSettings{Base: slack.APIURL}}
	var err error
	c.client, err = settings(p, name, &c.slackSettings, &c.Line)
	return c, err
}

func (c *slackChannel) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	const op = "slack.Send"
	token, err := c.Token.read(c.o)
	if err != nil {
		return alerts.Receipt{}, err
	}
	options := []slack.MsgOption{slack.MsgOptionText(m.Title, true), slack.MsgOptionBlocks(slackBlocks(&m)...), slack.MsgOptionDisableLinkUnfurl()}
	if m.Thread != "" {
		options = append(options, slack.MsgOptionTS(m.Thread))
	}
	status := &watched{client: c.client}
	_, ts, err := slack.New(token, slack.OptionAPIURL(c.Base), slack.OptionHTTPClient(status)).PostMessageContext(ctx, c.Channel, options...)
	r := alerts.Receipt{Status: status.code, ID: ts, Code: "ok"}
	if err == nil {
		if m.Thread == "" && m.Case != "" {
			r.Thread = ts
		}
		return r, nil
	}
	r.Code = strconv.Itoa(status.code)
	if limited, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		r.Code, r.RetryAfter = "ratelimited", limited.RetryAfter
		return r, temporary(op, "rate limit")
	}
	if said, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		r.Code = said.Err
		if strings.Contains(" ratelimited rate_limited internal_error fatal_error service_unavailable request_timeout message_limit_exceeded ", " "+said.Err+" ") {
			return r, temporary(op, "Slack says %s", said.Err)
		}
		return r, permanent(op, "Slack says %s", said.Err)
	}
	if code, ok := errors.AsType[slack.StatusCodeError](err); ok {
		if code.Code >= 500 {
			return r, temporary(op, "HTTP status %d", code.Code)
		}
		return r, permanent(op, "HTTP status %d", code.Code)
	}
	if status.code == 0 {
		return alerts.Receipt{}, lineError(op, err)
	}
	return r, &vw.Error{Op: op, Code: vw.Unavailable, Err: errors.New("the answer is not the vendor's")}
}

// slackBlocks is the message in Block Kit: a header, the facts, the sentence, a button.
func slackBlocks(m *alerts.Message) []slack.Block {
	plain := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}
	var fields []*slack.TextBlockObject
	if len(m.Items) == 1 {
		it := &m.Items[0]
		if it.Merchant != "" {
			fields = append(fields, plain("商户："+it.Merchant))
		}
		fields = append(fields, plain("补贴金额："+it.SubsidyFen.Yuan()))
	}
	blocks := []slack.Block{
		slack.NewHeaderBlock(plain(cutRunes(m.Title, 150))),
		slack.NewSectionBlock(plain(cutRunes(m.Sentence, 3000)), fields, nil),
	}
	if len(m.Items) > 1 {
		var lines []string
		for _, it := range m.Items {
			lines = append(lines, "· "+it.Case+" "+it.Merchant+" "+it.SubsidyFen.Yuan()+" "+it.Sentence)
		}
		if m.More > 0 {
			lines = append(lines, "· 另有 "+strconv.Itoa(m.More)+" 条未列出")
		}
		blocks = append(blocks, slack.NewSectionBlock(plain(cutRunes(strings.Join(lines, "\n"), 3000)), nil, nil))
	}
	if m.Link != "" {
		button := slack.NewButtonBlockElement("open", m.Case, plain("查看案件"))
		button.URL = m.Link
		blocks = append(blocks, slack.NewActionBlock("", button))
	}
	return blocks
}

func cutRunes(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// watched notes the status of the last answer, which the library does not give.
type watched struct {
	client *http.Client
	code   int
}

func (w *watched) Do(r *http.Request) (*http.Response, error) {
	resp, err := w.client.Do(r)
	if resp != nil {
		w.code = resp.StatusCode
	}
	return resp, err
}
