// Package table writes 行政处罚 “双公示” 2.0 tables for platforms that take files: xlsx, csv and xml with the
// exact columns, in the exact units, and reads the rejected rows that come back.
//
// In: Penalty, one decision each. Out: a file, and a list of the sums of its rows (SM3) to keep with the
// receipt of the upload. Natural persons are not written: their columns stay empty.
package table

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emmansun/gmsm/sm3"
	"github.com/xuri/excelize/v2"

	vw "voucherwatch"
	"voucherwatch/credit"
)

// Penalty is one 行政处罚决定.
type Penalty struct {
	Party     credit.Party
	Org       string // 组织机构代码
	Tax       string // 税务登记号
	Public    string // 事业单位证书号
	Social    string // 社会组织登记证号
	Head      string // 法定代表人
	Number    string // 行政处罚决定书文号
	Type      string // 违法行为类型
	Facts     string // 违法事实
	Basis     string // 处罚依据
	Kind      string // 处罚类别
	Content   string // 处罚内容
	Fine      vw.Fen // 罚款
	Forfeit   vw.Fen // 没收违法所得、没收非法财物
	License   string // 暂扣或吊销证照名称及编号
	Decided   credit.Day
	Valid     credit.Day // 处罚有效期
	Until     credit.Day // 公示截止期
	Authority string
	AuthCode  string // 处罚机关统一社会信用代码
	Source    string // 数据来源单位
	SourceID  string
	Note      string
}

// Column is a column of the table.
type Column struct {
	Code, Title string
	Required    bool
	Most        int // characters
	value       func(p *Penalty) string
}

// Wan is an amount in 万元 with six decimals, exactly; nothing for zero.
func Wan(f vw.Fen) string {
	if f == 0 {
		return ""
	}
	sign := ""
	if f < 0 {
		sign, f = "-", -f
	}
	return fmt.Sprintf("%s%d.%06d", sign, f/1_000_000, f%1_000_000)
}

var kinds = map[string]string{credit.Organisation: "法人及非法人组织", credit.SoleTrader: "个体工商户"}

func slash(d credit.Day) string { return strings.ReplaceAll(string(d), "-", "/") }

// Columns are those of the table, in its order.
var Columns = []Column{
	{"cf_xdr_mc", "行政相对人名称", true, 200, func(p *Penalty) string { return p.Party.Name }},
	{"cf_xdr_lb", "行政相对人类别", true, 16, func(p *Penalty) string { return kinds[p.Party.Kind] }},
	{"cf_xdr_shxym", "行政相对人代码_1(统一社会信用代码)", false, 18, func(p *Penalty) string { return p.Party.USCC }},
	{"cf_xdr_gszc", "行政相对人代码_2(工商注册号)", false, 50, func(p *Penalty) string { return p.Party.RegNo }},
	{"cf_xdr_zzjg", "行政相对人代码_3(组织机构代码)", false, 9, func(p *Penalty) string { return p.Org }},
	{"cf_xdr_swdj", "行政相对人代码_4(税务登记号)", false, 15, func(p *Penalty) string { return p.Tax }},
	{"cf_xdr_sydw", "行政相对人代码_5(事业单位证书号)", false, 12, func(p *Penalty) string { return p.Public }},
	{"cf_xdr_shzz", "行政相对人代码_6(社会组织登记证号)", false, 50, func(p *Penalty) string { return p.Social }},
	{"cf_frdb", "法定代表人", false, 50, func(p *Penalty) string { return p.Head }},
	{"cf_fr_zjlx", "法定代表人证件类型", false, 64, none},
	{"cf_fr_sfzh", "法定代表人证件号码", false, 64, none},
	{"cf_xdr_zjlx", "证件类型", false, 64, none},
	{"cf_xdr_zjhm", "证件号码", false, 64, none},
	{"cf_wsh", "行政处罚决定书文号", true, 128, func(p *Penalty) string { return p.Number }},
	{"cf_wfxw", "违法行为类型", true, 2000, func(p *Penalty) string { return p.Type }},
	{"cf_sy", "违法事实", true, 5000, func(p *Penalty) string { return p.Facts }},
	{"cf_yj", "处罚依据", true, 2048, func(p *Penalty) string { return p.Basis }},
	{"cf_cflb", "处罚类别", true, 64, func(p *Penalty) string { return p.Kind }},
	{"cf_nr", "处罚内容", true, 4000, func(p *Penalty) string { return p.Content }},
	{"cf_nr_fk", "罚款金额（万元）", false, 25, func(p *Penalty) string { return Wan(p.Fine) }},
	{"cf_nr_wfff", "没收违法所得、没收非法财物的金额（万元）", false, 25, func(p *Penalty) string { return Wan(p.Forfeit) }},
	{"cf_nr_zkdx", "暂扣或吊销证照名称及编号", false, 200, func(p *Penalty) string { return p.License }},
	{"cf_jdrq", "处罚决定日期", true, 10, func(p *Penalty) string { return slash(p.Decided) }},
	{"cf_yxq", "处罚有效期", true, 10, func(p *Penalty) string { return slash(p.Valid) }},
	{"cf_gsjzq", "公示截止期", false, 10, func(p *Penalty) string { return slash(p.Until) }},
	{"cf_cfjg", "处罚机关", true, 200, func(p *Penalty) string { return p.Authority }},
	{"cf_cfjgdm", "处罚机关统一社会信用代码", true, 18, func(p *Penalty) string { return p.AuthCode }},
	{"cf_sjly", "数据来源单位", true, 200, func(p *Penalty) string { return p.Source }},
	{"cf_sjlydm", "数据来源单位统一社会信用代码", true, 18, func(p *Penalty) string { return p.SourceID }},
	{"bz", "备注", false, 512, func(p *Penalty) string { return p.Note }},
}

