package detectors

import (
	"fmt"
	"math"

	vw "voucherwatch"
)

func init() {
	register(Spec{
		Name: "price", Lane: MerchantLane, Typologies: []string{"T19", "T20", "T21"},
		Title:  vw.Bilingual{Zh: "哄抬物价、虚假原价、用券加价", En: "prices raised, original prices that never were, surcharges on vouchers"},
		Events: []vw.EventType{vw.PriceEvent, vw.ComplaintEvent},
		New:    newPrice,
		Learn:  learnPrices,
	})
}

// priceParams are the detector's parameters.
type priceParams struct {
	// FalseAlarms is the share of honest merchants that may be accused of raised prices in a whole
	// campaign; it pays for every day's look.
	FalseAlarms float64 `yaml:"false_alarms"`
	// Rise is the least rise of an item that counts beyond cost and market, as a share. It is half of the
	// 10 % of the typology catalogue (T19), which three items together reach.
	Rise float64 `yaml:"rise"`
	// Items is the least number of items in a rise.
	Items int `yaml:"items"`
	// Hold is how many whole days a rise must stand.
	Hold int `yaml:"hold"`
	// Rounding is the share, and RoundingFen the fen, by which a price may differ from another without
	// meaning anything (56号令 Art.21).
	Rounding    float64 `yaml:"rounding"`
	RoundingFen int     `yaml:"rounding_fen"`
	// Pairs and Complaints are the least evidence of a surcharge (catalogue, T21).
	Pairs      int `yaml:"pairs"`
	Complaints int `yaml:"complaints"`
	// MaxItems bounds the items kept of one merchant: the first seen are, further ones wait until one
	// of them has not been read for 45 days.
	MaxItems int `yaml:"max_items"`
}

// priceDetector compares what a merchant charges with what it charged before, with its peers and with
// its own labels. It never looks at the amount of a receipt: a large ticket is not a high price.
//
//	Key:   merchant, and (merchant, sku): 64 bytes. Dropped 45 days after the last price.
//	Rise:  ln price - ln max(lowest price of 7 days, regular price of the weeks before). The first is the
//	       legal base; the second forgives a sale that ended.
//	Peers: the same sku elsewhere (difference in differences); a rise that cost or market explains, or
//	       that only reaches the market's price, is none.
//	Null:  the number of items that rise by so much within days of each other: negative binomial about
//	       what the other merchants show in the same days (price_null.go). Receipts without labels: price_till.go.
//	Cap:   an item under a government ceiling is left to the rule of T22.
type priceDetector struct {
	env       *Env
	p         priceParams
	least     float64 // ln of one and Rise
	items     Table[priceItem]
	merchants Table[priceMerchant]
	rows      Table[uint32] // of skus
	rises     Table[priceRise]
	costs     Table[priceCost]
	shops     []priceShop // by priceMerchant.row
	skus      []priceSKU  // by priceItem.sku
	freeShops []uint32
	freeSKUs  []uint32
	// pending are the redemptions of items that stand above their base, by merchant, until it is known
	// whether the rise is one; pairs those that paid more than the label.
	pending  map[uint64][]pricePending
	pairs    map[uint64][]FoundRedemption
	labelled int // items with a label
	// complaints and visits are those of all merchants of the slot; complaining is what the slots learned of both.
	complaints, visits int
	complaining        float64
	judged             int                        // last day judged; the first slot's is in use, and its null
	null               [len(priceSpans)]priceNull // of all merchants
}

type pricePending struct {
	sku uint64
	day int32
	r   FoundRedemption
}

// priceWait is the number of days that a redemption waits for the merchant's other items.
const priceWait = 10

// pricePendingMax bounds the redemptions that wait, by merchant; the oldest give way.
const pricePendingMax = 2048

func newPrice(env *Env) (Detector, error) {
	d := &priceDetector{
		env: env, pending: map[uint64][]pricePending{}, pairs: map[uint64][]FoundRedemption{},
		p: priceParams{
			FalseAlarms: 0.0075, Rise: 0.05, Items: 3, Hold: 2, Rounding: 0.01, RoundingFen: 10,
			Pairs: 2, Complaints: 3, MaxItems: 2048,
		},
	}
	if err := env.Params(&d.p); err != nil {
		return nil, err
	}
	if p := &d.p; !(p.FalseAlarms > 0 && p.FalseAlarms < 1) || !(p.Rise > 0) || p.Items < 2 ||
		p.Hold < 1 || !(p.Rounding >= 0) || p.RoundingFen < 0 || p.Pairs < 1 || p.Complaints < 1 || p.MaxItems < 1 || p.MaxItems > math.MaxUint16 {
		return nil, fmt.Errorf("parameters of price: a number lies outside its range: %+v", *p)
	}
	d.least = math.Log1p(d.p.Rise)
	learnComplaints([]*priceDetector{d})
	return d, nil
}

