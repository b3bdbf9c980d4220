package evidence

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Manifest says what is in a pack. It is manifest.json, in canonical JSON (RFC 8785).
type Manifest struct {
	Number   string    `json:"number"`
	Version  int       `json:"version"`
	Campaign string    `json:"campaign"`
	Case     string    `json:"case_id"`
	Revision int       `json:"case_revision"`
	Agency   string    `json:"agency"`
	Kind     Kind      `json:"kind"`
	Sealed   time.Time `json:"sealed"`
	By       string    `json:"by"`
	Personal string    `json:"personal_data"`
	Chain    Chain     `json:"chain"`
	Files    []File    `json:"files"`
}

// File is one file of a pack.
type File struct {
	Name   string `json:"name"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	SM3    string `json:"sm3"`

	data []byte
}

// Chain ties the events together: link i is SM3(link i-1 ‖ SM3 of line i), in hex, and the first one
// begins with 64 zeros. So no line can be changed, left out or put elsewhere without another head.
type Chain struct {
	Algorithm string `json:"algorithm"`
	Count     int    `json:"count"`
	Head      string `json:"head"`
}

const chainAlgorithm = "sm3(previous-hex || sm3-hex(line))"

type link struct {
	N        int    `json:"n"`
	Source   string `json:"source"`
	Position int64  `json:"position"`
	SM3      string `json:"sm3"`
	Link     string `json:"link"`
}

func sm3Hex(data []byte) string {
	sum := sm3.Sum(data)
	return hex.EncodeToString(sum[:])
}

// Sums are the SHA-256 and the SM3 of some bytes, in hex.
func Sums(data []byte) (sha, sm string) {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), sm3Hex(data)
}

var genesis = string(bytes.Repeat([]byte{'0'}, 64))

func chainOf(events []Event) (ndjson []byte, head string) {
	head = genesis
	var links []link
	for i, e := range events {
		line := sm3Hex(e.Raw)
		head = sm3Hex([]byte(head + line))
		links = append(links, link{i + 1, e.Source, e.Position, line, head})
	}
	ndjson, _ = lines(links) // numbers and texts can always be written
	return ndjson, head
}

func canonical(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	text := jsontext.Value(b)
	err = text.Canonicalize()
	return text, err
}

func pretty(v any) ([]byte, error) {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	return append(b, '\n'), err
}

// pack writes the zip: the files, the manifest and its lists of sums, as sha256sum -c reads them.
func pack(m *Manifest, files []File) ([]byte, error) {
	var shas, sms bytes.Buffer
	for _, f := range files {
		f.Bytes = len(f.data)
		f.SHA256, f.SM3 = Sums(f.data)
		m.Files = append(m.Files, f)
		fmt.Fprintf(&shas, "%s  %s\n", f.SHA256, f.Name)
		fmt.Fprintf(&sms, "%s  %s\n", f.SM3, f.Name)
	}
	manifest, err := canonical(m)
	if err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	sha, sm := Sums(manifest)
	fmt.Fprintf(&shas, "%s  manifest.json\n", sha)
	fmt.Fprintf(&sms, "%s  manifest.json\n", sm)
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range append(files, File{Name: "manifest.json", data: manifest}, File{Name: "SHA256SUMS", data: shas.Bytes()}, File{Name: "SM3SUMS", data: sms.Bytes()}) {
		if err := store(z, f.Name, f.data, m.Sealed); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Verify reads a pack and finds what is not as it was sealed: a file changed, added or missing, a sum
// that does not fit, a chain that is broken. It returns the manifest, and every fault at once. That the
// manifest is the sealed one is known by the sum of the whole pack, in the register.
func Verify(data []byte) (*Manifest, error) {
	files, err := Unpack(data)
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(files["manifest.json"], &m); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	var errs []error
	for _, f := range m.Files {
		got, ok := files[f.Name]
		if !ok {
			errs = append(errs, fmt.Errorf("%s: is missing", f.Name))
			continue
		}
		if sha, sm := Sums(got); sha != f.SHA256 || sm != f.SM3 || len(got) != f.Bytes {
			errs = append(errs, fmt.Errorf("%s: has been changed", f.Name))
		}
	}
	for name := range files {
		if !hasName(&m, name) {
			errs = append(errs, fmt.Errorf("%s: is not in the manifest", name))
		}
	}
	text := jsontext.Value(bytes.Clone(files["manifest.json"]))
	if err := text.Canonicalize(); err != nil || !bytes.Equal(text, files["manifest.json"]) {
		errs = append(errs, errors.New("manifest.json: is not in canonical form"))
	}
	sha, sm := Sums(files["manifest.json"])
	if !bytes.Contains(files["SHA256SUMS"], []byte(sha+"  manifest.json\n")) || !bytes.Contains(files["SM3SUMS"], []byte(sm+"  manifest.json\n")) {
		errs = append(errs, errors.New("manifest.json: does not fit its sums"))
	}
	head, n := genesis, 0
	for line := range bytes.Lines(files["events.ndjson"]) {
		head = sm3Hex([]byte(head + sm3Hex(bytes.TrimSuffix(line, []byte{'\n'}))))
		n++
	}
	if head != m.Chain.Head || n != m.Chain.Count {
		errs = append(errs, errors.New("events.ndjson: does not fit the chain"))
	}
	return &m, errors.Join(errs...)
}
