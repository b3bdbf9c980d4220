package evidence

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/image/font/sfnt"
)

//go:embed font/wqy-microhei.ttf.zst
var packedFont []byte

// face is the font that the report is set in. It is unpacked when the first report is.
var face = sync.OnceValues(func() (*typeface, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	f := &typeface{}
	if f.ttf, err = z.DecodeAll(packedFont, nil); err != nil {
		return nil, fmt.Errorf("unpack the font: %w", err)
	}
	f.glyphs, err = sfnt.Parse(f.ttf)
	return f, err
})

type typeface struct {
	ttf    []byte
	glyphs *sfnt.Font
}

// printable is the text as the font can print it: a character that it lacks is named, 〔U+20BB7〕, instead
// of being left out or shown as a box; control characters become blanks.
func (f *typeface) printable(s string) string {
	var buf sfnt.Buffer
	var b strings.Builder
	for _, r := range s {
		switch i, err := f.glyphs.GlyphIndex(&buf, r); {
		case r < ' ':
			b.WriteRune(' ')
		case err != nil || i == 0 || r > 0xffff:
			fmt.Fprintf(&b, "〔U+%04X〕", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
