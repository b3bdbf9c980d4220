package credit

import (
	"strings"

	"golang.org/x/text/width"
)

// 统一社会信用代码 (GB 32100-2015): 18 of these characters, the last of them a check digit over the
// others; places 9 to 17 are an organisation code (GB 11714) with a check digit of its own.
const usccAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// USCC is a code as it was read.
type USCC struct {
	Code string // without blanks, half-width, upper case
	// Form says that it has the right length and characters, Check that its check digit fits too. A code
	// with the right form and a wrong digit may have been issued so: ask the registry.
	Form, Check bool
	// Expected is the check digit that would fit, 0 when a character is none of the alphabet.
	Expected byte
	// Organisation says whether the organisation code inside fits its own check digit.
	Organisation bool
	// Suggestion is the code with O for 0 and I for 1 put right, when that would fit; never used by itself.
	Suggestion string
}

// ParseUSCC reads a code.
func ParseUSCC(s string) USCC {
	u := USCC{Code: strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\u3000' || r == '\u00a0' || r == '-' {
			return -1
		}
		return r
	}, width.Narrow.String(s)))}
	u.Form, u.Expected = usccForm(u.Code)
	u.Check = u.Form && u.Code[17] == u.Expected
	if u.Form {
		u.Organisation = u.Code[16] == organisationCheck(u.Code[8:16])
	}
	if !u.Check {
		other := strings.NewReplacer("O", "0", "I", "1").Replace(u.Code)
		if form, expected := usccForm(other); other != u.Code && form && other[17] == expected {
			u.Suggestion = other
		}
	}
	return u
}

func usccForm(code string) (ok bool, expected byte) {
	if len(code) != 18 {
		return false, 0
	}
	ok = true
	sum, weight := 0, 1
	for i := range 18 {
		value := strings.IndexByte(usccAlphabet, code[i])
		if value < 0 {
			return false, 0
		}
		ok = ok && (i < 2 || i >= 8 || value <= 9) // the district is digits
		if i < 17 {
			sum += value * weight
			weight = weight * 3 % 31
		}
	}
	return ok, usccAlphabet[(31-sum%31)%31]
}

func organisationCheck(code string) byte {
	sum := 0
	for i, w := range []int{3, 7, 9, 10, 5, 8, 4, 2} {
		c := int(code[i] - '0')
		if code[i] >= 'A' {
			c = int(code[i]-'A') + 10
		}
		sum += c * w
	}
	return "0123456789X0"[11-sum%11]
}
