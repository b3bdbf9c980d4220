package detectors

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	vw "voucherwatch"
)

// rulesMerchant checks each redemption against the campaign file, the registry and the lawful lists:
// place (T11), whitelist (T12), line of business (T13), standing (T14), stored value (T15), face and
// threshold (C01), and the sum of the amounts (C03).
//
//	Key:   merchant.  State: the barred spells of merchants, lists, a table of category codes.
//	Late:  judged by what was in force when it happened, not when it arrived.
//	Basis: campaign plan, 六(二) and 七(一); regulation catalogue T11 to T15.
type rulesMerchant struct {
	env    *Env
	params rulesMerchantParams
	// codes tells by merchant category code which categories allow it (bit of the category); bit 0 is
	// set for what is never eligible. listed says which categories have a list at all.
	codes  [10_000]uint8
	listed uint8
	// barred holds the rows of merchants that were out of good standing at some time, from then on.
	barred map[uint64]history[standing]
	lists  Table[listing] // by USCC
	bases  []string       // what the lists are called
	// rows, seen and known count registry rows, redemptions, and those of registered merchants, for
	// Learn; whole is its conclusion.
	rows, seen, known int64
	whole             bool
}

type rulesMerchantParams struct {
	// Far is how far, in metres, a payment whose county is not given may lie from where its merchant is
	// registered. 20 km is what the catalogue takes for "shown far away": a phone's position errs by
	// hundreds of metres, a cell tower's by up to 5 km, and the county is 40 km across.
	Far float64 `yaml:"far"`
	// Whole is the least share of redemptions whose merchant is registered for the registry to be taken
	// as the whitelist. A registry that knows fewer is not whole, and its gaps accuse nobody.
	Whole float64 `yaml:"whole"`
}

type standing struct {
	status    vw.Kind
	dishonest bool
}

func (s standing) good() bool {
	return s.status != vw.Suspended && s.status != vw.Removed && !s.dishonest
}

// listing is a USCC's last change on the lawful lists and what held before.
type listing struct {
	since       vw.Millis
	now, before bool
	basis       uint16 // index into bases
}

