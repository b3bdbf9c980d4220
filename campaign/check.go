package campaign

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	vw "voucherwatch"
	"voucherwatch/internal/yamlfile"
)

// check records everything that a well-formed file still has wrong. A check runs only on values that
// are themselves sound, so that one mistake is told once.
func (f *File) check(c *yamlfile.Check) {
	checkCode(c, "id", f.ID)
	f.checkZone(c)
	f.checkPlacesAndAgencies(c)
	if d := f.VoucherDay; c.Sound("voucher_day") && d.LastMinute < d.Release {
		c.Fault("voucher_day.last_minute", "is %s, before the release at %s", d.LastMinute, d.Release)
	}
	if f.Claims.Limit < 1 {
		c.Fault("claims.limit", "is %d: want at least 1", f.Claims.Limit)
	}
	oneOf(c, "claims.per", f.Claims.Per, "round", "campaign")
	oneOf(c, "refund_policy", f.RefundPolicy, string(vw.NoReturnProportional), string(vw.FullReturnInValidity), string(vw.NoReturnNet), string(vw.RefundPolicyUnrecorded))
	if r := f.Reporting; r.DueDays < 0 || r.SamplePercent < 0 || r.SamplePercent > 100 {
		c.Fault("reporting", "wants due_days of at least 0 and a sample_percent of 0 to 100")
	}
	f.checkVouchers(c)
	f.checkDays(c)
	f.checkSums(c)
}

func oneOf(c *yamlfile.Check, path, got string, allowed ...string) {
	if !slices.Contains(allowed, got) {
		c.Fault(path, "is %q: use %s", got, strings.Join(allowed, ", "))
	}
}

func (f *File) checkZone(c *yamlfile.Check) {
	zone, err := time.LoadLocation(f.Zone)
	if err != nil || f.Zone == "" || f.Zone == "Local" {
		c.Fault("zone", "is %q: want a time zone of the IANA database such as Asia/Shanghai", f.Zone)
		return
	}
	f.zone = zone
	if !c.Sound("zone", "start", "end") {
		return
	}
	if f.End < f.Start {
		c.Fault("end", "is %s, before the start on %s", f.End, f.Start)
		return
	}
	if days := f.End - f.Start; days > 3660 {
		c.Fault("end", "is %s, more than ten years after the start on %s", f.End, f.Start)
		return
	}
	offset := func(day yamlfile.Day) int {
		_, seconds := time.Unix(int64(day)*86400, 0).In(zone).Zone()
		return seconds
	}
	for day := f.Start; day <= f.End; day++ {
		if offset(day) != offset(f.Start) {
			c.Fault("zone", "changes its clocks on %s, inside the campaign: want a zone that keeps them", day)
			return
		}
	}
}

// provinces are the first two digits of GB/T 2260.
const provinces = " 11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 "

var districtForm = regexp.MustCompile(`^[1-8][0-9]{5}$`)

// agencyCodes are the offices that the catalogue of typologies names.
const agencyCodes = "GX, GA, SJ, CZ, SJJ, FG, YL, MZ"

func (f *File) checkPlacesAndAgencies(c *yamlfile.Check) {
	notEmpty(c, "districts", len(f.Districts))
	seen := map[string]int{}
	for i, d := range f.Districts {
		path := fmt.Sprintf("districts[%d].code", i)
		code := string(d.Code)
		if !districtForm.MatchString(code) || !strings.Contains(provinces, " "+code[:2]+" ") || strings.HasSuffix(code, "0000") {
			c.Fault(path, "is %q: want the 6 digits of a county in GB/T 2260, such as 140581", code)
		}
		unique(c, seen, path, code, i, "districts")
	}
	notEmpty(c, "agencies", len(f.Agencies))
	seen = map[string]int{}
	for i, a := range f.Agencies {
		path := fmt.Sprintf("agencies[%d].code", i)
		oneOf(c, path, a.Code, strings.Split(agencyCodes, ", ")...)
		unique(c, seen, path, a.Code, i, "agencies")
	}
}

func notEmpty(c *yamlfile.Check, path string, n int) {
	if n == 0 {
		c.Fault(path, "is empty: want at least one")
	}
}

