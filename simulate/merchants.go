package simulate

import (
	"fmt"
	"math"

	vw "voucherwatch"
)

// kind is a way of doing business; it decides amounts, hours and receipts.
type kind uint8

const (
	dining kind = iota
	supermarket
	petrol
	canteen
	hotel
	appliances
	fixedPrice
	kindCount
)

// shop holds the parameters of a kind (detection.md §6; whole-yuan shares also from card data).
type shop struct {
	share      float64 // of merchants
	category   vw.Category
	mcc        []string
	median     float64 // basket in yuan
	sd         float64 // of its logarithm
	whole      float64 // share of whole-yuan amounts
	peaks      [2]float64
	width      float64 // standard deviation of a peak, hours
	visits     float64 // a day, relative
	open, shut [2]int  // minutes of day, earliest and latest
	words      []string
}

var shops = [kindCount]shop{
	dining:      {.50, vw.Hospitality, []string{"5812", "5812", "5812", "5814"}, 85, .6, .45, [2]float64{12, 18.7}, 1.0, 9, [2]int{420, 570}, [2]int{1260, 1380}, []string{"饭店", "面馆", "火锅店", "烧烤店"}},
	supermarket: {.20, vw.Retail, []string{"5411", "5411", "5331"}, 95, .7, .08, [2]float64{10.6, 17.5}, 1.7, 22, [2]int{420, 510}, [2]int{1260, 1350}, []string{"超市", "便利店", "生活馆"}},
	petrol:      {.06, vw.Fuel, []string{"5541"}, 240, .35, .8, [2]float64{11, 18}, 2.2, 20, [2]int{0, 0}, [2]int{1439, 1439}, []string{"加油站"}},
	canteen:     {.06, vw.Hospitality, []string{"5812", "5814"}, 62, .35, .6, [2]float64{12, 18}, .5, 18, [2]int{390, 450}, [2]int{1230, 1290}, []string{"食堂", "套餐店"}},
	hotel:       {.05, vw.Hospitality, []string{"7011", "5811"}, 420, .5, .7, [2]float64{14, 20}, 2, 4, [2]int{360, 360}, [2]int{1410, 1430}, []string{"宾馆", "大酒店"}},
	appliances:  {.08, vw.Appliance, []string{"5722", "5732", "4812"}, 1900, .95, .85, [2]float64{11, 16}, 2, 2.5, [2]int{510, 570}, [2]int{1200, 1260}, []string{"电器", "数码", "手机店"}},
	fixedPrice:  {.05, vw.Hospitality, []string{"7298", "7011"}, 60, .3, 1, [2]float64{13, 17}, 4, 15, [2]int{480, 540}, [2]int{1260, 1380}, []string{"浴池", "景区", "书店"}},
}

// providers are the acquirers whose feeds the tills go through; an outage hits one of them.
const providers = 4

// never marks optional fields that a merchant's till does not send.
type never uint16

const (
	noDevice never = 1 << iota
	noCard
	noClaimedAt
	noTerminal
	noCashier
	noOrder
	noMCC
	noDistrict
	noPlace
	noLines
	noHours
	noSeats
	noOwners
	noAccount
	noUSCC
)

type merchant struct {
	index      int32
	kind       kind
	category   vw.Category
	id         string
	name       string
	mcc        string
	uscc       string
	account    string
	lon, lat   float64
	open, shut int // minutes of day
	seats      int64
	terminals  []string
	cashiers   int
	owners     []int32
	size       float64
	provider   int
	skew       vw.Millis
	never      never
	slip       float64 // share of events that miss a field the till usually sends
	gone       absence
	prices     []vw.Fen // fixed price, set menu
	coarse     float64  // share of receipts that show one line for the whole sum
	dime       bool     // amounts end in a full jiao
	openDay    int      // first day of business (H7), else 0
	barDay     int      // first day it may not take part, else 0
	bar        bar
	street     bool // H11
	factor     float64
	posts      bool    // shelf prices reach the stream
	sale       bool    // H9: a sale that ended just before the campaign
	giant      bool    // many times the usual size, with a flash sale (H15)
	twoLists   bool    // those who buy by the dozen pay less (H17)
	delivers   bool    // takes orders online
	cover      float64 // service charge for everybody, share of the bill
	raise      *raise
}

// bar is how a merchant stops being eligible.
type bar uint8

const (
	notBarred bar = iota
	suspended
	removed
	dishonest
	creditListed
)

