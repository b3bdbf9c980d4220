package detectors

import (
	"slices"
	"strconv"

	vw "voucherwatch"
)

// Profile is what the registry says of a merchant. It is never changed: a new registry row makes a
// new profile, so that lanes further down see the one that was valid when the redemption passed.
type Profile struct {
	ID         string
	Key        uint64
	Name       string
	Registered bool
	Category   vw.Category
	MCC        string
	Status     vw.Kind // vw.Active, Suspended, Removed; NoKind if not registered
	Dishonest  bool
	USCC       uint64 // hash, 0 unknown
	District   string
	Located    bool
	Lon, Lat   float64
	// OpensAt and ClosesAt are minutes after midnight, -1 unknown; closing may be past midnight.
	OpensAt, ClosesAt int
	Seats             int64 // -1 unknown
	Terminals         []uint64
	Owners            []uint64 // customer keys, sorted
	Account           uint64   // settlement account, 0 unknown
	Since             vw.Millis
}

// OwnedBy tells whether the customer is a registered owner.
func (p *Profile) OwnedBy(customer uint64) bool {
	_, found := slices.BinarySearch(p.Owners, customer)
	return found
}

// merchants is the registry of one slot's merchant lane, and the lawful lists that bind it.
type merchants struct {
	byKey Small[*Profile]
	// listed holds the USCC hashes on a lawful dishonesty list now.
	listed map[uint64]bool
}

func newMerchants() *merchants {
	return &merchants{listed: map[uint64]bool{}}
}

// of is a merchant that has been named so far, or nil.
func (m *merchants) of(key uint64) *Profile {
	if p := m.byKey.Find(key); p != nil {
		return *p
	}
	return nil
}

// profile finds a merchant, or makes one that is not registered.
func (m *merchants) profile(b *vw.Batch, ref vw.Ref, t vw.Millis) *Profile {
	known, _ := m.byKey.Get(ref.Key)
	if *known != nil {
		return *known
	}
	p := &Profile{ID: b.String(ref.Text), Key: ref.Key, OpensAt: -1, ClosesAt: -1, Seats: -1, Since: t}
	*known = p
	return p
}

// apply takes in a registry row or a list row.
func (m *merchants) apply(e *vw.Event, t vw.Millis) {
	switch d := e.Detail.(type) {
	case *vw.Merchant:
		p := &Profile{
			ID: d.MerchantID, Key: e.Merchant.Key, Name: d.Name, Registered: true, MCC: d.MCC, Dishonest: d.Dishonest,
			Status: e.Kind, District: d.District, OpensAt: clockMinute(d.OpensAt), ClosesAt: clockMinute(d.ClosesAt), Seats: -1, Since: t,
		}
		known, isNew := m.byKey.Get(e.Merchant.Key)
		if !isNew {
			p.Since = min((*known).Since, t)
		}
		p.Category, _ = vw.ParseCategory(d.Category)
		if d.USCC != "" {
			p.USCC = vw.HashString(d.USCC)
		}
		if d.Lon != nil && d.Lat != nil {
			p.Located, p.Lon, p.Lat = true, *d.Lon, *d.Lat
		}
		if d.Seats != nil {
			p.Seats = *d.Seats
		}
		if d.SettlementAccount != "" {
			p.Account = vw.HashString(d.SettlementAccount)
		}
		for _, id := range d.Terminals {
			p.Terminals = append(p.Terminals, vw.HashString(id))
		}
		for _, id := range d.OwnerCustomerIDs {
			p.Owners = append(p.Owners, vw.HashString(id))
		}
		slices.Sort(p.Owners)
		*known = p
	case *vw.CreditList:
		if d.Status == "listed" {
			m.listed[vw.HashString(d.USCC)] = true
		} else {
			delete(m.listed, vw.HashString(d.USCC))
		}
	}
}

// clockMinute reads "HH:MM" as minutes after midnight, -1 if it is not there.
func clockMinute(s string) int {
	if len(s) != 5 {
		return -1
	}
	h, err1 := strconv.Atoi(s[:2])
	m, err2 := strconv.Atoi(s[3:])
	if err1 != nil || err2 != nil {
		return -1
	}
	return 60*h + m
}
