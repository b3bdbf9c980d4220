package app

import (
	"crypto/rand"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"voucherwatch/credit"
	"voucherwatch/credit/credittest"
	"voucherwatch/credit/push"
	creditstore "voucherwatch/credit/sqlite"

	vw "voucherwatch"
)

func TestPartnersPullAndArePushedToFromOneFile(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	signer, ed, sm, err := credit.GenerateSigner("k1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPub, smPub, err := signer.Public()
	if err != nil {
		t.Fatal(err)
	}
	v, err := credit.NewVerifier(edPub, smPub)
	if err != nil {
		t.Fatal(err)
	}
	platform := credittest.NewPlatform(v, "token-of-the-platform")
	srv := httptest.NewTLSServer(platform)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	defer srv.Close()
	t.Setenv("VW_TEST_PLATFORM", "token-of-the-platform")
	t.Setenv("VW_TEST_CLIENT", "token-of-the-client-0123")
	ca := file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	good := "clients:\n  - {name: jincheng, token: env:VW_TEST_CLIENT, tiers: [credit_record]}\nplatforms:\n  - {name: jincheng, base: \"" + srv.URL + "\", token: env:VW_TEST_PLATFORM, resource: XZCF, key_id: k1, ed25519: \"file:" +
		file("ed.pem", ed) + "\", sm2: \"file:" + file("sm.pem", sm) + "\", ca_file: \"" + ca + "\"}\n"
	partners := file("partners.yaml", []byte(good))
	path := filepath.Join(dir, "credit.db")
	s, err := creditstore.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	e := credittest.Entry(credit.Record, 1)
	if _, err := s.Put(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return credittest.Now }
	h, err := NewFeed(partners, s, now)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/v1/blacklist?tier=credit_record", nil)
	r.Header.Set("Authorization", "Bearer token-of-the-client-0123")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || !strings.Contains(w.Body.String(), e.ID) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := WithPusher(t.Context(), path, partners, "jincheng", now, func(p *push.Pusher) error {
		before, err := p.Reconcile(t.Context())
		if err != nil || len(before) != 1 || before[0].Kind != "missing" {
			t.Errorf("before: %+v, %v", before, err)
		}
		if next, err := p.Push(t.Context()); err != nil || !next.IsZero() {
			t.Errorf("next %v, %v", next, err)
		}
		after, err := p.Reconcile(t.Context())
		if len(after) > 0 {
			t.Errorf("after: %+v", after)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(platform.Violations) > 0 || len(platform.Held) != 1 {
		t.Errorf("%v, %d held", platform.Violations, len(platform.Held))
	}
	for name, tt := range map[string][3]string{
		"a token in the file":   {"env:VW_TEST_PLATFORM", "abcdef", "platforms[0].token: is not a place"},
		"a secret that is gone": {"env:VW_TEST_PLATFORM", "env:VW_TEST_NONE", "there is no secret in env:VW_TEST_NONE"},
		"another platform":      {"platforms:\n  - {name: jincheng", "platforms:\n  - {name: taiyuan", `there is no platform "jincheng"`},
		"an unknown field":      {"resource: XZCF", "resource: XZCF, colour: red", "platforms[0].colour: is not a field here"},
	} {
		bad := file("bad.yaml", []byte(strings.Replace(good, tt[0], tt[1], 1)))
		if _, err := NewPusher(bad, "jincheng", s, s, now); err == nil || !strings.Contains(err.Error(), tt[2]) || strings.Contains(err.Error(), "abcdef") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := WithPusher(t.Context(), filepath.Join(dir, "none.db"), partners, "jincheng", now, nil); vw.CodeOf(err) != vw.NotFound {
		t.Errorf("no store: %v", err)
	}
}
