package voucherwatch

// The events as the contract writes them (shared contract.md, docs/api). Pointers and empty values
// mark fields that may be absent. They are the strict reader's target and what simulate writes; the
// hot path uses Event.

// Merchant is a registry row, an upsert by merchant_id.
type Merchant struct {
	Type              string   `json:"type"`
	ID                string   `json:"id"`
	At                string   `json:"at"`
	MerchantID        string   `json:"merchant_id"`
	Name              string   `json:"name"`
	USCC              string   `json:"uscc,omitempty"`
	Category          string   `json:"category"`
	MCC               string   `json:"mcc,omitempty"`
	Status            string   `json:"status"`
	Dishonest         bool     `json:"dishonest"`
	District          string   `json:"district,omitempty"`
	Lon               *float64 `json:"lon,omitempty"`
	Lat               *float64 `json:"lat,omitempty"`
	OpensAt           string   `json:"opens_at,omitempty"`
	ClosesAt          string   `json:"closes_at,omitempty"`
	Seats             *int64   `json:"seats,omitempty"`
	Terminals         []string `json:"terminals,omitempty"`
	OwnerCustomerIDs  []string `json:"owner_customer_ids,omitempty"`
	SettlementAccount string   `json:"settlement_account,omitempty"`
}

// Claim is a voucher landing in a customer's wallet.
type Claim struct {
	Type        string   `json:"type"`
	ID          string   `json:"id"`
	At          string   `json:"at"`
	VoucherID   string   `json:"voucher_id"`
	VoucherType string   `json:"voucher_type"`
	CustomerID  string   `json:"customer_id"`
	DeviceID    string   `json:"device_id,omitempty"`
	IPToken     string   `json:"ip_token,omitempty"`
	Lon         *float64 `json:"lon,omitempty"`
	Lat         *float64 `json:"lat,omitempty"`
}

// Redemption is a voucher used in a payment (核销).
type Redemption struct {
	Type        string        `json:"type"`
	ID          string        `json:"id"`
	At          string        `json:"at"`
	VoucherID   string        `json:"voucher_id"`
	VoucherType string        `json:"voucher_type"`
	CustomerID  string        `json:"customer_id"`
	MerchantID  string        `json:"merchant_id"`
	OrderFen    int64         `json:"order_fen"`
	DiscountFen int64         `json:"discount_fen"`
	PaidFen     int64         `json:"paid_fen"`
	DeviceID    string        `json:"device_id,omitempty"`
	CardID      string        `json:"card_id,omitempty"`
	ClaimedAt   string        `json:"claimed_at,omitempty"`
	TerminalID  string        `json:"terminal_id,omitempty"`
	CashierID   string        `json:"cashier_id,omitempty"`
	OrderID     string        `json:"order_id,omitempty"`
	MCC         string        `json:"mcc,omitempty"`
	District    string        `json:"district,omitempty"`
	Lon         *float64      `json:"lon,omitempty"`
	Lat         *float64      `json:"lat,omitempty"`
	Channel     string        `json:"channel,omitempty"`
	Lines       []ReceiptLine `json:"lines,omitempty"`
}

// ReceiptLine is one row of a redemption's receipt. Quantity may be fractional (litres, kilograms).
type ReceiptLine struct {
	SKU          string  `json:"sku"`
	Name         string  `json:"name,omitempty"`
	Quantity     float64 `json:"quantity"`
	UnitPriceFen int64   `json:"unit_price_fen"`
	AmountFen    int64   `json:"amount_fen"`
	Kind         string  `json:"kind,omitempty"`
}

// Refund reduces an order; RefundFen is gross.
type Refund struct {
	Type            string `json:"type"`
	ID              string `json:"id"`
	At              string `json:"at"`
	RedemptionID    string `json:"redemption_id"`
	MerchantID      string `json:"merchant_id"`
	CustomerID      string `json:"customer_id"`
	RefundFen       int64  `json:"refund_fen"`
	VoucherReturned bool   `json:"voucher_returned"`
}

// Price is a shelf, online, inspection, cost, cap or reference price. A cap has merchant_id "*".
type Price struct {
	Type       string `json:"type"`
	ID         string `json:"id"`
	At         string `json:"at"`
	MerchantID string `json:"merchant_id"`
	SKU        string `json:"sku"`
	PriceFen   int64  `json:"price_fen"`
	Kind       string `json:"kind"`
	Name       string `json:"name,omitempty"`
}

// Complaint is a 12315 report and the like.
type Complaint struct {
	Type       string `json:"type"`
	ID         string `json:"id"`
	At         string `json:"at"`
	MerchantID string `json:"merchant_id"`
	Kind       string `json:"kind"`
	Text       string `json:"text,omitempty"`
}

// Beneficiary is a row of the 爱心 list.
type Beneficiary struct {
	Type             string   `json:"type"`
	ID               string   `json:"id"`
	At               string   `json:"at"`
	CustomerID       string   `json:"customer_id"`
	Status           string   `json:"status"`
	LimitFen         int64    `json:"limit_fen"`
	AgentCustomerIDs []string `json:"agent_customer_ids,omitempty"`
}

// CreditList is a snapshot row of a lawful dishonesty list.
type CreditList struct {
	Type   string `json:"type"`
	ID     string `json:"id"`
	At     string `json:"at"`
	USCC   string `json:"uscc"`
	Status string `json:"status"`
	Basis  string `json:"basis"`
}

// Verdict is an investigator's finding, fed back as an event.
type Verdict struct {
	Type       string `json:"type"`
	ID         string `json:"id"`
	At         string `json:"at"`
	MerchantID string `json:"merchant_id"`
	CaseID     string `json:"case_id"`
	Verdict    string `json:"verdict"`
	Reason     string `json:"reason"`
}
