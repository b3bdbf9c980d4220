package simulate

import (
	"fmt"
	"math"

	vw "voucherwatch"
)

const (
	goods    = 60 // SKUs that supermarkets share
	watched  = 12 // of a shop's goods, whose shelf price is read every day
	history  = 29 // days of prices before the campaign
	dishes   = 24
	litreFen = 800
)

var grades = [...]struct {
	sku, name string
	ratio     float64
}{{"92#", "92号汽油", 1}, {"95#", "95号汽油", 1.07}, {"0#", "0号柴油", .96}}

// shelf is the county's goods: what they cost, when and why that changes.
type shelf struct {
	base  [goods]vw.Fen
	shock [goods]struct { // costs rise and all shops follow within days, or a brand raises everywhere (H9)
		day    int
		factor float64
		brand  bool
	}
	cap   vw.Fen
	steps []int // per mille of cap, one step every ten working days
	from  int
}

// raise is a fraudulent rise of some goods of one shop.
type raise struct {
	day     int
	factor  [goods]float64 // 0 is untouched
	hidden  bool           // only at the till: the shelf keeps the old price
	claimed bool           // and a struck-through price above both is shown
}

func newShelf(w *world) shelf {
	r := w.chance(forPrice, 0, 0)
	s := shelf{from: w.Start - history}
	for k := range s.base {
		s.base[k] = max(200, vw.Fen(r.lognormal(140, .6))*10)
	}
	for range int(w.p[costShocks]) {
		k := r.below(goods)
		s.shock[k].day = w.Start + r.among(-12, 14)
		s.shock[k].factor = 1 + r.between(.05, w.p[shockSize])
		s.shock[k].brand = r.hit(.4)
		if s.shock[k].brand {
			s.shock[k].day, s.shock[k].factor = w.Start-r.among(1, 4), 1+r.between(.05, .12)
		}
	}
	// The whole market: a shelf of goods gets dearer at once, as vegetables do before a holiday.
	first, day, factor := r.below(goods), w.Start+r.among(-6, 14), 1+w.p[marketShock]
	for i := range r.among(6, 10) {
		sh := &s.shock[(first+i)%goods]
		sh.day, sh.factor, sh.brand = day, factor, false
	}
	s.cap = litreFen + vw.Fen(r.among(-20, 30))
	for day := s.from; day <= w.last+14; day += 14 {
		s.steps = append(s.steps, r.among(-25, 25))
	}
	return s
}

func skuName(k int) (sku, name string) {
	return fmt.Sprintf("S%03d", k+1), fmt.Sprintf("商品%03d", k+1)
}

// stocks tells whether a shop sells a SKU.
func (w *world) stocks(m *merchant, k int) bool {
	return hash(w.seed, forPrice, uint64(m.index)<<8|uint64(k), 1)%1000 < uint64(1000*w.p[assortment])
}

// dearSince tells whether a cost or a brand rose within the last ten days.
func (s *shelf) dearSince(day int) bool {
	for k := range s.shock {
		if sh := &s.shock[k]; sh.factor > 0 && day >= sh.day && day < sh.day+10 {
			return true
		}
	}
	return false
}

// watchedBy are the goods of a shop whose shelf price is read.
func (w *world) watchedBy(m *merchant) []int {
	var ks []int
	start := int(hash(w.seed, forPrice, uint64(m.index), 4) % goods)
	for i := range goods {
		if k := (start + i*7) % goods; len(ks) < watched && w.stocks(m, k) {
			ks = append(ks, k)
		}
	}
	return ks
}

// price is what a shop charges for a SKU on a day; shown is what its shelf says.
func (w *world) price(m *merchant, k, day int) (charged, shown vw.Fen) {
	p := float64(w.shelf.base[k]) * m.factor
	if sh := w.shelf.shock[k]; sh.factor > 0 {
		lag := int(hash(w.seed, forPrice, uint64(m.index)<<8|uint64(k), 2) % 5)
		if sh.brand {
			lag /= 3
		}
		if day >= sh.day+lag {
			p *= sh.factor
		}
	}
	period := (day - w.shelf.from) / 14
	r := w.chance(forPromotion, uint64(m.index)<<8|uint64(k), uint64(period+1))
	if r.hit(w.p[promotions]) {
		first := r.below(8)
		if d := (day - w.shelf.from) % 14; d >= first && d < first+r.among(4, 6) {
			p *= 1 - r.between(.08, .22)
		}
	}
	if m.sale { // ended just before the campaign: back to the regular price, not a rise
		r := w.chance(forPromotion, uint64(m.index)<<8|uint64(k), 0)
		if r.hit(.25) && day >= w.Start-r.among(9, 13) && day < w.Start-r.among(0, 3) {
			p *= 1 - r.between(.08, .2)
		}
	}
	shown = dime(p)
	charged = shown
	if m.raise != nil && day >= m.raise.day && m.raise.factor[k] > 0 {
		charged = dime(p * m.raise.factor[k])
		if !m.raise.hidden {
			shown = charged
		}
	}
	return charged, shown
}

func dime(p float64) vw.Fen { return max(10, vw.Fen(math.Round(p/10))*10) }

// capOn is the provincial ceiling of a grade, fen a litre.
func (w *world) capOn(grade, day int) vw.Fen {
	v := float64(w.shelf.cap)
	for i := 0; i <= (day-w.shelf.from)/14 && i < len(w.shelf.steps); i++ {
		if i > 0 {
			v *= 1 + float64(w.shelf.steps[i])/1000
		}
	}
	return vw.Fen(math.Round(v * grades[grade].ratio))
}

