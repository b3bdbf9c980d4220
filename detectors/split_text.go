package detectors

import (
	"fmt"
	"strings"

	vw "voucherwatch"
)

var splitSession = &Kind{Code: "split.session", Typology: "T01", Window: "day", Text: func(s *Signal) vw.Bilingual {
	n, minutes, near, rate, newTiers := int(s.Observed), s.Aux[0], int(s.Aux[1]), s.Aux[2], s.Aux[3] > 1
	zh := fmt.Sprintf("同一顾客 %s内在本店分 %d 笔用券", spanZh(minutes), n)
	en := fmt.Sprintf("%d payments by one customer here within %s", n, spanEn(minutes))
	if s.Note != "" {
		zh += "：" + s.Note + " 元"
		en += ": ¥" + strings.ReplaceAll(s.Note, "、", ", ¥")
	}
	if newTiers {
		zh += "（多档阶梯）"
		en += " (a ladder of tiers)"
	}
	if near > 0 {
		zh += fmt.Sprintf("，其中 %d 笔高出门槛不到 0.5%%", near)
		en += fmt.Sprintf("; %d of them within 0.5 %% above the threshold", near)
	}
	if n > 2 {
		zh += fmt.Sprintf("；来过 %d 次又这么快再来的顾客在本店约占 %s", n-1, percent(rate))
		en += fmt.Sprintf("; about %s of this shop's customers who came %d times come again that soon", percent(rate), n-1)
	} else {
		zh += fmt.Sprintf("；这么快再来的顾客在本店约占 %s", percent(rate))
		en += fmt.Sprintf("; about %s of this shop's customers come again that soon", percent(rate))
	}
	if others := int(s.Aux[4]); s.Aux[5] > .5 {
		zh += fmt.Sprintf("；此前一小时店内其他用券顾客 %d 人", others)
		en += fmt.Sprintf("; %d other customers used vouchers here within the hour before", others)
	}
	return vw.Bilingual{Zh: zh, En: en}
}}

func yuanList(parts []part) string {
	var b strings.Builder
	for i := range parts {
		if i > 0 {
			b.WriteString("、")
		}
		b.WriteString(strings.TrimPrefix(vw.Fen(parts[i].fen).Yuan(), "¥"))
	}
	return b.String()
}

// spanZh and spanEn say a length of time in minutes.
func spanZh(minutes float64) string {
	switch {
	case minutes < 1:
		return "1 分钟"
	case minutes < 100:
		return fmt.Sprintf("%.0f 分钟", minutes)
	}
	return fmt.Sprintf("%.1f 小时", minutes/60)
}

func spanEn(minutes float64) string {
	switch {
	case minutes < 1:
		return "a minute"
	case minutes < 100:
		return fmt.Sprintf("%.0f min", minutes)
	}
	return fmt.Sprintf("%.1f h", minutes/60)
}

// percent says a share with two significant digits.
func percent(p float64) string {
	switch {
	case p >= .1:
		return fmt.Sprintf("%.0f%%", 100*p)
	case p >= .01:
		return fmt.Sprintf("%.1f%%", 100*p)
	case p >= .001:
		return fmt.Sprintf("%.2f%%", 100*p)
	}
	return fmt.Sprintf("%.3f%%", 100*p)
}