// unique records a code that an earlier item of the list has.
func unique(c *yamlfile.Check, seen map[string]int, path, code string, i int, list string) {
	if first, ok := seen[code]; ok && c.Sound(path) {
		c.Fault(path, "is %q, which %s[%d] has already", code, list, first)
		return
	}
	seen[code] = i
}

// codeForm is that of the ids that people choose.
var codeForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (f *File) checkVouchers(c *yamlfile.Check) {
	notEmpty(c, "vouchers", len(f.Vouchers))
	if n := len(f.Vouchers) + len(f.Balances); n > math.MaxUint8 {
		c.Fault("vouchers", "are %d with the balances: want at most %d", n, math.MaxUint8)
	}
	seen := map[string]int{}
	for i, v := range f.Vouchers {
		path := fmt.Sprintf("vouchers[%d]", i)
		checkCode(c, path+".code", v.Code)
		unique(c, seen, path+".code", v.Code, i, "vouchers")
		category(c, path+".category", v.Category)
		if v.Face <= 0 {
			c.Fault(path+".face", "is %s: want more than 0元", v.Face)
		}
		if !c.Sound(path+".threshold", path+".face") {
			continue
		}
		if v.Face >= v.Threshold {
			c.Fault(path+".face", "is %s: want less than the threshold of %s", v.Face, v.Threshold)
		} else if ratio := float64(v.Threshold) / float64(v.Face); v.DriveRatio != 0 && math.Abs(v.DriveRatio-ratio) > 0.005 {
			c.Fault(path+".drive_ratio", "is %v, but %s ÷ %s is %.4g", v.DriveRatio, v.Threshold, v.Face, ratio)
		}
	}
	for i, b := range f.Balances {
		path := fmt.Sprintf("balance_vouchers[%d]", i)
		checkCode(c, path+".code", b.Code)
		if _, ok := seen[b.Code]; ok {
			c.Fault(path+".code", "is %q, which another voucher has already", b.Code)
		}
		seen[b.Code] = i
		if b.People < 1 {
			c.Fault(path+".people", "is %d: want at least 1", b.People)
		}
		if b.Each <= 0 {
			c.Fault(path+".each", "is %s: want more than 0元", b.Each)
		}
		if c.Sound(path+".people", path+".each", path+".budget") && (yamlfile.Money(b.People) > math.MaxInt64/b.Each || yamlfile.Money(b.People)*b.Each != b.Budget) {
			c.Fault(path+".budget", "is %s, which is not %d people × %s", b.Budget, b.People, b.Each)
		}
		if c.Sound(path+".usable_from", path+".usable_until", "start", "end") {
			switch {
			case b.UsableFrom < f.Start:
				c.Fault(path+".usable_from", "is %s, before the campaign's start on %s", b.UsableFrom, f.Start)
			case b.UsableUntil < b.UsableFrom:
				c.Fault(path+".usable_until", "is %s, before %s, the first day", b.UsableUntil, b.UsableFrom)
			case b.UsableUntil > f.End:
				c.Fault(path+".usable_until", "is %s, after the campaign's end on %s", b.UsableUntil, f.End)
			}
		}
	}
}

func checkCode(c *yamlfile.Check, path, code string) {
	if c.Sound(path) && (!codeForm.MatchString(code) || len(code) > 64) {
		c.Fault(path, "is %q: want lower-case letters and digits, joined by hyphens", code)
	}
}

func category(c *yamlfile.Check, path, name string) {
	if _, ok := vw.ParseCategory(name); !ok {
		c.Fault(path, "is %q, not a category: use %s", name, categories())
	}
}

