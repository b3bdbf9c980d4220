package simulate

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// event is any line as an outsider reads it.
type event struct {
	Type, ID, At                          string
	Merchant                              string `json:"merchant_id"`
	Customer                              string `json:"customer_id"`
	Voucher                               string `json:"voucher_id"`
	VoucherType                           string `json:"voucher_type"`
	Order                                 int64  `json:"order_fen"`
	Discount                              int64  `json:"discount_fen"`
	Paid                                  int64  `json:"paid_fen"`
	Target                                string `json:"redemption_id"`
	Category, Kind, SKU, District, Status string
	Device                                string `json:"device_id"`
	Card                                  string `json:"card_id"`
	Terminal                              string `json:"terminal_id"`
	Price                                 int64  `json:"price_fen"`
	Lines                                 []struct {
		SKU    string
		Unit   int64 `json:"unit_price_fen"`
		Amount int64 `json:"amount_fen"`
	}
	when time.Time
	line []byte
}

// truth is the label file as an evaluator reads it.
type truth struct {
	Cases []struct {
		Case, Typology, Family string
		Merchants, Customers   []string
		RedemptionIDs          []string `json:"redemption_ids"`
		SKUs                   []string
		AtTheTill              bool  `json:"at_the_till"`
		Stake                  int64 `json:"stake_fen"`
		Pairs                  [][]any
	}
	Counts      Counts
	Redemptions map[string]struct {
		Typology, Family, Case, Role, Session string
		Stake                                 int64 `json:"stake_fen"`
	}
	Violations    map[string]string
	HardNegatives map[string][]string `json:"hard_negatives"`
	Fillers       []string
	Malformed     []Malformed
	Placebo       bool
	Difficulty    Difficulty
}

// read parses all lines that are well formed, first copies only, in order of arrival.
func read(t testing.TB, events, labels []byte) ([]event, truth) {
	t.Helper()
	var l truth
	if err := json.Unmarshal(labels, &l); err != nil {
		t.Fatalf("read labels: %v", err)
	}
	bad := map[int]bool{}
	for _, m := range l.Malformed {
		bad[m.Line] = true
	}
	seen := map[string]bool{}
	var out []event
	for n, line := range bytes.Split(bytes.TrimSuffix(events, []byte("\n")), []byte("\n")) {
		if bad[n+1] {
			continue
		}
		e := event{line: line}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("line %d is not labelled malformed: %v\n%s", n+1, err, line)
		}
		if seen[e.Type+e.ID] {
			continue
		}
		seen[e.Type+e.ID] = true
		when, err := time.Parse(time.RFC3339Nano, e.At)
		if err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		e.when = when
		out = append(out, e)
	}
	return out, l
}

// world1 is a world that many tests look at.
func world1(t testing.TB, seed uint64) ([]event, truth) {
	t.Helper()
	e, l, _ := run(t, Options{Seed: seed, Scale: .6})
	return read(t, e, l)
}
