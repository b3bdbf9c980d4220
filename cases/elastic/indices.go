package elastic

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	vw "voucherwatch"
	"voucherwatch/cases"
)

// schemaVersion is part of the names of the indices. A change of a mapping is a new version and a migration.
const schemaVersion = 1

// The kinds of indices. Findings and audit lines go to one a month, the others have one behind an alias.
const (
	findingsIndex = "findings"
	auditIndex    = "audit"
	casesIndex    = "cases"
	alertsIndex   = "alerts"
	docketsIndex  = "dockets"
	recordsIndex  = "records"
)

var (
	single  = []string{casesIndex, alertsIndex, docketsIndex, recordsIndex}
	monthly = []string{findingsIndex, auditIndex}
)

func (s *Store) aliasOf(kind string) string { return s.Prefix + "-" + kind }

// index is the one index of a kind, or the one of a month.
func (s *Store) index(kind, month string) string {
	name := s.Prefix + "-" + kind + "-v" + strconv.Itoa(s.schema)
	if month != "" {
		name += "-" + month
	}
	return name
}

func (s *Store) isAlias(name string) bool {
	return slices.ContainsFunc(single, func(kind string) bool { return s.aliasOf(kind) == name })
}

// month is the month of an event time in the campaign's zone: "2022.09", or "undated".
func month(at string) string {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil || t.Year() < 2000 || t.Year() > 2999 {
		return "undated"
	}
	return t.In(cases.Zone).Format("2006.01")
}

type object = map[string]any

// mapping is what documents of a kind may have; anything else is refused. What is not searched by is not mapped: stored
// is kept as text or as an object that nobody looks into.
func mapping(kind string) object {
	keyword := object{"type": "keyword"}
	long := object{"type": "long"}
	stored := object{"type": "object", "enabled": false}
	text := object{"type": "keyword", "index": false, "doc_values": false}
	properties := object{"hash": text, "revision": long}
	fields := map[string]object{
		findingsIndex: {"finding_id": text, "dockets": text, "at": object{"type": "date", "format": "strict_date_optional_time||epoch_millis"}, "typology": keyword, "score": long, "document": stored},
		auditIndex:    {"seq": long, "at": keyword, "actor": keyword, "action": keyword, "case_id": keyword, "line": text},
		casesIndex: {"id": keyword, "status": keyword, "subject_kind": keyword, "subject": keyword, "state": keyword, "typologies": keyword, "severity": keyword, "assignee": keyword,
			"track": keyword, "score": long, "subsidy": long, "at": long, "due": long, "pending": long,
			"words": object{"type": "text", "analyzer": "standard", "norms": false, "fields": object{"pairs": object{"type": "text", "analyzer": "pairs", "norms": false}}},
			"case":  stored, "work": stored, "row": stored},
		alertsIndex: {"id": keyword, "subject": keyword, "state": keyword, "typologies": keyword, "severity": keyword, "assignee": keyword, "track": keyword, "case_id": keyword,
			"score": long, "subsidy": long, "at": long, "due": long, "pending": long, "document": stored},
		docketsIndex: {"docket": text, "findings": text},
		recordsIndex: {"kind": keyword, "id": keyword, "body": text},
	}[kind]
	for name, f := range fields {
		properties[name] = f
	}
	return object{"dynamic": "strict", "properties": properties}
}

// template is the index template of a kind: version, hash of the mapping, settings, alias.
func (s *Store) template(kind string) object {
	m := mapping(kind)
	b, _ := json.Marshal(m, json.Deterministic(true)) // only words and numbers
	sum := sha256.Sum256(b)
	m["_meta"] = object{"schema": s.schema, "mapping": hex.EncodeToString(sum[:])}
	settings := object{
		"number_of_shards": 1, "number_of_replicas": s.Replicas,
		// Lists refresh by themselves; this is for those who look in by other means.
		"refresh_interval": "30s",
	}
	if kind == casesIndex {
		// The standard tokenizer makes each Chinese character a word; pairs of neighbours make phrases quick. It
		// needs no plugin.
		settings["analysis"] = object{
			"filter":   object{"pairs": object{"type": "shingle", "min_shingle_size": 2, "max_shingle_size": 2, "output_unigrams": false, "token_separator": " "}},
			"analyzer": object{"pairs": object{"type": "custom", "tokenizer": "standard", "filter": []string{"lowercase", "pairs"}}},
		}
	}
	t := object{"index_patterns": []string{s.index(kind, "")}, "priority": 300, "version": s.schema,
		"template": object{"settings": settings, "mappings": m}}
	if slices.Contains(monthly, kind) {
		t["index_patterns"] = []string{s.index(kind, "") + "-*"}
		t["template"].(object)["aliases"] = object{s.aliasOf(kind): object{}}
	}
	return t
}

