package detectors

import (
	"math/bits"

	vw "voucherwatch"
)

// dedupHorizon is how long an event id is remembered, in days. It covers a campaign, so that a file
// delivered again weeks later changes nothing.
const dedupHorizon = 60

// arenaHorizon is how long an identifier can be named, in days: longer than any detector remembers its
// reference, so that which segments are dropped is never to be seen.
const arenaHorizon = 75

// unswept marks the day of a sighting that no sweep has seen yet.
const unswept = 1 << 31

// touchBlock is how many redemptions have their state fetched at the same time.
const touchBlock = 32

func (s *slot) run(p phase) {
	switch p {
	case dedupPhase:
		s.dedup()
	case merchantPhase:
		s.merchantLane()
	case customerPhase:
		s.lane(CustomerLane)
	case devicePhase:
		s.lane(DeviceLane)
	case cardPhase:
		s.lane(CardLane)
	case voucherPhase:
		s.lane(VoucherLane)
	case campaignPhase:
		s.campaignLane()
	case scorePhase:
		s.score()
	case sweepPhase:
		s.sweep()
	}
}

func (s *slot) owns(key uint64) bool {
	n := uint64(len(s.engine.slots))
	return n == 1 || (key>>17)%n == uint64(s.index)
}

// dedup decides the fate of the events whose ids hash to this slot.
func (s *slot) dedup() {
	e := s.engine
	for i := range e.batch.Events {
		ev := &e.batch.Events[i]
		if s.owns(ev.ID.Key) {
			s.sink += s.seen.Touch(sightingKey(ev))
		}
	}
	for i := range e.batch.Events {
		ev := &e.batch.Events[i]
		if !s.owns(ev.ID.Key) {
			continue
		}
		content := uint32(fingerprint(e.batch, ev))
		seen, isNew := s.seen.Get(sightingKey(ev))
		switch {
		case isNew:
			seen.content = content
			seen.day = uint32(max(0, vw.DayOf(ev.At, e.offset))) | unswept
			e.fate[i] = distinct
		case seen.content == content:
			e.fate[i] = duplicate
		default:
			e.fate[i] = conflict
		}
	}
}

// sightingKey is the key of an event's type and id.
func sightingKey(ev *vw.Event) uint64 { return max(ev.ID.Key^uint64(ev.Type)<<56, 1) }

// fingerprint is a hash of what an event says, not of how it is written: a redelivery may order its
// fields differently.
func fingerprint(b *vw.Batch, ev *vw.Event) uint64 {
	h := uint64(ev.At) * 0x9e3779b97f4a7c15
	mix := func(x uint64) { h = (h ^ x) * 0xff51afd7ed558ccd; h ^= h >> 32 }
	switch ev.Type {
	case vw.RedemptionEvent, vw.ClaimEvent, vw.RefundEvent, vw.PriceEvent:
		mix(ev.Merchant.Key)
		mix(ev.Customer.Key)
		mix(ev.Voucher.Key ^ ev.Target.Key ^ ev.SKU.Key)
		mix(uint64(ev.OrderFen)<<32 ^ uint64(ev.DiscountFen)<<16 ^ uint64(ev.PaidFen))
		mix(uint64(ev.Amount)<<8 ^ uint64(ev.Kind)<<4 ^ uint64(ev.VoucherType))
		mix(ev.Device.Key ^ bits.RotateLeft64(ev.Card.Key, 21) ^ bits.RotateLeft64(ev.Terminal.Key, 42))
		mix(uint64(ev.ClaimedAt))
		lines := b.LinesOf(ev)
		for i := range lines {
			mix(lines[i].SKU.Key ^ uint64(lines[i].Fen))
		}
		if ev.Returned {
			h++
		}
	default:
		mix(vw.Hash(b.Bytes(ev.Raw)))
	}
	return h ^ h>>29
}

