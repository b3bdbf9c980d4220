package evidence

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"

	"codeberg.org/go-pdf/fpdf"
	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

var zone = time.FixedZone("", 8*3600)

func ptr(x float64) *float64 { return &x }

// dossier is a case as the desk would hand it over: a shop where the same accounts redeem every evening.
func dossier(kind Kind) *Dossier {
	d := &Dossier{
		Number: "case-7f3a2b-GA", Version: 1, Campaign: "gaoping-2022-2", Sealed: time.Date(2022, 10, 12, 16, 30, 0, 0, zone), By: "张三（专班办公室）",
		Merchant: Merchant{ID: "898140558120002", Name: "高平市老王面馆", USCC: "92140581MA0LTE029Y", Category: "hospitality", District: "140581 高平市", Address: "长平街 12 号"},
		Case: vw.Case{
			CaseID: "case-7f3a2b", Campaign: "gaoping-2022-2", Subject: vw.Subject{Kind: "merchant", ID: "898140558120002"}, Status: "in_review", Typologies: []string{"T06", "T01"},
			Agencies: []string{"GX", "GA", "CZ"}, Score: 913, Severity: "high", SubsidyFen: 18_400_00, FindingIDs: []string{"f1", "f2"},
			OpenedAt: "2022-10-08T09:00:00+08:00", DueAt: "2022-10-11T18:00:00+08:00", Revision: 7,
			Timeline: []vw.TimelineEntry{
				{At: "2022-10-08T09:00:00+08:00", Who: "system", What: "opened", Text: vw.Bilingual{Zh: "立案：套现返现，风险分 913", En: "opened"}},
				{At: "2022-10-09T15:20:00+08:00", Who: "张三", What: "note", Text: vw.Bilingual{Zh: "到店核查，后厨单据与核销笔数不符", En: "visited"}},
			},
		},
		Typology: func(code string) vw.Bilingual {
			return map[string]vw.Bilingual{"T06": {Zh: "套现返现"}, "T01": {Zh: "分单交易"}}[code]
		},
		Law: func(code string) []string {
			return map[string][]string{"T06": {"《财政违法行为处罚处分条例》（国务院令第427号）第十四条", "《刑法》第二百六十六条（诈骗罪）"}, "T01": {"活动实施方案第七部分（一）：不得分单交易"}}[code]
		},
		Letter: Letter{Kind: kind, Number: "高工信移字〔2022〕7号", From: "高平市工业和信息化局", To: "高平市公安局", Agency: "GA", Officers: []string{"张三 0356-5220001", "李四 0356-5220002"}, Measures: []string{"自2022年10月9日起暂停该商户核销资格"}},
	}
	if kind == Notice {
		d.Number, d.Letter.To, d.Letter.Agency, d.Letter.ReplyBy, d.Letter.Interview = "case-7f3a2b-merchant", "高平市老王面馆", "", d.Sealed.AddDate(0, 0, 5), "2022年10月14日9时到市工信局305室"
		d.Letter.Measures = []string{"取消参与本期消费券活动的资格"}
	}
	if kind == PriceReferral {
		d.Number, d.Letter.To, d.Letter.Agency = "case-7f3a2b-SJ", "高平市市场监督管理局", "SJ"
	}
	var first, second []string
	for i := range 72 {
		at := time.Date(2022, 9, 20+i%14, 10, (i*7)%60, i%60, 0, zone)
		if i%3 > 0 {
			at = time.Date(2022, 9, 20+i%14, 19+i%3, 30+i%5, i%60, 0, zone)
		}
		id := fmt.Sprintf("r%012x", 0xabc000+i)
		d.Events = append(d.Events, Event{Source: "events-2022-09.ndjson", Position: int64(1000 + i), Raw: fmt.Appendf(nil,
			`{"type":"redemption","id":%q,"at":%q,"voucher_id":"v%d","voucher_type":"hospitality-200-40","customer_id":"u1d84def80c6%03d","merchant_id":"898140558120002","order_fen":20000,"discount_fen":4000,"paid_fen":16000}`,
			id, at.Format(time.RFC3339), i, i%6)})
		if i%3 > 0 {
			first = append(first, id)
		}
		if i%7 == 1 {
			second = append(second, id)
		}
	}
	d.Events = append(d.Events, Event{Source: "events-2022-09.ndjson", Position: 2000, Raw: []byte(`{"type":"complaint","id":"k1","at":"2022-09-29T10:00:00+08:00","merchant_id":"898140558120002","kind":"no_goods"}`)})
	d.Findings = []vw.Finding{
		{FindingID: "f1", Typology: "T06", Subject: d.Case.Subject, FirstAt: "2022-09-20T20:31:01+08:00", LastAt: "2022-10-03T21:34:59+08:00", DetectedAt: "2022-09-28T21:00:00+08:00", Score: 913, Severity: "high", RedemptionIDs: first, SubsidyFen: 16_000_00,
			Reasons: []vw.Reason{
				{Typology: "T06", Code: "cashout.set", Text: vw.Bilingual{Zh: "同一组 6 个账户在 14 天里每晚到店核销同样的面额，同类 41 家商户中位数为 0 次"}, Observed: 14, Expected: ptr(0.2), PValue: ptr(3.1e-9)},
				{Typology: "T06", Code: "cashout.capacity", Text: vw.Bilingual{Zh: "20:30–21:34 的核销折合每小时 62 桌，店内 12 张桌子按每小时翻台 2 次至多 24 桌"}, Observed: 62, Expected: ptr(24)},
			}},
		{FindingID: "f2", Typology: "T01", Subject: d.Case.Subject, FirstAt: "2022-09-21T20:31:01+08:00", LastAt: "2022-10-02T21:34:59+08:00", Score: 640, Severity: "medium", RedemptionIDs: second, SubsidyFen: 2_400_00,
			Reasons: []vw.Reason{{Typology: "T01", Code: "split.session", Text: vw.Bilingual{Zh: "两分钟内同一终端连续核销三张同面额券，订单金额都刚过门槛（囧、喆、𠮷）"}, Observed: 3, Expected: ptr(1.1), PValue: ptr(0.0004)}}},
	}
	return d
}

