package stream

import vw "voucherwatch"

// field is a name of the contract, of an event or of a receipt line; noField is any other name.
type field uint8

const (
	noField field = iota
	fType
	fID
	fAt
	fVoucherID
	fVoucherType
	fRedemptionID
	fCustomerID
	fMerchantID
	fOrderFen
	fDiscountFen
	fPaidFen
	fRefundFen
	fVoucherReturned
	fSKU
	fPriceFen
	fKind
	fName
	fCategory
	fStatus
	fDishonest
	fLimitFen
	fUSCC
	fBasis
	fCaseID
	fVerdict
	fReason
	fDeviceID
	fCardID
	fClaimedAt
	fTerminalID
	fCashierID
	fOrderID
	fMCC
	fDistrict
	fLon
	fLat
	fChannel
	fLines
	fIPToken
	fOpensAt
	fClosesAt
	fSeats
	fTerminals
	fOwnerCustomerIDs
	fSettlementAccount
	fText
	fAgentCustomerIDs
	fQuantity
	fUnitPriceFen
	fAmountFen
	fields // how many there are
)

var fieldNames = [fields]string{"", "type", "id", "at", "voucher_id", "voucher_type", "redemption_id", "customer_id", "merchant_id",
	"order_fen", "discount_fen", "paid_fen", "refund_fen", "voucher_returned", "sku", "price_fen", "kind", "name", "category", "status",
	"dishonest", "limit_fen", "uscc", "basis", "case_id", "verdict", "reason", "device_id", "card_id", "claimed_at", "terminal_id",
	"cashier_id", "order_id", "mcc", "district", "lon", "lat", "channel", "lines", "ip_token", "opens_at", "closes_at", "seats",
	"terminals", "owner_customer_ids", "settlement_account", "text", "agent_customer_ids", "quantity", "unit_price_fen", "amount_fen"}

// fieldOf finds a field by name. A switch, because it is asked for every name of every event.
func fieldOf(name []byte) field {
	switch string(name) {
	case "type":
		return fType
	case "id":
		return fID
	case "at":
		return fAt
	case "voucher_id":
		return fVoucherID
	case "voucher_type":
		return fVoucherType
	case "redemption_id":
		return fRedemptionID
	case "customer_id":
		return fCustomerID
	case "merchant_id":
		return fMerchantID
	case "order_fen":
		return fOrderFen
	case "discount_fen":
		return fDiscountFen
	case "paid_fen":
		return fPaidFen
	case "refund_fen":
		return fRefundFen
	case "voucher_returned":
		return fVoucherReturned
	case "sku":
		return fSKU
	case "price_fen":
		return fPriceFen
	case "kind":
		return fKind
	case "name":
		return fName
	case "category":
		return fCategory
	case "status":
		return fStatus
	case "dishonest":
		return fDishonest
	case "limit_fen":
		return fLimitFen
	case "uscc":
		return fUSCC
	case "basis":
		return fBasis
	case "case_id":
		return fCaseID
	case "verdict":
		return fVerdict
	case "reason":
		return fReason
	case "device_id":
		return fDeviceID
	case "card_id":
		return fCardID
	case "claimed_at":
		return fClaimedAt
	case "terminal_id":
		return fTerminalID
	case "cashier_id":
		return fCashierID
	case "order_id":
		return fOrderID
	case "mcc":
		return fMCC
	case "district":
		return fDistrict
	case "lon":
		return fLon
	case "lat":
		return fLat
	case "channel":
		return fChannel
	case "lines":
		return fLines
	case "ip_token":
		return fIPToken
	case "opens_at":
		return fOpensAt
	case "closes_at":
		return fClosesAt
	case "seats":
		return fSeats
	case "terminals":
		return fTerminals
	case "owner_customer_ids":
		return fOwnerCustomerIDs
	case "settlement_account":
		return fSettlementAccount
	case "text":
		return fText
	case "agent_customer_ids":
		return fAgentCustomerIDs
	case "quantity":
		return fQuantity
	case "unit_price_fen":
		return fUnitPriceFen
	case "amount_fen":
		return fAmountFen
	}
	return noField
}

// kind is what a field's value must be.
type kind uint8

const (
	noKind       kind = iota // the type has no such field: any value, ignored
	idKind                   // string of 1 to maxID characters
	textKind                 // string
	wordKind                 // one of the contract's words for this field and type
	openWordKind             // string; a word the contract does not have is unknown, as if absent
	voucherKind              // a voucher type of the campaign
	timeKind                 // RFC 3339
	clockKind                // HH:MM
	moneyKind                // fen
	countKind                // whole number of zero or more
	flagKind                 // true, false
	lonKind
	latKind
	quantityKind
	idsKind   // array of ids
	linesKind // array of receipt lines
	kinds
)

// wants says to people what a value of the kind is.
var wants = [kinds]string{"", "a string of 1 to 64 characters", "a string", "one of the words of the contract", "a string",
	"a voucher type of the campaign", "a time like 2022-09-20T10:02:48.886+08:00 from 2000 on, at most 24 hours from now",
	"a time of day HH:MM", "a whole number of fen from 0 to 1000000000000000", "a whole number from 0 to 1000000000000000",
	"true or false", "a number of degrees from -180 to 180", "a number of degrees from -90 to 90", "a number from 0 to 1000000000",
	"an array of strings of 1 to 64 characters", "an array of at most 10000 receipt lines"}

const (
	maxID    = 64     // characters
	maxLines = 10_000 // receipt lines of a redemption
)

// rules of one type of object: what each of its fields must be, and the set of those that must be there.
type rules struct {
	kinds    [fields]kind
	required uint64 // bit per field
}

