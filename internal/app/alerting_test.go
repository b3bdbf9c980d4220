package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"voucherwatch/alerts"
	"voucherwatch/alerts/alertstest"
	"voucherwatch/alerts/evidence"
	"voucherwatch/credit"
	"voucherwatch/credit/credittest"

	vw "voucherwatch"
)

func TestAnAlertGoesFromTheOutboxToItsAgencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := OpenAlerting(t.Context(), AlertingOptions{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		box, news := &alerts.Waiting{}, make(chan struct{}, 1)
		one := alertstest.Alert("case-1", 1)
		one.Severity = "critical"
		box.Put(one)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx, box, news) }()
		time.Sleep(60 * time.Hour) // the bubble's clock, from a Saturday to Monday evening
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got, err := a.Ledger.Deliveries(t.Context(), alerts.Filter{Kind: alerts.News})
		if err != nil {
			t.Fatal(err)
		}
		var who []string
		for _, d := range got {
			if d.State == alerts.Sent {
				who = append(who, d.Receiver)
			}
		}
		slices.Sort(who)
		if s := strings.Join(who, " "); s != "cz ga gx" {
			t.Errorf("told: %s", s)
		}
		if got[len(got)-1].Message.Items[0].Sentence != "新立线索：疑似套现返现，涉及核销 46 笔。" {
			t.Errorf("said: %s", got[len(got)-1].Message.Items[0].Sentence)
		}
	})
}

func TestAPackIsSealedOnceAndFoundChanged(t *testing.T) {
	dir := t.TempDir()
	open := func() *Alerting {
		a, err := OpenAlerting(t.Context(), AlertingOptions{Store: filepath.Join(dir, "alerts.db"), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return credittest.Now }})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := open()
	d := &evidence.Dossier{
		Number: alerts.PackNumber("case-1", "GA"), Campaign: "gaoping-2022-2", Sealed: credittest.Now, By: "张三", Merchant: evidence.Merchant{ID: "m1", Name: "老王面馆"},
		Case:     vw.Case{CaseID: "case-1", Subject: vw.Subject{Kind: "merchant", ID: "m1"}, Typologies: []string{"T06"}, FindingIDs: []string{"f1"}, SubsidyFen: 4000, Severity: "high"},
		Findings: []vw.Finding{{FindingID: "f1", Typology: "T06", RedemptionIDs: []string{"r1"}, SubsidyFen: 4000, FirstAt: "2022-09-20T12:00:00+08:00", LastAt: "2022-09-20T12:00:00+08:00"}},
		Events:   []evidence.Event{{Source: "log", Position: 1, Raw: []byte(`{"type":"redemption","id":"r1","at":"2022-09-20T12:00:00+08:00","voucher_type":"retail-200-40","customer_id":"u1","order_fen":20000,"discount_fen":4000}`)}},
		Letter:   evidence.Letter{Kind: evidence.Referral, From: "高平市工业和信息化局", To: "高平市公安局", Agency: "GA", Officers: []string{"张三", "李四"}},
	}
	first, err := a.Seal(t.Context(), d)
	if err != nil || first.Version != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := a.Seal(t.Context(), d); err != nil || again.SHA256 != first.SHA256 { // the same again
		t.Fatalf("%+v, %v", again, err)
	}
	d.By = "李四"
	if _, err := a.Seal(t.Context(), d); vw.CodeOf(err) != vw.Conflict {
		t.Errorf("another pack under the same version: %v", err)
	}
	d.Version = 0
	second, err := a.Seal(t.Context(), d)
	if err != nil || second.Version != 2 {
		t.Fatalf("%+v, %v", second, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a = open()
	defer func() { _ = a.Close() }()
	p, data, err := a.Pack(t.Context(), d.Number)
	if err != nil || p.Version != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	if m, err := evidence.Verify(data); err != nil || m.By != "李四" {
		t.Errorf("%+v, %v", m, err)
	}
	path := filepath.Join(dir, "packs", "case-1-GA-v2.zip")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o222 != 0 {
		t.Errorf("the pack can be written to: %v, %v", info.Mode(), err)
	}
	data[100] ^= 1
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o440); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Pack(t.Context(), d.Number); err == nil || !strings.Contains(err.Error(), "is not as it was sealed") {
		t.Errorf("a flipped byte: %v", err)
	}
}

// TestAnExclusionTakesEffectInTheStreamAtOnce: a redemption after it is a finding, one before it is not,
// and one after its end is not either.
func TestAnExclusionTakesEffectInTheStreamAtOnce(t *testing.T) {
	e := credittest.Entry(credit.Exclusion, 1)
	registry := `{"type":"merchant","id":"m1","at":"2022-09-19T09:00:00+08:00","merchant_id":"m000001","name":"面馆","category":"retail","status":"active","dishonest":false,"district":"140581"}`
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	excluded, err := ExclusionEvent([]byte(registry), &e, at("2022-09-21T08:00:00+08:00"))
	if err != nil {
		t.Fatal(err)
	}
	e.Revision, e.State = 2, credit.Revoked
	restored, err := ExclusionEvent([]byte(registry), &e, at("2022-09-23T08:00:00+08:00"))
	if err != nil {
		t.Fatal(err)
	}
	redemption := func(id, at string) string {
		return `{"type":"redemption","id":"` + id + `","at":"` + at + `","voucher_id":"v-` + id + `","voucher_type":"retail-50-10","customer_id":"u-` + id + `","merchant_id":"m000001","order_fen":5860,"discount_fen":1000,"paid_fen":4860,"district":"140581"}`
	}
	other := func(id, at string) string {
		return `{"type":"complaint","id":"` + id + `","at":"` + at + `","merchant_id":"m9","kind":"other"}`
	}
	dir := t.TempDir()
	events := filepath.Join(dir, "events.ndjson")
	text := strings.Join([]string{registry, redemption("before", "2022-09-20T12:00:00+08:00"), other("k1", "2022-09-21T07:59:00+08:00"), string(excluded),
		redemption("after", "2022-09-21T08:00:01+08:00"), other("k2", "2022-09-23T07:59:00+08:00"), string(restored), redemption("restored", "2022-09-23T12:00:00+08:00")}, "\n") + "\n"
	if err := os.WriteFile(events, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	if _, err := Replay(t.Context(), replayOptions(out, events)); err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(read(t, filepath.Join(out, "findings.ndjson"))) {
		if strings.Contains(line, `"typology":"T14"`) {
			for _, id := range []string{"before", "after", "restored"} {
				if strings.Contains(line, `"`+id+`"`) {
					found = append(found, id)
				}
			}
		}
	}
	if !slices.Equal(found, []string{"after"}) {
		t.Errorf("findings rest on %v, want after; dead letters: %s", found, read(t, filepath.Join(out, "dead_letters.ndjson")))
	}
	record := credittest.Entry(credit.Record, 1)
	if _, err := ExclusionEvent([]byte(registry), &record, today()); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("a credit record excludes nobody: %v", err)
	}
	stranger := credittest.Entry(credit.Exclusion, 2)
	if _, err := ExclusionEvent([]byte(registry), &stranger, today()); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("another merchant's row: %v", err)
	}
}