// squeeze leaves out blanks, which lines and columns put anywhere.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '\f' {
			return -1
		}
		return r
	}, s)
}

// model is the text that a PDF of a document must have, in order.
func model(t *testing.T, d *Document) string {
	t.Helper()
	f, err := face()
	if err != nil {
		t.Fatal(err)
	}
	return squeeze(f.printable(strings.Join(d.Words(), " ")))
}

var shown = regexp.MustCompile(`\(((?:[^()\\]|\\.)*)\) ?Tj`)

// pdfText is an independent reading of a PDF by this test: the strings of its page streams, footers apart.
func pdfText(t *testing.T, pdf []byte) string {
	t.Helper()
	var b strings.Builder
	for _, part := range bytes.Split(pdf, []byte("stream\n"))[1:] {
		z, err := zlib.NewReader(bytes.NewReader(part))
		if err != nil {
			continue
		}
		content, err := io.ReadAll(z)
		if err != nil || !bytes.Contains(content, []byte(" Tj")) {
			continue
		}
		first := true
		for _, m := range shown.FindAllSubmatch(content, -1) {
			if first { // the footer is set first on each page
				first = false
				continue
			}
			var units []uint16
			raw := unescape(m[1])
			for i := 0; i+1 < len(raw); i += 2 {
				units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
			}
			b.WriteString(string(utf16.Decode(units)))
		}
	}
	return squeeze(b.String())
}

func unescape(b []byte) (out []byte) {
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
			switch b[i] {
			case 'r':
				out = append(out, '\r')
			case 'n':
				out = append(out, '\n')
			default:
				out = append(out, b[i])
			}
			continue
		}
		out = append(out, b[i])
	}
	return out
}

