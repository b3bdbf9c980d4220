//go:build integration

package elastic

// AtSchema is a store as a program with another schema would open it.
func AtSchema(s *Store, version int) *Store {
	o := s.Options
	o.schema = version
	out, err := Open(o)
	if err != nil {
		panic(err)
	}
	return out
}
