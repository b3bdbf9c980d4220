package campaign

import (
	"slices"
	"time"

	vw "voucherwatch"
	"voucherwatch/internal/yamlfile"
)

// File is a campaign file as written and checked. It says more than vw.Campaign, which is the part
// that redemptions are judged by: see the built-in files for what each field means.
type File struct {
	ID           string       `yaml:"id,required"`
	Name         string       `yaml:"name,required"`
	NameEn       string       `yaml:"name_en"`
	Theme        string       `yaml:"theme"`
	Source       string       `yaml:"source"`
	Zone         string       `yaml:"zone,required"`
	Start        yamlfile.Day `yaml:"start,required"`
	End          yamlfile.Day `yaml:"end,required"`
	Districts    []District   `yaml:"districts,required"`
	VoucherDay   VoucherDay   `yaml:"voucher_day,required"`
	Issuer       string       `yaml:"issuer,required"`
	Claims       Claims       `yaml:"claims,required"`
	RefundPolicy string       `yaml:"refund_policy,required"`
	Budget       Budget       `yaml:"budget,required"`
	Pauses       []Period     `yaml:"pauses"`
	Rounds       []Round      `yaml:"rounds,required"`
	Vouchers     []Voucher    `yaml:"vouchers,required"`
	Balances     []Balance    `yaml:"balance_vouchers"`
	Conditions   []Condition  `yaml:"conditions"`
	MCC          MCC          `yaml:"mcc"`
	Agencies     []Agency     `yaml:"agencies,required"`
	Reporting    Reporting    `yaml:"reporting"`

	zone *time.Location // of Zone, once checked
}

// District is a county where merchants and transactions may be.
type District struct {
	Code plain  `yaml:"code,required"`
	Name string `yaml:"name,required"`
}

// VoucherDay bounds the validity of a voucher on its day, both minutes inside.
type VoucherDay struct {
	Release    clock `yaml:"release,required"`
	LastMinute clock `yaml:"last_minute,required"`
}

// Claims is how often a customer may claim.
type Claims struct {
	Limit int    `yaml:"limit,required"`
	Per   string `yaml:"per,required"` // round, campaign
}

// Budget is the whole subsidy, by who pays and by what it is for.
type Budget struct {
	Total      yamlfile.Money            `yaml:"total,required"`
	Funding    []Funding                 `yaml:"funding,required"`
	Categories map[string]yamlfile.Money `yaml:"categories,required"`
}

// Funding is one payer's part of the budget.
type Funding struct {
	From   string         `yaml:"from,required"`
	En     string         `yaml:"en"`
	Amount yamlfile.Money `yaml:"amount,required"`
}

// Period is a run of days, both ends inside.
type Period struct {
	From yamlfile.Day `yaml:"from,required"`
	To   yamlfile.Day `yaml:"to,required"`
}

// Round is a part of the campaign with its own budget.
type Round struct {
	Number int                       `yaml:"number,required"`
	From   yamlfile.Day              `yaml:"from,required"`
	To     yamlfile.Day              `yaml:"to,required"`
	Total  yamlfile.Money            `yaml:"total,required"`
	Budget map[string]yamlfile.Money `yaml:"budget,required"`
}

// Voucher is 满Threshold减Face.
type Voucher struct {
	Code       string         `yaml:"code,required"`
	Name       string         `yaml:"name,required"`
	Category   string         `yaml:"category,required"`
	Threshold  yamlfile.Money `yaml:"threshold,required"`
	Face       yamlfile.Money `yaml:"face,required"`
	DriveRatio float64        `yaml:"drive_ratio"` // 带动比, checked when stated
}

// Balance is a voucher without threshold that is used up little by little: 爱心.
type Balance struct {
	Code        string         `yaml:"code,required"`
	Name        string         `yaml:"name,required"`
	NameEn      string         `yaml:"name_en"`
	Issuer      string         `yaml:"issuer,required"`
	For         string         `yaml:"for"`
	ForEn       string         `yaml:"for_en"`
	People      int            `yaml:"people,required"`
	Each        yamlfile.Money `yaml:"each,required"`
	Budget      yamlfile.Money `yaml:"budget,required"`
	FundedBy    yamlfile.Day   `yaml:"funded_by"`
	UsableFrom  yamlfile.Day   `yaml:"usable_from,required"`
	UsableUntil yamlfile.Day   `yaml:"usable_until,required"`
}

