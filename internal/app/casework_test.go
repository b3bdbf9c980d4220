package app

import (
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"voucherwatch/cases"
	"voucherwatch/stream"
	"voucherwatch/stream/ingest"

	vw "voucherwatch"
)

// TestAVerdictComesBackAsAnEventOfTheStream takes a case to its decision and the decision to the decoder that reads all events.
func TestAVerdictComesBackAsAnEventOfTheStream(t *testing.T) {
	events, err := ingest.OpenLog(ingest.Options{Dir: filepath.Join(t.TempDir(), "log"), RetainBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	store := cases.NewMemory()
	office, err := newOffice(store, t.TempDir(), today, map[string]cases.Port{cases.VerdictMessage: verdicts{events}})
	if err != nil {
		t.Fatal(err)
	}
	c := vw.Case{CaseID: "case-0123456789ab", Campaign: "g", Subject: vw.Subject{Kind: "merchant", ID: "M1"}, Status: cases.Open, Typologies: []string{"T01"}, Revision: 1,
		OpenedAt: "2022-09-20T12:00:00+08:00", DueAt: "2022-09-21T12:00:00+08:00"}
	if err := store.Put(t.Context(), cases.Write{Case: &c}); err != nil {
		t.Fatal(err)
	}
	li, zhao := cases.Actor{ID: "li", Roles: []cases.Role{cases.Investigator}}, cases.Actor{ID: "zhao", Roles: []cases.Role{cases.Supervisor}}
	do := func(who cases.Actor, cmd cases.Command) (d cases.Document) {
		t.Helper()
		if d, err = office.Do(t.Context(), c.CaseID, cmd, who); err != nil {
			t.Fatal(err)
		}
		return d
	}
	do(li, cases.Command{Verb: "declare"})
	d := do(li, cases.Command{Verb: "take"})
	if _, err := office.Freeze(t.Context(), c.CaseID, []jsontext.Value{}, li); err != nil {
		t.Fatal(err)
	}
	for _, task := range d.Work.Tasks {
		do(li, cases.Command{Verb: "finish_task", Target: task.ID, Text: "已核"})
	}
	do(li, cases.Command{Verb: "assess", Typology: "T01", Code: "not_proven", Text: "家庭聚餐，分别持券"})
	do(li, cases.Command{Verb: "submit", Code: "refuted"})
	d = do(li, cases.Command{Verb: "refute", Reason: "家庭聚餐，分别持券，无异常"})
	a := d.Work.Approvals[0]
	if d = do(zhao, cases.Command{Verb: "approve", Target: a.ID, Hash: a.Hash.SHA256}); d.Work.Stage != cases.Refuted {
		t.Fatalf("stage %s", d.Work.Stage)
	}
	campaign, _, err := plan("gaoping-2022-2", "")
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := newDecoder(campaign, today)
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range events.Read(t.Context(), ingest.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		var batch vw.Batch
		stream.DecodeChunk(decoder, &stream.Chunk{Source: "ingest", First: 1, Data: rec.Data}, &batch)
		if len(batch.Dead) != 0 || len(batch.Events) != 1 || batch.Events[0].Type != vw.VerdictEvent {
			t.Fatalf("%s: %+v %+v", rec.Data, batch.Events, batch.Dead)
		}
		break
	}
}
