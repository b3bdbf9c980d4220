package detectors

import (
	"fmt"
	"math"
	"strings"

	vw "voucherwatch"
)

// The reasons that the detector gives. Prices are yuan for one piece.

var priceRisesKind = Kind{Code: "price.rises", Typology: "T19", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	zh, en, _ := strings.Cut(s.Note, "\x00")
	return vw.Bilingual{
		Zh: fmt.Sprintf("%.0f 种在售商品中有 %.0f 种在几天内涨价，超过此前七日最低价和以往正常价，成本与同行涨幅都不能解释：%s；诚信商户整个活动期间出现同等情形的概率约 %s。请核对进货票据", s.Aux[0], s.Observed, zh, priceProbability(s.P)),
		En: fmt.Sprintf("%.0f of %.0f items rose within days, above the lowest price of the seven days before and the regular price of the weeks before, and neither cost nor peers explain it: %s; an honest merchant shows as much in a whole campaign with probability %s. Ask for the purchase invoices", s.Observed, s.Aux[0], en, priceProbability(s.P)),
	}
}}

var priceTillKind = Kind{Code: "price.till", Typology: "T19", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	zh, en, _ := strings.Cut(s.Note, "\x00")
	return vw.Bilingual{
		Zh: fmt.Sprintf("小票显示 %.0f 种商品中有 %.0f 种不再以原价出售：%s；若各小票先后无关，出现同等情形的概率约 %s。没有货架价，仅供走访", s.Aux[0], s.Observed, zh, priceProbability(s.P)),
		En: fmt.Sprintf("by receipts alone, %.0f of %.0f items are no longer sold at their earlier prices: %s; were the order of receipts chance, this had probability %s. No shelf price is known: a lead for a visit", s.Observed, s.Aux[0], en, priceProbability(s.P)),
	}
}}

var priceEarlyKind = Kind{Code: "price.raised_before", Typology: "T20", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	zh, en, _ := strings.Cut(s.Note, "\x00")
	return vw.Bilingual{
		Zh: fmt.Sprintf("活动开始前几天先提价、再以消费券打折（先提后降，56号令第17条）：%s", zh),
		En: fmt.Sprintf("raised in the days before the campaign, then sold with vouchers (Decree 56, Art. 17): %s", en),
	}
}}

var priceRaisedKind = Kind{Code: "price.raised_item", Typology: "T19", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	peers := pricePeersText(s.Aux[1])
	return vw.Bilingual{
		Zh: fmt.Sprintf("小票中的 %s 现价 %.2f 元，此前 %.2f 元（+%.0f%%%s），该商户多种商品同时涨价", s.Note, s.Observed, s.Expected, 100*priceGrowth(s.Aux[0]), peers.Zh),
		En: fmt.Sprintf("the receipt has %s at ¥%.2f, before ¥%.2f (+%.0f%%%s), and this merchant raised several items together", s.Note, s.Observed, s.Expected, 100*priceGrowth(s.Aux[0]), peers.En),
	}
}}

var priceReferenceKind = Kind{Code: "price.reference", Typology: "T20", Window: "7d", Text: func(s *Signal) vw.Bilingual {
	if s.Observed != s.Observed {
		return vw.Bilingual{
			Zh: fmt.Sprintf("小票中的 %s 标有虚假原价（高于此前七日最低价，56号令第16条）", s.Note),
			En: fmt.Sprintf("the receipt has %s, whose struck-through price is above the lowest of the seven days before (Decree 56, Art. 16)", s.Note),
		}
	}
	return vw.Bilingual{
		Zh: fmt.Sprintf("%s 划线原价 %.2f 元，此前七日最低价 %.2f 元；该商户共 %.0f 种商品如此（56号令第16条）。请核对价签与规格", s.Note, s.Observed, s.Expected, s.Aux[0]),
		En: fmt.Sprintf("%s shows an original price of ¥%.2f, but the lowest of the seven days before was ¥%.2f; so do %.0f of the merchant's items in all (Decree 56, Art. 16). Check tag and size", s.Note, s.Observed, s.Expected, s.Aux[0]),
	}
}}

var priceSurchargeKind = Kind{Code: "price.surcharge", Typology: "T21", Window: "day", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("用券小票中的 %s 收 %.2f 元，当日标价 %.2f 元（+%.0f%%）；该商户第 %.0f 次（用券加价）", s.Note, s.Observed, s.Expected, 100*priceGrowth(s.Aux[0]), s.Aux[1]),
		En: fmt.Sprintf("a voucher receipt has %s at ¥%.2f, labelled ¥%.2f that day (+%.0f%%); the merchant's no. %.0f (surcharge on vouchers)", s.Note, s.Observed, s.Expected, 100*priceGrowth(s.Aux[0]), s.Aux[1]),
	}
}}

var priceComplaintKind = Kind{Code: "price.complaints", Typology: "T21", Window: "campaign", Text: func(s *Signal) vw.Bilingual {
	return vw.Bilingual{
		Zh: fmt.Sprintf("活动期间 %.0f 件投诉：价格 %.0f、拒收消费券 %.0f、用券加价 %.0f。投诉只是线索，请暗访或调取小票", s.Observed, s.Aux[0], s.Aux[1], s.Aux[2]),
		En: fmt.Sprintf("%.0f complaints in the campaign: prices %.0f, vouchers refused %.0f, surcharges %.0f. A complaint is a lead only: send a mystery shopper or ask for receipts", s.Observed, s.Aux[0], s.Aux[1], s.Aux[2]),
	}
}}

// table is the three items that rose most, in Chinese and English.
func (d *priceDetector) table(rises []*priceRise) string {
	var zh, en []string
	for _, r := range rises[:min(3, len(rises))] {
		name, base, now := d.text(r.name), float64(r.legal)/100, float64(r.now)/100
		up, peers := 100*(now/base-1), pricePeersText(float64(r.peers))
		zh = append(zh, fmt.Sprintf("%s 原 %.2f 元现 %.2f 元（+%.0f%%%s）", name, base, now, up, peers.Zh))
		en = append(en, fmt.Sprintf("%s from ¥%.2f to ¥%.2f (+%.0f%%%s)", name, base, now, up, peers.En))
	}
	return strings.Join(zh, "、") + "\x00" + strings.Join(en, ", ")
}

// pricePeersText says what the others' prices did, and nothing where there are none: unknown is not zero.
func pricePeersText(log float64) (t vw.Bilingual) {
	if log == log {
		t.Zh, t.En = fmt.Sprintf("，同行同期 %+.0f%%", 100*priceGrowth(log)), fmt.Sprintf(", peers %+.0f%%", 100*priceGrowth(log))
	}
	return t
}

func priceProbability(p float64) string { return fmt.Sprintf("%.2g", p) }

// priceGrowth is a logarithm as a share.
func priceGrowth(log float64) float64 { return math.Expm1(log) }
