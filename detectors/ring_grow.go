package detectors

import (
	"cmp"
	"math"
	"slices"
)

// ringGroup is a set of merchants that share more odd customers than chance explains.
type ringGroup struct {
	merchants []int // sorted
	seed      [2]int
	level     int
	shared    int     // merchants that the customers used beyond their first, summed over customers
	expected  float64 // the same under the null
	// chance is the natural logarithm of how many groups as strong are expected by chance.
	chance float64
}

// ringLink is a pair of merchants with what they share.
type ringLink struct {
	a, b     int
	shared   int
	surprise float64 // -ln p
}

// ringCrowd are the odd customers of a level as merchants by household.
type ringCrowd struct {
	level  int
	places []uint16 // household i has places[from[i]:from[i+1]], sorted
	from   []int32
	ends   []float64 // by place, as in ringNull
	total  float64   // of ends
	// visitors are, by place, the households that used it: visitors[at[a]:at[a+1]].
	at       []int32
	visitors []int32
	keys     []uint32
	spare    []uint32
	met      []uint8 // by household: merchants of the group in hand
	hits     []int32 // by place
}

func (c *ringCrowd) of(home int) []uint16 { return c.places[c.from[home]:c.from[home+1]] }

func (c *ringCrowd) homes() int { return len(c.from) - 1 }

// reset empties the crowd for so many places.
func (c *ringCrowd) reset(level, places int) {
	c.level, c.places, c.from, c.keys = level, c.places[:0], append(c.from[:0], 0), c.keys[:0]
	c.ends, c.at, c.hits = grow(c.ends, places), grow(c.at, places+1), grow(c.hits, places)
	clear(c.ends)
	c.total = 0
	clear(c.at)
	clear(c.hits)
}

// add takes in a household with its merchants, sorted.
func (c *ringCrowd) add(places []uint16) {
	c.places = append(c.places, places...)
	c.from = append(c.from, int32(len(c.places)))
	for j, b := range places {
		c.ends[b] += float64(len(places) - 1)
		c.total += float64(len(places) - 1)
		c.at[b+1]++
		for _, a := range places[:j] {
			c.keys = append(c.keys, uint32(ringIndex(int(a), int(b))))
		}
	}
}

// settle makes the lists of visitors.
func (c *ringCrowd) settle() {
	for i := range c.at[1:] {
		c.at[i+1] += c.at[i]
	}
	c.visitors = grow(c.visitors, len(c.places))
	next := slices.Clone(c.at)
	for i := range c.homes() {
		for _, a := range c.of(i) {
			c.visitors[next[a]] = int32(i)
			next[a]++
		}
	}
	c.met = grow(c.met, c.homes())
	clear(c.met)
	sortKeys(&c.keys, &c.spare)
}

// links are the pairs that share two households or more and more than twice what is expected,
// strongest first.
func (c *ringCrowd) links(n *ringNull) []ringLink {
	var links []ringLink
	b := 1
	for i := 0; i < len(c.keys); {
		j := i + 1
		for j < len(c.keys) && c.keys[j] == c.keys[i] {
			j++
		}
		if k := j - i; k >= 2 {
			for ringIndex(0, b+1) <= int(c.keys[i]) {
				b++
			}
			a := int(c.keys[i]) - ringIndex(0, b)
			if mean := n.meanOdd(a, b, c); float64(k) > 2*mean {
				links = append(links, ringLink{a, b, k, n.tail(k, mean, n.size[n.bin(a, b)])})
			}
		}
		i = j
	}
	slices.SortFunc(links, func(x, y ringLink) int {
		return cmp.Or(cmp.Compare(y.surprise, x.surprise), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	return links
}

const (
	ringWidest = 16  // merchants of a group
	ringSeeds  = 400 // links that groups are grown from
	ringJoins  = .1  // merchants that join a group by chance
)

// grow makes groups from the links, strongest first: each takes in, one by one, the merchant that
// makes it least likely to be chance, as long as there is one.
//
// The chance of a group of m among n merchants is C(n,m) times the upper tail of what its customers
// share in all: the search is priced in, so that a group of four needs more than a pair, but
// less per link. n are the merchants that could be in a group, those with two odd visitors or more (Tarone
// 1990). A merchant that would make the group no less likely joins when what it shares with the group
// is by itself more than the best of n merchants shares by chance.
func (c *ringCrowd) grow(n *ringNull, links []ringLink) []ringGroup {
	var groups []ringGroup
	active := 0
	for a := range len(c.at) - 1 {
		if c.at[a+1]-c.at[a] > 1 {
			active++
		}
	}
	group := map[int]int{}
	for _, l := range links[:min(len(links), ringSeeds)] {
		if x, ok := group[l.a]; ok {
			if y, ok := group[l.b]; ok && x == y {
				continue
			}
		}
		g := ringGroup{merchants: []int{l.a, l.b}, seed: [2]int{l.a, l.b}, level: c.level, shared: l.shared, expected: n.meanOdd(l.a, l.b, c)}
		size := n.size[n.bin(l.a, l.b)]
		g.chance = lchoose(active, 2) - n.tail(g.shared, g.expected, size)
		for _, a := range g.merchants {
			c.enter(a)
		}
		for joining := false; len(g.merchants) < ringWidest; {
			best, next, nextSize := g, -1, size
			least := math.Log(ringJoins)
			if !joining {
				least = g.chance
			}
			for _, x := range c.near(g.merchants) {
				more, added, low := 0, 0.0, size
				for _, h := range c.visitors[c.at[x]:c.at[x+1]] {
					if c.met[h] > 0 {
						more++
					}
				}
				for _, a := range g.merchants {
					added += n.meanOdd(a, x, c)
					low = min(low, n.size[n.bin(a, x)])
				}
				if more < 2 || float64(more) <= 2*added {
					continue
				}
				chance := lchoose(active, len(g.merchants)+1) - n.tail(g.shared+more, g.expected+added, low)
				if joining {
					chance = math.Log(float64(active)) - n.tail(more, added, low)
				}
				if chance < least {
					least, next, nextSize = chance, x, low
					best.shared, best.expected = g.shared+more, g.expected+added
				}
			}
			if next < 0 {
				if joining {
					break
				}
				joining = true
				continue
			}
			if !joining {
				best.chance = least
			}
			best.merchants = append(slices.Clone(g.merchants), next)
			g, size = best, nextSize
			c.enter(next)
		}
		for _, a := range g.merchants {
			for _, h := range c.visitors[c.at[a]:c.at[a+1]] {
				c.met[h] = 0
			}
			if _, ok := group[a]; !ok {
				group[a] = len(groups)
			}
		}
		slices.Sort(g.merchants)
		groups = append(groups, g)
	}
	return groups
}

// enter notes that the group in hand takes in a merchant.
func (c *ringCrowd) enter(a int) {
	for _, h := range c.visitors[c.at[a]:c.at[a+1]] {
		c.met[h]++
	}
}

// near are the merchants that share two customers or more with the group in hand, sorted.
func (c *ringCrowd) near(group []int) []int {
	var near []int
	for _, a := range group {
		for _, h := range c.visitors[c.at[a]:c.at[a+1]] {
			for _, x := range c.of(int(h)) {
				if c.hits[x]++; c.hits[x] == 2 && !slices.Contains(group, int(x)) {
					near = append(near, int(x))
				}
			}
		}
	}
	for _, a := range group {
		for _, h := range c.visitors[c.at[a]:c.at[a+1]] {
			for _, x := range c.of(int(h)) {
				c.hits[x] = 0
			}
		}
	}
	slices.Sort(near)
	return near
}
