package cases_test

import (
	"testing"

	"voucherwatch/cases"
	"voucherwatch/cases/casetest"
)

func TestMemory(t *testing.T) {
	casetest.RunArchive(t, func(testing.TB, string) cases.Archive { return cases.NewMemory() })
}