// Touch reads the entries of the merchant and of the receipt's items.
func (d *priceDetector) Touch(v *Visit) uint64 {
	e := v.Event
	sum := d.merchants.Touch(e.Merchant.Key)
	if e.LineCount > 0 {
		lines := v.Batch.LinesOf(e)
		for i := range lines[:min(len(lines), priceTouched)] {
			sum += d.items.Touch(pairKey(e.Merchant.Key, lines[i].SKU.Key))
		}
	}
	return sum
}

// priceTouched is how many lines of a receipt are worth fetching ahead.
const priceTouched = 8

// Visit compares the receipt's prices with labels and history.
func (d *priceDetector) Visit(v *Visit) {
	e := v.Event
	m := d.merchant(e.Merchant.Key)
	m.visits++
	d.visits++
	if e.LineCount == 0 {
		if !m.priced {
			v.Blind(d.env, vw.FieldLines)
		}
		return
	}
	var worst *priceRise
	var dearest, struck vw.Ref
	var worstRise, surcharge float64
	var label uint32
	lines := v.Batch.LinesOf(e)
	day := uint16(v.Day)
	for i := range lines {
		line := &lines[i]
		fen := priceOfLine(line)
		if fen == 0 {
			continue
		}
		key := pairKey(e.Merchant.Key, line.SKU.Key)
		it := d.items.Find(key)
		if it == nil {
			if it = d.item(m, key, line.SKU.Key); it == nil {
				continue
			}
		}
		if it.flags&priceLabelled == 0 {
			d.till(v, key, it, line.SKU, fen)
			continue
		}
		if shown := it.shown(day); shown > 0 && d.exceeds(fen, shown) {
			if x := math.Log(float64(fen) / float64(shown)); x > surcharge {
				dearest, surcharge, label = line.SKU, x, shown
			}
		}
		if it.flags&(priceFalseRef|priceStanding) == 0 {
			continue
		}
		if it.flags&priceFalseRef != 0 && struck.Key == 0 {
			struck = line.SKU
		}
		if it.flags&priceStanding == 0 {
			continue
		}
		r := d.rises.Find(key)
		if r == nil || !d.above(fen, r.base) {
			continue
		}
		d.name(v.Batch, r, line.SKU, v.Day)
		d.keepMerchant(v.Batch, e, m, v.Day)
		if !d.raised(r) || !m.found {
			if v.Day-int(r.since) < priceWait {
				d.wait(e.Merchant.Key, line.SKU.Key, v)
			}
			continue
		}
		if x := math.Log(float64(fen) / float64(r.base)); x > worstRise {
			worst, worstRise = r, x
		}
	}
	if worst != nil {
		v.Say(d.env, Signal{
			Kind: &priceRaisedKind, LLR: float64(m.llr), Observed: float64(worst.base) / 100 * math.Exp(worstRise), Expected: float64(worst.base) / 100,
			P: float64(m.p), Note: d.text(worst.name),
			Aux: [6]float64{worstRise, float64(worst.peers)},
		})
		d.env.Find(d.finding("T19", e.Merchant.Key, m, v.T, []FoundRedemption{v.Found()}, nil, ""))
		if m.early {
			d.env.Find(d.finding("T20", e.Merchant.Key, m, v.T, []FoundRedemption{v.Found()}, nil, ""))
		}
	}
	if struck.Key != 0 {
		d.keepMerchant(v.Batch, e, m, v.Day)
		v.Say(d.env, Signal{Kind: &priceReferenceKind, LLR: d.referenceLLR(m), Observed: None, Expected: None, P: None, Note: v.Batch.String(struck.Text)})
		d.env.Find(d.finding("T20", e.Merchant.Key, m, v.T, []FoundRedemption{v.Found()}, nil, ""))
	}
	if dearest.Key != 0 {
		d.pair(v, m, dearest, label, surcharge)
	}
}

// priceOfLine is what one piece cost in fen. It is 0 for what has no price to compare: stored value,
// loose goods (散称: a fraction of a kilogram at a price of the day), nothing.
func priceOfLine(l *vw.Line) uint32 {
	if l.SKU.Key == 0 || l.UnitFen <= 0 || l.Kind == vw.StoredValue || l.Quantity < 1 || l.Quantity != math.Trunc(l.Quantity) {
		return 0
	}
	fen := float64(l.UnitFen)
	if l.Fen > 0 {
		fen = min(fen, math.Ceil(float64(l.Fen)/l.Quantity))
	}
	return priceFen(fen)
}

func priceFen(fen float64) uint32 { return uint32(min(fen, math.MaxUint32)) }

