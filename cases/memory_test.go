package cases_test

import (
	"testing"

	"voucherwatch/cases"
	"voucherwatch/cases/casetest"
)

func TestMemory(t *testing.T) {
	casetest.Run(t, func(testing.TB, string) cases.Store { return cases.NewMemory() })
}
