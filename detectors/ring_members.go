package detectors

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/bits"
	"slices"
	"strings"

	vw "voucherwatch"
)

// describe counts what a group shares and who its members are: those who use several of its merchants, and
// those who use one and are as odd, as far as either are more than the null explains.
func (r *ringRun) describe(g *ringGroup, visitors []ringVisitor, purity float64) *knownRing {
	k := &knownRing{seed: [2]string{r.places[g.seed[0]].id, r.places[g.seed[1]].id}, shared: g.shared, expected: g.expected, usual: r.shares[g.level], far: math.NaN()}
	var apart []float64
	mean := 0.0
	for i, a := range g.merchants {
		p := &r.places[a]
		k.merchants, k.keys = append(k.merchants, p.id), append(k.keys, p.key)
		for _, b := range g.merchants[i+1:] {
			q := &r.places[b]
			mean += r.null.mean(a, b)
			if p.located && q.located {
				apart = append(apart, math.Hypot(p.x-q.x, p.y-q.y)/1000)
			}
		}
	}
	if len(apart) > 0 {
		slices.Sort(apart)
		k.far = apart[len(apart)/2]
	}
	people := make([]ringPatron, len(visitors))
	for i := range visitors {
		people[i] = visitors[i].ringPatron
	}
	households(people)
	several := map[int32]bool{} // home, and whether one of it is odd
	plain := 0
	alone := make([]int, len(g.merchants)) // odd ones of one merchant only
	for i := range visitors {
		v := &visitors[i]
		v.home = people[i].home
		odd := v.level <= g.level
		if n := bits.OnesCount16(v.at); n > 1 {
			several[v.home] = several[v.home] || odd
			if !odd {
				plain += n - 1
			}
		} else if odd {
			alone[bits.TrailingZeros16(v.at)]++
		}
	}
	for _, odd := range several {
		k.together++
		if odd {
			k.odd++
		}
	}
	k.plain = max(0, float64(k.together-k.odd)-mean)
	// Of what they share, this much is chance.
	oddChance := min(1, g.expected/float64(max(1, g.shared)))
	plainChance := min(1, mean/float64(max(1, plain)))
	for i := range visitors {
		v := &visitors[i]
		n, odd := bits.OnesCount16(v.at), v.level <= g.level
		p := 0.0
		switch {
		case n > 1 && odd:
			p = 1 - math.Pow(oddChance, float64(n-1))
		case n > 1:
			p = 1 - math.Pow(plainChance, float64(n-1))
		case odd:
			a := bits.TrailingZeros16(v.at)
			p = 1 - k.usual*float64(r.guests[g.merchants[a]])/float64(alone[a])
		}
		if p >= purity {
			k.members = append(k.members, ringPerson{v.key, v.slot, uint8(n), uint8(100 * p)})
		}
	}
	return k
}

const (
	commonOdd = .2 // of a crowd that lives or works together: many times people at large, whose shops are fewer
	ringOdd   = .6 // of a ring's accounts
)

// character is the log likelihood ratio of a ring against people who share their shops because they
// share a roof: of a ring's accounts most are odd, of a dormitory's few. Those who go to several of the
// merchants by chance are neither.
func (r *knownRing) character() float64 {
	return float64(r.odd)*math.Log(ringOdd/commonOdd) + r.plain*math.Log((1-ringOdd)/(1-commonOdd))
}

// homes is the number of households that the members come from.
func homes(members []ringPerson, visitors []ringVisitor) int {
	seen := map[int32]bool{}
	for _, m := range members {
		i, _ := slices.BinarySearchFunc(visitors, m.key, func(v ringVisitor, key uint64) int { return cmp.Compare(v.key, key) })
		seen[visitors[i].home] = true
	}
	return len(seen)
}

// ringTold is the log-odds below which a ring is not worth a person's time: a score of 300.
const ringTold = -.85

// adopt gives the ring the name of the known one with which it shares most merchants, at least two and
// a third of the smaller; otherwise its own, from its strongest pair. It replaces the one it continues.
func adopt(known []*knownRing, r *knownRing) []*knownRing {
	best, most := -1, 1
	for i, k := range known {
		common := 0
		for _, m := range r.merchants {
			if slices.Contains(k.merchants, m) {
				common++
			}
		}
		if common > most {
			best, most = i, common
		}
	}
	if best >= 0 && known[best].confirmed != r.confirmed {
		r.id, r.seed = known[best].id, known[best].seed
		known[best] = r
		return known
	}
	seed := r.seed
	slices.Sort(seed[:])
	sum := sha256.Sum256([]byte(seed[0] + "\x00" + seed[1]))
	r.id = hex.EncodeToString(sum[:8])
	return append(known, r)
}

// ringEvidence bounds the redemptions that one run adds to a finding.
const ringEvidence = 2000

// raiseRing raises the finding of a ring with the redemptions of its members at its merchants.
func raiseRing(tick *Tick, slots []*ring, r *knownRing, llr float64, since vw.Millis) {
	first := slots[0]
	var members []ringPatron
	var redemptions []FoundRedemption
	for _, p := range r.members {
		d := slots[p.slot]
		l := d.env.Ledger
		c := l.customers.Find(p.key)
		members = append(members, ringPatron{key: p.key, p: c})
		l.log.each(c.head, since, func(u *use) {
			if slices.Contains(r.keys, l.keys[u.place]) {
				if f, ok := u.found(d.env.Arena); ok {
					redemptions = append(redemptions, f)
				}
			}
		})
	}
	slices.SortFunc(redemptions, func(a, b FoundRedemption) int {
		return cmp.Or(cmp.Compare(b.At, a.At), strings.Compare(a.ID, b.ID))
	})
	redemptions = redemptions[:min(len(redemptions), ringEvidence)]
	evidence := make([]string, 0, 20)
	for _, f := range redemptions[:min(len(redemptions), 20)] {
		evidence = append(evidence, f.ID)
	}
	reason := first.env.Reason(Signal{
		Kind: ringPartners, LLR: llr, Observed: float64(r.shared), Expected: r.expected, P: r.p(),
		Aux: [6]float64{float64(len(r.keys)), float64(len(r.members)), float64(r.together), r.far, float64(r.odd), r.usual},
	})
	reason.Evidence = evidence
	reason.Peers = "same distance and category"
	r.reasons = []vw.Reason{reason}
	if sharing, most := sharedTokens(members); sharing > 0 {
		reason = first.env.Reason(Signal{
			Kind: ringDevices, Observed: float64(sharing), Expected: None, P: None, Aux: [6]float64{float64(most), float64(len(members))},
		})
		r.reasons = append(r.reasons, reason)
	}
	f := r.found(tick.Now)
	f.Redemptions = redemptions
	tick.Find(first.env, f)
}

// sharedTokens counts the members that share a device or a card with another one, and the most on one.
func sharedTokens(members []ringPatron) (sharing, most int) {
	in := map[int32]bool{}
	for _, of := range tokensOfPatron {
		sharers(members, of, func(group []int32) {
			most = max(most, len(group))
			for _, i := range group {
				in[i] = true
			}
		})
	}
	return len(in), most
}
