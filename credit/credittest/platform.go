package credittest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"

	"voucherwatch/credit"
)

// Platform is a credit platform that keeps the interface and behaves badly: it loses requests and
// answers, takes its time, says things twice, forgets batches and rejects rows. What the sender may never
// do it notes in Violations.
type Platform struct {
	Verifier *credit.Verifier
	Token    string
	// Mood says how the n-th batch, from 1, is treated: "" well; refuse (500 before anything is done), lose (the
	// connection is cut before), mute (it is done, and the connection cut), later (pending for two
	// questions), twice (every receipt twice, and one of a stranger), forget (taken, and not kept),
	// half (receipts for every second row only; the others are pending).
	Mood func(n int) string
	// Reject says why a row is rejected, "" for taken.
	Reject func(entry string) string

	mu         sync.Mutex
	requests   int
	batches    map[string]*taken
	Held       map[string]held
	Applied    map[string]int // by entry, revision and op
	Violations []string
}

type held struct {
	Revision int
	Hash     string
}

type taken struct {
	sum      [32]byte
	receipts []receipt
	pending  int
	half     bool
}

type receipt struct {
	Entry    string `json:"entry_id"`
	Revision int    `json:"revision"`
	Status   string `json:"status"`
	Number   string `json:"receipt_no,omitempty"`
	Code     string `json:"code,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// batch is the interface as the platform knows it, written apart from the sender's.
type batch struct {
	ID       string `json:"batch_id"`
	Resource string `json:"resource_code"`
	SentAt   string `json:"sent_at"`
	Rows     []struct {
		Seq      int    `json:"seq"`
		Op       string `json:"op"`
		Entry    string `json:"entry_id"`
		Revision int    `json:"revision"`
		Hash     string `json:"row_hash"`
		Record   struct {
			Tier  string `json:"tier"`
			Name  string `json:"name"`
			USCC  string `json:"uscc"`
			State string `json:"state"`
		} `json:"record"`
		Proposal  string `json:"approved_hash"`
		Approvers int    `json:"approvers"`
	} `json:"rows"`
}

// NewPlatform is an empty one.
func NewPlatform(v *credit.Verifier, token string) *Platform {
	return &Platform{Verifier: v, Token: token, Mood: func(int) string { return "" }, Reject: func(string) string { return "" }, batches: map[string]*taken{}, Held: map[string]held{}, Applied: map[string]int{}}
}

func (p *Platform) violation(format string, args ...any) {
	p.Violations = append(p.Violations, fmt.Sprintf(format, args...))
}

// Requests is how many batches came.
func (p *Platform) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// Lose forgets an entry, as a platform does that is restored from a backup; Put makes one up.
func (p *Platform) Lose(entry string) { p.mu.Lock(); delete(p.Held, entry); p.mu.Unlock() }

// Put makes the platform hold something.
func (p *Platform) Put(entry string, revision int, hash string) {
	p.mu.Lock()
	p.Held[entry] = held{revision, hash}
	p.mu.Unlock()
}

func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+p.Token {
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/batches":
		p.take(w, r)
	case r.Method == http.MethodGet && r.URL.Path == "/v1/holdings":
		p.list(w, r)
	case r.Method == http.MethodGet:
		var id string
		if _, err := fmt.Sscanf(r.URL.Path, "/v1/batches/%s", &id); err != nil || p.batches[id] == nil {
			http.Error(w, "no such batch", http.StatusNotFound)
			return
		}
		p.answer(w, id, http.StatusOK, "")
	default:
		http.Error(w, "no", http.StatusNotFound)
	}
}

func (p *Platform) take(w http.ResponseWriter, r *http.Request) {
	p.requests++
	mood := p.Mood(p.requests)
	body, err := io.ReadAll(r.Body)
	switch {
	case mood == "refuse":
		http.Error(w, "maintenance", http.StatusInternalServerError)
		return
	case mood == "lose" || err != nil:
		panic(http.ErrAbortHandler)
	}
	if err := p.Verifier.Verify(body, credit.Signature{Ed25519: r.Header.Get("Voucherwatch-Signature-Ed25519"), SM2: r.Header.Get("Voucherwatch-Signature-SM2")}); err != nil {
		p.violation("a batch with a bad signature: %v", err)
		http.Error(w, "signature", http.StatusForbidden)
		return
	}
	var b batch
	if err := json.Unmarshal(body, &b); err != nil || b.ID == "" || b.ID != r.Header.Get("Idempotency-Key") {
		p.violation("a batch that is none: %v", err)
		http.Error(w, "batch", http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256(body)
	if old := p.batches[b.ID]; old != nil {
		if old.sum != sum {
			p.violation("batch %s came again with another content", b.ID)
		}
	} else if mood != "forget" {
		p.apply(&b, sum, mood)
	}
	switch mood {
	case "mute":
		panic(http.ErrAbortHandler)
	case "forget":
		http.Error(w, "gateway timeout", http.StatusGatewayTimeout)
	case "later":
		p.answer(w, b.ID, http.StatusAccepted, mood)
	default:
		p.answer(w, b.ID, http.StatusOK, mood)
	}
}

func (p *Platform) apply(b *batch, sum [32]byte, mood string) {
	t := &taken{sum: sum, half: mood == "half"}
	if mood == "later" {
		t.pending = 2
	}
	for _, row := range b.Rows {
		rc := receipt{Entry: row.Entry, Revision: row.Revision, Status: "accepted", Number: fmt.Sprintf("R%d-%d", len(p.batches)+1, row.Seq)}
		have, there := p.Held[row.Entry]
		switch {
		case row.Record.Tier != string(credit.Record):
			p.violation("%s is of the list %s", row.Entry, row.Record.Tier)
		case row.Approvers < 2 || row.Proposal == "":
			p.violation("%s has %d approvals", row.Entry, row.Approvers)
		case there && row.Revision <= have.Revision:
			p.violation("%s goes back from %d to %d", row.Entry, have.Revision, row.Revision)
		case there != (row.Op != "I"):
			p.violation("%s: op %s, and held is %v", row.Entry, row.Op, there)
		case row.Op == "D" && row.Record.Name != "":
			p.violation("%s is removed and still named", row.Entry)
		}
		if why := p.Reject(row.Entry); why != "" {
			rc.Status, rc.Number, rc.Code, rc.Reason = "rejected", "", "E104", why
		} else {
			p.Applied[fmt.Sprint(row.Entry, " ", row.Revision, row.Op)]++
			if p.Held[row.Entry] = (held{row.Revision, row.Hash}); row.Op == "D" {
				delete(p.Held, row.Entry)
			}
		}
		t.receipts = append(t.receipts, rc)
	}
	p.batches[b.ID] = t
}

func (p *Platform) answer(w http.ResponseWriter, id string, status int, mood string) {
	t := p.batches[id]
	rows := []receipt{}
	for i, rc := range t.receipts {
		if t.pending > 0 || t.half && i%2 == 1 {
			rc = receipt{Entry: rc.Entry, Revision: rc.Revision, Status: "pending"}
		}
		if rows = append(rows, rc); mood == "twice" {
			rows = append(rows, rc, receipt{Entry: "cred-stranger", Revision: 1, Status: "accepted", Number: "R0"})
		}
	}
	t.half = false
	if t.pending > 0 {
		t.pending--
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"batch_id": id, "rows": rows})
}

// list gives what is held, ten at a time.
func (p *Platform) list(w http.ResponseWriter, r *http.Request) {
	type holding struct {
		Entry    string `json:"entry_id"`
		Revision int    `json:"revision"`
		Hash     string `json:"row_hash"`
	}
	page, next := []holding{}, ""
	for _, id := range slices.Sorted(maps.Keys(p.Held)) {
		if id <= r.URL.Query().Get("cursor") {
			continue
		}
		if len(page) == 10 {
			next = page[9].Entry
			break
		}
		page = append(page, holding{id, p.Held[id].Revision, p.Held[id].Hash})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"rows": page, "next": next})
}

// Hex is a hash that nobody has.
func Hex(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
