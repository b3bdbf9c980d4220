package channels

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"strconv"

	"github.com/wneessen/go-mail"

	"voucherwatch/alerts"

	vw "voucherwatch"
)

// mailChannel sends by SMTP, never without TLS. The mails of a case refer to one another, so that a mail
// program shows them together; the evidence pack of a referral is attached where attach is set.
//
//	Ids: the Message-ID is the same for every attempt.
type mailChannel struct {
	mailSettings
	o   *Options
	tls *tls.Config
}

type mailSettings struct {
	Host     string   `yaml:"host,required"`
	Port     int      `yaml:"port"`     // 587
	Implicit bool     `yaml:"implicit"` // TLS from the first byte (465), instead of STARTTLS
	User     string   `yaml:"user"`
	Password Secret   `yaml:"password"`
	From     string   `yaml:"from,required"`
	To       []string `yaml:"to,required"`
	Attach   bool     `yaml:"attach"`
	CAFile   string   `yaml:"ca_file"`
}

func newMail(o *Options, p *alerts.Policy, name string) (alerts.Channel, error) {
	c := &mailChannel{o: o, mailSettings: mailSettings{Port: 587}}
	err := p.Settings(name, &c.mailSettings, nil)
	if err == nil {
		err = p.Settings(name, &c.mailSettings, func(fault func(string, string, ...any)) {
			if len(c.To) == 0 {
				fault("to", "is empty: nobody would get it")
			}
			m := mail.NewMsg()
			if m.From(c.From) != nil {
				fault("from", "is %q: want a mail address", c.From)
			}
			for i, to := range c.To {
				if m.To(to) != nil {
					fault(fmt.Sprintf("to[%d]", i), "is %q: want a mail address", to)
				}
			}
			if (c.User == "") != (c.Password == "") {
				fault("", "has user without password, or password without user")
			}
		})
	}
	if err != nil {
		return nil, err
	}
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.Host}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("channels.%s.settings.ca_file: %w", name, err)
		}
		if c.tls.RootCAs = x509.NewCertPool(); !c.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("channels.%s.settings.ca_file: %s holds no certificate", name, c.CAFile)
		}
	}
	return c, nil
}

func (c *mailChannel) Send(ctx context.Context, m alerts.Message) (alerts.Receipt, error) {
	const op = "mail.Send"
	msg, err := c.compose(&m)
	if err != nil {
		return alerts.Receipt{}, permanent(op, "write the mail: %w", err)
	}
	options := []mail.Option{mail.WithPort(c.Port), mail.WithTLSConfig(c.tls), mail.WithTLSPolicy(mail.TLSMandatory), mail.WithDialContextFunc(c.dial(ctx))}
	if c.Implicit {
		options = append(options, mail.WithSSL())
	}
	if c.User != "" {
		password, err := c.Password.read(c.o)
		if err != nil {
			return alerts.Receipt{}, err
		}
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(c.User), mail.WithPassword(password))
	}
	client, err := mail.NewClient(c.Host, options...)
	if err != nil {
		return alerts.Receipt{}, permanent(op, "set up: %w", err)
	}
	r := alerts.Receipt{ID: msg.GetMessageID()}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return c.failed(op, r, err)
	}
	r.Status, r.Code = 250, "250"
	return r, nil
}

// dial connects, and hangs up when the send's ctx ends: the library itself looks at it only between two
// commands, so that a server which takes the connection and says nothing would hold the courier up.
func (c *mailChannel) dial(send context.Context) mail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(send, func() { _ = conn.Close() })
		if !c.Implicit {
			return conn, nil
		}
		secure := tls.Client(conn, c.tls)
		return secure, secure.HandshakeContext(ctx)
	}
}

// failed reads the server's code: 4xx passes, 5xx does not. Without one, it was the way there.
func (c *mailChannel) failed(op string, r alerts.Receipt, err error) (alerts.Receipt, error) {
	if said, ok := errors.AsType[*mail.SendError](err); ok && said.ErrorCode() != 0 {
		r.Status, r.Code = said.ErrorCode(), strconv.Itoa(said.ErrorCode())
		if s := said.EnhancedStatusCode(); s != "" {
			r.Code += " " + s
		}
		if said.IsTemp() || said.ErrorCode() < 500 {
			return r, temporary(op, "the mail server says %s", r.Code)
		}
		return r, permanent(op, "the mail server says %s", r.Code)
	}
	r.ID = ""
	if code := authCode(err); code != 0 {
		r.Status, r.Code = code, strconv.Itoa(code)
		if code >= 500 {
			return r, permanent(op, "the mail server refuses with %d", code)
		}
		return r, temporary(op, "the mail server refuses with %d", code)
	}
	return r, &vw.Error{Op: op, Code: vw.Unavailable, Err: errors.New("the mail server cannot be reached safely: " + alerts.Cut(err.Error(), 200))}
}

func (c *mailChannel) compose(m *alerts.Message) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(c.From), msg.To(c.To...)); err != nil {
		return nil, err
	}
	msg.Subject(m.Title)
	msg.SetDateWithValue(m.At)
	msg.SetMessageIDWithValue(m.Key + "@voucherwatch")
	msg.SetGenHeader("X-Voucherwatch-Key", m.Key)
	if m.Case != "" {
		root := "<" + m.Case + "@voucherwatch>"
		msg.SetGenHeader(mail.HeaderInReplyTo, root)
		msg.SetGenHeader(mail.HeaderReferences, root)
	}
	msg.SetBodyString(mail.TypeTextPlain, m.Plain(0))
	if c.Attach {
		for _, a := range m.Attachments {
			msg.AttachReadSeeker(a.Name, bytes.NewReader(a.Data))
		}
	}
	return msg, nil
}

// authCode is the server's code in an error before the mail itself: of the greeting, of STARTTLS, of
// the login. 0: there was no answer.
func authCode(err error) int {
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return e.Code
	}
	return 0
}
