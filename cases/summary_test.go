package cases

import (
	"testing"

	vw "voucherwatch"
)

func TestSubsidyStepsAreOneTwoFive(t *testing.T) {
	for n, yuan := range []vw.Fen{100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000} {
		if below, at := step(yuan*100-1), step(yuan*100); below != n || at != n+1 {
			t.Errorf("below ¥%d is step %d, from there %d; want %d, %d", yuan, below, at, n, n+1)
		}
	}
}
