package detectors

import (
	"fmt"
	"math"
	"unsafe"

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
	// Items is the least number of items in a rise; Share is the same as a share of the merchant's items,
	// for large shops. The larger counts.
	Items int     `yaml:"items"`
	Share float64 `yaml:"share"`
	// Hold is how many whole days a rise must stand; Window the days within which the items rise.
	Hold   int `yaml:"hold"`
	Window int `yaml:"window"`
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
//	Key:   merchant, and (merchant, sku).
//	Rise:  ln price - ln max(lowest price of 7 days, highest regular price of the weeks before). The
//	       first is the legal base; the second forgives a sale that ended.
//	Peers: the same sku elsewhere (difference in differences); a rise that cost or market explains, or
//	       that only reaches the market's price, is none.
//	Null:  the third largest of such rises within days of each other, as it occurs at all merchants.
//	Cap:   an item under a government ceiling is left to the rule of T22.
type priceDetector struct {
	env       *Env
	p         priceParams
	items     Table[priceItem]
	merchants Table[priceMerchant]
	capped    map[uint64]bool
	// pending are the redemptions of items that stand above their limit, by merchant, until it is known
	// whether the rise is one; pairs those that paid more than the label.
	pending map[uint64][]pricePending
	pairs   map[uint64][]FoundRedemption
	judged  int // last day judged; the first slot's is in use
}

// priceMerchant is what is remembered of a merchant.
type priceMerchant struct {
	id         IDRef
	tail       priceTail // its part of the null
	judged     int32     // items judged on the last day
	items      int32
	complaints [3]uint8 // price, voucher_refused, surcharge
	priced     bool     // its prices are read
	alarm      bool     // its prices are raised
	found      bool     // and a finding of it exists
	said       bool     // in its latest form
	early      bool     // they rose before the campaign began
	falseRefs  uint16
	pairs      uint16
	llr        float32
	p          float32 // of the rise, all looks of the campaign paid
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
		env: env, capped: map[uint64]bool{}, pending: map[uint64][]pricePending{}, pairs: map[uint64][]FoundRedemption{},
		p: priceParams{
			FalseAlarms: 0.01, Rise: 0.05, Items: 3, Share: 0.05, Hold: 2, Window: 3, Rounding: 0.01, RoundingFen: 10,
			Pairs: 2, Complaints: 3, MaxItems: 2048,
		},
	}
	if err := env.Params(&d.p); err != nil {
		return nil, err
	}
	if p := &d.p; !(p.FalseAlarms > 0 && p.FalseAlarms < 1) || !(p.Rise > 0) || p.Items < 2 || !(p.Share >= 0 && p.Share < 1) ||
		p.Hold < 1 || p.Window < 1 || !(p.Rounding >= 0) || p.RoundingFen < 0 || p.Pairs < 1 || p.Complaints < 1 || p.MaxItems < 1 {
		return nil, fmt.Errorf("parameters of price: a number lies outside its range: %+v", *p)
	}
	return d, nil
}

// Size counts the series and what the merchants hold.
func (d *priceDetector) Size() (keys, bytes int) {
	bytes = d.items.Bytes() + d.merchants.Bytes()
	for _, s := range d.pending {
		bytes += cap(s) * int(unsafe.Sizeof(pricePending{}))
	}
	return d.items.Len(), bytes
}

// Touch reads the merchant's entry.
func (d *priceDetector) Touch(v *Visit) uint64 { return d.merchants.Touch(v.Event.Merchant.Key) }

