package alerts_test

import (
	"testing"

	"voucherwatch/alerts"
	"voucherwatch/alerts/alertstest"
)

func TestMemory(t *testing.T) {
	stores := map[string]*alerts.Memory{}
	alertstest.Run(t, func(t *testing.T) alertstest.Store {
		if stores[t.Name()] == nil {
			stores[t.Name()] = alerts.NewMemory()
		}
		return stores[t.Name()]
	})
}
