package channels

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	vw "voucherwatch"
	"voucherwatch/alerts"
)

// selfSignedFor is a certificate that only itself vouches for.
func selfSignedFor(t *testing.T, ip net.IP) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(50, 0, 0), IPAddresses: []net.IP{ip}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// office is a real SMTP server that keeps what it takes.
type office struct {
	refuse map[string]error // by recipient
	login  error
	data   error
	got    []string
	users  []string
}

func (o *office) NewSession(*smtp.Conn) (smtp.Session, error) { return &visit{o: o}, nil }

type visit struct{ o *office }

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if v.o.login != nil || password != secrets["SECRET"] {
			return smtp.ErrAuthFailed
		}
		v.o.users = append(v.o.users, user)
		return nil
	}), nil
}
func (v *visit) Mail(string, *smtp.MailOptions) error      { return nil }
func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error { return v.o.refuse[to] }
func (v *visit) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err == nil && v.o.data == nil {
		v.o.got = append(v.o.got, string(b))
	}
	if v.o.data != nil {
		return v.o.data
	}
	return err
}
func (v *visit) Reset()        {}
func (v *visit) Logout() error { return nil }

func postOffice(t *testing.T, withTLS bool) (*office, string) {
	t.Helper()
	o := &office{refuse: map[string]error{}}
	s := smtp.NewServer(o)
	s.Domain, s.AllowInsecureAuth = "localhost", false
	cert := selfSignedFor(t, net.IPv4(127, 0, 0, 1))
	if withTLS {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return o, fmt.Sprintf(`{host: 127.0.0.1, port: %s, user: watch, password: env:SECRET, from: watch@gaoping.example, to: [gx@gaoping.example], attach: true, ca_file: %q}`, port, ca)
}

func TestAMailArrivesWithItsFiles(t *testing.T) {
	o, settings := postOffice(t, true)
	c, err := open(t, "mail", settings, nil, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := message()
	m.Attachments = []alerts.Attachment{{Name: "线索移送函.pdf", Data: []byte("%PDF-1.7 example")}}
	r, err := c.Send(t.Context(), m)
	if err != nil || r.Status != 250 || !strings.Contains(r.ID, m.Key) || len(o.got) != 1 || o.users[0] != "watch" {
		t.Fatalf("%+v, %v, %d mails", r, err, len(o.got))
	}
	got, err := mail.ReadMessage(strings.NewReader(o.got[0]))
	if err != nil {
		t.Fatal(err)
	}
	dec := mime.WordDecoder{}
	subject, err := dec.DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != m.Title {
		t.Errorf("subject %q, %v", subject, err)
	}
	if got.Header.Get("References") != "<case-7f3a@voucherwatch>" || got.Header.Get("Message-Id") != "<"+m.Key+"@voucherwatch>" {
		t.Errorf("headers %v", got.Header)
	}
	_, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(got.Body, params["boundary"])
	var names, texts []string
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(p)
		name, _ := dec.DecodeHeader(p.FileName())
		names, texts = append(names, name), append(texts, string(b))
	}
	if len(names) != 2 || names[1] != "线索移送函.pdf" || !strings.Contains(texts[0], "老王面馆") {
		t.Errorf("parts %q: %.200q", names, texts)
	}
}

func TestWhatAMailServerSaysIsRead(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(o *office)
		want vw.Code
		code string
	}{
		{"full for now", func(o *office) {
			o.data = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "full"}
		}, vw.Unavailable, "452 4.3.1"},
		{"grey-listed", func(o *office) {
			o.refuse["gx@gaoping.example"] = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "later"}
		}, vw.Unavailable, "451 4.7.1"},
		{"nobody of that name", func(o *office) {
			o.refuse["gx@gaoping.example"] = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
		}, vw.Invalid, "550 5.1.1"},
		{"a wrong password", func(o *office) { o.login = errors.New("no") }, vw.Invalid, "535"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, settings := postOffice(t, true)
			tt.set(o)
			c, err := open(t, "mail", settings, nil, "", Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := c.Send(t.Context(), message()); vw.CodeOf(err) != tt.want || r.Code != tt.code || len(o.got) != 0 || strings.Contains(fmt.Sprint(err), "SECRETSECRET") {
				t.Errorf("%+v, %v (%s); want %s, code %s", r, err, vw.CodeOf(err), tt.want, tt.code)
			}
		})
	}
}

func TestAMailIsNeverSentInTheClear(t *testing.T) {
	o, settings := postOffice(t, false)
	var c alerts.Channel
	var err error
	for _, login := range []string{"user: watch, password: env:SECRET, ", ""} {
		if c, err = open(t, "mail", strings.Replace(settings, "user: watch, password: env:SECRET, ", login, 1), nil, "", Options{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Send(t.Context(), message()); vw.CodeOf(err) != vw.Unavailable || len(o.got)+len(o.users) != 0 {
			t.Errorf("%v; %d mails, %d logins in the clear", err, len(o.got), len(o.users))
		}
	}
	dark, settings := postOffice(t, true)
	cut := strings.Index(settings, ", ca_file")
	c, err = open(t, "mail", settings[:cut]+"}", nil, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), message()); vw.CodeOf(err) != vw.Unavailable || len(dark.got) != 0 {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}

func TestAMailServerThatHangsIsLeftAtTheTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := open(t, "mail", fmt.Sprintf("{host: 127.0.0.1, port: %s, from: a@b.example, to: [c@d.example]}", port), nil, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Send(ctx, message()); vw.CodeOf(err) != vw.Unavailable {
		t.Errorf("%v", err)
	}
}
