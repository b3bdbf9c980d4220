// Package credittest holds the contract of credit.Store as tests, good examples to build on, and a credit
// platform that behaves badly.
package credittest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	vw "voucherwatch"
	"voucherwatch/credit"
)

// Now is the day on which the examples pass every gate.
var Now = time.Date(2022, 10, 20, 10, 0, 0, 0, time.FixedZone("", 8*3600))

// Proposal is a good one of either list, about the n-th merchant.
func Proposal(tier credit.Tier, n int) credit.Proposal {
	p := credit.Proposal{
		Campaign: "gaoping-2022-2", Tier: tier, Case: fmt.Sprintf("case-%d", n),
		Party:      credit.Party{Kind: credit.SoleTrader, Name: fmt.Sprintf("高平市第%d面馆", n), USCC: Code(n), MerchantID: fmt.Sprintf("m%06d", n)},
		Basis:      credit.Basis{Code: "plan-cashout", Text: "活动实施方案：恶意套现的取消资格并列入黑名单", For: credit.Exclusion, From: "2022-09-20"},
		Deed:       credit.Deed{From: "2022-09-22", To: "2022-09-30", Text: "虚构交易核销消费券"},
		Instrument: credit.Instrument{Kind: credit.Decision, Number: fmt.Sprintf("高工信活字〔2022〕%d号", n), Date: "2022-10-15", Authority: "高平市工业和信息化局", Served: "2022-10-17", Effective: "2022-10-17"},
		Measure:    "取消参与本期活动的资格", Start: "2022-10-15", End: "2022-12-31", Proposer: "张三",
	}
	if tier == credit.Record {
		p.Basis = credit.Basis{Code: "fiscal-14", Text: "《财政违法行为处罚处分条例》第十四条", For: credit.Record, From: "2005-02-01"}
		p.Instrument.Kind, p.Instrument.Authority, p.Instrument.AuthorityUSCC = credit.Penalty, "高平市财政局", "111405810125510116"
		p.Instrument.Number, p.Measure, p.End = fmt.Sprintf("高财罚决字〔2022〕%d号", n), "罚款并公示", "2023-10-15"
	}
	return p
}

// Code is a synthetic code with fitting check digits, the n-th.
func Code(n int) string {
	body := fmt.Sprintf("92140581MA%06d", n)
	for _, c := range "0123456789X" {
		for _, d := range "0123456789ABCDEFGHJKLMNPQRTUWXY" {
			if u := credit.ParseUSCC(body + string(c) + string(d)); u.Check && u.Organisation {
				return u.Code
			}
		}
	}
	return body
}

// Grounds are good ones for a proposal.
func Grounds(p *credit.Proposal) credit.Grounds {
	g := credit.Grounds{
		Notice:  credit.Notice{Number: "高工信告字〔2022〕7号", Served: "2022-10-05", ReplyBy: "2022-10-12"},
		Reply:   credit.Reply{Received: "2022-10-10", Reviewed: credit.Review{By: "赵六", On: "2022-10-11"}, Answered: "2022-10-13"},
		Hearing: "not_asked", Legal: credit.Review{By: "钱七", On: "2022-10-14"}, Appeal: credit.Appeal{State: "none"},
	}
	for _, who := range []string{"李四", "王五"} {
		g.Approvals = append(g.Approvals, credit.Approval{By: who, Role: "approver", At: Now.Add(-time.Hour), Payload: p.Hash()})
	}
	return g
}

// Entry is a good entry, as Desk.Enter makes it.
func Entry(tier credit.Tier, n int) credit.Entry {
	p := Proposal(tier, n)
	return credit.Entry{ID: credit.NewID(&p), Proposal: p, Grounds: Grounds(&p), State: credit.InForce, Entered: Now, Revision: 1}
}

