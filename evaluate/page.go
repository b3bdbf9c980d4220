package evaluate

import (
	"fmt"
	"strings"
)

// page is a result on its way to paper: sentences and tables, in order.
type page struct{ blocks []block }

// block is a sentence, or a table whose first row are the heads.
type block struct {
	say  string
	rows [][]string
}

func (p *page) say(format string, a ...any) {
	p.blocks = append(p.blocks, block{say: fmt.Sprintf(format, a...)})
}

// head begins a table.
func (p *page) head(cells ...string) { p.blocks = append(p.blocks, block{rows: [][]string{cells}}) }

func (p *page) row(cells ...string) {
	b := &p.blocks[len(p.blocks)-1]
	b.rows = append(b.rows, cells)
}

// text is the page with an empty line before each table, columns as wide as their widest cell.
func (p *page) text() string {
	var out strings.Builder
	for _, b := range p.blocks {
		if b.rows == nil {
			out.WriteString(b.say + "\n")
			continue
		}
		out.WriteByte('\n')
		var width []int
		for _, row := range b.rows {
			for i, cell := range row {
				if i == len(width) {
					width = append(width, 0)
				}
				width[i] = max(width[i], columns(cell))
			}
		}
		for _, row := range b.rows {
			line := ""
			for i, cell := range row {
				line += cell + strings.Repeat(" ", width[i]-columns(cell)+2)
			}
			out.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
	return out.String()
}

// columns is how wide a text is on a terminal: Chinese characters take two.
func columns(s string) (n int) {
	for _, r := range s {
		n++
		if r >= 0x2e80 && r < 0xff61 {
			n++
		}
	}
	return n
}
