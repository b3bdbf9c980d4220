package detectors

import (
	"cmp"
	"math"
	"slices"
)

// priceRise is an item that stands above its base, by the key of the item.
type priceRise struct {
	merchant, sku uint64
	name          IDRef
	base          uint32 // the higher of legal and regular price before the rise; 0 once it has ended
	legal         uint32 // lowest price of the seven days before
	now           uint32 // the lower price of the last two days, at the last judgement
	since         uint16 // first day
	fresh         bool   // it stands long enough, and not much longer
	net           float32
	peers         float32 // rise of the others; NaN when there are none
}

// raised tells whether a rise is one that neither cost nor market explains.
func (d *priceDetector) raised(r *priceRise) bool { return float64(r.net) >= d.least }

// stand opens, renews or ends the rise of an item whose label was read, before the reading is taken in.
func (d *priceDetector) stand(key uint64, it *priceItem, merchant, sku uint64, fen uint32, day uint16) *priceRise {
	if it.day > day || d.skus[it.sku].capped {
		return nil
	}
	var r *priceRise
	if it.flags&priceStanding != 0 {
		if r = d.rises.Find(key); !d.above(fen, r.base) {
			r.base, it.flags = 0, it.flags&^priceStanding
			return nil
		}
	}
	if fen <= it.latest() {
		return r
	}
	it.roll(day)
	usual, ok := it.usual()
	if !ok {
		return r
	}
	legal := it.lowest()
	base := max(legal, usual)
	if !d.above(fen, base) { // a rise that stands may have become the regular price; what comes on top is small
		return r
	}
	r, _ = d.rises.Get(key)
	*r = priceRise{merchant: merchant, sku: sku, name: r.name, base: base, legal: legal, now: fen, since: day, peers: float32(None)}
	it.flags |= priceStanding
	return r
}

// pricePeer is what a merchant did with a sku: its change against its regular price and its price.
type pricePeer struct {
	sku, merchant uint64
	change        float64
	fen           uint32
	cost          float64 // growth of the purchase price
	costKnown     bool
}

// judge takes from a rise what cost and market explain. peers are all merchants that sell the sku, the
// merchant itself included.
func (r *priceRise) judge(cost priceCost, peers []pricePeer) {
	var changes, prices, costs []float64
	for _, p := range peers {
		if p.merchant == r.merchant {
			continue
		}
		changes = append(changes, p.change)
		prices = append(prices, float64(p.fen))
		if p.costKnown {
			costs = append(costs, p.cost)
		}
	}
	fen := float64(r.now)
	n := float64(len(changes))
	middle := priceMiddle(changes)
	expected := max(0, n*middle/(n+1))
	net := math.Log(fen/float64(r.base)) - expected
	// Costs: the rise is clearly above the growth of cost only if that is less than half of it
	// (国市监竞争发〔2022〕60号). A merchant that sends no invoices has the others' costs.
	growth, ok := cost.growth()
	if !ok && len(costs) > 0 {
		growth, ok = priceMiddle(costs), true
	}
	if ok && growth > 0 && growth >= math.Log(fen/float64(r.legal))/2 {
		net = 0
	}
	if n > 0 && fen <= priceMiddle(prices) {
		net = 0 // it only came to what the others ask
	}
	if n >= 4 { // noise of the peers; how often honest items pass this is in the null
		for i := range changes {
			changes[i] = math.Abs(changes[i] - middle)
		}
		if net < 2*max(1.4826*priceMiddle(changes), 0.02)*math.Sqrt(1+1.57/n) {
			net = 0
		}
	}
	r.net, r.peers = float32(net), float32(expected)
	if n == 0 {
		r.peers = float32(None) // nobody else sells it
	}
}

// priceMiddle is the median, which sorts x; 0 of nothing.
func priceMiddle(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// priceCost is the purchase price of an item.
type priceCost struct {
	first, last uint32
	day         uint16
}

func (c *priceCost) pay(fen uint32, day uint16) {
	if c.first == 0 || int(day)-int(c.day) > priceIdle {
		c.first = fen
	}
	c.last, c.day = fen, day
}

// growth is the rise of the purchase price as a logarithm; ok is false when it is not known.
func (c priceCost) growth() (growth float64, ok bool) {
	if c.first == 0 {
		return 0, false
	}
	return math.Log(float64(c.last) / float64(c.first)), true
}

// pricePeersOf lists what the merchants did with the wanted skus, by sku and merchant, and counts on the way the
// items of each merchant that can be judged. It reads every item, so it does neither on days that want none, but once a week.
func pricePeersOf(ds []*priceDetector, wanted map[uint64]bool, day uint16) []pricePeer {
	var list []pricePeer
	if len(wanted) == 0 && day%7 != 0 {
		return nil
	}
	for _, d := range ds {
		if d.labelled == 0 {
			continue
		}
		for i := range d.shops {
			d.shops[i].judged = 0
		}
		for i := range d.skus {
			d.skus[i].wanted = wanted[d.skus[i].key]
		}
		d.items.Each(func(key uint64, it *priceItem) {
			if it.flags&priceLabelled == 0 || int(day)-int(it.seen) >= priceCarry || !it.known() {
				return
			}
			shop := &d.shops[it.merchant]
			shop.judged++
			if !d.skus[it.sku].wanted {
				return
			}
			it.roll(day)
			usual, ok := it.usual()
			fen := it.price(int(it.day - day))
			if !ok || fen == 0 {
				return
			}
			p := pricePeer{sku: d.skus[it.sku].key, merchant: shop.key, fen: fen, change: math.Log(float64(fen) / float64(usual))}
			if c := d.costs.Find(key); c != nil {
				p.cost, p.costKnown = c.growth()
			}
			list = append(list, p)
		})
	}
	slices.SortFunc(list, func(a, b pricePeer) int {
		return cmp.Or(cmp.Compare(a.sku, b.sku), cmp.Compare(a.merchant, b.merchant))
	})
	return list
}

// follow takes a rise to the end of a day: whether it stands, at what price, and whether it is fresh.
func (d *priceDetector) follow(key uint64, r *priceRise, day uint16) bool {
	it := d.items.Find(key)
	if it == nil || r.base == 0 {
		return false
	}
	if d.skus[it.sku].capped {
		it.flags &^= priceStanding
		return false
	}
	if it.flags&priceLabelled == 0 { // receipts: the run must go on
		r.fresh = false
		return it.run > 0
	}
	if day < r.since {
		return true
	}
	it.roll(day)
	fen := it.price(int(it.day - day))
	if back := int(it.day-day) + 1; day > r.since && back < priceDays {
		fen = min(fen, it.price(back))
	}
	if !d.above(fen, r.base) || int(day-r.since) > priceIdle {
		it.flags &^= priceStanding
		return false
	}
	r.now = fen
	run := int(day-r.since) + 1
	r.fresh = run >= d.p.Hold && run < d.p.Hold+priceSpans[len(priceSpans)-1]
	return true
}