// merchantLane applies registry, list and merchant events at their place in the stream and looks at
// the redemptions of the slot's merchants.
func (s *slot) merchantLane() {
	e := s.engine
	b := e.batch
	s.mine = s.mine[:0]
	for i := e.from; i < e.to; i++ {
		if e.fate[i] != distinct {
			continue
		}
		ev := &b.Events[i]
		// Lists and caps bind every merchant, so every slot takes them in.
		everywhere := ev.Type == vw.CreditListEvent || ev.Type == vw.PriceEvent && ev.Kind == vw.Cap
		if everywhere || ev.Merchant.Key != 0 && s.owns(ev.Merchant.Key) {
			s.mine = append(s.mine, int32(i))
		}
	}
	for start := 0; start < len(s.mine); start += touchBlock {
		block := s.mine[start:min(start+touchBlock, len(s.mine))]
		s.touch(block, MerchantLane)
		for _, i := range block {
			ev := &b.Events[i]
			if k := e.visitOf[i]; k >= 0 {
				v := &e.visits[k]
				v.Merchant = s.merchants.profile(b, ev.Merchant, v.T)
				s.visit(v, MerchantLane)
				continue
			}
			s.merchants.apply(ev, e.effective[i])
			s.apply(int(i), MerchantLane)
		}
	}
}

// touch has the state of a block of redemptions fetched at the same time.
func (s *slot) touch(block []int32, l Lane) {
	e := s.engine
	for _, id := range e.lanes[l] {
		if t, ok := s.detectors[id].(Toucher); ok {
			for _, i := range block {
				if k := e.visitOf[i]; k >= 0 {
					s.sink += t.Touch(&e.visits[k])
				}
			}
		}
	}
}

// lane looks at the redemptions, and applies the events, whose key in the lane belongs to the slot.
func (s *slot) lane(l Lane) {
	e := s.engine
	b := e.batch
	s.mine = s.mine[:0]
	for i := e.from; i < e.to; i++ {
		if e.fate[i] != distinct {
			continue
		}
		if key := l.key(&b.Events[i]); key != 0 && s.owns(key) || l.everywhere(&b.Events[i]) {
			s.mine = append(s.mine, int32(i))
		}
	}
	for start := 0; start < len(s.mine); start += touchBlock {
		block := s.mine[start:min(start+touchBlock, len(s.mine))]
		s.touch(block, l)
		for _, i := range block {
			if k := e.visitOf[i]; k >= 0 {
				s.visit(&e.visits[k], l)
			} else {
				s.apply(int(i), l)
			}
		}
	}
}

// campaignLane looks at every redemption in order of arrival; only slot 0 runs it.
func (s *slot) campaignLane() {
	e := s.engine
	for i := e.from; i < e.to; i++ {
		if e.fate[i] == distinct && e.visitOf[i] >= 0 {
			s.visit(&e.visits[e.visitOf[i]], CampaignLane)
		}
	}
}

func (s *slot) visit(v *Visit, l Lane) {
	s.cause = v.index
	for _, id := range s.engine.lanes[l] {
		if v.Late && !s.engine.specs[id].Late {
			continue
		}
		s.detectors[id].Visit(v)
	}
}

func (s *slot) apply(i int, l Lane) {
	e := s.engine
	ev := &e.batch.Events[i]
	s.cause = int32(i)
	for _, id := range s.appliers[ev.Type] {
		if e.specs[id].Lane == l {
			if a, ok := s.detectors[id].(Applier); ok {
				a.Apply(e.batch, ev, e.effective[i])
			}
		}
	}
}

func (s *slot) sweep() {
	now := s.engine.clock.now
	day := vw.DayOf(now, s.engine.offset)
	weekly := day-s.swept >= 7
	for id, d := range s.detectors {
		if w, ok := d.(Sweeper); ok && (weekly || s.engine.specs[id].Daily) {
			w.Sweep(now)
		}
	}
	if !weekly {
		return
	}
	s.swept = day
	oldest := uint32(max(0, day-dedupHorizon))
	s.seen.Sweep(func(_ uint64, v *sighting) bool {
		if v.day&unswept != 0 {
			v.day = max(v.day&^unswept, uint32(day)) // a registry row of last year that came today is remembered from today
		}
		return v.day >= oldest
	})
	s.dropBefore = day - arenaHorizon
}
