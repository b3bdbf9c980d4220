package cases_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
	"voucherwatch/cases"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// names are some of the catalogue's.
func names(code string) vw.Bilingual {
	return map[string]vw.Bilingual{"T01": {Zh: "分单交易", En: "order splitting"}, "T04": {Zh: "刷空单核券", En: "phantom redemption"},
		"GX": {Zh: "市工信局", En: "industry bureau"}, "GA": {Zh: "市公安局", En: "public security"}}[code]
}

// worked is a case with a life: opened, revised, closed, reopened.
func worked(t *testing.T) (*cases.Memory, vw.Case) {
	s := cases.NewMemory()
	d := desk(t, s)
	split := finding("f-split", "T01", 712, 80_00, "r1001", "r1002")
	split.Reasons = []vw.Reason{
		{Weight: 2.1, Text: vw.Bilingual{Zh: "同一顾客十分钟内在同一终端付款两次，合计刚好过两个门槛。",
			En: "One customer paid twice within ten minutes at one terminal, together just over two thresholds."}, Evidence: []string{"r1001", "r1002"}},
		{Weight: -0.4, Text: vw.Bilingual{Zh: "两单菜品不同。", En: "The two orders list different dishes."}},
	}
	empty := finding("f-empty", "T04", 500, 1200_00)
	for i := range 25 {
		empty.RedemptionIDs = append(empty.RedemptionIDs, fmt.Sprintf("r20%02d", i))
	}
	empty.Subject = vw.Subject{Kind: "pair", ID: "m1", With: "cust-7f3a9c"}
	id := apply(t, d, now, split, empty)[0].CaseID
	empty.Severity = "critical"
	apply(t, d, "2022-09-22T09:30:00+08:00", revision(empty, 2, 930))
	return s, must(s.Case(t.Context(), id))
}

func TestWriteCase(t *testing.T) {
	s, open := worked(t)
	assigned, closed := open, closeCase(t, s, open.CaseID, "2022-09-25T10:00:00+08:00")
	assigned.Assignee, assigned.Status = "王五", cases.InReview
	fs := must(s.Findings(t.Context(), open.FindingIDs...))
	for name, c := range map[string]vw.Case{"open": open, "in_review": assigned, "closed": closed} {
		var b bytes.Buffer
		if err := cases.WriteCase(&b, c, fs, names); err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/case_"+name+".txt", b.Bytes())
	}
}

func TestWriteList(t *testing.T) {
	_, one := worked(t)
	ring := vw.Case{CaseID: "case-0123456789ab", Subject: vw.Subject{Kind: "ring", ID: "g-17"}, Status: cases.InReview, Typologies: []string{"P01", "T10"},
		Score: 1000, Severity: "high", SubsidyFen: 12345678_00, DueAt: now}
	person := vw.Case{CaseID: "case-ba9876543210", Subject: vw.Subject{Kind: "customer", ID: "cust-7f3a9c"}, Status: cases.Closed, Typologies: []string{"T03"},
		Score: 7, Severity: "low", SubsidyFen: 1, DueAt: now}
	shop := vw.Case{CaseID: "case-aaaaaaaaaaaa", Subject: vw.Subject{Kind: "merchant", ID: "老王\x1b[31m面馆\u202e"}, Status: cases.Open, Score: 650, Severity: "medium", DueAt: now}
	var b bytes.Buffer
	if err := cases.WriteList(&b, []vw.Case{ring, one, shop, person}); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/list.txt", b.Bytes())
	if strings.Contains(b.String(), "\x1b") || strings.Contains(b.String(), "cust-7f3a9c") {
		t.Error("an escape sequence or a person's whole token reached the terminal")
	}
}