// event makes the rules of a type from its fields beyond type, id and at.
func event(kinds [fields]kind, required ...field) rules {
	r := rules{kinds: kinds, required: 1<<fType | 1<<fID | 1<<fAt}
	r.kinds[fType], r.kinds[fID], r.kinds[fAt] = wordKind, idKind, timeKind
	for _, f := range required {
		r.required |= 1 << f
	}
	return r
}

// contract is the contract's table of events.
var contract = [vw.EventTypes]rules{
	vw.MerchantEvent: event([fields]kind{fMerchantID: idKind, fName: textKind, fUSCC: idKind,
		fCategory: wordKind, fMCC: idKind, fStatus: wordKind, fDishonest: flagKind, fDistrict: idKind, fLon: lonKind, fLat: latKind,
		fOpensAt: clockKind, fClosesAt: clockKind, fSeats: countKind, fTerminals: idsKind, fOwnerCustomerIDs: idsKind,
		fSettlementAccount: idKind}, fMerchantID, fName, fCategory, fStatus, fDishonest),
	vw.ClaimEvent: event([fields]kind{fVoucherID: idKind, fVoucherType: voucherKind,
		fCustomerID: idKind, fDeviceID: idKind, fIPToken: idKind, fLon: lonKind, fLat: latKind}, fVoucherID, fVoucherType, fCustomerID),
	vw.RedemptionEvent: event([fields]kind{fVoucherID: idKind, fVoucherType: voucherKind,
		fCustomerID: idKind, fMerchantID: idKind, fOrderFen: moneyKind, fDiscountFen: moneyKind, fPaidFen: moneyKind, fDeviceID: idKind,
		fCardID: idKind, fClaimedAt: timeKind, fTerminalID: idKind, fCashierID: idKind, fOrderID: idKind, fMCC: idKind,
		fDistrict: idKind, fLon: lonKind, fLat: latKind, fChannel: openWordKind, fLines: linesKind},
		fVoucherID, fVoucherType, fCustomerID, fMerchantID, fOrderFen, fDiscountFen, fPaidFen),
	vw.RefundEvent: event([fields]kind{fRedemptionID: idKind, fMerchantID: idKind,
		fCustomerID: idKind, fRefundFen: moneyKind, fVoucherReturned: flagKind},
		fRedemptionID, fMerchantID, fCustomerID, fRefundFen, fVoucherReturned),
	vw.PriceEvent: event([fields]kind{fMerchantID: idKind, fSKU: idKind, fPriceFen: moneyKind,
		fKind: wordKind, fName: textKind}, fMerchantID, fSKU, fPriceFen, fKind),
	vw.ComplaintEvent: event([fields]kind{fMerchantID: idKind, fKind: wordKind, fText: textKind},
		fMerchantID, fKind),
	vw.BeneficiaryEvent: event([fields]kind{fCustomerID: idKind, fStatus: wordKind,
		fLimitFen: moneyKind, fAgentCustomerIDs: idsKind}, fCustomerID, fStatus, fLimitFen),
	vw.CreditListEvent: event([fields]kind{fUSCC: idKind, fStatus: wordKind, fBasis: textKind},
		fUSCC, fStatus, fBasis),
	vw.VerdictEvent: event([fields]kind{fMerchantID: idKind, fCaseID: idKind, fVerdict: wordKind,
		fReason: textKind}, fMerchantID, fCaseID, fVerdict, fReason),
}

// receipt is the contract's table of a receipt line.
var receipt = rules{
	kinds: [fields]kind{fSKU: idKind, fName: textKind, fQuantity: quantityKind, fUnitPriceFen: moneyKind, fAmountFen: moneyKind,
		fKind: openWordKind},
	required: 1<<fSKU | 1<<fQuantity | 1<<fUnitPriceFen | 1<<fAmountFen,
}

// wordOf is the meaning of a closed word of a type; ok is false for any other word.
func wordOf(t vw.EventType, f field, word []byte) (k vw.Kind, ok bool) {
	if f == fCategory {
		_, ok := vw.ParseCategory(string(word))
		return vw.NoKind, ok
	}
	switch t {
	case vw.PriceEvent:
		k = oneOf(word, vw.Shelf, "shelf", "online", "inspection", "cost", "cap", "reference")
	case vw.ComplaintEvent:
		k = oneOf(word, vw.PriceComplaint, "price", "voucher_refused", "surcharge", "no_goods", "other")
	case vw.VerdictEvent:
		k = oneOf(word, vw.Confirmed, "confirmed", "benign", "data_error")
	case vw.MerchantEvent:
		k = oneOf(word, vw.Active, "active", "suspended", "removed")
	case vw.BeneficiaryEvent, vw.CreditListEvent:
		k = oneOf(word, vw.Removed, "removed", "listed")
	}
	return k, k != vw.NoKind
}

// oneOf finds the word among words that are first, first+1, … in vw's list.
func oneOf(word []byte, first vw.Kind, words ...string) vw.Kind {
	for i, w := range words {
		if string(word) == w {
			return first + vw.Kind(i)
		}
	}
	return vw.NoKind
}

func channelOf(word []byte) vw.Channel {
	switch string(word) {
	case "qr":
		return vw.QR
	case "nfc":
		return vw.NFC
	case "pos":
		return vw.POS
	case "online":
		return vw.OnlineChannel
	}
	return vw.NoChannel
}

func lineKindOf(word []byte) vw.LineKind {
	switch string(word) {
	case "goods":
		return vw.Goods
	case "service":
		return vw.Service
	case "stored_value":
		return vw.StoredValue
	}
	return vw.NoLineKind
}
