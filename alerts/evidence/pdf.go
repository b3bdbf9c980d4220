package evidence

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"codeberg.org/go-pdf/fpdf"
)

// A4, in millimetres.
const (
	margin    = 22.0
	pageWidth = 210.0
	width     = pageWidth - 2*margin
	bottom    = 297.0 - 22.0
	body      = 10.5 // points
	leading   = 6.0  // millimetres
)

// PDF prints a document. The same document gives the same bytes.
func PDF(d *Document) ([]byte, error) {
	f, err := face()
	if err != nil {
		return nil, err
	}
	p := fpdf.New("P", "mm", "A4", "")
	p.SetCreationDate(d.Date)
	p.SetModificationDate(d.Date)
	p.SetCatalogSort(true)
	p.SetProducer("voucherwatch", true)
	p.SetTitle(d.Title, true)
	p.SetLang("zh-CN")
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(false, 0)
	p.AddUTF8FontFromBytes("hei", "", f.ttf)
	s := &setter{p: p, f: f, footer: f.printable(d.Footer)}
	s.page()
	p.SetFontSize(18)
	s.lines(s.wrap(f.printable(d.Title), width), 10, center)
	if d.Number != "" {
		p.SetFontSize(body)
		s.lines(s.wrap(f.printable(d.Number), width), leading, center)
	}
	s.y += 3
	for i, b := range d.Blocks {
		switch b := b.(type) {
		case Heading:
			follows := leading
			if i+1 < len(d.Blocks) {
				if pic, ok := d.Blocks[i+1].(*Timeline); ok {
					follows = pic.height()
				}
			}
			s.heading(string(b), follows)
		case Paragraph:
			s.paragraph(b)
		case *Table:
			s.table(b)
		case *Timeline:
			s.picture(b)
		default:
			return nil, fmt.Errorf("print a %T: unknown", b)
		}
	}
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("print: %w", err)
	}
	return out.Bytes(), nil
}

// setter puts text on pages from top to bottom.
type setter struct {
	p      *fpdf.Fpdf
	f      *typeface
	y      float64 // of the pen
	pages  int
	footer string
}

type align int

const (
	left align = iota
	center
	right
)

func (s *setter) page() {
	s.p.AddPage()
	s.pages++
	s.p.SetFont("hei", "", 8)
	text := fmt.Sprintf("%s　第 %d 页", s.footer, s.pages)
	s.p.Text(pageWidth-margin-s.p.GetStringWidth(text), bottom+9, text)
	s.p.SetFontSize(body)
	s.y = margin
}

// room begins a new page when h does not fit on this one.
func (s *setter) room(h float64) {
	if s.y+h > bottom {
		size, _ := s.p.GetFontSize()
		s.page()
		s.p.SetFontSize(size)
	}
}

// lines sets lines one below the other.
func (s *setter) lines(lines []string, h float64, a align) {
	for _, line := range lines {
		s.room(h)
		s.text(line, margin, s.y, width, h, a)
		s.y += h
	}
}

func (s *setter) text(line string, x, y, w, h float64, a align) {
	line = strings.TrimRight(line, " ")
	if line == "" {
		return
	}
	size, _ := s.p.GetFontSize()
	switch a {
	case center:
		x += (w - s.p.GetStringWidth(line)) / 2
	case right:
		x += w - s.p.GetStringWidth(line)
	}
	s.p.Text(x, y+h/2+size*0.3528*0.36, line)
}

// heading sets a heading, on the page of the first follows millimetres of what comes after it.
func (s *setter) heading(text string, follows float64) {
	s.y += 2
	s.room(11 + follows)
	s.p.SetFontSize(13)
	s.lines(s.wrap(s.f.printable(text), width), 8, left)
	s.p.SetFontSize(body)
	s.y++
}

