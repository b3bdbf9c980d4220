package alerts

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	vw "voucherwatch"
)

// Kind is why a message is sent.
type Kind string

const (
	News       Kind = "news"       // something new about a case, or about several
	Repeat     Kind = "repeat"     // nobody has taken it up
	Escalation Kind = "escalation" // nobody has taken it up, and now others hear of it
	Digest     Kind = "digest"     // many messages in one, because the vendor takes no more
	Exercise   Kind = "drill"      // a drill of the whole way
	Trial      Kind = "test"       // the test button of one channel
)

// Message is what one receiver reads: the same for all channels, each of which gives it its own form.
type Message struct {
	// Key is the idempotency key, the same for every attempt.
	Key  string `json:"key"`
	Kind Kind   `json:"kind"`
	// Case is the case whose conversation this belongs to; empty when there are several or none.
	Case string `json:"case_id,omitempty"`
	// Thread is what the channel called the conversation when its first message was sent (Receipt.Thread).
	Thread   string      `json:"thread,omitempty"`
	At       time.Time   `json:"at"`
	Severity vw.Severity `json:"severity"`
	Title    string      `json:"title"`
	Sentence string      `json:"sentence"`
	Items    []Item      `json:"items,omitempty"`
	// More is how many items were left out.
	More int    `json:"more,omitempty"`
	Link string `json:"link,omitempty"`
	// Pack is the evidence pack of a referral; Attachments are its files, fetched for every attempt.
	Pack        string       `json:"pack,omitempty"`
	Attachments []Attachment `json:"-"`
}

// Item is one line of facts about one case.
type Item struct {
	Case       string      `json:"case_id"`
	Merchant   string      `json:"merchant,omitempty"`
	SubsidyFen vw.Fen      `json:"subsidy_fen"`
	Severity   vw.Severity `json:"severity"`
	Sentence   string      `json:"sentence"`
	Link       string      `json:"link,omitempty"`
}

// Attachment is a file for channels that take one.
type Attachment struct {
	Name string
	Data []byte
}

// mostItems is how many cases one message names.
const mostItems = 20

var severityWords = map[vw.Severity]string{"low": "低", "medium": "中", "high": "高", "critical": "紧急"}

var whatWords = map[What]string{
	Opened: "新立线索", Worsened: "情节加重", Overdue: "办理超期", Referred: "线索移送", Excluded: "活动资格取消", Listed: "依法列入",
	Withdrawn: "名单移出", Appealed: "商户提出异议", Audit: "审计摘要", Drill: "演练",
}

var kindWords = map[Kind]string{Repeat: "【未签收·再次提醒】", Escalation: "【升级】", Exercise: "【演练】", Trial: "【测试】"}

// sentence is the one sentence of an alert. It is made of closed words and numbers only.
func (p *Policy) sentence(a *Alert) string {
	var b strings.Builder
	b.WriteString(whatWords[a.What])
	if len(a.Typologies) > 0 {
		name := a.Typologies[0]
		if p.Typology != nil {
			if zh := p.Typology(name).Zh; zh != "" {
				name = zh
			}
		}
		fmt.Fprintf(&b, "：疑似%s", name)
		if n := len(a.Typologies); n > 1 {
			fmt.Fprintf(&b, "等 %d 类问题", n)
		}
	}
	if a.Redemptions > 0 {
		fmt.Fprintf(&b, "，涉及核销 %d 笔", a.Redemptions)
	}
	if !a.DueAt.IsZero() {
		fmt.Fprintf(&b, "，请于 %s 前办理", a.DueAt.In(p.zone()).Format("1月2日 15:04"))
	}
	return b.String() + "。"
}

func (p *Policy) link(caseID string) string {
	if p.Link == "" || caseID == "" {
		return ""
	}
	return strings.ReplaceAll(p.Link, "{case}", caseID)
}

// compose makes the message of some alerts, oldest first. The kind is in the title, and so is a drill.
func (p *Policy) compose(kind Kind, alerts []Alert, at time.Time) Message {
	m := Message{Kind: kind, At: at, Severity: severities[0]}
	one, drill := true, false
	for i := range alerts {
		a := &alerts[i]
		if rank(a.Severity) > rank(m.Severity) {
			m.Severity = a.Severity
		}
		one = one && a.Case == alerts[0].Case
		drill = drill || a.Drill
		m.Items = append(m.Items, Item{
			Case: a.Case, Merchant: Clean(a.Merchant), SubsidyFen: a.SubsidyFen, Severity: a.Severity, Sentence: p.sentence(a), Link: p.link(a.Case),
		})
	}
	last := m.Items[len(m.Items)-1]
	prefix := kindWords[kind]
	if drill && kind != Exercise {
		prefix = kindWords[Exercise] + prefix
	}
	if one {
		m.Case, m.Link, m.Pack = last.Case, last.Link, alerts[len(alerts)-1].Pack
		m.Title = fmt.Sprintf("%s[%s] %s %s", prefix, severityWords[m.Severity], whatWords[alerts[len(alerts)-1].What], last.Case)
		m.Sentence = last.Sentence
	} else {
		m.gather(prefix)
	}
	m.cut()
	return m
}

// gather gives a message of several cases its title and sentence.
func (m *Message) gather(prefix string) {
	seen, money := map[string]vw.Fen{}, vw.Fen(0)
	for _, it := range m.Items {
		seen[it.Case] = max(seen[it.Case], it.SubsidyFen)
	}
	for _, fen := range seen {
		money += fen
	}
	m.Title = fmt.Sprintf("%s[%s] 摘要：%d 个案件，%d 条消息", prefix, severityWords[m.Severity], len(seen), len(m.Items)+m.More)
	m.Sentence = fmt.Sprintf("共 %d 个案件，涉及补贴 %s。", len(seen), money.Yuan())
}

func (m *Message) cut() {
	if over := len(m.Items) - mostItems; over > 0 {
		// The newest say how things stand now.
		m.Items, m.More = m.Items[over:], m.More+over
	}
}

// Plain is the message as text, at most limit bytes (0: no limit), cut between characters and never in
// the link.
func (m *Message) Plain(limit int) string {
	var b strings.Builder
	b.WriteString(m.Title + "\n")
	if len(m.Items) == 1 {
		it := m.Items[0]
		if it.Merchant != "" {
			b.WriteString("商户：" + it.Merchant + "\n")
		}
		b.WriteString("补贴金额：" + it.SubsidyFen.Yuan() + "\n")
	}
	b.WriteString(m.Sentence + "\n")
	if len(m.Items) > 1 {
		for _, it := range m.Items {
			fmt.Fprintf(&b, "· %s %s %s %s\n", it.Case, it.Merchant, it.SubsidyFen.Yuan(), it.Sentence)
		}
	}
	if m.More > 0 {
		fmt.Fprintf(&b, "· 另有 %d 条未列出\n", m.More)
	}
	tail := ""
	if m.Link != "" {
		tail = "查看：" + m.Link + "\n"
	}
	text := b.String()
	if limit > 0 && len(text)+len(tail) > limit {
		text = Cut(text, limit-len(tail)-len("…\n")) + "…\n"
	}
	return text + tail
}

// Cut is the longest beginning of s that has at most n bytes and ends between two characters.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