// Condition is a rule of the plan in words.
type Condition struct {
	Zh string `yaml:"zh,required"`
	En string `yaml:"en"`
}

// MCC is which merchant category codes a category allows.
type MCC struct {
	Never       []codes `yaml:"never"`
	Retail      []codes `yaml:"retail"`
	Fuel        []codes `yaml:"fuel"`
	Appliance   []codes `yaml:"appliance"`
	Hospitality []codes `yaml:"hospitality"`
}

// Agency is an office that must be told.
type Agency struct {
	Code   string `yaml:"code,required"`
	Name   string `yaml:"name,required"`
	Role   string `yaml:"role,required"`
	RoleEn string `yaml:"role_en"`
}

// Reporting is what is owed after the end.
type Reporting struct {
	DueDays       int      `yaml:"due_days"`
	To            []string `yaml:"to"`
	SamplePercent int      `yaml:"sample_percent"`
}

// Campaign is the campaign that the program works with. Each call makes a new one.
func (f *File) Campaign() *vw.Campaign {
	c := &vw.Campaign{
		ID: f.ID, Name: f.Name, Theme: f.Theme, Zone: f.zone,
		Start: int(f.Start), End: int(f.End),
		ReleaseMinute: int(f.VoucherDay.Release),
		ExpireMinute:  int(f.VoucherDay.LastMinute) + 1,
		ClaimLimit:    f.Claims.Limit, ClaimPerCampaign: f.Claims.Per == "campaign",
		RefundPolicy: vw.RefundPolicy(f.RefundPolicy),
		NeverMCC:     expand(f.MCC.Never, nil),
		Budget:       vw.Fen(f.Budget.Total),
	}
	for category, list := range map[vw.Category][]codes{vw.Retail: f.MCC.Retail, vw.Fuel: f.MCC.Fuel, vw.Appliance: f.MCC.Appliance, vw.Hospitality: f.MCC.Hospitality} {
		c.MCC[category] = expand(list, f.MCC.Never)
	}
	for _, d := range f.Districts {
		c.Districts = append(c.Districts, string(d.Code))
	}
	for _, v := range f.Vouchers {
		category, _ := vw.ParseCategory(v.Category)
		c.Vouchers = append(c.Vouchers, vw.Voucher{
			Code: v.Code, Name: v.Name, Category: category, Issuer: f.Issuer,
			Threshold: vw.Fen(v.Threshold), Face: vw.Fen(v.Face), From: c.Start, Until: c.End,
		})
	}
	for _, b := range f.Balances {
		c.Vouchers = append(c.Vouchers, vw.Voucher{
			Code: b.Code, Name: b.Name, Issuer: b.Issuer, Balance: true, Limit: vw.Fen(b.Each), Budget: vw.Fen(b.Budget),
			From: int(b.UsableFrom), Until: int(b.UsableUntil),
		})
	}
	for _, r := range f.Rounds {
		round := vw.Round{Number: r.Number, From: int(r.From), To: int(r.To)}
		for name, amount := range r.Budget {
			category, _ := vw.ParseCategory(name)
			round.Budget[category] = vw.Fen(amount)
		}
		c.Rounds = append(c.Rounds, round)
	}
	for _, a := range f.Agencies {
		c.Agencies = append(c.Agencies, vw.Agency{Code: a.Code, Name: a.Name, Role: a.Role})
	}
	return c
}

// expand lists single codes, sorted and once each, without those that are never allowed.
func expand(lists, never []codes) []string {
	var all []string
	for _, l := range lists {
		for n := l.first; n <= l.last; n++ {
			if !slices.ContainsFunc(never, func(x codes) bool { return x.first <= n && n <= x.last }) {
				all = append(all, codes{n, n}.String())
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