func TestTheTextOfThePDFIsTheModelInChinese(t *testing.T) {
	d := dossier(Referral)
	visits, err := d.visits()
	if err != nil {
		t.Fatal(err)
	}
	_, head := chainOf(d.Events)
	for name, doc := range map[string]*Document{"report": d.Report(visits, head), "letter": d.Paper(visits, head), "price": dossier(PriceReferral).Paper(visits, head), "notice": dossier(Notice).Paper(visits, head)} {
		t.Run(name, func(t *testing.T) {
			pdf, err := PDF(doc)
			if err != nil {
				t.Fatal(err)
			}
			want := model(t, doc)
			if diff := cmp.Diff(want, pdfText(t, pdf)); diff != "" {
				t.Errorf("text (-model +pdf):\n%s", diff)
			}
			if dir := os.Getenv("EVIDENCE_OUT"); dir != "" { // to look at the pages
				if err := os.WriteFile(filepath.Join(dir, name+".pdf"), pdf, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			reader, err := exec.LookPath("pdftotext")
			if err != nil {
				return // where poppler is installed it must read the same
			}
			cmd := exec.Command(reader, "-raw", "-", "-")
			cmd.Stdin = bytes.NewReader(pdf)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for l := range strings.Lines(string(out)) {
				if footer := squeeze(doc.Footer); !strings.Contains(squeeze(l), footer+"第") {
					lines = append(lines, l)
				}
			}
			if diff := cmp.Diff(want, squeeze(strings.Join(lines, ""))); diff != "" {
				t.Errorf("pdftotext (-model +pdf):\n%s", diff)
			}
		})
	}
}

func TestTheWordFileSaysWhatTheLetterSays(t *testing.T) {
	for _, kind := range []Kind{Referral, PriceReferral, Notice} {
		d := dossier(kind)
		visits, err := d.visits()
		if err != nil {
			t.Fatal(err)
		}
		doc := d.Paper(visits, "头")
		docx, err := Word(doc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := WordText(docx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(squeeze(strings.Join(doc.Words(), "")), squeeze(got)); diff != "" {
			t.Errorf("%s (-letter +docx):\n%s", kind, diff)
		}
		if kind == Notice && (strings.Contains(got, "失信") || strings.Contains(got, "刑法") || strings.Contains(got, "u1d84") || !strings.Contains(got, "2022年10月17日前提出")) {
			t.Errorf("the notice: %s", got)
		}
		if kind != Notice && !strings.Contains(got, "线索，尚未认定") {
			t.Errorf("%s accuses: %s", kind, got)
		}
	}
	hostile := &Document{Title: "<w:t>&\x00\x0b]]>", Blocks: []Block{&Table{Head: []string{"<"}, Widths: []float64{1}, Rows: [][]string{{"&amp;"}}}}}
	docx, err := Word(hostile)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := WordText(docx); err != nil || got != "\n<w:t>&  ]]>\n<\n&amp;\n\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheSameDossierGivesTheSameBytes(t *testing.T) {
	a, pa, err := Seal(dossier(Referral))
	if err != nil {
		t.Fatal(err)
	}
	b, pb, err := Seal(dossier(Referral))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) || pa.SHA256 != pb.SHA256 || pa.SM3 != pb.SM3 || pa.Bytes != int64(len(a)) {
		t.Errorf("two packs of one dossier: %+v and %+v", pa, pb)
	}
	m, err := Verify(a)
	if err != nil || m.Chain.Count != 73 || len(m.Files) != 7 || m.Agency != "GA" {
		t.Errorf("%+v, %v", m, err)
	}
	files, err := Unpack(a)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(files["events.ndjson"], []byte("\n")); n != 73 || !bytes.HasPrefix(files["events.ndjson"], dossier(Referral).Events[0].Raw) {
		t.Errorf("%d events; they are not as they came in", n)
	}
}

func TestAFlippedByteIsFound(t *testing.T) {
	sealed, _, err := Seal(dossier(Referral))
	if err != nil {
		t.Fatal(err)
	}
	files, err := Unpack(sealed)
	if err != nil {
		t.Fatal(err)
	}
	again := func(change func(files map[string][]byte)) error {
		copied := map[string][]byte{}
		for k, v := range files {
			copied[k] = bytes.Clone(v)
		}
		change(copied)
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		for k, v := range copied {
			if err := store(z, k, v, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(out.Bytes())
		return err
	}
	if err := again(func(map[string][]byte) {}); err != nil {
		t.Fatalf("nothing was changed: %v", err)
	}
	for name := range files {
		if err := again(func(f map[string][]byte) { f[name][len(f[name])/2] ^= 1 }); err == nil && !strings.HasSuffix(name, "SUMS") {
			t.Errorf("a flipped byte in %s is not found", name)
		}
		if err := again(func(f map[string][]byte) { delete(f, name) }); err == nil {
			t.Errorf("%s may be missing", name)
		}
	}
	if err := again(func(f map[string][]byte) { f["extra.txt"] = []byte("x") }); err == nil || !strings.Contains(err.Error(), "extra.txt: is not in the manifest") {
		t.Errorf("an added file: %v", err)
	}
	// Whoever changes an event and its sum meets the chain, and then the manifest's sum, and then the register.
	if err := again(func(f map[string][]byte) {
		lines := bytes.SplitAfter(f["events.ndjson"], []byte("\n"))
		lines[3], lines[4] = lines[4], lines[3]
		f["events.ndjson"] = bytes.Join(lines, nil)
	}); err == nil || !strings.Contains(err.Error(), "does not fit the chain") {
		t.Errorf("two events changed places: %v", err)
	}
	for i := 0; i < len(sealed); i += 997 { // anywhere in the zip, the register's sum finds it
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 4
		if sha, sm := Sums(flipped); sha == mustSum(sealed) || sm == sm3Hex(sealed) {
			t.Errorf("byte %d", i)
		}
	}
}

func mustSum(b []byte) string { s, _ := Sums(b); return s }

func TestADossierSaysEverythingThatItLacks(t *testing.T) {
	d := dossier(Referral)
	d.Letter.Officers = d.Letter.Officers[:1]
	d.Findings[0].FindingID, d.By, d.Events[5].Raw = "strange", "", []byte("{}\n")
	_, _, err := Seal(d)
	for _, want := range []string{"letter.officers: at least two officers", "findings[0]: is not one of the case", "by: is required", "events[5].raw: must be one line"} {
		if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	n := dossier(Notice)
	n.Letter.ReplyBy = n.Sealed
	if _, _, err := Seal(n); err == nil || !strings.Contains(err.Error(), "letter.reply_by: must lie after") {
		t.Errorf("a notice without time to reply: %v", err)
	}
	d = dossier(Referral)
	d.Events[3].Raw = []byte(`{"type":"redemption","at":"yesterday"}`)
	if _, _, err := Seal(d); vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), "events[3], events-2022-09.ndjson line 1003: at:") {
		t.Errorf("an event without a time: %v", err)
	}
}

func TestTheSumsAreThoseOfOtherPrograms(t *testing.T) {
	if got := sm3Hex([]byte("abc")); got != "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0" { // GB/T 32905
		t.Errorf("SM3(abc) = %s", got)
	}
	sealed, _, err := Seal(dossier(Referral))
	if err != nil {
		t.Fatal(err)
	}
	files, err := Unpack(sealed)
	if err != nil {
		t.Fatal(err)
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		return // where there is one, it must agree
	}
	for name, data := range files {
		cmd := exec.Command(openssl, "dgst", "-sm3", "-r")
		cmd.Stdin = bytes.NewReader(data)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		sum, _, _ := strings.Cut(string(out), " ")
		if name != "SM3SUMS" && name != "SHA256SUMS" && !strings.Contains(string(files["SM3SUMS"]), sum+"  "+name) {
			t.Errorf("%s: openssl says %s", name, sum)
		}
	}
}

func TestLinesBreakWhereTheyMay(t *testing.T) {
	for _, tt := range []struct {
		before, after rune
		want          bool
	}{{'高', '平', true}, {'平', '，', false}, {'（', '高', false}, {'a', 'b', false}, {'1', '元', true}, {'元', '1', true}, {'¥', '1', false}, {' ', 'a', true}, {'”', '高', true}} {
		if got := mayBreak(tt.before, tt.after); got != tt.want {
			t.Errorf("between %c and %c: %v", tt.before, tt.after, got)
		}
	}
}

func TestNoLineBeginsOrEndsAsItMayNot(t *testing.T) {
	f, err := face()
	if err != nil {
		t.Fatal(err)
	}
	p := fpdf.New("P", "mm", "A4", "")
	p.AddUTF8FontFromBytes("hei", "", f.ttf)
	p.AddPage()
	p.SetFont("hei", "", body)
	s := &setter{p: p, f: f}
	const text = "涉及核销 51 笔、补贴 ¥18,400.50（按“优惠金额”计，不是订单金额）；核销编号 r00000abc046，终端 hospitality-200-40，依据《财政违法行为处罚处分条例》第十四条。"
	for w := 45.0; w < 120; w += 0.5 { // narrower, the longest word alone fills a line
		lines := s.wrap(text, w)
		if got, want := squeeze(strings.Join(lines, "")), squeeze(text); got != want {
			t.Fatalf("at %v mm: %q", w, got)
		}
		for i, l := range lines {
			r := []rune(l)
			if p.GetStringWidth(l) > w+0.01 {
				t.Fatalf("at %v mm: %q is too long", w, l)
			}
			if i > 0 && strings.ContainsRune(noStart, r[0]) || i < len(lines)-1 && strings.ContainsRune(noEnd, r[len(r)-1]) {
				t.Fatalf("at %v mm: line %q of %q", w, l, lines)
			}
		}
	}
	if lines := s.wrap(strings.Repeat("x", 200), 30); len(lines) < 4 { // a word that is too long alone is cut
		t.Errorf("%q", lines)
	}
}

func TestARowThatIsTallerThanAPageGoesOn(t *testing.T) {
	doc := &Document{Title: "题", Date: time.Unix(0, 0), Blocks: []Block{&Table{Head: []string{"事项"}, Widths: []float64{1}, Rows: [][]string{{strings.Repeat("到店核查，后厨单据与核销笔数不符。", 300)}}}}}
	pdf, err := PDF(doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(model(t, doc), pdfText(t, pdf)); diff != "" {
		t.Errorf("text (-model +pdf):\n%s", diff)
	}
	low := 0.0
	for _, m := range regexp.MustCompile(`BT [0-9.]+ (-?[0-9.]+) Td`).FindAllSubmatch(streams(pdf), -1) {
		var y float64
		if _, err := fmt.Sscan(string(m[1]), &y); err != nil {
			t.Fatal(err)
		}
		low = min(low, y)
	}
	if pages := bytes.Count(pdf, []byte("/Type /Page\n")); low < 0 || pages < 2 {
		t.Errorf("%d pages, lowest line at %v points", pages, low)
	}
}

func streams(pdf []byte) (all []byte) {
	for _, part := range bytes.Split(pdf, []byte("stream\n"))[1:] {
		if z, err := zlib.NewReader(bytes.NewReader(part)); err == nil {
			content, _ := io.ReadAll(z)
			all = append(all, content...)
		}
	}
	return all
}

func FuzzVerify(f *testing.F) {
	sealed, _, err := Seal(dossier(Notice))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte("PK"))
	f.Add(sealed[:len(sealed)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := Verify(data); err == nil && (m.Number == "" || m.Chain.Head == "") {
			t.Errorf("taken: %+v", m)
		}
	})
}