func (s *setter) paragraph(b Paragraph) {
	text := s.f.printable(b.Text)
	a := left
	switch {
	case b.Right:
		a = right
	case !b.Plain:
		text = "　　" + text
	}
	s.lines(s.wrap(text, width), leading, a)
	s.y++
}

// table sets a table. Its head stands once, so that the text of the paper is read once.
func (s *setter) table(t *Table) {
	const small, h, pad = 8.5, 4.6, 1.2
	s.p.SetFontSize(small)
	s.p.SetDrawColor(120, 120, 120)
	s.p.SetLineWidth(0.15)
	sum := 0.0
	for _, w := range t.Widths {
		sum += w
	}
	draw := func(wrapped [][]string, head bool) {
		most := 1
		for _, lines := range wrapped {
			most = max(most, len(lines))
		}
		s.room(float64(most)*h + 2*pad)
		x := margin
		for i, lines := range wrapped {
			w, style := width*t.Widths[i]/sum, "D"
			if head {
				s.p.SetFillColor(235, 235, 235)
				style = "FD"
			}
			s.p.Rect(x, s.y, w, float64(most)*h+2*pad, style)
			a := left
			if t.Right != nil && t.Right[i] && !head {
				a = right
			}
			for j, line := range lines {
				s.text(line, x+pad, s.y+pad+float64(j)*h, w-2*pad, h, a)
			}
			x += w
		}
		s.y += float64(most)*h + 2*pad
	}
	row := func(cells []string, head bool) {
		const tallest = 50 // lines: what fits on a page
		wrapped, most := make([][]string, len(cells)), 0
		for i, c := range cells {
			wrapped[i] = s.wrap(s.f.printable(c), width*t.Widths[i]/sum-2*pad)
			most = max(most, len(wrapped[i]))
		}
		for from := 0; from < most; from += tallest { // a row that is taller goes on on the next page
			piece := make([][]string, len(wrapped))
			for i, lines := range wrapped {
				piece[i] = lines[min(from, len(lines)):min(from+tallest, len(lines))]
			}
			draw(piece, head)
		}
	}
	row(t.Head, true)
	for _, r := range t.Rows {
		row(r, false)
	}
	s.p.SetFontSize(body)
	s.y += 3
}

func (s *setter) picture(t *Timeline) {
	s.room(t.height())
	s.y += t.draw(s.p, margin, s.y, width)
	s.p.SetFontSize(8.5)
	s.lines(s.wrap(s.f.printable(t.Caption), width), 5, center)
	s.p.SetFontSize(body)
	s.y += 2
}

// Characters that may not begin or end a line.
const (
	noStart = "，。、；：？！）》】」』”’…—％%,.;:?!)]}·～〕"
	noEnd   = "（《【「『“‘([{¥〔"
)

// wrap cuts a text into lines of at most w millimetres: between any two Chinese characters, between
// words of Latin letters and digits, and inside a word only when it alone is too long.
func (s *setter) wrap(text string, w float64) (lines []string) {
	runes := []rune(text)
	if len(runes) == 0 {
		return []string{""}
	}
	for start := 0; start < len(runes); {
		end, fit := start, 0.0
		for end < len(runes) {
			c := s.p.GetStringWidth(string(runes[end]))
			if fit+c > w && end > start {
				break
			}
			fit += c
			end++
		}
		if end < len(runes) {
			cut := end
			for cut > start+1 && !mayBreak(runes[cut-1], runes[cut]) {
				cut--
			}
			if cut > start+1 {
				end = cut
			}
		}
		lines = append(lines, string(runes[start:end]))
		start = end
		for start < len(runes) && runes[start] == ' ' {
			start++
		}
	}
	return lines
}

func mayBreak(before, after rune) bool {
	if strings.ContainsRune(noStart, after) || strings.ContainsRune(noEnd, before) {
		return false
	}
	word := func(r rune) bool {
		return r < 0x2000 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_/@#&+=¥$.,", r))
	}
	return !word(before) || !word(after)
}