// Create makes the templates, and the indices and aliases that are missing. It changes none that is there, and may be
// repeated.
func (s *Store) Create(ctx context.Context) error {
	const op = "elastic.Create"
	for _, kind := range slices.Concat(single, monthly) {
		b, err := json.Marshal(s.template(kind))
		if err != nil {
			return &vw.Error{Op: op, Code: vw.Internal, Err: err}
		}
		name := s.Prefix + "-" + kind + "-v" + strconv.Itoa(s.schema)
		if _, _, err := s.call(ctx, op, "PUT", "/_index_template/"+name, b); err != nil {
			return err
		}
	}
	for _, kind := range single {
		there, err := s.behind(ctx, op, s.aliasOf(kind))
		if err != nil {
			return err
		}
		if len(there) > 0 {
			continue
		}
		if err := s.make(ctx, op, s.index(kind, "")); err != nil {
			return err
		}
		b, _ := json.Marshal(object{"actions": []object{{"add": object{"index": s.index(kind, ""), "alias": s.aliasOf(kind), "is_write_index": true}}}})
		if _, _, err := s.call(ctx, op, "POST", "/_aliases", b); err != nil {
			return err
		}
	}
	// So that lists of findings and of the log find an index before anything is written.
	for _, kind := range monthly {
		there, err := s.behind(ctx, op, s.aliasOf(kind))
		if err != nil {
			return err
		}
		if len(there) == 0 {
			if err := s.make(ctx, op, s.index(kind, "undated")); err != nil {
				return err
			}
		}
	}
	return nil
}

// make makes an index, from its template; one that is there is left as it is.
func (s *Store) make(ctx context.Context, op, index string) error {
	_, answer, err := s.call(ctx, op, "PUT", "/"+index, nil, 400)
	if err == nil && strings.Contains(string(answer), `"error"`) && !strings.Contains(string(answer), "resource_already_exists_exception") {
		return refusal(op, 400, answer)
	}
	return err
}