var (
	placeKind = &Kind{Code: "rules_merchant.place", Typology: "T11", Text: func(s *Signal) vw.Bilingual {
		if s.Note == "" {
			return vw.Bilingual{
				Zh: fmt.Sprintf("交易地距商户登记地 %.1f 公里，且未给出区划：异地核销或终端移机", s.Observed/1000),
				En: fmt.Sprintf("paid %.1f km from where the merchant is registered, and no county was given: out of the area, or the terminal was moved", s.Observed/1000),
			}
		}
		where := [2]string{"交易地", "the place of payment"}
		if s.Aux[0] == 1 {
			where = [2]string{"经营地", "the merchant's place of business"}
		}
		return vw.Bilingual{
			Zh: fmt.Sprintf("%s区划代码 %s 不在活动范围内", where[0], s.Note),
			En: fmt.Sprintf("%s has county code %s, outside the campaign's", where[1], s.Note),
		}
	}}
	whitelistKind = &Kind{Code: "rules_merchant.whitelist", Typology: "T12", Window: campaignPeriod, Text: func(*Signal) vw.Bilingual {
		return vw.Bilingual{Zh: "商户不在核销范围（白名单）内：名录中从未登记", En: "the merchant is not on the whitelist: it was never registered"}
	}}
	categoryKind = &Kind{Code: "rules_merchant.category", Typology: "T13", Text: func(s *Signal) vw.Bilingual {
		voucher, shop := vw.Category(s.Aux[0]), vw.Category(s.Aux[1])
		if shop != vw.NoCategory {
			return vw.Bilingual{
				Zh: fmt.Sprintf("%s券用于%s商户", voucher.Chinese(), shop.Chinese()),
				En: fmt.Sprintf("a %s voucher was used at a %s merchant", voucher, shop),
			}
		}
		if voucher == vw.NoCategory || s.Aux[2] == 1 {
			return vw.Bilingual{
				Zh: fmt.Sprintf("商户类别码 %s 属于不得使用消费券的行业", s.Note),
				En: fmt.Sprintf("merchant category code %s is never eligible", s.Note),
			}
		}
		return vw.Bilingual{
			Zh: fmt.Sprintf("商户类别码 %s 不在%s券的行业范围内", s.Note, voucher.Chinese()),
			En: fmt.Sprintf("merchant category code %s is outside the trades of %s vouchers", s.Note, voucher),
		}
	}}
	standingKind = &Kind{Code: "rules_merchant.standing", Typology: "T14", Window: campaignPeriod, Text: func(s *Signal) vw.Bilingual {
		switch {
		case s.Note != "":
			return vw.Bilingual{Zh: fmt.Sprintf("商户在交易当日列入失信名单（%s）", s.Note), En: fmt.Sprintf("the merchant was on a lawful list of dishonest entities at the time (%s)", s.Note)}
		case vw.Kind(s.Aux[0]) == vw.Removed:
			return vw.Bilingual{Zh: "商户已被移出核销范围，仍在核券", En: "the merchant had been removed from the campaign and still redeemed"}
		case vw.Kind(s.Aux[0]) == vw.Suspended:
			return vw.Bilingual{Zh: "商户已停用，仍在核券", En: "the merchant was suspended and still redeemed"}
		}
		return vw.Bilingual{Zh: "商户登记为失信主体，仍在核券", En: "the merchant is registered as dishonest and still redeemed"}
	}}
	storedKind = &Kind{Code: "rules_merchant.stored_value", Typology: "T15", Text: func(s *Signal) vw.Bilingual {
		return vw.Bilingual{
			Zh: fmt.Sprintf("消费券用于充值储值卡：%s %s", s.Note, vw.Fen(s.Observed).Yuan()),
			En: fmt.Sprintf("the voucher paid for stored value: %s %s", s.Note, vw.Fen(s.Observed).Yuan()),
		}
	}}
	faceKind = &Kind{Code: "rules_merchant.face", Typology: "C01", Text: func(s *Signal) vw.Bilingual {
		order, discount, threshold, face := vw.Fen(s.Aux[0]), vw.Fen(s.Aux[1]), vw.Fen(s.Aux[2]), vw.Fen(s.Aux[3])
		if threshold == 0 {
			return vw.Bilingual{
				Zh: fmt.Sprintf("抵扣 %s 超过订单金额 %s", discount.Yuan(), order.Yuan()),
				En: fmt.Sprintf("the discount of %s exceeds the order of %s", discount.Yuan(), order.Yuan()),
			}
		}
		return vw.Bilingual{
			Zh: fmt.Sprintf("订单 %s 减 %s，而券为满 %s 减 %s", order.Yuan(), discount.Yuan(), threshold.Yuan(), face.Yuan()),
			En: fmt.Sprintf("%s off an order of %s, where the voucher gives %s off from %s", discount.Yuan(), order.Yuan(), face.Yuan(), threshold.Yuan()),
		}
	}}
	sumKind = &Kind{Code: "rules_merchant.sum", Typology: "C03", Text: func(s *Signal) vw.Bilingual {
		order, discount, paid := vw.Fen(s.Aux[0]), vw.Fen(s.Aux[1]), vw.Fen(s.Aux[2])
		return vw.Bilingual{
			Zh: fmt.Sprintf("金额不平：订单 %s ≠ 抵扣 %s + 实付 %s，差 %s", order.Yuan(), discount.Yuan(), paid.Yuan(), (order - discount - paid).Yuan()),
			En: fmt.Sprintf("the amounts do not add up: order %s, discount %s, paid %s, off by %s", order.Yuan(), discount.Yuan(), paid.Yuan(), (order - discount - paid).Yuan()),
		}
	}}
)

func init() {
	register(Spec{
		Name: "rules_merchant", Lane: MerchantLane, Late: true,
		Typologies: []string{"T11", "T12", "T13", "T14", "T15", "C01", "C03"},
		Title:      vw.Bilingual{Zh: "商户硬规则：地点、白名单、品类、失信停用、储值、面额、金额", En: "hard rules of merchant and amounts: place, whitelist, category, standing, stored value, face, sum"},
		Events:     []vw.EventType{vw.MerchantEvent, vw.CreditListEvent},
		New:        newRulesMerchant,
		Learn:      learnRulesMerchant,
	})
}

func newRulesMerchant(env *Env) (Detector, error) {
	d := &rulesMerchant{env: env, params: rulesMerchantParams{Far: 20_000, Whole: 0.9}, barred: map[uint64]history[standing]{}}
	if err := env.Params(&d.params); err != nil {
		return nil, err
	}
	for c, list := range env.Campaign.MCC {
		for _, code := range list {
			if i := categoryCode(code); i >= 0 {
				d.codes[i] |= 1 << c
				d.listed |= 1 << c
			}
		}
	}
	for _, code := range env.Campaign.NeverMCC {
		if i := categoryCode(code); i >= 0 {
			d.codes[i] = 1
		}
	}
	return d, nil
}

