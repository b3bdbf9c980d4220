package detectors

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	vw "voucherwatch"
)

// The owner of a device is who used it more often lately: a phone lent once changes nothing, a new phone does.
func TestWhoseDeviceItIs(t *testing.T) {
	const mine, other, renewed = 11, 22, 33
	var o ownToken
	for i, tt := range []struct {
		key  uint64
		want Owner
	}{
		{0, UnknownOwner}, {mine, UnknownOwner}, {mine, OwnToken}, {other, AnothersToken}, {mine, OwnToken}, {mine, OwnToken},
		{renewed, AnothersToken}, {renewed, AnothersToken}, {renewed, AnothersToken}, {renewed, UnknownOwner}, {renewed, OwnToken}, {mine, AnothersToken},
	} {
		if got := o.use(tt.key); got != tt.want {
			t.Fatalf("use %d of %d: owner %d, want %d", i, tt.key, got, tt.want)
		}
	}
}

// sharedBillOf lets accounts pay at one shop minutes apart with one device, that is owned as said, and returns
// the findings.
func sharedBillOf(t *testing.T, amount float64, gap vw.Millis, owners ...Owner) []proposal {
	t.Helper()
	c := rulesCampaign()
	d, env := rulesDetector(t, "shared_session", c)
	at := rulesMoment(t, "2022-09-22 11:00:00")
	for i, owner := range owners {
		v := rulesVisit(c, rulesBatch(), uint64(i+1), at+vw.Millis(i)*gap)
		v.Event.Device = vw.Ref{Text: vw.Text{Len: 5}, Key: 77}
		v.Event.ID.Key, v.Amount, v.DeviceOf = uint64(1000+i), amount, owner
		d.Visit(v)
	}
	return *env.found
}

// H1: a couple with one phone pays one after the other, and so does a family of three. The same payments with
// accounts that have phones of their own are one bill.
func TestAFamilysPhoneIsEverybodys(t *testing.T) {
	for _, tt := range []struct {
		name   string
		amount float64
		owners []Owner
		found  bool
	}{
		{"a couple", .2, []Owner{OwnToken, OwnToken}, false},
		{"a couple just above the threshold", 1.5, []Owner{OwnToken, OwnToken}, false},
		{"a couple of whom nothing is known", .2, []Owner{UnknownOwner, UnknownOwner}, false},
		{"a family of three, far above the threshold", -1.2, []Owner{OwnToken, OwnToken, OwnToken}, false},
		{"a mother pays with her son's phone, far above the threshold", -1.2, []Owner{OwnToken, AnothersToken}, false},
		{"a borrowed account", .3, []Owner{OwnToken, AnothersToken}, true},
		{"three borrowed accounts", 0, []Owner{AnothersToken, AnothersToken, AnothersToken}, true},
		{"three accounts of whom nothing is known, just above the threshold", 1.2, []Owner{UnknownOwner, UnknownOwner, UnknownOwner}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sharedBillOf(t, tt.amount, 2*vw.Minute, tt.owners...); (len(got) > 0) != tt.found {
				t.Errorf("%d findings", len(got))
			}
		})
	}
}

func TestASharedBillHasTheTimesOfAllParts(t *testing.T) {
	at := rulesMoment(t, "2022-09-22 11:00:00")
	found := sharedBillOf(t, 1.2, 7*vw.Minute, OwnToken, AnothersToken, AnothersToken)
	var got []vw.Millis
	for _, r := range found[len(found)-1].Redemptions {
		got = append(got, r.At)
	}
	if diff := cmp.Diff([]vw.Millis{at, at + 7*vw.Minute, at + 14*vw.Minute}, got); diff != "" {
		t.Errorf("times of the parts (-want +got):\n%s", diff)
	}
}

// After a pause, at another shop or on another day a bill is over.
func TestASharedBillEnds(t *testing.T) {
	at := rulesMoment(t, "2022-09-22 11:00:00")
	for _, tt := range []struct {
		name string
		at   vw.Millis
		shop uint64
		want int
	}{
		{"within minutes", at + 10*vw.Minute, 7<<20 | 1, 3},
		{"after a pause", at + 41*vw.Minute, 7<<20 | 1, 0},
		{"at another shop", at + 10*vw.Minute, 8<<20 | 1, 0},
		{"the next day", at + vw.Day, 7<<20 | 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := rulesCampaign()
			d, env := rulesDetector(t, "shared_session", c)
			for i, x := range []struct {
				at   vw.Millis
				shop uint64
			}{{at, 7<<20 | 1}, {at + 2*vw.Minute, 7<<20 | 1}, {tt.at, tt.shop}} {
				*env.found = nil
				v := rulesVisit(c, rulesBatch(), uint64(i+1), x.at)
				v.Event.Device, v.Event.Merchant.Key, v.Amount, v.DeviceOf = vw.Ref{Text: vw.Text{Len: 5}, Key: 77}, x.shop, 1.2, AnothersToken
				d.Visit(v)
			}
			got := 0
			for _, f := range *env.found {
				got = len(f.Redemptions)
			}
			if got != tt.want {
				t.Errorf("the finding after the third payment rests on %d, want %d", got, tt.want)
			}
		})
	}
}
