package simulate

import "math"

// purpose separates the random streams: no two uses of chance share draws, so adding one use never
// moves another.
type purpose uint64

const (
	forWorld purpose = iota + 1
	forCalendar
	forCustomer
	forHousehold
	forMerchant
	forRegistry
	forSlot
	forVisit
	forBanquet
	forClaim
	forFields
	forLines
	forTransport
	forRefund
	forComplaint
	forPrice
	forPromotion
	forPriceRow
	forLove
	forViolation
	forMalformed
	forCredit
	forFraud
	forVoucher
	forCard
	forDevice
	forIP
	forCashier
	forIdentity
	forNuisance
	forTies
)

// chance is a SplitMix64 stream (Steele, Lea, Flood 2014). It is a value: a stream is made where it is
// needed from (seed, purpose, what, when) and costs nothing.
type chance uint64

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hash is a key that depends on all its parts.
func hash(seed uint64, p purpose, a, b uint64) uint64 {
	x := mix(seed + 0x9e3779b97f4a7c15)
	x = mix(x + uint64(p)*0xd1342543de82ef95)
	x = mix(x + a*0x9e3779b97f4a7c15 + 1)
	return mix(x + b*0xc2b2ae3d27d4eb4f + 2)
}

func (c *chance) bits() uint64 {
	*c += 0x9e3779b97f4a7c15
	return mix(uint64(*c))
}

// float is uniform in [0, 1).
func (c *chance) float() float64 { return float64(c.bits()>>11) / (1 << 53) }

// hit is true with probability p.
func (c *chance) hit(p float64) bool { return c.float() < p }

// below is uniform in 0 … n-1; n ≥ 1.
func (c *chance) below(n int) int { return int(c.bits() >> 1 % uint64(n)) }

// between is uniform in [a, b).
func (c *chance) between(a, b float64) float64 { return a + (b-a)*c.float() }

// among is uniform in a … b, both included.
func (c *chance) among(a, b int) int { return a + c.below(b-a+1) }

// exp is exponential with the given mean.
func (c *chance) exp(mean float64) float64 { return -mean * math.Log(1-c.float()) }

// norm is standard normal (Box–Muller).
func (c *chance) norm() float64 {
	return math.Sqrt(-2*math.Log(1-c.float())) * math.Cos(2*math.Pi*c.float())
}

func (c *chance) lognormal(median, sd float64) float64 { return median * math.Exp(sd*c.norm()) }

// weighted picks an index by cumulative weights.
func (c *chance) weighted(cumulative []float64) int {
	x := c.float() * cumulative[len(cumulative)-1]
	lo, hi := 0, len(cumulative)-1
	for lo < hi {
		mid := (lo + hi) / 2
		if cumulative[mid] > x {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}
