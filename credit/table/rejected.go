package table

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	vw "voucherwatch"
)

// Rejection is a row that the platform sent back.
type Rejection struct {
	Line   int // of the file, from 1
	Number string
	Party  string
	Reason string
	// Row is the index of the penalty that it is, -1 when none of those given is.
	Row int
}

// What the columns of such files are called.
var (
	numberNames = []string{"cf_wsh", "行政处罚决定书文号", "行政处罚决定书文号*", "决定书文号"}
	partyNames  = []string{"cf_xdr_mc", "行政相对人名称", "行政相对人名称*"}
	reasonNames = []string{"错误原因", "驳回原因", "错误信息", "失败原因", "校验结果", "reason", "error"}
)

// most is how large a file of rejected rows may be.
const most = 64 << 20

// ReadRejected reads a file of rejected rows, xlsx or csv by what it holds, and finds the penalties that
// they are, by number and party. A file without the columns for them is vw.Invalid and says which it has.
func ReadRejected(r io.Reader, sent []Penalty) ([]Rejection, error) {
	invalid := func(hint string, err error) ([]Rejection, error) {
		return nil, &vw.Error{Op: "table.ReadRejected", Code: vw.Invalid, Hint: hint, Err: err}
	}
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("read rejected rows: %w", err)
	}
	if len(data) > most {
		return invalid("split the file", errors.New("the file is larger than 64 MiB"))
	}
	var rows [][]string
	if bytes.HasPrefix(data, []byte("PK")) {
		rows, err = sheet(data)
	} else {
		c := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
		c.FieldsPerRecord, c.LazyQuotes = -1, true
		rows, err = c.ReadAll()
	}
	if err != nil {
		return invalid("give the file as the platform exported it, xlsx or UTF-8 csv", err)
	}
	number, party, reason, head := -1, -1, -1, -1
	for i := range rows[:min(len(rows), 5)] { // a title may stand above
		number, party, reason = find(rows[i], numberNames), find(rows[i], partyNames), find(rows[i], reasonNames)
		if number >= 0 && party >= 0 && reason >= 0 {
			head = i
			break
		}
	}
	if head < 0 {
		var first []string
		if len(rows) > 0 {
			first = rows[0]
		}
		return invalid("name the columns 行政处罚决定书文号, 行政相对人名称 and 错误原因", fmt.Errorf("line 1 has the columns %q", first))
	}
	var all []Rejection
	for i, row := range rows[head+1:] {
		at := func(j int) string {
			if j >= len(row) {
				return ""
			}
			return strings.TrimSpace(strings.TrimPrefix(row[j], "'"))
		}
		x := Rejection{Line: head + 2 + i, Number: at(number), Party: at(party), Reason: at(reason)}
		if x.Number == "" && x.Party == "" || slices.Contains(numberNames, x.Number) {
			continue // an empty line, or the second line of our own head
		}
		if x.Reason == "" {
			x.Reason = "没有给出原因 · no reason given"
		}
		x.Row = slices.IndexFunc(sent, func(p Penalty) bool { return p.Number == x.Number && p.Party.Name == x.Party })
		all = append(all, x)
	}
	return all, nil
}

func find(row, names []string) int {
	return slices.IndexFunc(row, func(s string) bool { return slices.Contains(names, strings.TrimSpace(s)) })
}

func sheet(data []byte) ([][]string, error) {
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{UnzipSizeLimit: 512 << 20, UnzipXMLSizeLimit: 128 << 20})
	if err != nil {
		return nil, errors.New("the file is not a workbook that can be read")
	}
	defer func() { _ = f.Close() }()
	return f.GetRows(f.GetSheetName(0))
}