func none(*Penalty) string { return "" }

// Of is the penalty that an entry rests on, as far as the entry knows it; the amounts, the kind and the
// type are of the decision and are filled in by the authority.
func Of(e *credit.Entry) Penalty {
	return Penalty{
		Party: e.Party, Number: e.Instrument.Number, Facts: e.Deed.Text, Basis: e.Basis.Text, Content: e.Measure, Decided: e.Instrument.Date, Valid: e.End, Until: e.End,
		Authority: e.Instrument.Authority, AuthCode: e.Instrument.AuthorityUSCC, Source: e.Instrument.Authority, SourceID: e.Instrument.AuthorityUSCC,
	}
}

// Check finds what a platform would reject, on a day, all at once, with row (from 1) and column.
func Check(rows []Penalty, today credit.Day) error {
	var errs []error
	seen := map[[3]string]int{}
	for i := range rows {
		p := &rows[i]
		fault := func(code, text string) { errs = append(errs, fmt.Errorf("row %d, %s: %s", i+1, code, text)) }
		for _, c := range Columns {
			v := c.value(p)
			switch {
			case c.Required && strings.TrimSpace(v) == "":
				fault(c.Code, "is required（"+c.Title+"）")
			case utf8.RuneCountInString(v) > c.Most:
				fault(c.Code, fmt.Sprintf("has more than %d characters", c.Most))
			case strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }):
				fault(c.Code, "has control characters")
			}
		}
		codes := 0
		for _, s := range []string{p.Party.USCC, p.Party.RegNo, p.Org, p.Tax, p.Public, p.Social} {
			if s != "" {
				codes++
			}
		}
		if codes == 0 {
			fault("cf_xdr_shxym", "one code of the party is required")
		}
		if p.Party.USCC != "" && !credit.ParseUSCC(p.Party.USCC).Form {
			fault("cf_xdr_shxym", "is not a unified social credit code")
		}
		if trader := strings.HasPrefix(p.Party.USCC, "92"); p.Party.USCC != "" && trader != (p.Party.Kind == credit.SoleTrader) {
			fault("cf_xdr_lb", "does not fit the code: 92 is 个体工商户, others are not")
		}
		for _, c := range [][2]string{{"cf_cfjgdm", p.AuthCode}, {"cf_sjlydm", p.SourceID}} {
			if u := credit.ParseUSCC(c[1]); c[1] != "" && (!u.Form || !strings.HasPrefix(c[1], "11") && !strings.HasPrefix(c[1], "12")) {
				fault(c[0], "is not the code of an authority (11) or institution (12)")
			}
		}
		if p.Decided > today {
			fault("cf_jdrq", "lies in the future")
		}
		if p.Until != "" && p.Until <= p.Decided {
			fault("cf_gsjzq", "is not after the decision")
		}
		if p.Valid != "" && p.Valid < p.Decided {
			fault("cf_yxq", "is before the decision")
		}
		if p.Fine < 0 || p.Forfeit < 0 {
			fault("cf_nr_fk", "is negative")
		}
		key := [3]string{p.AuthCode, p.Number, p.Party.Name}
		if first, twice := seen[key]; twice {
			fault("cf_wsh", fmt.Sprintf("is the same decision as row %d", first))
		}
		seen[key] = i + 1
	}
	if len(errs) > 0 {
		return &vw.Error{Op: "table.Check", Code: vw.Invalid, Err: errors.Join(errs...)}
	}
	return nil
}

