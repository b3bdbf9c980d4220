package alerts_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
	"voucherwatch/alerts"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestThePlanSaysWhoGetsWhat(t *testing.T) {
	p, err := alerts.Load("")
	if err != nil {
		t.Fatal(err)
	}
	reached := func(what alerts.What, severity vw.Severity, typologies ...string) string {
		a := alert("c", 1, func(a *alerts.Alert) { a.What, a.Severity, a.Typologies = what, severity, typologies })
		plan, err := p.Explain(a, at(t, "2022-09-20 10:00:00"))
		if err != nil {
			t.Fatal(err)
		}
		var who []string
		for _, b := range plan.Branches {
			for _, c := range b.Contacts {
				who = append(who, c.Receiver)
			}
		}
		return strings.Join(who, " ")
	}
	for _, tt := range []struct {
		name       string
		what       alerts.What
		typologies []string
		want       string
	}{
		{"price", alerts.Opened, []string{"T19"}, "gx sj"},
		{"fuel cap", alerts.Opened, []string{"T22"}, "gx sj"},
		{"cash-out", alerts.Opened, []string{"T06"}, "gx ga cz"},
		{"a ring", alerts.Opened, []string{"T10"}, "gx ga"},
		{"network abuse", alerts.Opened, []string{"T08"}, "gx ga"},
		{"money", alerts.Opened, []string{"T17"}, "gx cz"},
		{"aid", alerts.Opened, []string{"T24"}, "gx mz ga"},
		{"cash-out with aid: the police once", alerts.Opened, []string{"T06", "T24"}, "gx ga cz mz"},
		{"splitting", alerts.Opened, []string{"T01"}, "gx"},
		{"audit", alerts.Audit, nil, "sjj gx"},
		{"a listing", alerts.Listed, nil, "gx fg"},
		{"a removal", alerts.Withdrawn, []string{"T19"}, "gx sj fg"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range []vw.Severity{"low", "critical"} {
				if got := reached(tt.what, s, tt.typologies...); got != tt.want {
					t.Errorf("%s: told %s, want %s", s, got, tt.want)
				}
			}
		})
	}
}

