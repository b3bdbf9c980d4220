package detectors

import (
	"testing"

	vw "voucherwatch"
)

func TestTheLedgerTakesARedemptionOnceHoweverManyAsk(t *testing.T) {
	c := rulesCampaign()
	env := &Env{Arena: &Arena{}, Ledger: newLedger()}
	v := rulesVisit(c, rulesBatch(), 1, rulesMoment(t, "2022-09-22 12:00:00"))
	first := *env.Ledger.visit(v, env)
	if again := *env.Ledger.visit(v, env); again != first || again.patron.count != 1 || again.use.count != 1 || !again.newDay || !again.newUse || again.another {
		t.Errorf("asked twice: %+v and %+v of %+v", first, again, *again.use)
	}
	v = rulesVisit(c, rulesBatch(), 1, rulesMoment(t, "2022-09-23 12:00:00"))
	v.Event.ID.Key++
	if s := env.Ledger.visit(v, env); !s.newDay || s.newUse || !s.another || s.use.days != 2 || s.patron.days != 2 {
		t.Errorf("the next day: %+v of %+v", *s, *s.use)
	}
}

func TestTheMostFaithfulUseKeepsItsRoom(t *testing.T) {
	var p patron
	for i := range uint16(patronPlaces) {
		u, _ := p.at(100 + i)
		u.days, u.last = 1, 50+i
	}
	p.uses[0].days = 2 // came back once, longest ago
	if u, isNew := p.at(999); !isNew || u != &p.uses[1] {
		t.Error("the merchant of one day, longest ago, should make room")
	}
	if _, isNew := p.at(100); isNew || p.n != patronPlaces {
		t.Error("the merchant of two days should still be there")
	}
}

func TestTheLedgerForgetsWhoStayedAwayAndUsesTheirRoomAgain(t *testing.T) {
	c := rulesCampaign()
	env := &Env{Arena: &Arena{}, Ledger: newLedger()}
	l := env.Ledger
	l.days = 3
	at := rulesMoment(t, "2022-09-22 12:00:00")
	for n := range uint64(2000) {
		l.visit(rulesVisit(c, rulesBatch(), n+1, at+vw.Millis(n%2)*4*vw.Day), env)
	}
	l.sweep(at+6*vw.Day, c.Offset())
	seen := 0
	l.customers.Each(func(key uint64, p *patron) { seen++ })
	if n := l.customers.Len(); n != 1000 || seen != 1000 {
		t.Fatalf("%d customers, %d given, want 1000", n, seen)
	}
	gone := rulesVisit(c, rulesBatch(), 1, at+6*vw.Day)
	gone.Event.ID.Key++
	if s := l.visit(gone, env); s.patron.count != 1 || s.patron.n != 1 || l.customers.Len() != 1001 {
		t.Errorf("who comes back begins anew: %d redemptions, %d customers", s.patron.count, l.customers.Len())
	}
	l.sweep(at+60*vw.Day, c.Offset())
	if keys, _ := l.size(); keys != 0 {
		t.Errorf("%d customers after everybody left", keys)
	}
}

func TestTheUseLogForgetsWholeSegmentsAndEndsWalksThere(t *testing.T) {
	var l useLog
	head := uint32(0)
	for i := range 3 * useSegment {
		head = l.add(use{seconds: uint32(i)}, head)
	}
	l.drop((useSegment + 10) * 1000)
	n, latest := 0, vw.Millis(0)
	l.each(head, 0, func(u *use) { n++; latest = max(latest, u.time()) })
	if n != useWalk || latest != (3*useSegment-1)*1000 {
		t.Errorf("walked %d to %d", n, latest)
	}
	if l.at(1) != nil || l.at(useSegment+1) == nil {
		t.Error("the first segment should be gone and the second not")
	}
}

func TestAUseNamesItsRedemption(t *testing.T) {
	a := &Arena{}
	env := &Env{Arena: a, Ledger: newLedger()}
	c := rulesCampaign()
	for range segmentBytes / 8 { // into the next segments
		a.Keep([]byte("fill"), 1)
	}
	v := rulesVisit(c, rulesBatch(), 5, rulesMoment(t, "2022-09-22 12:00:00")+123)
	v.Amount = -1.5
	u := useOf(v, env, 7)
	f, ok := u.found(a)
	if want := v.Found(); !ok || f != want {
		t.Errorf("found %+v, %v; want %+v", f, ok, want)
	}
	if far := IDRef(1<<(32-foldedBits)<<20 | 5); foldID(far) != 0 {
		t.Error("a reference that does not fit should be none")
	}
}
