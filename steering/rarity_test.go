package steering

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The table is what its comment says.
func TestLogarithms(t *testing.T) {
	for i, entry := range logarithms {
		c := 1 + (float64(i)+0.5)/64
		if math.Abs(entry.inverse-1/c) > 1e-16 || math.Abs(entry.log2-math.Log2(c)) > 1e-15 {
			t.Errorf("entry %d is %v, want 1/c and log2(c) of c = %v", i, entry, c)
		}
	}
}

// Within the promised error of the logarithm, at every scale.
func TestRarityIsTheLogarithm(t *testing.T) {
	check := func(h uint64) {
		if got, want := rarity(h), -math.Log2(unit(h)); math.Abs(got-want) > 1.0/(1<<40) {
			t.Errorf("rarity(%#x) = %v, want %v", h, got, want)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 1_000_000 {
		h := r.Uint64()
		check(h)
		check(h >> r.UintN(64))
		check(^(h >> r.UintN(64)))
	}
	check(0)
	check(math.MaxUint64)
}