func (w *world) open(n int) {
	w.merchants = make([]merchant, n)
	var byShare []float64
	sum := 0.0
	for k := range w.shops {
		if len(w.tiers[w.shops[k].category]) > 0 {
			sum += w.shops[k].share
		}
		byShare = append(byShare, sum)
	}
	for i := range w.merchants {
		r := w.chance(forMerchant, uint64(i), 0)
		k := kind(r.weighted(byShare))
		if i < int(kindCount) && len(w.tiers[w.shops[i].category]) > 0 {
			k = kind(i) // every kind exists in the smallest world
		}
		w.merchants[i] = w.newMerchant(int32(i), k)
	}
	w.honest = n
	w.markMerchants()
	for i := range w.merchants {
		m := &w.merchants[i]
		w.kinds[m.category] = append(w.kinds[m.category], int32(i))
		w.kindOf[m.kind] = append(w.kindOf[m.kind], int32(i))
	}
}

func (w *world) newMerchant(i int32, k kind) merchant {
	r := w.chance(forMerchant, uint64(i), 1)
	s := &w.shops[k]
	id := hash(w.seed, forIdentity, uint64(i), 0)
	m := merchant{index: i, kind: k, category: s.category, id: digits(id, 15), size: r.lognormal(1, w.p[sizes]), provider: r.below(providers), factor: 1}
	if k == fixedPrice && r.hit(.5) && len(w.tiers[vw.Retail]) > 0 {
		m.category = vw.Retail
	}
	m.mcc = w.mccFor(&r, m.category, s.mcc)
	surnames := []string{"老李", "王记", "百信", "丹河", "炎帝", "金谷", "德胜", "同心", "顺达", "鑫源", "好邻居", "长平", "羊头山", "七佛", "开元", "神农"}
	m.name = surnames[r.below(len(surnames))] + s.words[r.below(len(s.words))]
	m.uscc = uscc(&r, w.district())
	m.account = token('a', mix(id+1))
	x, y := w.clusterAt(r.below(clusters))
	m.lon, m.lat = x+spread*r.norm(), y+spread*r.norm()
	m.open, m.shut = r.among(s.open[0]/30, s.open[1]/30)*30, r.among(s.shut[0]/30, s.shut[1]/30)*30
	if m.shut >= 1410 {
		m.shut = 1439
	}
	if s.category == vw.Hospitality {
		m.seats = int64(r.among(16, 120))
	}
	for t := range r.among(1, 4) {
		m.terminals = append(m.terminals, digits(mix(id+10+uint64(t)), 8))
	}
	m.cashiers = r.among(1, 5)
	for range r.among(0, 2) {
		m.owners = append(m.owners, int32(r.below(len(w.customers))))
	}
	m.skew = vw.Millis(max(-90, min(90, w.p[skew]*r.norm())) * float64(vw.Second))
	for bit, p := range []float64{.03, .1, .12, .04, .22, .45, .04, .03, .18, 1 - w.p[receipts], .18, .45, .35, .06, .03} {
		if r.hit(p) {
			m.never |= 1 << bit
		}
	}
	m.slip = r.between(0, .06)
	m.gone = absence(r.below(3))
	m.dime = r.hit(.4)
	m.coarse = .1
	if r.hit(.2) {
		m.coarse = .6
	}
	switch k {
	case canteen:
		m.prices = []vw.Fen{w.upTo(m.category, r.lognormal(62, .2), &r)}
	case fixedPrice:
		for range r.among(1, 3) {
			m.prices = append(m.prices, w.upTo(m.category, r.lognormal(60, .35), &r))
		}
	}
	if k == supermarket {
		m.factor = 1
		if r.hit(.7) {
			m.factor = math.Exp(.06 * r.norm())
		}
		m.posts = r.hit(.6)
		m.sale = r.hit(w.p[endedSales])
		m.twoLists = r.hit(w.p[twoLists])
	}
	if k == petrol {
		m.posts = true
	}
	m.delivers = (k == dining || k == supermarket) && r.hit(w.p[deliveries])
	if (k == dining || k == hotel) && r.hit(w.p[covers]) {
		m.cover = r.between(.03, .1)
	}
	return m
}

// upTo is a list price around a sum; some shops put it just where the lowest voucher works.
func (w *world) upTo(c vw.Category, yuan float64, r *chance) vw.Fen {
	if t := w.tiers[c]; len(t) > 0 && r.hit(w.p[atTheThreshold]) {
		return w.Vouchers[t[0]].Threshold + vw.Fen(r.below(9))*100
	}
	return vw.Fen(math.Max(8, math.Round(yuan))) * 100
}

// mccFor is one of the kind's codes that the campaign allows in the category.
func (w *world) mccFor(r *chance, c vw.Category, codes []string) string {
	code := codes[r.below(len(codes))]
	allowed := w.MCC[c]
	if len(allowed) == 0 {
		return code
	}
	for _, a := range allowed {
		if a == code {
			return code
		}
	}
	return allowed[r.below(len(allowed))]
}