// Sums are kept with the receipt of an upload: that of the file, and of each row (its values, joined
// by line feeds), SM3 in hex.
type Sums struct {
	File string
	Rows []string
}

func sum(b []byte) string {
	s := sm3.Sum(b)
	return hex.EncodeToString(s[:])
}

func values(p *Penalty) []string {
	row := make([]string, len(Columns))
	for i, c := range Columns {
		row[i] = c.value(p)
	}
	return row
}

// Write writes a table as xlsx, csv or xml. The same rows give the same sums of rows in each.
func Write(w io.Writer, format string, rows []Penalty) (Sums, error) {
	writer, ok := map[string]func(io.Writer, [][]string) error{"xlsx": writeXLSX, "csv": writeCSV, "xml": writeXML}[format]
	if !ok {
		return Sums{}, &vw.Error{Op: "table.Write", Code: vw.Invalid, Hint: "use xlsx, csv or xml", Err: fmt.Errorf("there is no format %q", format)}
	}
	var s Sums
	var all [][]string
	for i := range rows {
		v := values(&rows[i])
		all = append(all, v)
		s.Rows = append(s.Rows, sum([]byte(strings.Join(v, "\n"))))
	}
	var b bytes.Buffer
	if err := writer(&b, all); err != nil {
		return Sums{}, fmt.Errorf("write %s: %w", format, err)
	}
	s.File = sum(b.Bytes())
	_, err := w.Write(b.Bytes())
	return s, err
}

// writeCSV writes UTF-8 with a mark, codes in the first line. A value that a spreadsheet would compute is
// quoted.
func writeCSV(w io.Writer, rows [][]string) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	c := csv.NewWriter(w)
	c.UseCRLF = true
	if err := c.Write(codes()); err != nil {
		return err
	}
	for _, row := range rows {
		line := slices.Clone(row)
		for i, s := range line {
			if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
				line[i] = "'" + s
			}
		}
		if err := c.Write(line); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

func codes() (all []string) {
	for _, c := range Columns {
		all = append(all, c.Code)
	}
	return all
}

// writeXLSX writes one sheet: titles, codes, rows. Every cell is text: a code of 18 digits is no number.
func writeXLSX(w io.Writer, rows [][]string) error {
	f := excelize.NewFile()
	defer func() { _ = f.Close() }()
	const sheet = "行政处罚"
	if err := f.SetSheetName("Sheet1", sheet); err != nil {
		return err
	}
	var titles []string
	for _, c := range Columns {
		title := c.Title
		if c.Required {
			title += "*"
		}
		titles = append(titles, title)
	}
	for i, row := range append([][]string{titles, codes()}, rows...) {
		for j, v := range row {
			cell, err := excelize.CoordinatesToCellName(j+1, i+1)
			if err != nil {
				return err
			}
			if err := f.SetCellStr(sheet, cell, v); err != nil {
				return err
			}
		}
	}
	text, err := f.NewStyle(&excelize.Style{NumFmt: 49}) // text
	if err != nil {
		return err
	}
	last, err := excelize.ColumnNumberToName(len(Columns))
	if err != nil {
		return err
	}
	if err := errors.Join(f.SetColStyle(sheet, "A:"+last, text), f.SetColWidth(sheet, "A", last, 22), f.SetPanes(sheet, &excelize.Panes{Freeze: true, YSplit: 2, TopLeftCell: "A3", ActivePane: "bottomLeft"})); err != nil {
		return err
	}
	// The time of writing would make every file another.
	if err := f.SetDocProps(&excelize.DocProperties{Creator: "voucherwatch", Created: "2022-01-01T00:00:00Z", Modified: "2022-01-01T00:00:00Z"}); err != nil {
		return err
	}
	return f.Write(w)
}

func writeXML(w io.Writer, rows [][]string) error {
	var b strings.Builder
	b.WriteString(xml.Header + "<rows>\n")
	for _, row := range rows {
		b.WriteString("  <row>\n")
		for i, c := range Columns {
			fmt.Fprintf(&b, "    <%s>", c.Code)
			if err := xml.EscapeText(&b, []byte(row[i])); err != nil {
				return err
			}
			fmt.Fprintf(&b, "</%s>\n", c.Code)
		}
		b.WriteString("  </row>\n")
	}
	b.WriteString("</rows>\n")
	_, err := io.WriteString(w, b.String())
	return err
}
