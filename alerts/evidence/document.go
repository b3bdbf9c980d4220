package evidence

import "time"

// Document is a paper before it is printed: the same for PDF and Word.
type Document struct {
	Title  string
	Number string // 文号, under the title
	// Footer is at the foot of every page of a PDF, before the number of the page.
	Footer string
	Date   time.Time
	Blocks []Block
}

// Block is a part of a Document: Heading, Paragraph, Table, Timeline.
type Block interface {
	// words is all text of the block, in reading order.
	words() []string
}

// Heading begins a section.
type Heading string

// Paragraph is running text.
type Paragraph struct {
	Text  string
	Right bool // set to the right, as a signature is
	Plain bool // without the indentation of two characters
}

// Table is rows under a head. Widths are parts of the page's width; Right are columns of numbers.
type Table struct {
	Head   []string
	Widths []float64
	Right  []bool
	Rows   [][]string
}

func (h Heading) words() []string   { return []string{string(h)} }
func (p Paragraph) words() []string { return []string{p.Text} }
func (t *Table) words() (all []string) {
	all = append(all, t.Head...)
	for _, r := range t.Rows {
		all = append(all, r...)
	}
	return all
}

// Words is all text of a document, in reading order, the footer apart.
func (d *Document) Words() []string {
	all := []string{d.Title}
	if d.Number != "" {
		all = append(all, d.Number)
	}
	for _, b := range d.Blocks {
		all = append(all, b.words()...)
	}
	return all
}