func categories() string {
	var names []string
	for k := vw.NoCategory + 1; k < vw.Categories; k++ {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

// checkDays sees to it that every day of the campaign is in exactly one round or pause.
func (f *File) checkDays(c *yamlfile.Check) {
	notEmpty(c, "rounds", len(f.Rounds))
	type span struct {
		Period
		path, name string
	}
	var spans []span
	for i, r := range f.Rounds {
		path := fmt.Sprintf("rounds[%d]", i)
		if r.Number != i+1 {
			c.Fault(path+".number", "is %d: want %d, rounds are numbered in their order", r.Number, i+1)
		}
		spans = append(spans, span{Period{r.From, r.To}, path, fmt.Sprintf("round %d", i+1)})
	}
	for i, p := range f.Pauses {
		spans = append(spans, span{p, fmt.Sprintf("pauses[%d]", i), fmt.Sprintf("the pause from %s", p.From)})
	}
	if !c.Sound("start", "end") {
		return
	}
	for _, s := range spans {
		if !c.Sound(s.path+".from", s.path+".to") {
			return // what overlaps or is missing cannot be told
		}
	}
	ordered := true
	for _, s := range spans {
		switch {
		case s.From < f.Start:
			c.Fault(s.path+".from", "is %s, before the campaign's start on %s", s.From, f.Start)
		case s.To > f.End:
			c.Fault(s.path+".to", "is %s, after the campaign's end on %s", s.To, f.End)
		case s.To < s.From:
			c.Fault(s.path+".to", "is %s, before %s, the first day", s.To, s.From)
		default:
			continue
		}
		ordered = false
	}
	if !ordered || len(spans) == 0 {
		return
	}
	slices.SortStableFunc(spans, func(a, b span) int { return int(a.From - b.From) })
	const gap = "leaves %s to %s in no round: close the gap, or state it under pauses"
	if first := spans[0]; first.From > f.Start {
		c.Fault(first.path+".from", gap, f.Start, first.From-1)
	}
	last := spans[0]
	for _, s := range spans[1:] {
		if s.From <= last.To {
			c.Fault(s.path+".from", "is %s, but %s goes on until %s: rounds may not overlap", s.From, last.name, last.To)
		} else if s.From > last.To+1 {
			c.Fault(s.path+".from", gap, last.To+1, s.From-1)
		}
		if s.To > last.To {
			last = s
		}
	}
	if last.To < f.End {
		c.Fault(last.path+".to", gap, last.To+1, f.End)
	}
}

// checkSums sees to it that stated sums are the sums of their parts.
func (f *File) checkSums(c *yamlfile.Check) {
	notEmpty(c, "budget.funding", len(f.Budget.Funding))
	checkCategories(c, "budget.categories", f.Budget.Categories)
	if c.Sound("budget.total", "budget.funding") {
		var sum yamlfile.Money
		for _, p := range f.Budget.Funding {
			sum += p.Amount
		}
		if sum != f.Budget.Total {
			c.Fault("budget.total", "is %s, but funding adds up to %s", f.Budget.Total, sum)
		}
	}
	rounds := map[string]yamlfile.Money{}
	for i, r := range f.Rounds {
		path := fmt.Sprintf("rounds[%d]", i)
		checkCategories(c, path+".budget", r.Budget)
		var sum yamlfile.Money
		for name, amount := range r.Budget {
			rounds[name] += amount
			sum += amount
		}
		if c.Sound(path+".budget", path+".total") && sum != r.Total {
			c.Fault(path+".total", "is %s, but its budget adds up to %s", r.Total, sum)
		}
	}
	sum, balances := yamlfile.Money(0), true
	for i, b := range f.Balances {
		sum += b.Budget
		balances = balances && c.Sound(fmt.Sprintf("balance_vouchers[%d].budget", i))
	}
	budgets := c.Sound("budget.categories")
	for i := range f.Rounds {
		budgets = budgets && c.Sound(fmt.Sprintf("rounds[%d].budget", i))
	}
	if budgets {
		names := slices.Sorted(maps.Keys(rounds))
		for name, amount := range f.Budget.Categories {
			sum += amount
			if _, ok := rounds[name]; !ok {
				names = append(names, name)
			}
		}
		for _, name := range names {
			if f.Budget.Categories[name] != rounds[name] {
				c.Fault("budget.categories."+name, "is %s, but the rounds add up to %s", f.Budget.Categories[name], rounds[name])
			}
		}
	}
	if budgets && balances && c.Sound("budget.total") && sum != f.Budget.Total {
		c.Fault("budget.total", "is %s, but categories and balance vouchers add up to %s", f.Budget.Total, sum)
	}
}

func checkCategories(c *yamlfile.Check, path string, amounts map[string]yamlfile.Money) {
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		category(c, path+"."+name, name)
	}
}
