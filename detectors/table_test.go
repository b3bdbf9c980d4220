package detectors

import (
	"math/bits"
	"math/rand/v2"
	"reflect"
	"testing"
)

// A model test: whatever is done to a table is done to a Go map, and both must hold the same. Keys are
// few and agree in the bits that spread looks at, so that probe runs are long and wrap around.
func TestTableAgainstAMap(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 5))
		var table Table[int]
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

func TestTableGrowsAndGivesMemoryBack(t *testing.T) {
	var table Table[int32]
	if table.Bytes(16) != 0 || table.Find(1) != nil || table.Touch(1) != 0 {
		t.Error("an empty table holds something")
	}
	table.Sweep(func(uint64, *int32) bool { return false })
	const n = 100_000
	for k := range uint64(n) {
		table.Get(k + 1)
		if slots := table.Bytes(1); 4*table.Len() > 3*slots || bits.OnesCount(uint(slots)) != 1 {
			t.Fatalf("%d keys in %d slots: fuller than 3 in 4, or no power of 2", table.Len(), slots)
		}
	}
	full := table.Bytes(16)
	table.Sweep(func(key uint64, _ *int32) bool { return key <= 10 })
	if table.Len() != 10 || table.Bytes(16) > full/1000 {
		t.Errorf("after a sweep to 10 keys: %d keys, %d bytes of %d", table.Len(), table.Bytes(16), full)
	}
	for k := range uint64(n) {
		if got := table.Find(k+1) != nil; got != (k < 10) {
			t.Fatalf("key %d after the sweep: %v", k+1, got)
		}
	}
}

func TestTouchChangesNothing(t *testing.T) {
	var table Table[int]
	for k := range uint64(100) {
		v, _ := table.Get(k + 1)
		*v = int(k)
	}
	for k := range uint64(10_000) {
		table.Touch(k + 1)
	}
	if table.Len() != 100 {
		t.Fatalf("%d keys, want 100", table.Len())
	}
	for k := range uint64(100) {
		if v := table.Find(k + 1); v == nil || *v != int(k) {
			t.Errorf("key %d is %v", k+1, v)
		}
	}
}

func TestGetDoesNotAllocateOnceATableHasGrown(t *testing.T) {
	var table Table[[4]uint64]
	for k := range uint64(1000) {
		table.Get(k + 1)
	}
	k := uint64(0)
	if n := testing.AllocsPerRun(1000, func() { k = k%1000 + 1; table.Get(k); table.Find(k + 500); table.Touch(k) }); n != 0 {
		t.Errorf("%v allocations", n)
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
		{session{}, true}, {patron{}, true}, {placeUse{}, true}, {acquaintance{}, true}, {[3]float64{}, true}, {struct{ a struct{ b int8 } }{}, true},
		{"text", false}, {[]int{}, false}, {map[int]int{}, false}, {new(int), false}, {[2]*int{}, false}, {struct{ a struct{ b []int } }{}, false}, {struct{ a any }{}, false},
	} {
		if got := pointerFree(reflect.TypeOf(tt.value)); got != tt.free {
			t.Errorf("%T is free of pointers: %v, want %v", tt.value, got, tt.free)
		}
	}
}