// exceeds tells whether a price is above another by more than rounding.
func (d *priceDetector) exceeds(fen, than uint32) bool {
	return float64(fen) > float64(than)*(1+d.p.Rounding) && int64(fen) >= int64(than)+int64(d.p.RoundingFen)
}

// above tells whether a price is a rise over a base; a base of 0 is none.
func (d *priceDetector) above(fen, base uint32) bool {
	if base == 0 {
		return false
	}
	return float64(fen) >= float64(base)*(1+d.p.Rise)
}

// name remembers the name of an item that rises while it can be had.
func (d *priceDetector) name(b *vw.Batch, r *priceRise, sku vw.Ref, day int) {
	if d.env.Arena.Bytes(r.name) == nil {
		r.name = d.env.Arena.Keep(b.Bytes(sku.Text), day)
	}
}

func (d *priceDetector) keepMerchant(b *vw.Batch, e *vw.Event, m *priceMerchant, day int) {
	if d.env.Arena.Bytes(m.id) == nil {
		m.id = d.env.Arena.Keep(b.Bytes(e.Merchant.Text), day)
	}
}

func (d *priceDetector) text(id IDRef) string { return string(d.env.Arena.Bytes(id)) }

// wait keeps a redemption until it is known whether its item is raised.
func (d *priceDetector) wait(merchant, sku uint64, v *Visit) {
	list := d.pending[merchant]
	if len(list) == pricePendingMax {
		copy(list, list[1:])
		list = list[:pricePendingMax-1]
	}
	d.pending[merchant] = append(list, pricePending{sku, int32(v.Day), v.Found()})
}

// Apply takes in a price or a complaint.
func (d *priceDetector) Apply(b *vw.Batch, e *vw.Event, t vw.Millis) {
	day := vw.DayOf(t, d.env.Offset)
	if e.Type == vw.ComplaintEvent {
		d.complain(b, e, t, day)
		return
	}
	if e.Kind == vw.Cap {
		d.skus[d.sku(e.SKU.Key)].capped = true
		return
	}
	if e.SKU.Key == 0 || e.Amount <= 0 {
		return
	}
	m := d.merchant(e.Merchant.Key)
	key := pairKey(e.Merchant.Key, e.SKU.Key)
	fen := priceFen(float64(e.Amount))
	if e.Kind == vw.Cost {
		c, _ := d.costs.Get(key)
		c.pay(fen, uint16(day))
		return
	}
	it := d.items.Find(key)
	if it == nil {
		if it = d.item(m, key, e.SKU.Key); it == nil {
			return
		}
	}
	if e.Kind == vw.Reference {
		d.reference(b, e, m, it, fen, t, day)
		return
	}
	m.priced = true
	if it.flags&priceLabelled == 0 { // what receipts said is worth less
		d.labelled++
		if it.judgedByTill() {
			d.shops[it.merchant].till--
		}
		*it = priceItem{merchant: it.merchant, sku: it.sku, flags: priceLabelled}
		if r := d.rises.Find(key); r != nil {
			r.base = 0
		}
	}
	if r := d.stand(key, it, e.Merchant.Key, e.SKU.Key, fen, uint16(day)); r != nil {
		d.name(b, r, e.SKU, day)
		d.keepMerchant(b, e, m, day)
	}
	it.see(fen, uint16(day))
}

// finding is what is said of a merchant under a typology; without reasons it only adds redemptions.
func (d *priceDetector) finding(typology string, merchant uint64, m *priceMerchant, t vw.Millis, rs []FoundRedemption, reasons []vw.Reason, version string) Found {
	llr := 0.0
	switch typology {
	case "T19":
		// Receipts alone are a lead for a visit, not more: the shop's customers may have changed, and not its prices.
		llr = max(float64(m.llr), min(float64(m.till), priceReceiptsLLR))
	case "T20":
		llr = d.referenceLLR(m)
		if m.early {
			llr = max(llr, float64(m.llr))
		}
	case "T21":
		llr = d.surchargeLLR(m)
	}
	id := d.text(m.id)
	if p := d.env.Merchants.of(merchant); p != nil {
		id = p.ID
	}
	return Found{
		Typology: typology, Subject: vw.Subject{Kind: "merchant", ID: id}, Period: "campaign", At: t,
		LogOdds: d.env.LogOdds(priceMerchantPrior, llr), Redemptions: rs, Subsidy: SumOfDiscounts, Merchants: []string{id},
		Reasons: reasons, Baseline: version,
	}
}

// priceReceiptsLLR caps what receipts say of prices without a shelf price: under the default weight it
// stays below the review band.
const priceReceiptsLLR = 4.8

// priceMerchantPrior is the log-odds that a merchant cheats, before any evidence: one in ninety.
const priceMerchantPrior = -4.5