func TestThePlanIsSaidToPeople(t *testing.T) {
	p, err := alerts.Load("default")
	if err != nil {
		t.Fatal(err)
	}
	p.Version = "default@0123456789ab"
	p.Typology = func(code string) vw.Bilingual { return map[string]vw.Bilingual{"T06": {Zh: "套现返现"}}[code] }
	var b bytes.Buffer
	plan, err := p.Explain(alert("case-1", 1, func(a *alerts.Alert) {
		a.Typologies, a.Agencies, a.Severity, a.SubsidyFen = []string{"T06", "T24"}, []string{"GX", "GA", "CZ", "MZ"}, "critical", 52_300_00
		a.DueAt = at(t, "2022-10-02 23:10:00")
	}), at(t, "2022-10-01 23:10:00"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WritePlan(&b, plan); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/plan.golden", b.Bytes())
}

func TestEveryMistakeOfAPolicyIsToldWithFileAndLine(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"an unknown field", "  wait: 30s", "  weight: 30s", "test.yaml:16: route.weight: is not a field here"},
		{"an unknown receiver", "receivers: [ga]", "receivers: [gaa]", `test.yaml:20: route.routes[0].receivers[0]: is "gaa", which is not under receivers`},
		{"an unknown channel", "channels: [cz]}", "channels: [zc]}", `test.yaml:11: receivers.cz.channels[0]: is "zc", which is not under channels`},
		{"a receiver that reaches nobody", "{title: 领导, channels: [boss]}", "{title: 领导}", "test.yaml:12: receivers.boss: reaches nobody"},
		{"a roster of nobody", "people: [zhang, li]", "people: []", "rosters.desk.people: is empty: nobody would be on duty"},
		{"a person without a channel", "people: [zhang, li]", "people: [zhang, wang]", `rosters.desk.people[1]: is "wang", which is not under channels`},
		{"two branches of one name", "name: money", "name: police", `route.routes[1].name: is "police", as is route.routes[0]`},
		{"a branch without a name", "{name: money, match", "{match", "route.routes[1].name: is missing"},
		{"a root that does not take everything", "route:\n", "route:\n  match: {severity: [high]}\n", "route.match: is not allowed at the root"},
		{"an unknown severity", "severity: [critical]}, receivers", "severity: [grave]}, receivers", `is "grave": use low, medium, high, critical`},
		{"an amount without unit", "amount_from: 3000元", "amount_from: 3000", `route.routes[1].match.amount_from: is "3000": want an amount with its unit`},
		{"amounts the wrong way round", "amount_from: 3000元", "amount_from: 3000元, amount_to: 10元", "amount_to: is 10元: want more than amount_from, 3000元"},
		{"an unknown calendar", "receivers: [cz], hours: office", "receivers: [cz], hours: ofice", `is "ofice", which is not under calendars`},
		{"an office that closes before it opens", `to: "18:00"`, `to: "08:00"`, "calendars.office.to: is not after from"},
		{"an inhibition of everything by everything", "equal: [merchant]", "equal: []", "inhibit[0].equal: is empty"},
		{"an unknown label", "equal: [merchant]", "equal: [shop]", `inhibit[0].equal[0]: is "shop": use case, merchant`},
		{"a step at once", "{after: 10m, notify: [duty]}", "{after: 0s, notify: [duty]}", "escalations.up.steps[0].after: is 0s: want more than 0"},
		{"an endless ladder", "repeat: 1\n", "repeat: 9\n", "escalations.up.repeat: is 9: want 0 to 5"},
		{"a link without the case", "name: test", "name: test\nlink: https://console.example/cases", "link: is"},
		{"a digest without a limit", "gx: {type: log}, ga", "gx: {type: log, digest_over: 5}, ga", "channels.gx.digest_over: is 5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Count(small, tt.old) == 0 {
				t.Fatalf("the file has no %q", tt.old)
			}
			_, err := alerts.Parse("test.yaml", []byte(strings.Replace(small, tt.old, tt.new, 1)))
			if vw.CodeOf(err) != vw.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestAMessageHoldsNoPersonalData(t *testing.T) {
	for name, want := range map[string]string{
		"老王面馆":                         "老王面馆",
		"张三13812345678便利店":             "张三○○○便利店",
		"身份证14058119900101123X小卖部":     "身份证○○○小卖部",
		"卡 6216 2610 0000 0000 018 店":  "卡 ○○○ 店",
		"１３８１２３４５６７８烟酒":                "○○○烟酒",
		"二〇二二 2022 路店":                 "二〇二二 2022 路店",
		"<@all> *[点我](http://x)*\n第二行": "··all· ··点我·(http://x)· 第二行",
		"倒着\u202e写":                    "倒着 写",
	} {
		if got := alerts.Clean(name); got != want {
			t.Errorf("Clean(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestAMessageIsCutBetweenCharactersAndKeepsItsLink(t *testing.T) {
	m := alerts.Message{Title: "题", Sentence: strings.Repeat("高平", 100), Link: "https://console.example/cases/c1"}
	for limit := 60; limit < 90; limit++ {
		text := m.Plain(limit)
		if len(text) > limit || !strings.HasSuffix(text, "…\n查看：https://console.example/cases/c1\n") || strings.Contains(text, "\ufffd") {
			t.Fatalf("%d bytes: %q", limit, text)
		}
	}
	if whole := m.Plain(0); !strings.Contains(whole, m.Sentence) {
		t.Errorf("without a limit: %q", whole)
	}
}

func TestAnAlertIsNamedForWhatItIsAbout(t *testing.T) {
	a := alerts.NewID("case-1", alerts.Opened, "1")
	for _, other := range []string{alerts.NewID("case-2", alerts.Opened, "1"), alerts.NewID("case-1", alerts.Worsened, "1"), alerts.NewID("case-1", alerts.Opened, "2"), alerts.NewID("case-1o", alerts.What("pened"), "1")} {
		if other == a {
			t.Errorf("two alerts have the id %s", a)
		}
	}
	if again := alerts.NewID("case-1", alerts.Opened, "1"); again != a || len(a) != len("alert-")+16 {
		t.Errorf("%s, then %s", a, again)
	}
}