func (w *world) district() string {
	if len(w.Districts) > 0 {
		return w.Districts[0]
	}
	return ""
}

// markMerchants gives some merchants a story: barred in mid-campaign, newly opened (H7), on a market
// street with one settlement account (H11).
func (w *world) markMerchants() {
	r := w.chance(forMerchant, 1<<40, 0)
	n, days := len(w.merchants), w.last-w.Start+1
	pick := func() *merchant {
		for range 50 {
			if m := &w.merchants[r.below(n)]; m.openDay == 0 && m.barDay == 0 && !m.street {
				return m
			}
		}
		return nil
	}
	for i := range max(4, n/70) {
		if m := pick(); m != nil && days > 4 {
			m.barDay = w.Start + r.among(days/3, days*3/4)
			m.bar = bar(1 + i%4)
			if m.bar == creditListed {
				m.never &^= noUSCC
			}
		}
	}
	for range max(2, n/80) {
		if m := pick(); m != nil && days > 5 {
			m.openDay = w.Start + r.among(2, max(2, days*2/3))
			m.size *= 1.5
			w.promos = append(w.promos, m.index)
		}
	}
	for s := range 1 + int(w.p[streets]*float64(n)/4.5) {
		first := pick()
		for range r.among(3, 6) {
			m := pick()
			if m == nil || first == nil {
				break
			}
			m.account, m.street = token('a', hash(w.seed, forIdentity, uint64(s), 1)), true
			m.lon, m.lat = first.lon+.001*r.norm(), first.lat+.001*r.norm()
			m.never &^= noAccount
		}
	}
}

// layDemand weighs shops by size and by distance from each cluster of homes.
func (w *world) layDemand() {
	w.favourite = make([][]float64, clusters*int(vw.Categories))
	for c := range vw.Categories {
		all := make([]float64, len(w.kinds[c]))
		sum := 0.0
		for j, i := range w.kinds[c] {
			sum += w.pull(i)
			all[j] = sum
		}
		w.anywhere[c] = all
		for k := range clusters {
			x, y := w.clusterAt(k)
			near := make([]float64, len(w.kinds[c]))
			sum = 0
			for j, i := range w.kinds[c] {
				m := &w.merchants[i]
				d2 := (m.lon-x)*(m.lon-x) + (m.lat-y)*(m.lat-y)
				sum += w.pull(i) * math.Exp(-d2/w.p[shopReach])
				near[j] = sum
			}
			w.favourite[k*int(vw.Categories)+int(c)] = near
		}
	}
}

func (w *world) pull(i int32) float64 {
	m := &w.merchants[i]
	return m.size * w.shops[m.kind].visits
}

// choose picks a shop of a category for someone who lives in a cluster; some do not mind the way.
func (w *world) choose(r *chance, c vw.Category, cluster uint8) (int32, bool) {
	if len(w.kinds[c]) == 0 {
		return 0, false
	}
	weights := w.favourite[int(cluster)*int(vw.Categories)+int(c)]
	if r.hit(w.p[wanderers]) {
		weights = w.anywhere[c]
	}
	return w.kinds[c][r.weighted(weights)], true
}

// trades tells whether a merchant may take vouchers on a day.
func (m *merchant) trades(day int) bool {
	return (m.openDay == 0 || day >= m.openDay) && (m.barDay == 0 || day < m.barDay)
}

func (w *world) registryRow(m *merchant) vw.Merchant {
	e := vw.Merchant{Type: "merchant", MerchantID: m.id, Name: m.name, Category: m.category.String(), Status: "active"}
	has := func(n never) bool { return m.never&n == 0 }
	if has(noUSCC) {
		e.USCC = m.uscc
	}
	if has(noMCC) {
		e.MCC = m.mcc
	}
	if has(noDistrict) {
		e.District = w.district()
	}
	if has(noPlace) {
		lon, lat := round6(m.lon), round6(m.lat)
		e.Lon, e.Lat = &lon, &lat
	}
	if has(noHours) {
		e.OpensAt, e.ClosesAt = clock(m.open), clock(m.shut)
	}
	if has(noSeats) && m.seats > 0 {
		e.Seats = &m.seats
	}
	if has(noTerminal) {
		e.Terminals = m.terminals
	}
	if has(noOwners) {
		for _, c := range m.owners {
			e.OwnerCustomerIDs = append(e.OwnerCustomerIDs, w.customerID(c))
		}
	}
	if has(noAccount) {
		e.SettlementAccount = m.account
	}
	return e
}

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

func round6(v float64) float64 { return math.Round(v*1e6) / 1e6 }
