package cases

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// chained is a log of n lines.
func chained(t testing.TB, n int) (texts []string, last Line) {
	t.Helper()
	for i := range n {
		l, err := Chain(last, Entered{At: "2022-09-26T10:00:00+08:00", Actor: "li", Action: "case.view", CaseID: fmt.Sprint("case-", i)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := l.Text()
		if err != nil {
			t.Fatal(err)
		}
		texts, last = append(texts, text), l
	}
	return texts, last
}

func kinds(found []Damage) (out []string) {
	for _, d := range found {
		out = append(out, fmt.Sprintf("%s %d", d.Kind, d.Seq))
	}
	return out
}

func TestAnIntactLogVerifies(t *testing.T) {
	texts, last := chained(t, 20)
	end, found := Verify(texts, "", fmt.Sprintf("20:%s", last.SHA256))
	if len(found) > 0 || end != last {
		t.Errorf("%v", kinds(found))
	}
	if _, found := Verify(nil, "", ""); len(found) > 0 {
		t.Errorf("an empty log: %v", kinds(found))
	}
}

// TestEveryFlippedByteIsFoundWhereItIs flips each byte of a log in turn.
func TestEveryFlippedByteIsFoundWhereItIs(t *testing.T) {
	texts, _ := chained(t, 5)
	for i, text := range texts {
		for at := range len(text) {
			for _, bit := range []byte{1, 0x20, 0x80} {
				b := []byte(text)
				b[at] ^= bit
				damaged := slices.Clone(texts)
				damaged[i] = string(b)
				_, found := Verify(damaged, "", "")
				if len(found) != 1 || found[0].Kind != "altered" || found[0].Position != int64(i)+1 {
					t.Fatalf("line %d byte %d bit %x: %+v", i+1, at, bit, found)
				}
			}
		}
	}
}

func TestMissingAndReorderedLinesAreNamed(t *testing.T) {
	texts, last := chained(t, 9)
	for i := range texts[:8] {
		_, found := Verify(slices.Delete(slices.Clone(texts), i, i+1), "", "")
		if got := strings.Join(kinds(found), ","); got != fmt.Sprintf("missing %d", i+1) {
			t.Errorf("without line %d: %s", i+1, got)
		}
	}
	for i := range texts[:8] {
		swapped := slices.Clone(texts)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		_, found := Verify(swapped, "", "")
		if len(found) != 1 || found[0].Kind != "reordered" || found[0].Position != int64(i)+2 {
			t.Errorf("lines %d and %d swapped: %+v", i+1, i+2, found)
		}
	}
	if _, found := Verify(texts[:8], "", fmt.Sprintf("9:%s", last.SHA256)); strings.Join(kinds(found), ",") != "truncated 8" {
		t.Errorf("cut off: %v", kinds(found))
	}
	if _, found := Verify(append(slices.Clone(texts), texts[3]), "", ""); strings.Join(kinds(found), ",") != "repeated 4" {
		t.Errorf("repeated: %v", kinds(found))
	}
	// One line replaced by a good one of another log.
	other, _ := chained(t, 9)
	l, _ := ReadLine(other[4])
	l.Actor = "wang"
	l.SHA256, l.SM3, _ = l.hashes()
	other[4], _ = l.Text()
	if _, found := Verify(other, "", ""); strings.Join(kinds(found), ",") != "altered 6" {
		t.Errorf("forged with new hashes: %v", kinds(found))
	}
}

func TestALogWhoseBeginningWasTakenAwayVerifiesFromAKnownLine(t *testing.T) {
	texts, _ := chained(t, 9)
	l, _ := ReadLine(texts[2])
	if _, found := Verify(texts[3:], fmt.Sprintf("3:%s", l.SHA256), ""); len(found) > 0 {
		t.Errorf("%v", kinds(found))
	}
	if _, found := Verify(texts[3:], "3:"+strings.Repeat("0", 64), ""); strings.Join(kinds(found), ",") != "altered 4" {
		t.Errorf("another beginning: %v", kinds(found))
	}
	if _, found := Verify(texts[3:], "", ""); strings.Join(kinds(found), ",") != "missing 1,missing 2,missing 3" {
		t.Errorf("without the line before: %v", kinds(found))
	}
}

func FuzzReadLine(f *testing.F) {
	texts, _ := chained(f, 2)
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ReadLine(text)
		if err != nil {
			return
		}
		if again, err := l.Text(); err != nil || again != text {
			t.Errorf("round trip: %q, %v", again, err)
		}
	})
}

func TestSM3IsTheStandards(t *testing.T) {
	if got := DigestOf([]byte("abc")).SM3; got != "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0" {
		t.Errorf("SM3(abc) = %s", got)
	}
}
