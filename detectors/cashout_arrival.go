package detectors

import vw "voucherwatch"

// Bins of arrival.
const (
	calm = iota
	rush
	beat // as long after the last as that after the one before
	full // more than the seats can have served
)

const (
	// busy is how much busier than its average a shop's rush may be before it is a burst.
	busy = 10
	// turns is how often a day a seat may have a guest who pays with a voucher.
	turns = 4
)

// arrival sorts a redemption by how soon it follows the merchant's last one. A shop is not judged before its
// tenth redemption; how often it has bursts is a habit like any other, learned from itself.
func (s *till) arrival(v *Visit, m *Profile) int8 {
	gap := max(v.T-s.last, 0)
	before := s.gap
	if s.first == 0 {
		s.first = v.T
	}
	s.last = max(s.last, v.T)
	s.gap = gap
	if s.day != int32(v.Day) {
		s.day, s.today = int32(v.Day), 0
	}
	s.today++
	if m.Seats > 0 && int64(s.today) > turns*m.Seats {
		return full
	}
	if s.trade < 10 || gap > 30*vw.Minute {
		return calm
	}
	if d := gap - before; gap > 20*vw.Second && 16*max(d, -d) < gap {
		return beat
	}
	// The minutes it was open since its first redemption: 14 hours of each whole day.
	minutes := float64(v.T-s.first) / float64(vw.Minute)
	if minutes > 24*60 {
		minutes *= 14. / 24
	}
	rate := busy * float64(s.trade) / max(minutes, 60)
	if rate*float64(gap)/float64(vw.Minute) < .35 {
		return rush
	}
	return calm
}