func TestTheAgenciesHearOfAListing(t *testing.T) {
	p, _, err := LoadRouting("", "")
	if err != nil {
		t.Fatal(err)
	}
	ended := func(e credit.Entry) credit.Entry {
		e.State, e.Revision, e.Ended = credit.Revoked, 2, &credit.Ending{TellBy: credittest.Now}
		return e
	}
	disputed := credittest.Entry(credit.Record, 1)
	disputed.Objections = []credit.Objection{{ID: "o1"}}
	for _, tt := range []struct {
		name  string
		entry credit.Entry
		want  alerts.What
		told  string
	}{
		{"an exclusion", credittest.Entry(credit.Exclusion, 1), alerts.Excluded, "gx"},
		{"a record", credittest.Entry(credit.Record, 1), alerts.Listed, "gx fg"},
		{"its end", ended(credittest.Entry(credit.Record, 1)), alerts.Withdrawn, "gx fg"},
		{"an objection", disputed, alerts.Appealed, "gx"},
	} {
		a := ListingAlert(&tt.entry, 1, credittest.Now)
		plan, err := p.Explain(a, credittest.Now)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, b := range plan.Branches {
			for _, c := range b.Contacts {
				told = append(told, c.Receiver)
			}
		}
		if a.What != tt.want || strings.Join(told, " ") != tt.told {
			t.Errorf("%s: %s to %v, want %s to %s", tt.name, a.What, told, tt.want, tt.told)
		}
	}
}
