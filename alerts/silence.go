package alerts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Silence begins a silence and returns it with its id and the number of open alerts that it matches. It
// needs a person, a reason of at least five characters, an end, and a match that is not everything; a
// long one, or one that matches many open alerts, needs a second person (Policy.Silences). Faults are
// vw.Invalid.
func (r *Router) Silence(ctx context.Context, s Silence, now time.Time) (Silence, error) {
	if s.From.IsZero() {
		s.From = now
	}
	s.Matching = r.matching(&s)
	limit := r.policy.Silences
	var errs []error
	need := func(ok bool, field, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", field, rule))
		}
	}
	need(!s.Match.empty(), "match", "must choose something: a silence of everything is a switched-off alarm")
	need(s.Who != "", "who", "is required")
	need(utf8.RuneCountInString(strings.TrimSpace(s.Why)) >= 5, "why", "must be a reason of at least 5 characters")
	need(s.Until.After(now) && s.Until.After(s.From), "until", "must lie in the future")
	need(s.Until.Sub(s.From) <= limit.Longest, "until", fmt.Sprintf("must be at most %s after its beginning", limit.Longest))
	if s.Until.Sub(s.From) > limit.Alone || s.Matching > limit.AloneMany {
		need(s.Second != "", "second", fmt.Sprintf("a second person is required: it is longer than %s or matches more than %d open alerts (%d)", limit.Alone, limit.AloneMany, s.Matching))
	}
	need(s.Second == "" || s.Second != s.Who, "second", "must be another person")
	if err := invalid("alerts.Silence", errs); err != nil {
		return Silence{}, err
	}
	s.ID = "silence-" + digest(s.Who, s.Why, s.From.UTC().Format(time.RFC3339Nano), s.Until.UTC().Format(time.RFC3339Nano), fmt.Sprintf("%+v", s.Match))
	return s, r.commit(ctx, Change{Silences: []Silence{s}}, nil)
}

// Unsilence ends a silence now; what it held back is told at the next Tick.
func (r *Router) Unsilence(ctx context.Context, id, who string, now time.Time) error {
	s, ok := r.silences[id]
	switch {
	case !ok:
		return notFound("alerts.Unsilence", "there is no silence "+id)
	case who == "":
		return invalid("alerts.Unsilence", []error{errors.New("who: is required")})
	case !s.Until.After(now):
		return nil
	}
	until := s.Until
	s.Until, s.EndedBy = now, who
	groups := map[string]Group{}
	for key, g := range r.groups {
		if g.Due.Equal(until) && len(g.Pending) > 0 {
			g.Due = now
			groups[key] = g
		}
	}
	return r.commit(ctx, Change{Silences: []Silence{s}}, groups)
}

// Running are the silences that have not ended, each with the number of open alerts that it matches.
func (r *Router) Running(now time.Time) (all []Silence) {
	for _, id := range slices.Sorted(maps.Keys(r.silences)) {
		if s := r.silences[id]; s.Until.After(now) {
			s.Matching = r.matching(&s)
			all = append(all, s)
		}
	}
	return all
}

func (r *Router) matching(s *Silence) (n int) {
	for _, a := range r.open {
		if s.Match.Holds(&a) {
			n++
		}
	}
	return n
}

// silencedBy is the silence that holds an alert back longest, nil for none.
func (r *Router) silencedBy(a *Alert, now time.Time) (longest *Silence) {
	for _, id := range slices.Sorted(maps.Keys(r.silences)) {
		s := r.silences[id]
		if !now.Before(s.From) && now.Before(s.Until) && s.Match.Holds(a) && (longest == nil || s.Until.After(longest.Until)) {
			longest = &s
		}
	}
	return longest
}
