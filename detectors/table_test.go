package detectors

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// keyed is what Table and Small have in common.
type keyed[V any] interface {
	Len() int
	Bytes() int
	Touch(key uint64) uint64
	Find(key uint64) *V
	Get(key uint64) (*V, bool)
	Sweep(keep func(uint64, *V) bool)
	Clear()
	Each(f func(uint64, *V))
}

// tables are both kinds, empty.
func tables[V any]() map[string]keyed[V] {
	return map[string]keyed[V]{"table": &Table[V]{}, "small": &Small[V]{}}
}

// A model test: whatever is done to a table is done to a Go map, and both must hold the same. Keys are
// few and agree in the bits that spread looks at, so that probe runs are long and wrap around.
func TestTableAgainstAMap(t *testing.T) {
	for name := range tables[int]() {
		t.Run(name, func(t *testing.T) { againstAMap(t, func() keyed[int] { return tables[int]()[name] }) })
	}
}

func againstAMap(t *testing.T, empty func() keyed[int]) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 5))
		table := empty()
		model := map[uint64]int{}
		pool := make([]uint64, 3000)
		for i := range pool {
			switch r.IntN(3) {
			case 0:
				pool[i] = r.Uint64() | 1
			case 1:
				pool[i] = uint64(i + 1)
			default:
				pool[i] = unspread(^uint64(0)-uint64(r.IntN(64))<<3) | 1 // hash to the last slots
			}
		}
		for step := range 60_000 {
			key := pool[r.IntN(len(pool))]
			switch x := r.IntN(1000); {
			case x < 550:
				v, isNew := table.Get(key)
				if _, have := model[key]; have == isNew || isNew && *v != 0 {
					t.Fatalf("seed %d, step %d: Get says new %v with value %d, the map has it: %v", seed, step, isNew, *v, have)
				}
				*v += step
				model[key] += step
			case x < 994:
				v := table.Find(key)
				if want, have := model[key]; have != (v != nil) || have && *v != want {
					t.Fatalf("seed %d, step %d: Find says %v, want %d, %v", seed, step, v, want, have)
				}
			case x < 999:
				modulus := 1 + r.IntN(6)
				visited := 0
				table.Sweep(func(key uint64, v *int) bool {
					visited++
					if *v != model[key] {
						t.Fatalf("Sweep shows %d, want %d", *v, model[key])
					}
					*v++ // keep may change the value
					return *v%modulus != 0
				})
				if visited != len(model) {
					t.Fatalf("Sweep came by %d keys, want %d", visited, len(model))
				}
				for k := range model {
					if model[k]++; model[k]%modulus == 0 {
						delete(model, k)
					}
				}
			default:
				table.Clear()
				clear(model)
			}
			if table.Len() != len(model) {
				t.Fatalf("seed %d, step %d: %d keys, want %d", seed, step, table.Len(), len(model))
			}
		}
		seen := 0
		table.Each(func(key uint64, v *int) {
			if seen++; *v != model[key] {
				t.Errorf("Each shows %d, want %d", *v, model[key])
			}
		})
		if seen != len(model) {
			t.Errorf("Each came by %d keys, want %d", seen, len(model))
		}
	}
}

// unspread is the key that spread takes to h.
func unspread(h uint64) uint64 {
	const phi uint64 = 0x9e3779b97f4a7c15
	inverse := phi
	for range 6 {
		inverse *= 2 - phi*inverse // Newton's method modulo 2^64
	}
	return h * inverse
}

// What a table held in the period before last is what it keeps: one that fills every day does not grow
// anew every day, and one that was full once does not hold the memory for ever.
func TestTableGrowsAndGivesMemoryBack(t *testing.T) {
	const n, each = 100_000, 12 // bytes of key and value
	for name, table := range tables[int32]() {
		t.Run(name, func(t *testing.T) {
			if table.Bytes() != 0 || table.Find(1) != nil || table.Touch(1) != 0 {
				t.Error("an empty table holds something")
			}
			table.Sweep(func(uint64, *int32) bool { return false })
			fill := func() {
				for k := range uint64(n) {
					table.Get(k + 1)
				}
			}
			fill()
			full := table.Bytes()
			if full < n*each || full > 5*n*each {
				t.Errorf("%d keys take %d bytes", n, full)
			}
			few := func(key uint64, _ *int32) bool { return key <= 10 }
			table.Sweep(few)
			if table.Len() != 10 || table.Bytes() != full {
				t.Errorf("after the night: %d keys, %d bytes of %d", table.Len(), table.Bytes(), full)
			}
			for k := range uint64(n) {
				if got := table.Find(k+1) != nil; got != (k < 10) {
					t.Fatalf("key %d after the sweep: %v", k+1, got)
				}
			}
			fill()
			if table.Bytes() != full {
				t.Errorf("the second day takes %d bytes, the first %d", table.Bytes(), full)
			}
			table.Sweep(few)
			table.Get(11)
			table.Sweep(few)
			if table.Len() != 10 || table.Bytes() > full/2 {
				t.Errorf("after a day without much: %d keys, %d bytes of %d", table.Len(), table.Bytes(), full)
			}
			fill()
			table.Clear()
			table.Clear()
			if table.Len() != 0 || table.Find(5) != nil || table.Bytes() > full/2 {
				t.Errorf("cleared twice: %d keys, %d bytes of %d", table.Len(), table.Bytes(), full)
			}
		})
	}
}

