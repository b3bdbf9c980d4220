package detectors

import (
	"unsafe"

	vw "voucherwatch"
)

// priceMerchant is what is remembered of a merchant.
type priceMerchant struct {
	id         IDRef
	row        uint32   // in shops
	visits     uint32   // redemptions
	complaints [3]uint8 // price, voucher_refused, surcharge
	priced     bool     // its prices are read
	alarm      bool     // its prices are raised
	found      bool     // and a finding of it exists
	said       bool     // in its latest form
	early      bool     // they rose before the campaign began
	falseRefs  uint16   // struck-through prices above the lowest of seven days
	neverRefs  uint16   // of these, above all that was ever asked
	pairs      uint16
	pairDays   uint16 // on which there were pairs
	pairDay    uint16 // the latest
	llr        float32
	till       float32 // the same from receipts alone
	p          float32 // of the rise, all looks of the campaign paid
}

// priceShop and priceSKU are what the daily pass over all items counts.
type priceShop struct {
	key    uint64
	items  uint32
	judged uint16 // items with a label that could be judged when they were counted last
	till   uint16 // items known from receipts alone, and judged
	alarm  bool   // as priceMerchant.alarm
	shown  bool   // a rise is being judged
}

type priceSKU struct {
	key    uint64
	items  uint32
	wanted bool
	capped bool
}

// Size counts the items and what the merchants hold.
func (d *priceDetector) Size() (keys, bytes int) {
	bytes = d.items.Bytes() + d.merchants.Bytes() +
		d.rises.Bytes() + d.costs.Bytes() + d.rows.Bytes() +
		cap(d.shops)*int(unsafe.Sizeof(priceShop{})) + cap(d.skus)*int(unsafe.Sizeof(priceSKU{}))
	for _, s := range d.pending {
		bytes += cap(s) * int(unsafe.Sizeof(pricePending{}))
	}
	return d.items.Len(), bytes
}

// merchant makes the entry of a merchant.
func (d *priceDetector) merchant(key uint64) *priceMerchant {
	m, isNew := d.merchants.Get(key)
	if !isNew {
		return m
	}
	if n := len(d.freeShops); n > 0 {
		m.row, d.freeShops = d.freeShops[n-1], d.freeShops[:n-1]
	} else {
		m.row = uint32(len(d.shops))
		d.shops = append(d.shops, priceShop{})
	}
	d.shops[m.row] = priceShop{key: key}
	return m
}

// sku is the row of a sku.
func (d *priceDetector) sku(key uint64) uint32 {
	row, isNew := d.rows.Get(key)
	if !isNew {
		return *row
	}
	if n := len(d.freeSKUs); n > 0 {
		*row, d.freeSKUs = d.freeSKUs[n-1], d.freeSKUs[:n-1]
	} else {
		*row = uint32(len(d.skus))
		d.skus = append(d.skus, priceSKU{})
	}
	d.skus[*row] = priceSKU{key: key}
	return *row
}

// item makes the series of a sku at a merchant if there is room and no ceiling, else nil.
func (d *priceDetector) item(m *priceMerchant, key, sku uint64) *priceItem {
	shop := &d.shops[m.row]
	if int(shop.items) >= d.p.MaxItems {
		return nil
	}
	row := d.sku(sku)
	if d.skus[row].capped {
		return nil
	}
	shop.items++
	d.skus[row].items++
	it, _ := d.items.Get(key)
	it.merchant, it.sku = m.row, row
	return it
}

// Sweep drops the items that were not read for 45 days, and redemptions that waited longer than a
// rise needs to show.
func (d *priceDetector) Sweep(now vw.Millis) {
	day := vw.DayOf(now, d.env.Offset)
	d.items.Sweep(func(_ uint64, it *priceItem) bool {
		if int(it.seen) >= day-priceIdle {
			return true
		}
		shop := &d.shops[it.merchant]
		shop.items--
		switch {
		case it.flags&priceLabelled != 0:
			d.labelled--
		case it.judgedByTill():
			shop.till--
		}
		d.skus[it.sku].items--
		return false
	})
	d.costs.Sweep(func(_ uint64, c *priceCost) bool { return int(c.day) >= day-priceIdle })
	d.merchants.Sweep(func(_ uint64, m *priceMerchant) bool {
		if d.shops[m.row].items > 0 || m.visits > 0 || m.found || m.pairs > 0 || m.complaints != [3]uint8{} {
			return true
		}
		d.shops[m.row] = priceShop{}
		d.freeShops = append(d.freeShops, m.row)
		return false
	})
	d.rows.Sweep(func(_ uint64, row *uint32) bool {
		if s := &d.skus[*row]; s.items > 0 || s.capped {
			return true
		}
		d.freeSKUs = append(d.freeSKUs, *row)
		return false
	})
	for key, list := range d.pending {
		rest := list[:0]
		for _, w := range list {
			if r := d.rises.Find(pairKey(key, w.sku)); r != nil && int(w.day) >= day-priceWait {
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
