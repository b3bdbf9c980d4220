package channels

import (
	"context"
	"net/http"
	"strings"
	"time"

	"voucherwatch/alerts"
)

// alertmanager posts to the v2 API of a Prometheus Alertmanager, for sites that run one. Its alerts end
// by themselves after ttl: it knows no case that stays open.
//
//	Ids: alerts with the same labels are one.
type alertmanager struct {
	alertmanagerSettings
	o      *Options
	client *http.Client
}

type alertmanagerSettings struct {
	Base  string        `yaml:"base_url,required"`
	Token Secret        `yaml:"token"` // bearer, if it wants one
	TTL   time.Duration `yaml:"ttl"`
	Line  Line          `yaml:"line"`
}

func newAlertmanager(o *Options, p *alerts.Policy, name string) (alerts.Channel, error) {
	c := &alertmanager{o: o, alertmanagerSettings: alertmanagerSettings{TTL: 24 * time.Hour}}
	var err error
	c.client, err = settings(p, name, &c.alertmanagerSettings, &c.Line)
	return c, err
}

func (c *alertmanager) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	const op = "alertmanager.Send"
	header := http.Header{}
	if c.Token != "" {
		token, err := c.Token.read(c.o)
		if err != nil {
			return alerts.Receipt{}, err
		}
		header.Set("Authorization", "Bearer "+token)
	}
	type alert struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
		EndsAt      time.Time         `json:"endsAt"`
		Generator   string            `json:"generatorURL,omitempty"`
	}
	labels := map[string]string{"alertname": "voucherwatch", "kind": string(m.Kind), "severity": string(m.Severity), "message": m.Key}
	if m.Case != "" {
		labels["case"] = m.Case
	}
	body, err := encode(op, []alert{{
		Labels: labels, Annotations: map[string]string{"summary": m.Title, "description": m.Plain(0)},
		StartsAt: m.At, EndsAt: m.At.Add(c.TTL), Generator: m.Link,
	}})
	if err != nil {
		return alerts.Receipt{}, err
	}
	r, _, err := call(ctx, c.client, op, http.MethodPost, strings.TrimRight(c.Base, "/")+"/api/v2/alerts", header, body)
	return r, err
}
