package detectors

import (
	vw "voucherwatch"
)

// borrowed knows each customer's own device and bank card, from claims and payments, and tells the
// detectors of devices and cards when a redemption was made with another one. It says nothing itself: to
// pay with a neighbour's phone is no offence. Several accounts of one device at one till within minutes
// are a family when the device is all of theirs, and one bill over borrowed accounts when it is not (T01b).
//
// A device is a customer's own that was used more often than others lately: every use adds to it, every
// use of another takes away, up to seven.
//
//	Key:   customer.  State: 24 B, 45 days.
//	Late:  not looked at beyond the allowed lateness.
//	Basis: support of T01, as regulation.md §9 has T07 (claimant's device is not the redeemer's).
type borrowed struct {
	borrowedParams
	env   *Env
	habit Table[ownTokens]
}

type borrowedParams struct {
	// Days is how long a customer is remembered, in event time.
	Days int `yaml:"days"`
}

// Owner tells whose device or card was used.
type Owner uint8

const (
	UnknownOwner  Owner = iota
	OwnToken            // the customer's usual one
	AnothersToken       // another than the usual one
)

type ownTokens struct {
	device, card ownToken
	day          uint16
}

type ownToken struct {
	key uint32
	n   uint8
}

func init() {
	register(Spec{
		Name: "borrowed", Lane: CustomerLane, Typologies: []string{"T01"}, Events: []vw.EventType{vw.ClaimEvent},
		Title: vw.Bilingual{Zh: "借用设备或卡：并非该账号平时所用，供分单判断参考", En: "borrowed devices and cards: not the account's own, as support for split orders"},
		New: func(env *Env) (Detector, error) {
			d := &borrowed{borrowedParams: borrowedParams{Days: 45}, env: env}
			return d, env.Params(&d.borrowedParams)
		},
	})
}

// use tells whose token it is, and remembers the use.
func (o *ownToken) use(key uint64) Owner {
	k := uint32(key)
	switch {
	case key == 0:
		return UnknownOwner
	case o.n == 0:
		o.key, o.n = k, 1
		return UnknownOwner
	case o.key == k:
		o.n = min(o.n+1, 7)
		return OwnToken
	}
	o.n--
	return AnothersToken
}

func (d *borrowed) Touch(v *Visit) uint64 { return d.habit.Touch(v.Event.Customer.Key) }

func (d *borrowed) Visit(v *Visit) {
	h, _ := d.habit.Get(v.Event.Customer.Key)
	h.day = max(h.day, uint16(v.Day))
	v.DeviceOf, v.CardOf = h.device.use(v.Event.Device.Key), h.card.use(v.Event.Card.Key)
}

func (d *borrowed) Apply(_ *vw.Batch, e *vw.Event, t vw.Millis) {
	if e.Device.Key == 0 {
		return
	}
	h, _ := d.habit.Get(e.Customer.Key)
	h.day = max(h.day, uint16(vw.DayOf(t, d.env.Offset)))
	h.device.use(e.Device.Key)
}

func (d *borrowed) Sweep(now vw.Millis) {
	day := vw.DayOf(now, d.env.Offset)
	d.habit.Sweep(func(_ uint64, h *ownTokens) bool { return int(h.day) >= day-d.Days })
}

func (d *borrowed) Size() (keys, bytes int) { return d.habit.Len(), d.habit.Bytes() }
