package simulate

import "math"

// parameter is a circumstance that no method may be tuned to: every seed draws its own value.
type parameter uint8

const (
	holidayVolume   parameter = iota // volume of 1–7 October, times
	weekendVolume                    // volume of weekends, times
	rainyDays                        // share of rainy days
	rainVolume                       // volume of rainy days, times
	claimMinutes                     // mean minutes from release to claim
	stockOutMinutes                  // latest stock-out, minutes after the release
	noClaim                          // people who never claim, share
	rush                             // redeemed soon after the claim, share
	waste                            // claimed and never used, share
	topUp                            // tops a basket up to the next threshold, probability
	topUpFrom                        // … from this share of the threshold on
	topUpOver                        // … and lands so far above it on average, share
	lesser                           // shows a smaller voucher than the basket allows, probability
	wanderers                        // visits that do not mind the way, share
	shopReach                        // reach of a shop, square degrees
	sizes                            // spread of shop sizes, sd of the logarithm
	baskets                          // how far a trade's median basket strays, sd of the logarithm
	spreads                          // spread of baskets, times
	roundness                        // whole-yuan amounts, times
	peakShift                        // how far peak hours stray, hours
	visitRates                       // how far a trade's visits stray, sd of the logarithm
	atTheThreshold                   // list prices set at the lowest threshold, share
	skew                             // clock of a till, sd in seconds
	late                             // late payments, share
	lateMinutes                      // … by minutes on average
	duplicates                       // duplicates, share
	outageMinutes                    // the outage, minutes
	refunds                          // refunded orders, share
	refundHours                      // … after hours on average
	receipts                         // merchants whose receipts reach the stream, share
	grievances                       // complaints without fraud, share of redemptions
	employed                         // people with an employer, share
	sharedDevices                    // people on the device of their household, share
	paysBeside                       // H1: pays beside the head of the household, share
	forgot                           // H2: comes back for a forgotten item, share of visits
	forgotMinutes                    // … after minutes on average
	canteenShare                     // H3: a regular's visits that go to the canteen, share
	blocks                           // H10: employers whose people live and shop together, share
	openings                         // H7: pull of an opening promotion
	streets                          // H11: merchants on streets with one account, share
	endedSales                       // H9: shops whose sale ended before the start, share
	costShocks                       // H9: goods whose cost or brand price rises
	shockSize                        // … at most by, share
	promotions                       // goods on promotion, share a fortnight
	assortment                       // goods a shop stocks, share
	canteenTwice                     // H3: a regular comes twice on a day, probability
	onePhone                         // H1: households with one device, share
	forgotExact                      // H2: … and reaches a threshold to the fen, probability
	banquets                         // H8: a firm eats out, probability a cycle
	outings                          // H10: people of a block go together, probability
	kinShare                         // H14: visits of an owner's relatives that go to the owner's shop, share
	helpingShops                     // H16: shops whose staff helps with its own device, share
	wholesalers                      // H13: small traders among the customers, share
	giantSize                        // H15: size of the giant, times the median shop
	flashPull                        // H15: customers that a flash sale draws, share
	twoLists                         // H17: shops with two price lists, share
	marketShock                      // H9: rise of a whole shelf of goods in all shops
	deliveries                       // restaurants and shops that take orders online, share
	covers                           // houses that charge everybody for service, share
	ringDays                         // days a ring's account is at work, share
	parameterCount
)