// litre is a station's price: the ceiling, or a little under it.
func (w *world) litre(m *merchant, grade, day int) vw.Fen {
	under := vw.Fen(hash(w.seed, forPrice, uint64(m.index), 3) % 5 * 8)
	p := w.capOn(grade, day) - under
	if m.raise != nil && day >= m.raise.day {
		p = vw.Fen(float64(w.capOn(grade, day)) * m.raise.factor[0])
	}
	return p
}

// receipt itemises a sum; the amounts of the lines add up to it.
func (w *world) receipt(a *act, m *merchant, r *chance) []vw.ReceiptLine {
	factor := a.face.unit
	if factor == 0 {
		factor = 1
	}
	one := func(sku, name, kind string) []vw.ReceiptLine {
		return []vw.ReceiptLine{{SKU: sku, Name: name, Quantity: 1, UnitPriceFen: int64(a.order), AmountFen: int64(a.order), Kind: kind}}
	}
	switch {
	case m.kind == petrol:
		g := min(r.below(5), 2) // mostly 92#
		if g == 2 && r.hit(.6) {
			g = 0
		}
		unit := int64(math.Round(float64(w.litre(m, g, a.day)) * factor))
		return []vw.ReceiptLine{{SKU: grades[g].sku, Name: grades[g].name, Quantity: math.Round(float64(a.order)/float64(unit)*100) / 100, UnitPriceFen: unit, AmountFen: int64(a.order), Kind: "goods"}}
	case m.kind == appliances:
		return one(fmt.Sprintf("A%d", a.order), "家电 SN"+serialOf(a), "goods")
	case m.kind == fixedPrice:
		for _, p := range m.prices {
			if n := a.order / p; n*p == a.order && n < 20 {
				return []vw.ReceiptLine{{SKU: fmt.Sprintf("A%d", p), Name: m.name, Quantity: float64(n), UnitPriceFen: int64(p), AmountFen: int64(a.order), Kind: "service"}}
			}
		}
		return one("A0", m.name, "service")
	case a.face.basket == single || a.face.basket == usual && a.face.billSeed == 0 && r.hit(m.coarse):
		return one("X01", "消费", "goods")
	case m.kind == supermarket:
		return w.groceries(a, m, r, factor)
	}
	return w.menu(a, m, r)
}

// groceries fills the sum with goods at the day's prices and weighs out the rest.
func (w *world) groceries(a *act, m *merchant, r *chance, factor float64) []vw.ReceiptLine {
	bill := *r
	if a.face.billSeed != 0 {
		bill = chance(a.face.billSeed) // parts of one bill hold different goods of one basket
	}
	var lines []vw.ReceiptLine
	left, want := int64(a.order), 2+bill.below(5)
	start := bill.below(goods)
	has := a.face.basket != raised
	for i := 0; i < goods && len(lines) < want; i++ {
		k := (start + i*7 + 13*a.face.part) % goods
		dear := m.raise != nil && m.raise.factor[k] > 0
		if !w.stocks(m, k) || a.face.billSeed != 0 && mix(a.face.billSeed+uint64(k))%4 != uint64(a.face.part%4) || dear && a.face.basket == unraised || !dear && !has {
			continue
		}
		charged, _ := w.price(m, k, a.day)
		unit := int64(math.Round(float64(charged) * factor))
		n := int64(1 + bill.below(3))
		if n*unit > left {
			n = 1
		}
		if unit > left || dear && n*unit > left {
			continue
		}
		has = has || dear
		left -= n * unit
		sku, name := skuName(k)
		lines = append(lines, vw.ReceiptLine{SKU: sku, Name: name, Quantity: float64(n), UnitPriceFen: unit, AmountFen: n * unit, Kind: "goods"})
	}
	if left > 0 {
		lines = append(lines, vw.ReceiptLine{SKU: "W0", Name: "散称", Quantity: float64(left) / 100, UnitPriceFen: 100, AmountFen: left, Kind: "goods"})
	}
	return lines
}

// menu is a few dishes at the house's prices, and drinks for the rest.
func (w *world) menu(a *act, m *merchant, r *chance) []vw.ReceiptLine {
	if m.kind == canteen && len(m.prices) > 0 && a.order == m.prices[0] {
		return []vw.ReceiptLine{{SKU: "D00", Name: "套餐", Quantity: 1, UnitPriceFen: int64(a.order), AmountFen: int64(a.order), Kind: "service"}}
	}
	var lines []vw.ReceiptLine
	left := int64(a.order)
	bill := *r
	if a.face.billSeed != 0 {
		bill = chance(mix(a.face.billSeed + uint64(a.face.part)))
	}
	for range 1 + bill.below(4) {
		d := bill.below(dishes)
		dish := w.chance(forPrice, uint64(m.index), 100+uint64(d))
		unit := int64(math.Round(dish.lognormal(28, .6))) * 100
		if m.kind == hotel {
			unit *= 3
		}
		if unit > left {
			continue
		}
		left -= unit
		lines = append(lines, vw.ReceiptLine{SKU: fmt.Sprintf("D%02d", d+1), Name: fmt.Sprintf("菜品%02d", d+1), Quantity: 1, UnitPriceFen: unit, AmountFen: unit, Kind: "goods"})
	}
	if left > 0 {
		lines = append(lines, vw.ReceiptLine{SKU: "D99", Name: "酒水主食", Quantity: 1, UnitPriceFen: left, AmountFen: left, Kind: "goods"})
	}
	return lines
}