// Visit compares the receipt's prices with labels and history, and remembers them.
func (d *priceDetector) Visit(v *Visit) {
	e := v.Event
	m := d.merchants.Find(e.Merchant.Key)
	if e.LineCount == 0 {
		if m == nil || !m.priced {
			v.Blind(d.env, vw.FieldLines)
		}
		return
	}
	if m == nil {
		m, _ = d.merchants.Get(e.Merchant.Key)
	}
	// Read after the loop only: the table may have moved on from where they point.
	var worst, dearest, struck *priceItem
	var worstRise, surcharge float64
	lines := v.Batch.LinesOf(e)
	for i := range lines {
		line := &lines[i]
		fen := priceOfLine(line)
		if fen == 0 || d.capped[line.SKU.Key] {
			continue
		}
		it := d.item(m, e.Merchant.Key, line.SKU.Key)
		if it == nil {
			continue
		}
		if shown := it.shown(int32(v.Day)); shown > 0 && d.exceeds(fen, shown) {
			if x := math.Log(float64(fen) / float64(shown)); x > surcharge {
				dearest, surcharge = it, x
				d.keep(v.Batch, e, m, it, line.SKU, v.Day)
			}
		}
		it.see(fen, int32(v.Day))
		if it.falseRef && struck == nil {
			struck = it
		}
		base := it.base
		if base == 0 {
			base = it.limit
		}
		if base == 0 || !d.rises(fen, base) {
			continue
		}
		d.keep(v.Batch, e, m, it, line.SKU, v.Day)
		if !it.raised || !m.found {
			if it.base == 0 || v.Day-int(it.since) < priceWait {
				d.wait(e.Merchant.Key, it.sku, v)
			}
			if !it.raised || !m.alarm {
				continue
			}
		}
		if x := math.Log(float64(fen) / float64(base)); x > worstRise {
			worst, worstRise = it, x
		}
	}
	if worst != nil {
		v.Say(d.env, Signal{
			Kind: &priceRaisedKind, LLR: min(4, float64(m.llr)/2), Observed: float64(worst.now) / 100, Expected: float64(worst.base) / 100,
			P: float64(m.p), Note: d.text(worst.name),
			Aux: [6]float64{worstRise, float64(worst.peers)},
		})
		if m.found {
			d.env.Find(d.finding("T19", e.Merchant.Key, m, v.T, []FoundRedemption{v.Found()}, nil, ""))
			if m.early {
				d.env.Find(d.finding("T20", e.Merchant.Key, m, v.T, []FoundRedemption{v.Found()}, nil, ""))
			}
		}
	}
	if struck != nil {
		v.Say(d.env, Signal{Kind: &priceReferenceKind, LLR: 2, Observed: None, Expected: None, P: None, Note: d.text(struck.name)})
		d.env.Find(d.finding("T20", e.Merchant.Key, m, v.T, []FoundRedemption{v.Found()}, nil, ""))
	}
	if dearest != nil {
		d.pair(v, m, dearest, surcharge)
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

// rises tells whether a price is a rise over a base.
func (d *priceDetector) rises(fen, base uint32) bool {
	return float64(fen) >= float64(base)*(1+d.p.Rise)
}

// item is the series of a sku at a merchant, made if there is room, else nil.
func (d *priceDetector) item(m *priceMerchant, merchant, sku uint64) *priceItem {
	key := pairKey(merchant, sku)
	if it := d.items.Find(key); it != nil {
		return it
	}
	if int(m.items) >= d.p.MaxItems {
		return nil
	}
	m.items++
	it, _ := d.items.Get(key)
	it.merchant, it.sku = merchant, sku
	return it
}

// keep remembers the names of an item and its merchant while they can be had.
func (d *priceDetector) keep(b *vw.Batch, e *vw.Event, m *priceMerchant, it *priceItem, sku vw.Ref, day int) {
	if d.env.Arena.Bytes(it.name) == nil {
		it.name = d.env.Arena.Keep(b.Bytes(sku.Text), day)
	}
	d.keepMerchant(b, e, m, day)
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
		d.capped[e.SKU.Key] = true
		return
	}
	if e.SKU.Key == 0 || e.Amount <= 0 || d.capped[e.SKU.Key] {
		return
	}
	m, _ := d.merchants.Get(e.Merchant.Key)
	it := d.item(m, e.Merchant.Key, e.SKU.Key)
	if it == nil {
		return
	}
	fen := priceFen(float64(e.Amount))
	switch e.Kind {
	case vw.Cost:
		it.pay(fen, int32(day))
	case vw.Reference:
		d.reference(b, e, m, it, fen, t, day)
	default:
		m.priced = true
		it.label(fen, int32(day))
		it.see(fen, int32(day))
		if it.limit > 0 && d.rises(fen, it.limit) {
			d.keep(b, e, m, it, e.SKU, day)
		}
	}
}

// finding is what is said of a merchant under a typology; without reasons it only adds redemptions.
func (d *priceDetector) finding(typology string, merchant uint64, m *priceMerchant, t vw.Millis, rs []FoundRedemption, reasons []vw.Reason, version string) Found {
	llr := 0.0
	switch typology {
	case "T19":
		llr = float64(m.llr)
		if !m.priced {
			// Receipts alone: a customer may pay by piece what another pays by the box. A lead for a visit, not more.
			llr = min(llr, priceReceiptsLLR)
		}
	case "T20":
		if m.falseRefs > 0 {
			llr = priceReferenceLLR + priceFurtherLLR*float64(m.falseRefs-1)
		}
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
const priceReceiptsLLR = 6.5

// priceMerchantPrior is the log-odds that a merchant cheats, before any evidence: one in ninety.
const priceMerchantPrior = -4.5

// Sweep drops the series that were not read for 45 days, and redemptions that waited longer than a
// rise needs to show.
func (d *priceDetector) Sweep(now vw.Millis) {
	day := int32(vw.DayOf(now, d.env.Offset))
	d.items.Sweep(func(_ uint64, it *priceItem) bool {
		if it.seen >= day-priceIdle || it.costDay >= day-priceIdle {
			return true
		}
		if m := d.merchants.Find(it.merchant); m != nil {
			m.items--
		}
		return false
	})
	d.merchants.Sweep(func(_ uint64, m *priceMerchant) bool {
		return m.items > 0 || m.found || m.pairs > 0 || m.complaints != [3]uint8{}
	})
	for key, list := range d.pending {
		rest := list[:0]
		for _, w := range list {
			if it := d.items.Find(pairKey(key, w.sku)); it != nil && w.day >= day-priceWait && (it.base > 0 || w.day >= day-1) {
				rest = append(rest, w)
			}
		}
		if len(rest) == 0 {
			delete(d.pending, key)
		} else {
			d.pending[key] = rest
		}
	}
}
