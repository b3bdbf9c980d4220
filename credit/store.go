package credit

import (
	"context"
	"errors"
	"sync"
	"time"

	vw "voucherwatch"
)

// Store keeps every version of every entry, and in which order they were written.
//
// Put writes the next version: its Revision is exactly one above the stored one (1 for a new entry),
// else the error is vw.Conflict. It returns the version's number in the order of all writes, from 1, when it is
// durable. Page is a page of a snapshot: see Query. Errors are *vw.Error. Safe for concurrent use; what is
// returned is read-only.
type Store interface {
	Put(ctx context.Context, e *Entry) (seq int64, err error)
	// Entry is the newest version of an entry, or vw.NotFound.
	Entry(ctx context.Context, id string) (Entry, error)
	// Version is a certain one, or vw.NotFound.
	Version(ctx context.Context, id string, revision int) (Entry, error)
	Page(ctx context.Context, q Query) ([]Version, error)
	// Head is the number of the last write, 0 for none.
	Head(ctx context.Context) (int64, error)
}

// Version is an entry as it was after a write.
type Version struct {
	Seq   int64
	Entry Entry
}

// Query is a page of the entries of a list as they stood after write AsOf: of each entry its last version up
// to AsOf, if that is after write After, in the order of writing. As nothing that is written later can
// change a snapshot, following the pages (After: the last Seq of the page before) gives each entry once.
type Query struct {
	Tier  Tier // "": both
	AsOf  int64
	After int64
	// Live leaves out entries that are no longer in force.
	Live  bool
	Limit int // 1 to 10000
}

// Memory is a Store that forgets when the process ends.
type Memory struct {
	mu       sync.RWMutex
	versions []Version // by Seq
	next     []int64   // Seq of the entry's next version, 0 for none
	entries  map[string][]int
}

var _ Store = (*Memory)(nil)

// NewMemory is an empty store.
func NewMemory() *Memory { return &Memory{entries: map[string][]int{}} }

// CheckPut is what every store asks of a version, given the stored revision, 0 for none.
func CheckPut(e *Entry, stored int) error {
	switch {
	case e.ID == "" || e.Tier != Exclusion && e.Tier != Record:
		return &vw.Error{Op: "credit.Put", Code: vw.Invalid, Err: errors.New("entry_id and tier are required")}
	case e.Revision != stored+1:
		return &vw.Error{Op: "credit.Put", Code: vw.Conflict, Hint: "read the entry again and decide again", Err: errors.New("the entry has been changed since it was read")}
	}
	return nil
}

func (m *Memory) Put(_ context.Context, e *Entry) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.entries[e.ID]
	if err := CheckPut(e, len(known)); err != nil {
		return 0, err
	}
	seq := int64(len(m.versions)) + 1
	if len(known) > 0 {
		m.next[known[len(known)-1]] = seq
	}
	m.entries[e.ID] = append(known, len(m.versions))
	m.versions, m.next = append(m.versions, Version{seq, *e}), append(m.next, 0)
	return seq, nil
}

func (m *Memory) Entry(ctx context.Context, id string) (Entry, error) {
	m.mu.RLock()
	n := len(m.entries[id])
	m.mu.RUnlock()
	return m.Version(ctx, id, n)
}

func (m *Memory) Version(_ context.Context, id string, revision int) (Entry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	known := m.entries[id]
	if revision < 1 || revision > len(known) {
		return Entry{}, &vw.Error{Op: "credit.Version", Code: vw.NotFound, Err: errors.New("there is no such entry")}
	}
	return m.versions[known[revision-1]].Entry, nil
}

func (m *Memory) Page(_ context.Context, q Query) (page []Version, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := int(q.After); i < min(int(q.AsOf), len(m.versions)) && len(page) < q.Limit; i++ {
		if v := &m.versions[i]; (m.next[i] == 0 || m.next[i] > q.AsOf) && (q.Tier == "" || v.Entry.Tier == q.Tier) && (!q.Live || v.Entry.State == InForce) {
			page = append(page, *v)
		}
	}
	return page, nil
}

func (m *Memory) Head(context.Context) (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return int64(len(m.versions)), nil
}

// Row is an entry as it leaves the building: nothing about people, nothing that a consumer does not
// need. Of an entry that has ended it says only that, so that consumers drop it.
type Row struct {
	ID        string `json:"entry_id"`
	Revision  int    `json:"revision"`
	Tier      Tier   `json:"tier"`
	Label     string `json:"label"`
	State     State  `json:"state"`
	Name      string `json:"name,omitempty"`
	USCC      string `json:"uscc,omitempty"`
	RegNo     string `json:"reg_no,omitempty"`
	Merchant  string `json:"merchant_id,omitempty"`
	Basis     string `json:"basis,omitempty"`
	Kind      string `json:"instrument_kind,omitempty"`
	Number    string `json:"instrument_number,omitempty"`
	Authority string `json:"authority,omitempty"`
	Date      Day    `json:"decided_on,omitempty"`
	Start     Day    `json:"start,omitempty"`
	End       Day    `json:"end,omitempty"`
	Disputed  bool   `json:"disputed"`
	EndedOn   Day    `json:"ended_on,omitempty"`
}

// beijing is the zone of the days that leave the building.
var beijing = time.FixedZone("+08:00", 8*3600)

// RowOf is the row of an entry.
func RowOf(e *Entry) Row {
	r := Row{ID: e.ID, Revision: e.Revision, Tier: e.Tier, Label: e.Tier.Label(), State: e.State}
	if e.State != InForce {
		if e.Ended != nil {
			r.EndedOn = DayOf(e.Ended.At, beijing)
		}
		return r
	}
	r.Name, r.USCC, r.RegNo, r.Merchant = e.Party.Name, e.Party.USCC, e.Party.RegNo, e.Party.MerchantID
	r.Basis, r.Kind, r.Number, r.Authority, r.Date = e.Basis.Text, e.Instrument.Kind, e.Instrument.Number, e.Instrument.Authority, e.Instrument.Date
	r.Start, r.End, r.Disputed = e.Start, e.End, e.Disputed()
	return r
}

// Fixed is a Gate for tests and for sites without a case workflow: grounds by case and list.
type Fixed map[string]map[Tier]Grounds

var _ Gate = Fixed(nil)

// Grounds finds what was put in.
func (f Fixed) Grounds(_ context.Context, caseID string, tier Tier) (Grounds, error) {
	g, ok := f[caseID][tier]
	if !ok {
		return Grounds{}, &vw.Error{Op: "credit.Grounds", Code: vw.NotFound, Err: errors.New("there are no grounds for this case: " + caseID)}
	}
	return g, nil
}