// categoryCode reads four digits, or -1: what is not a code tells nothing.
func categoryCode[T string | []byte](code T) int {
	if len(code) != 4 {
		return -1
	}
	n := 0
	for i := range 4 {
		if code[i] < '0' || code[i] > '9' {
			return -1
		}
		n = 10*n + int(code[i]-'0')
	}
	return n
}

// Apply remembers when merchants were out of good standing, and since when a USCC is on a list, by the
// rows' own times: they may be announced before they hold.
func (d *rulesMerchant) Apply(_ *vw.Batch, e *vw.Event, _ vw.Millis) {
	t := e.At
	switch row := e.Detail.(type) {
	case *vw.Merchant:
		d.rows++
		s := standing{e.Kind, row.Dishonest}
		if h, was := d.barred[e.Merchant.Key]; was || !s.good() {
			d.barred[e.Merchant.Key] = h.put(t, s)
		}
	case *vw.CreditList:
		l, isNew := d.lists.Get(vw.HashString(row.USCC))
		on := row.Status == "listed"
		if on {
			l.basis = d.basis(row.Basis)
		}
		if !isNew && t < l.since {
			l.before = on
			return
		}
		l.since, l.before, l.now = t, l.now, on
	}
}

// basis keeps the name of a list once; there are few.
func (d *rulesMerchant) basis(name string) uint16 {
	for i, have := range d.bases {
		if have == name {
			return uint16(i)
		}
	}
	if len(d.bases) == 1<<16-1 {
		return 0
	}
	d.bases = append(d.bases, name)
	return uint16(len(d.bases) - 1)
}

// Visit checks the rules one by one; a breach is rare, so only it makes text.
func (d *rulesMerchant) Visit(v *Visit) {
	e, p := v.Event, v.Merchant
	d.seen++
	if p.Registered {
		d.known++
		d.place(v)
	} else if d.whole {
		d.say(v, whitelistKind, Signal{Observed: 1, Expected: None, P: None})
	}
	d.category(v)
	d.standing(v)
	d.stored(v)
	if w := v.Voucher; w.Balance {
		if e.DiscountFen > e.OrderFen {
			d.say(v, faceKind, Signal{Observed: float64(e.DiscountFen), Expected: float64(e.OrderFen), P: None, Aux: [6]float64{float64(e.OrderFen), float64(e.DiscountFen)}})
		}
	} else if e.DiscountFen != w.Face || e.OrderFen < w.Threshold {
		d.say(v, faceKind, Signal{Observed: float64(e.DiscountFen), Expected: float64(w.Face), P: None, Aux: [6]float64{float64(e.OrderFen), float64(e.DiscountFen), float64(w.Threshold), float64(w.Face)}})
	}
	if e.OrderFen != e.DiscountFen+e.PaidFen {
		d.say(v, sumKind, Signal{
			Observed: float64(e.OrderFen), Expected: float64(e.DiscountFen + e.PaidFen), P: None,
			Aux: [6]float64{float64(e.OrderFen), float64(e.DiscountFen), float64(e.PaidFen)},
		})
	}
}

func (d *rulesMerchant) say(v *Visit, k *Kind, s Signal) {
	s.Evidence = []IDRef{v.Keep(d.env)}
	v.Break(d.env, k, s, vw.Subject{Kind: "merchant", ID: v.MerchantID()}, campaignPeriod)
}

// place: the county of the payment decides, or else that of the merchant. Where the payment gives none
// its position may still be too far from the shop to be the shop's.
func (d *rulesMerchant) place(v *Visit) {
	e, p := v.Event, v.Merchant
	if e.Has&vw.FieldDistrict != 0 {
		code := v.Batch.Bytes(e.District)
		if outside(d.env.Campaign.Districts, code) {
			d.say(v, placeKind, Signal{Observed: 1, Expected: None, P: None, Note: string(code)})
		}
		return
	}
	if p.District != "" && outside(d.env.Campaign.Districts, []byte(p.District)) {
		d.say(v, placeKind, Signal{Observed: 1, Expected: None, P: None, Note: p.District, Aux: [6]float64{1}})
		return
	}
	// Whoever pays online may be anywhere.
	if e.Has&vw.FieldLocation != 0 && p.Located && e.Channel != vw.OnlineChannel {
		if far := metres(e.Lon, e.Lat, p.Lon, p.Lat); far > d.params.Far {
			d.say(v, placeKind, Signal{Observed: far, Expected: d.params.Far, P: None})
		}
		return
	}
	if p.District == "" {
		v.Blind(d.env, vw.FieldDistrict)
	}
}

