package detectors

import vw "voucherwatch"

// campaignPeriod is the period of findings that gather a subject's breaches of one rule over the whole
// campaign, so that an investigator gets one finding and not hundreds.
const campaignPeriod = "campaign"

// breach is a signal that an exact rule was broken, with the log-odds that the policy gives to it.
func (e *Env) breach(kind *Kind, s Signal) Signal {
	s.Kind, s.hard, s.LLR = kind, true, e.settings.Hard[kind.Typology]
	s.detector, s.arena = e.id, e.Arena
	return s
}

// breachFound is the finding of a breach. Unlike Visit.Break it names only the merchants it is given:
// who shops too often or after the budget is spent is nothing that the merchant did.
func (e *Env) breachFound(s *Signal, at vw.Millis, subject vw.Subject, period string, merchants []string, list ...FoundRedemption) Found {
	return Found{
		Typology: s.Kind.Typology, Subject: subject, Period: period, At: at, LogOdds: e.Hard(s.Kind.Typology),
		Redemptions: list, Subsidy: SumOfDiscounts, Merchants: merchants, Reasons: []vw.Reason{e.reason(s, s.LLR)},
	}
}