// Past the first mebibyte rows do not move when others come.
func TestRowsOfATableStayWhereTheyAre(t *testing.T) {
	var table Table[[40]uint64]
	const n = 120_000 // 38 MiB: three chunks
	var at []*[40]uint64
	for k := range uint64(n) {
		v, isNew := table.Get(k + 1)
		if !isNew || v[7] != 0 {
			t.Fatalf("key %d is not new", k+1)
		}
		v[7] = k
		at = append(at, v)
	}
	for k := range uint64(n) {
		if v := table.Find(k + 1); v[7] != k || k >= 1<<13 && v != at[k] {
			t.Fatalf("key %d is %d, at another place", k+1, v[7])
		}
	}
	table.Sweep(func(key uint64, _ *[40]uint64) bool { return key%3 == 0 })
	for k := range uint64(n) {
		switch v := table.Find(k + 1); {
		case (k+1)%3 != 0 && v != nil:
			t.Fatalf("key %d is still there", k+1)
		case (k+1)%3 == 0 && v[7] != k:
			t.Fatalf("key %d is %d", k+1, v[7])
		}
	}
}

func TestTouchChangesNothing(t *testing.T) {
	for name, table := range tables[int]() {
		for k := range uint64(100) {
			v, _ := table.Get(k + 1)
			*v = int(k)
		}
		for k := range uint64(10_000) {
			table.Touch(k + 1)
		}
		if table.Len() != 100 {
			t.Fatalf("%s: %d keys, want 100", name, table.Len())
		}
		for k := range uint64(100) {
			if v := table.Find(k + 1); v == nil || *v != int(k) {
				t.Errorf("%s: key %d is %v", name, k+1, v)
			}
		}
	}
}

func TestGetDoesNotAllocateOnceATableHasGrown(t *testing.T) {
	for name, table := range tables[[4]uint64]() {
		days := func() {
			for k := range uint64(1000) {
				table.Get(k + 1)
				table.Find(k + 500)
				table.Touch(k)
			}
			table.Clear()
		}
		days()
		if n := testing.AllocsPerRun(100, days); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestPairKeyTellsPairsApart(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	keys := map[uint64][2]uint64{}
	for range 200_000 {
		a, b := r.Uint64(), r.Uint64()
		if r.IntN(2) == 0 { // small keys share all but a few bits
			a, b = uint64(r.IntN(500)+1), uint64(r.IntN(500)+1)
		}
		k := pairKey(a, b)
		if k == 0 {
			t.Fatal("a pair has key 0")
		}
		if have, ok := keys[k]; ok && have != [2]uint64{a, b} {
			t.Fatalf("%v and %v have the same key", have, [2]uint64{a, b})
		}
		keys[k] = [2]uint64{a, b}
	}
	if pairKey(1, 2) == pairKey(2, 1) {
		t.Error("a pair and its mirror image have the same key")
	}
}

// Large tables live outside the Go heap, where the collector sees no pointers.
func TestOnlyValuesWithoutPointersLeaveTheHeap(t *testing.T) {
	for _, tt := range []struct {
		value any
		free  bool
	}{
		{session{}, true}, {patron{}, true}, {placeUse{}, true}, {[3]float64{}, true}, {struct{ a struct{ b int8 } }{}, true},
		{"text", false}, {[]int{}, false}, {map[int]int{}, false}, {new(int), false}, {[2]*int{}, false}, {struct{ a struct{ b []int } }{}, false}, {struct{ a any }{}, false},
	} {
		if got := pointerFree(reflect.TypeOf(tt.value)); got != tt.free {
			t.Errorf("%T is free of pointers: %v, want %v", tt.value, got, tt.free)
		}
	}
}