// behind are the indices behind an alias, in order; none when it does not exist.
func (s *Store) behind(ctx context.Context, op, alias string) ([]string, error) {
	_, answer, err := s.call(ctx, op, "GET", "/_alias/"+alias, nil, 404)
	if err != nil {
		return nil, err
	}
	var out map[string]struct {
		Aliases map[string]any `json:"aliases"`
	}
	var names []string
	if json.Unmarshal(answer, &out) == nil {
		for name, x := range out {
			if _, ok := x.Aliases[alias]; ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// State is what Check found of an index.
type State struct {
	Index     string
	Documents int64
	Bytes     int64
	Health    string
	Fault     string // empty: as it should be
}

// Check compares templates, aliases and mappings with what this program needs. The cluster that cannot be reached
// is an error; what is wrong with an index stands in its State.
func (s *Store) Check(ctx context.Context) ([]State, error) {
	const op = "elastic.Check"
	var out []State
	for _, kind := range slices.Concat(single, monthly) {
		names, err := s.behind(ctx, op, s.aliasOf(kind))
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			out = append(out, State{Index: s.aliasOf(kind), Fault: "is missing: voucherwatch index create"})
		}
		for _, name := range names {
			st, err := s.look(ctx, op, kind, name)
			if err != nil {
				return nil, err
			}
			if slices.Contains(single, kind) && len(names) > 1 {
				st.Fault = "shares its alias with another index: an unfinished migration, run it again"
			}
			out = append(out, st)
		}
	}
	return out, nil
}

func (s *Store) look(ctx context.Context, op, kind, name string) (State, error) {
	st := State{Index: name}
	_, answer, err := s.call(ctx, op, "GET", "/"+name+"/_mapping", nil)
	if err != nil {
		return st, err
	}
	var m map[string]struct {
		Mappings struct {
			Dynamic string `json:"dynamic"`
			Meta    struct {
				Schema  int    `json:"schema"`
				Mapping string `json:"mapping"`
			} `json:"_meta"`
		} `json:"mappings"`
	}
	if err := json.Unmarshal(answer, &m); err != nil {
		return st, &vw.Error{Op: op, Code: vw.Internal, Err: err}
	}
	want := s.template(kind)["template"].(object)["mappings"].(object)["_meta"].(object)["mapping"]
	got := m[name].Mappings
	switch {
	case got.Meta.Schema < s.schema:
		st.Fault = fmt.Sprintf("has schema %d, this program writes %d: voucherwatch index migrate", got.Meta.Schema, s.schema)
	case got.Meta.Schema > s.schema:
		st.Fault = fmt.Sprintf("has schema %d, this program knows %d: use the newer program", got.Meta.Schema, s.schema)
	case got.Meta.Mapping != want || got.Dynamic != "strict":
		st.Fault = "has another mapping than this program made: voucherwatch index migrate, or restore it"
	}
	_, answer, err = s.call(ctx, op, "GET", "/_cat/indices/"+name+"?format=json&bytes=b&h=health,docs.count,store.size", nil)
	if err != nil {
		return st, err
	}
	var cat []struct {
		Health string `json:"health"`
		Count  string `json:"docs.count"`
		Size   string `json:"store.size"`
	}
	if json.Unmarshal(answer, &cat) == nil && len(cat) == 1 {
		st.Health = cat[0].Health
		st.Documents, _ = strconv.ParseInt(cat[0].Count, 10, 64)
		st.Bytes, _ = strconv.ParseInt(cat[0].Size, 10, 64)
		if st.Health == "red" {
			st.Fault = "is red: a shard is missing, look at the cluster"
		}
	}
	return st, nil
}

// Migrate brings the indices behind the aliases to this program's schema: it makes the new ones, stops writes to the
// old ones (writers wait), copies every document and turns the alias. The old indices stay, for who wants to go back. A
// migration that broke off is run again.
func (s *Store) Migrate(ctx context.Context, told func(index string, copied int)) error {
	const op = "elastic.Migrate"
	if err := s.Create(ctx); err != nil {
		return err
	}
	for _, kind := range slices.Concat(single, monthly) {
		names, err := s.behind(ctx, op, s.aliasOf(kind))
		if err != nil {
			return err
		}
		for _, old := range names {
			st, err := s.look(ctx, op, kind, old)
			switch {
			case err != nil:
				return err
			case strings.Contains(st.Fault, "newer program"):
				return &vw.Error{Op: op, Code: vw.Invalid, Hint: "use the newer program that made it", Err: errors.New(old + " " + st.Fault)}
			case st.Fault == "" || !strings.Contains(st.Fault, "index migrate"):
				continue
			}
			into := s.index(kind, "")
			if i := strings.LastIndex(old, "-"); slices.Contains(monthly, kind) {
				into = s.index(kind, old[i+1:])
			}
			if into == old {
				return &vw.Error{Op: op, Code: vw.Invalid, Hint: "somebody changed its mapping by hand: restore a copy of the index under another name and run this again", Err: errors.New(old + " " + st.Fault)}
			}
			if err := s.move(ctx, op, kind, old, into, told); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) move(ctx context.Context, op, kind, old, into string, told func(string, int)) error {
	if err := s.make(ctx, op, into); err != nil {
		return err
	}
	block := func(on bool) error {
		b, _ := json.Marshal(object{"index.blocks.write": on})
		_, _, err := s.call(ctx, op, "PUT", "/"+old+"/_settings", b)
		return err
	}
	if err := block(true); err != nil {
		return err
	}
	copied := 0
	err := s.walk(ctx, op, old, func(hits []hit) error {
		items := make([]item, len(hits))
		for i, h := range hits {
			items[i] = item{index: into, id: h.ID, body: h.Raw, over: true}
		}
		if err := errors.Join(s.bulk(ctx, op, items)...); err != nil {
			return err
		}
		copied += len(hits)
		if told != nil {
			told(into, copied)
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, block(false))
	}
	if err := s.fresh(ctx, op, into); err != nil {
		return errors.Join(err, block(false))
	}
	add := object{"index": into, "alias": s.aliasOf(kind)}
	if slices.Contains(single, kind) {
		add["is_write_index"] = true
	}
	b, _ := json.Marshal(object{"actions": []object{{"remove": object{"index": old, "alias": s.aliasOf(kind)}}, {"add": add}}})
	_, _, err = s.call(ctx, op, "POST", "/_aliases", b)
	return err
}

// Prune removes the monthly indices of findings and of the audit log that are older than so many months before
// now, and returns their names. Cases, what is filed in them and frozen evidence stay. Dry only names them.
func (s *Store) Prune(ctx context.Context, now time.Time, findings, audit int, dry bool) ([]string, error) {
	const op = "elastic.Prune"
	if findings < 6 || audit < 6 {
		return nil, &vw.Error{Op: op, Code: vw.Invalid, Hint: "网络安全法 asks for six months at least", Err: errors.New("retention is below six months")}
	}
	var gone []string
	for _, x := range []struct {
		kind string
		keep int
	}{{findingsIndex, findings}, {auditIndex, audit}} {
		y, m, _ := now.In(cases.Zone).Date()
		oldest := time.Date(y, m-time.Month(x.keep), 1, 0, 0, 0, 0, cases.Zone).Format("2006.01")
		names, err := s.behind(ctx, op, s.aliasOf(x.kind))
		if err != nil {
			return gone, err
		}
		for _, name := range names {
			of := name[strings.LastIndex(name, "-")+1:]
			if of == "undated" || of >= oldest {
				continue
			}
			if !dry {
				if _, _, err := s.call(ctx, op, "DELETE", "/"+name, nil, 404); err != nil {
					return gone, err
				}
			}
			gone = append(gone, name)
		}
	}
	return gone, nil
}