// parameters are the ranges they are drawn from. Where detection.md §6 gives a range it is
// that range; where it gives one number the range lies around it.
var parameters = [parameterCount]struct {
	name      string
	low, high float64
}{
	holidayVolume:   {"holiday_volume", 1.4, 2.2},
	weekendVolume:   {"weekend_volume", 1.1, 1.4},
	rainyDays:       {"rainy_days", 0, .25},
	rainVolume:      {"rain_volume", .7, .9},
	claimMinutes:    {"claim_minutes", 12, 30},
	stockOutMinutes: {"stock_out_minutes", 45, 90},
	noClaim:         {"no_claim", .25, .45},
	rush:            {"rush", .08, .16},
	waste:           {"waste", .15, .25},
	topUp:           {"top_up", .25, .45},
	topUpFrom:       {"top_up_from", .8, .9},
	topUpOver:       {"top_up_over", .02, .05},
	lesser:          {"lesser", .04, .12},
	wanderers:       {"wanderers", .1, .2},
	shopReach:       {"shop_reach", .02, .045},
	sizes:           {"sizes", .65, .95},
	baskets:         {"baskets", .04, .15},
	spreads:         {"spreads", .85, 1.15},
	roundness:       {"roundness", .75, 1.2},
	peakShift:       {"peak_shift", .1, .5},
	visitRates:      {"visit_rates", .05, .2},
	atTheThreshold:  {"at_the_threshold", .25, .45},
	skew:            {"skew", 5, 45},
	late:            {"late", .007, .013},
	lateMinutes:     {"late_minutes", 10, 20},
	duplicates:      {"duplicates", .002, .004},
	outageMinutes:   {"outage_minutes", 12, 35},
	refunds:         {"refunds", .01, .02},
	refundHours:     {"refund_hours", 4, 12},
	receipts:        {"receipts", .5, .7},
	grievances:      {"grievances", .0005, .0015},
	employed:        {"employed", .5, .7},
	sharedDevices:   {"shared_devices", .03, .08},
	paysBeside:      {"pays_beside", .1, .2},
	forgot:          {"forgot", .007, .014},
	forgotMinutes:   {"forgot_minutes", 8, 25},
	canteenShare:    {"canteen_share", .32, .5},
	blocks:          {"blocks", .05, .12},
	openings:        {"openings", .4, .9},
	streets:         {"streets", .02, .045},
	endedSales:      {"ended_sales", .12, .3},
	costShocks:      {"cost_shocks", 5, 10},
	shockSize:       {"shock_size", .1, .18},
	promotions:      {"promotions", .02, .07},
	assortment:      {"assortment", .45, .65},
	canteenTwice:    {"canteen_twice", .1, .3},
	onePhone:        {"one_phone", .03, .08},
	forgotExact:     {"forgot_exact", .15, .35},
	banquets:        {"banquets", .1, .3},
	outings:         {"outings", .3, .6},
	kinShare:        {"kin_share", .12, .27},
	helpingShops:    {"helping_shops", .006, .015},
	wholesalers:     {"wholesalers", .003, .008},
	giantSize:       {"giant_size", 12, 25},
	flashPull:       {"flash_pull", .012, .03},
	twoLists:        {"two_lists", .08, .2},
	marketShock:     {"market_shock", .06, .12},
	deliveries:      {"deliveries", .05, .15},
	covers:          {"covers", .04, .12},
	ringDays:        {"ring_days", .45, .65},
}

// nuisance are a world's values, by parameter.
type nuisance [parameterCount]float64

// newNuisance draws each parameter from a stream of its own: a new one moves no other.
func newNuisance(seed uint64, fixed map[parameter]float64) nuisance {
	var n nuisance
	for i, p := range parameters {
		r := chance(hash(seed, forNuisance, uint64(i), 0))
		n[i] = r.between(p.low, p.high)
		if v, ok := fixed[parameter(i)]; ok {
			n[i] = v
		}
	}
	return n
}

// named is what the labels say of them.
func (n *nuisance) named() map[string]float64 {
	m := map[string]float64{}
	for i, p := range parameters {
		m[p.name] = math.Round(n[i]*1e4) / 1e4
	}
	return m
}

// layTrades is the kinds of shops as this world has them.
func (w *world) layTrades() {
	w.shops = shops
	for k := range w.shops {
		r := w.chance(forNuisance, uint64(k), 1)
		s := &w.shops[k]
		s.median *= math.Exp(w.p[baskets] * r.norm())
		s.sd *= w.p[spreads]
		s.whole = math.Min(1, s.whole*w.p[roundness])
		s.visits *= math.Exp(w.p[visitRates] * r.norm())
		for i := range s.peaks {
			s.peaks[i] += w.p[peakShift] * r.norm()
		}
	}
}