// outside tells whether a GB/T 2260 code contradicts the campaign's counties. A township's longer code
// lies in its county; the code of a whole province or prefecture contradicts none of its counties.
func outside(counties []string, code []byte) bool {
	wide := code
	for len(wide) > 2 && len(code) == 6 && bytes.HasSuffix(wide, []byte("00")) {
		wide = wide[:len(wide)-2]
	}
	for _, c := range counties {
		if len(code) >= len(c) && string(code[:len(c)]) == c || len(wide) < len(c) && c[:len(wide)] == string(wide) {
			return false
		}
	}
	return len(counties) > 0
}

// category: the registered line of business, and the category code of the payment, or else of the
// merchant.
func (d *rulesMerchant) category(v *Visit) {
	e, p, want := v.Event, v.Merchant, v.Voucher.Category
	if p.Registered && want != vw.NoCategory && p.Category != want {
		d.say(v, categoryKind, Signal{Observed: 1, Expected: None, P: None, Aux: [6]float64{float64(want), float64(p.Category)}})
		return
	}
	code := -1
	if e.Has&vw.FieldMCC != 0 {
		code = categoryCode(v.Batch.Bytes(e.MCC))
	}
	if code < 0 {
		code = categoryCode(p.MCC)
	}
	if code < 0 {
		if !p.Registered {
			v.Blind(d.env, vw.FieldMCC)
		}
		return
	}
	never := d.codes[code]&1 != 0
	if never || want != vw.NoCategory && d.listed&(1<<want) != 0 && d.codes[code]&(1<<want) == 0 {
		s := Signal{Observed: 1, Expected: None, P: None, Note: fourDigits(code), Aux: [6]float64{float64(want)}}
		if never {
			s.Aux[2] = 1
		}
		d.say(v, categoryKind, s)
	}
}

func fourDigits(code int) string { return strconv.Itoa(10_000 + code)[1:] }

// standing: registered as dishonest, suspended or removed, or on a lawful list, when it happened.
func (d *rulesMerchant) standing(v *Visit) {
	if len(d.barred) > 0 {
		if s, ok := d.barred[v.Merchant.Key].on(v.T); ok && !s.good() {
			d.say(v, standingKind, Signal{Observed: 1, Expected: None, P: None, Aux: [6]float64{float64(s.status)}})
			return
		}
	}
	if v.Merchant.USCC == 0 || d.lists.Len() == 0 {
		return
	}
	if l := d.lists.Find(v.Merchant.USCC); l != nil && (l.now && v.T >= l.since || l.before && v.T < l.since) {
		d.say(v, standingKind, Signal{Observed: 1, Expected: None, P: None, Note: d.bases[l.basis]})
	}
}

// stored: one receipt line of stored value is enough, for the voucher came off the whole order.
func (d *rulesMerchant) stored(v *Visit) {
	if v.Event.LineCount == 0 {
		v.Blind(d.env, vw.FieldLines)
		return
	}
	for _, l := range v.Batch.LinesOf(v.Event) {
		if l.Kind == vw.StoredValue {
			name := strings.TrimSpace(v.Batch.String(l.Name))
			if name == "" {
				name = v.Batch.String(l.SKU.Text)
			}
			d.say(v, storedKind, Signal{Observed: float64(l.Fen), Expected: None, P: None, Note: name})
			return
		}
	}
}

// Size counts the listed and the barred.
func (d *rulesMerchant) Size() (keys, bytes int) {
	return d.lists.Len() + len(d.barred), d.lists.Bytes() + 100*len(d.barred)
}

// learnRulesMerchant decides whether the registry is whole enough to say that a merchant is not in it.
// Until there are redemptions to measure it by, any registry is believed.
func learnRulesMerchant(peers []Detector, _ *Tick) {
	const few = 50
	var rows, seen, known int64
	for _, p := range peers {
		d := p.(*rulesMerchant)
		rows, seen, known = rows+d.rows, seen+d.seen, known+d.known
	}
	for _, p := range peers {
		d := p.(*rulesMerchant)
		d.whole = rows > 0 && (seen < few || float64(known) >= d.params.Whole*float64(seen))
	}
}