// Run tests what open gives. What open gives twice for the same test is the same store, reopened where it
// persists.
func Run(t *testing.T, open func(t *testing.T) credit.Store) {
	equal := func(t *testing.T, what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	put := func(t *testing.T, s credit.Store, e credit.Entry) int64 {
		t.Helper()
		seq, err := s.Put(t.Context(), &e)
		if err != nil {
			t.Fatal(err)
		}
		return seq
	}
	t.Run("every version is kept", func(t *testing.T) {
		s := open(t)
		e := Entry(credit.Record, 1)
		if seq := put(t, s, e); seq != 1 {
			t.Errorf("the first write is number %d", seq)
		}
		second := e
		second.Revision, second.State, second.Ended = 2, credit.Revoked, &credit.Ending{Kind: credit.Revoked, At: Now, Reason: "复议撤销", Number: "晋复〔2022〕1号", By: "孙八", Second: "周九", Decided: Now, TellBy: Now}
		put(t, s, second)
		s = open(t)
		for i, want := range []credit.Entry{e, second} {
			got, err := s.Version(t.Context(), e.ID, i+1)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, fmt.Sprint("version ", i+1), want, got)
		}
		got, err := s.Entry(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "the newest", second, got)
		if got.Proposal.Hash() != e.Proposal.Hash() {
			t.Error("what was approved is not what was stored")
		}
		for _, revision := range []int{0, 3} {
			if _, err := s.Version(t.Context(), e.ID, revision); vw.CodeOf(err) != vw.NotFound {
				t.Errorf("version %d: %v", revision, err)
			}
		}
		if _, err := s.Entry(t.Context(), "none"); vw.CodeOf(err) != vw.NotFound {
			t.Errorf("no entry: %v", err)
		}
		if head, err := s.Head(t.Context()); head != 2 || err != nil {
			t.Errorf("head %d, %v", head, err)
		}
	})
	t.Run("a stale write conflicts", func(t *testing.T) {
		s := open(t)
		e := Entry(credit.Exclusion, 1)
		put(t, s, e)
		for _, revision := range []int{0, 1, 3} {
			stale := e
			stale.Revision = revision
			if _, err := s.Put(t.Context(), &stale); vw.CodeOf(err) != vw.Conflict {
				t.Errorf("revision %d: %v", revision, err)
			}
		}
		if _, err := s.Put(t.Context(), &credit.Entry{Revision: 1}); vw.CodeOf(err) != vw.Invalid {
			t.Errorf("without id: %v", err)
		}
		if head, err := s.Head(t.Context()); head != 1 || err != nil {
			t.Errorf("head %d, %v", head, err)
		}
	})
	t.Run("a snapshot stays as it was", func(t *testing.T) {
		s := open(t)
		if page, err := s.Page(t.Context(), credit.Query{AsOf: 10, Limit: 10}); err != nil || len(page) != 0 {
			t.Errorf("empty: %v, %v", page, err)
		}
		for n := range 6 {
			put(t, s, Entry([]credit.Tier{credit.Record, credit.Exclusion}[n%2], n))
		}
		revoked := Entry(credit.Record, 0)
		revoked.Revision, revoked.State = 2, credit.Revoked
		put(t, s, revoked) // 7
		changed := Entry(credit.Record, 2)
		changed.Revision = 2
		put(t, s, changed) // 8
		seqs := func(q credit.Query) (all []int64) {
			t.Helper()
			page, err := s.Page(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range page {
				all = append(all, v.Seq)
				if q.Tier != "" && v.Entry.Tier != q.Tier {
					t.Errorf("the lists are mixed: %s", v.Entry.ID)
				}
			}
			return all
		}
		for _, tt := range []struct {
			name string
			q    credit.Query
			want []int64
		}{
			{"all", credit.Query{AsOf: 8, Limit: 10}, []int64{2, 4, 5, 6, 7, 8}},
			{"before the changes", credit.Query{AsOf: 6, Limit: 10}, []int64{1, 2, 3, 4, 5, 6}},
			{"between them", credit.Query{AsOf: 7, Limit: 10}, []int64{2, 3, 4, 5, 6, 7}},
			{"one list", credit.Query{Tier: credit.Record, AsOf: 8, Limit: 10}, []int64{5, 7, 8}},
			{"in force", credit.Query{Tier: credit.Record, AsOf: 8, Live: true, Limit: 10}, []int64{5, 8}},
			{"a page", credit.Query{AsOf: 8, Limit: 2}, []int64{2, 4}},
			{"the next", credit.Query{AsOf: 8, After: 4, Limit: 2}, []int64{5, 6}},
			{"what is new", credit.Query{AsOf: 8, After: 6, Limit: 10}, []int64{7, 8}},
		} {
			equal(t, tt.name, tt.want, seqs(tt.q))
		}
	})
}
