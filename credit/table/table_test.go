package table

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	vw "voucherwatch"
	"voucherwatch/credit"
	"voucherwatch/credit/credittest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func penalties() []Penalty {
	var rows []Penalty
	for n := range 2 {
		e := credittest.Entry(credit.Record, n)
		p := Of(&e)
		p.Type, p.Kind, p.Fine, p.Forfeit = "骗取财政补贴", "罚款;没收违法所得", vw.Fen(12_345_678+n), 1
		rows = append(rows, p)
	}
	rows[1].Party.Name = `=HYPERLINK("http://x","点我")`
	rows[1].Facts = "多行\n事实，含逗号,引号\"和<尖括号>&"
	return rows
}

const today = credit.Day("2022-10-20")

func TestAmountsAreExactInWan(t *testing.T) {
	for fen, want := range map[vw.Fen]string{0: "", 1: "0.000001", 100: "0.000100", 1_000_000: "1.000000", 12_345_678: "12.345678", 2_820_000_000_000: "2820000.000000", -150: "-0.000150"} {
		if got := Wan(fen); got != want {
			t.Errorf("%d fen = %q, want %q", fen, got, want)
		}
	}
}

// TestTheColumnsAreThoseOfTheStandard: names and order of the exchange table of 双公示 2.0.
func TestTheColumnsAreThoseOfTheStandard(t *testing.T) {
	want := strings.Fields(`cf_xdr_mc cf_xdr_lb cf_xdr_shxym cf_xdr_gszc cf_xdr_zzjg cf_xdr_swdj cf_xdr_sydw cf_xdr_shzz cf_frdb cf_fr_zjlx cf_fr_sfzh cf_xdr_zjlx cf_xdr_zjhm
		cf_wsh cf_wfxw cf_sy cf_yj cf_cflb cf_nr cf_nr_fk cf_nr_wfff cf_nr_zkdx cf_jdrq cf_yxq cf_gsjzq cf_cfjg cf_cfjgdm cf_sjly cf_sjlydm bz`)
	if diff := cmp.Diff(want, codes()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

func TestEveryFormatHoldsTheSame(t *testing.T) {
	rows := penalties()
	if err := Check(rows, today); err != nil {
		t.Fatal(err)
	}
	want := [][]string{values(&rows[0]), values(&rows[1])}
	var sums [][]string
	for _, format := range []string{"csv", "xml", "xlsx"} {
		var b, again bytes.Buffer
		s, err := Write(&b, format, rows)
		if err != nil {
			t.Fatal(err)
		}
		if s2, err := Write(&again, format, rows); err != nil || format != "xlsx" && s2.File != s.File {
			t.Errorf("%s: another file for the same rows: %v", format, err)
		}
		sums = append(sums, s.Rows)
		if s.File != sum(b.Bytes()) {
			t.Errorf("%s: the sum is not of the file", format)
		}
		var got [][]string
		switch format {
		case "csv":
			text, ok := strings.CutPrefix(b.String(), "\ufeff")
			all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
			if !ok || err != nil || !slices.Equal(all[0], codes()) {
				t.Fatalf("%v, %v", all, err)
			}
			got = all[1:]
			if !strings.HasPrefix(got[1][0], "'=") {
				t.Errorf("a spreadsheet would compute %s", got[1][0])
			}
			got[1][0] = got[1][0][1:]
		case "xml":
			var doc struct {
				Rows []struct {
					Cells []struct {
						XMLName xml.Name
						Text    string `xml:",chardata"`
					} `xml:",any"`
				} `xml:"row"`
			}
			if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
				t.Fatal(err)
			}
			for _, r := range doc.Rows {
				var row []string
				for i, c := range r.Cells {
					if c.XMLName.Local != Columns[i].Code {
						t.Errorf("element %d is %s", i, c.XMLName.Local)
					}
					row = append(row, c.Text)
				}
				got = append(got, row)
			}
		case "xlsx":
			f, err := excelize.OpenReader(&b)
			if err != nil {
				t.Fatal(err)
			}
			all, err := f.GetRows("行政处罚")
			if err != nil || len(all) != 4 || all[0][0] != "行政相对人名称*" || !slices.Equal(all[1], codes()) {
				t.Fatalf("%q, %v", all, err)
			}
			for _, r := range all[2:] {
				got = append(got, append(r, make([]string, len(Columns)-len(r))...))
			}
			if kind, err := f.GetCellType("行政处罚", "A4"); err != nil || kind == excelize.CellTypeFormula {
				t.Errorf("A4 is a %v, %v", kind, err)
			}
			_ = f.Close()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
	if !slices.Equal(sums[0], sums[1]) || !slices.Equal(sums[0], sums[2]) || sums[0][0] == sums[0][1] {
		t.Errorf("the sums of rows differ: %v", sums)
	}
	if _, err := Write(&bytes.Buffer{}, "pdf", rows); vw.CodeOf(err) != vw.Invalid {
		t.Errorf("pdf: %v", err)
	}
}

func TestTheXMLIsAsItWas(t *testing.T) {
	var b bytes.Buffer
	if _, err := Write(&b, "xml", penalties()[:1]); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/penalty.xml", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/penalty.xml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatAPlatformWouldRejectIsFoundBefore(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(p *Penalty)
		want   string
	}{
		{"no facts", func(p *Penalty) { p.Facts = " " }, "row 1, cf_sy: is required（违法事实）"},
		{"a natural person", func(p *Penalty) { p.Party.Kind = "person" }, "row 1, cf_xdr_lb: is required"},
		{"no code", func(p *Penalty) { p.Party.USCC = "" }, "row 1, cf_xdr_shxym: one code of the party is required"},
		{"a wrong code", func(p *Penalty) { p.Party.USCC = "92140581MA0LTE029" }, "row 1, cf_xdr_shxym: is not a unified"},
		{"a company with a trader's code", func(p *Penalty) { p.Party.Kind = credit.Organisation }, "row 1, cf_xdr_lb: does not fit the code"},
		{"a company as the authority", func(p *Penalty) { p.AuthCode = "914403001922038216" }, "row 1, cf_cfjgdm: is not the code of an authority"},
		{"tomorrow", func(p *Penalty) { p.Decided, p.Valid, p.Until = "2022-10-21", "2023-10-21", "2023-10-21" }, "row 1, cf_jdrq: lies in the future"},
		{"published for no day", func(p *Penalty) { p.Until = p.Decided }, "row 1, cf_gsjzq: is not after the decision"},
		{"too long a number", func(p *Penalty) { p.Number = strings.Repeat("号", 129) }, "row 1, cf_wsh: has more than 128 characters"},
		{"a control character", func(p *Penalty) { p.Note = "a\x00b" }, "row 1, bz: has control characters"},
		{"a negative fine", func(p *Penalty) { p.Fine = -1 }, "row 1, cf_nr_fk: is negative"},
	} {
		rows := penalties()
		tt.change(&rows[0])
		if err := Check(rows, today); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	rows := penalties()
	rows[1].Number, rows[1].Party.Name = rows[0].Number, rows[0].Party.Name
	if err := Check(rows, today); err == nil || !strings.Contains(err.Error(), "row 2, cf_wsh: is the same decision as row 1") {
		t.Errorf("twice: %v", err)
	}
}

func TestRejectedRowsAreFoundAgain(t *testing.T) {
	sent := penalties()
	head := "序号,行政处罚决定书文号,行政相对人名称,错误原因\r\n"
	lines := "1," + sent[0].Number + "," + sent[0].Party.Name + ",统一社会信用代码校验不通过\r\n,,,\r\n2,别处〔2022〕1号,别人,重复\r\n3," + sent[1].Number + ",\"'" + strings.ReplaceAll(sent[1].Party.Name, `"`, `""`) + "\",\r\n"
	want := []Rejection{
		{Line: 2, Number: sent[0].Number, Party: sent[0].Party.Name, Reason: "统一社会信用代码校验不通过", Row: 0},
		{Line: 4, Number: "别处〔2022〕1号", Party: "别人", Reason: "重复", Row: -1},
		{Line: 5, Number: sent[1].Number, Party: sent[1].Party.Name, Reason: "没有给出原因 · no reason given", Row: 1},
	}
	got, err := ReadRejected(strings.NewReader("\ufeff"+head+lines), sent)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("csv: %v (-want +got):\n%s", err, diff)
	}
	f := excelize.NewFile()
	for i, row := range [][]string{{"校验失败明细"}, {"行政相对人名称*", "行政处罚决定书文号*", "校验结果"}, {sent[0].Party.Name, sent[0].Number, "日期格式"}} {
		for j, v := range row {
			cell, _ := excelize.CoordinatesToCellName(j+1, i+1)
			if err := f.SetCellStr("Sheet1", cell, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err = ReadRejected(&b, sent)
	if diff := cmp.Diff([]Rejection{{Line: 3, Number: sent[0].Number, Party: sent[0].Party.Name, Reason: "日期格式", Row: 0}}, got); err != nil || diff != "" {
		t.Errorf("xlsx: %v (-want +got):\n%s", err, diff)
	}
	for name, bad := range map[string]string{"other columns": "a,b\n1,2\n", "nothing": "", "a damaged workbook": "PK\x03\x04nonsense"} {
		if _, err := ReadRejected(strings.NewReader(bad), sent); vw.CodeOf(err) != vw.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadRejected(f *testing.F) {
	for _, s := range []string{"cf_wsh,cf_xdr_mc,reason\n1,2,3\n", "\ufeffcf_wsh,cf_xdr_mc,reason\n\"", "PK\x03\x04", "a\n\n\n\n\n\n"} {
		f.Add([]byte(s))
	}
	sent := penalties()
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ReadRejected(bytes.NewReader(data), sent)
		if err != nil && vw.CodeOf(err) != vw.Invalid {
			t.Fatal(err)
		}
		for _, x := range got {
			if x.Line < 1 || x.Row < -1 || x.Row >= len(sent) || x.Reason == "" {
				t.Fatalf("%+v", x)
			}
		}
	})
}
