package allocate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// claim is a group of so many Gbit/s whose options draw on the capacities of the
// same index.
func claim(gbps float64, shares ...float64) Claim {
	c := Claim{Demand: [2]float64{gbps, 0}}
	for i, share := range shares {
		c.Options = append(c.Options, Option{Share: share, Draws: []int{i}})
	}
	return c
}

func caps(limits ...float64) []Capacity {
	var all []Capacity
	for _, l := range limits {
		all = append(all, Capacity{Limit: l})
	}
	return all
}

func shares(c Claim) []float64 {
	var all []float64
	for _, o := range c.Options {
		all = append(all, math.Round(o.Share*1e4)/1e4)
	}
	return all
}

func wantShares(t *testing.T, what string, c Claim, want ...float64) {
	t.Helper()
	for i, got := range shares(c) {
		if math.Abs(got-want[i]) > 1e-3 {
			t.Errorf("%s: shares %v, want %v", what, shares(c), want)
			return
		}
	}
}

func TestFit(t *testing.T) {
	fits := []Claim{claim(90, 1, 0, 0)}
	Fit(fits, caps(100, 100, 100))
	wantShares(t, "what fits is left alone", fits[0], 1, 0, 0)

	spill := []Claim{claim(200, 1, 0, 0)}
	Fit(spill, caps(100, 100, 300))
	wantShares(t, "what is over goes where the room is", spill[0], 0.5, 0.125, 0.375)

	open := []Claim{claim(200, 1, 0, 0)}
	open[0].Options[2].Draws = nil
	Fit(open, caps(100, 100))
	wantShares(t, "an endpoint without a cap counts as the widest", open[0], 0.5, 0.25, 0.25)

	never := []Claim{claim(200, 1, 0, 0)}
	never[0].Options[1].Class = -1
	Fit(never, caps(100, 100, 100))
	wantShares(t, "what must not take any takes none", never[0], 0.5, 0, 0.5)

	classes := []Claim{claim(200, 1, 0, 0)}
	classes[0].Options[2].Class = 1
	Fit(classes, caps(100, 70, 100))
	wantShares(t, "the next class takes what the first cannot", classes[0], 0.5, 0.35, 0.15)

	two := []Claim{claim(100, 1, 0), {Demand: [2]float64{100, 0}, Options: []Option{{Share: 1, Draws: []int{0}}}}}
	Fit(two, caps(120, 100))
	wantShares(t, "who can go elsewhere makes room", two[0], 0.2, 0.8)
	wantShares(t, "for who cannot", two[1], 1)

	if got := Fit([]Claim{claim(200, 1)}, caps(100)); got != 1 {
		t.Errorf("nowhere to go: stretched by %v, want 1, since no limit would help", got)
	}
	unknown := []Claim{claim(0, 1, 0)}
	Fit(unknown, caps(1, 1))
	wantShares(t, "traffic that is not known moves nobody", unknown[0], 1, 0)
}

func TestFitOverloadsAllAlike(t *testing.T) {
	c := []Claim{claim(300, 1, 0, 0)}
	stretch := Fit(c, caps(100, 50, 50))
	if stretch < 1.5 || stretch > 1.5*stretchStep*1.001 {
		t.Errorf("stretched by %v, want about 1.5: the caps hold 200 of 300", stretch)
	}
	for i, limit := range []float64{100, 50, 50} {
		if load := 300 * c[0].Options[i].Share / limit; load < 1.3 || load > 1.5*stretchStep*1.001 {
			t.Errorf("endpoint %d is loaded by %.2f of its cap, want all alike, about 1.5", i, load)
		}
	}
}

// Caps of regions and of the whole account, in bit/s and in requests, hold together.
func TestFitManyCapacities(t *testing.T) {
	capacities := []Capacity{{Limit: 60}, {Limit: 60}, {Limit: 90}, {Unit: 1, Limit: 500}}
	option := func(draws ...int) Option { return Option{Draws: draws} }
	eu := Claim{Demand: [2]float64{50, 300}, Options: []Option{option(0, 2, 3), option(), option(1)}}
	na := Claim{Demand: [2]float64{50, 300}, Options: []Option{option(1, 2, 3), option(), option(0)}}
	eu.Options[0].Share, na.Options[0].Share = 1, 1
	claims := []Claim{eu, na}
	Fit(claims, capacities)
	account := 50*claims[0].Options[0].Share + 50*claims[1].Options[0].Share
	requests := 300*claims[0].Options[0].Share + 300*claims[1].Options[0].Share
	if account > 90.001 || requests > 500.001 || requests < 499 {
		t.Errorf("the account carries %.1f of 90 and %.1f of 500 requests: the tighter one is what is used up", account, requests)
	}
}

// Whatever the traffic and the caps: nothing is lost, no limit is passed by more
// than the stretch while something could move, and no more moves than must.
func TestFitProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for round := range 3000 {
		n, groups := 2+r.IntN(5), 1+r.IntN(6)
		var limits []float64
		for range n {
			limits = append(limits, 10+90*r.Float64())
		}
		var claims []Claim
		before := make([]float64, n)
		for range groups {
			c := claim(60*r.Float64(), make([]float64, n)...)
			sum := 0.0
			for k := range c.Options {
				if r.IntN(2) == 0 {
					c.Options[k].Share = r.Float64()
				}
				c.Options[k].Class = r.IntN(3)
				sum += c.Options[k].Share
			}
			if sum == 0 {
				c.Options[0].Share, sum = 1, 1
			}
			for k := range c.Options {
				c.Options[k].Share /= sum
				before[k] += c.Options[k].Share * c.Demand[0]
			}
			claims = append(claims, c)
		}
		over := 0.0
		for k := range before {
			over += max(0, before[k]-limits[k])
		}
		stretch := Fit(claims, caps(limits...))
		after, moved := make([]float64, n), 0.0
		for _, c := range claims {
			sum := 0.0
			for k, o := range c.Options {
				if o.Share < -1e-9 || o.Share > 1+1e-9 {
					t.Fatalf("round %d: a share of %v", round, o.Share)
				}
				sum += o.Share
				after[k] += o.Share * c.Demand[0]
			}
			if math.Abs(sum-1) > 1e-6 {
				t.Fatalf("round %d: shares sum to %v", round, sum)
			}
		}
		for k := range after {
			if after[k] > limits[k]*stretch*1.001 {
				t.Fatalf("round %d: %v of %v with a stretch of %v", round, after[k], limits[k], stretch)
			}
			moved += max(0, before[k]-after[k])
		}
		if stretch == 1 && moved > over*1.001+1e-6 {
			t.Fatalf("round %d: %v moved, and only %v were over", round, moved, over)
		}
	}
}

// TestCascade is gdnsd's issue 126: when a site dies, the nearest one takes all
// its clients, dies of it, and so on. Here the sites die one after the other, as
// they would of an overload, and none of those left is ever over its cap until all
// of them together are too few.
func TestCascade(t *testing.T) {
	limits := []float64{100, 100, 80, 80, 60}
	demand := 200.0
	order := []float64{0, 1, 2, 3, 4} // everybody likes them in this order
	alive := []bool{true, true, true, true, true}
	for lost := range limits {
		c := claim(demand, make([]float64, len(limits))...)
		capacity, first := 0.0, -1
		for k := range limits {
			if !alive[k] {
				c.Options[k].Class = -1
				continue
			}
			capacity += limits[k]
			if first < 0 || order[k] < order[first] {
				first = k
			}
		}
		c.Options[first].Share = 1 // best takes all, had it no cap
		claims := []Claim{c}
		stretch := Fit(claims, caps(limits...))
		worst := 0.0
		for k, o := range claims[0].Options {
			if !alive[k] && o.Share > 0 {
				t.Errorf("%d lost: site %d is dead and has clients", lost, k)
			}
			worst = max(worst, demand*o.Share/limits[k])
		}
		t.Logf("%d lost: %.0f of capacity for %.0f, shares %.2f, worst load %.2f of a cap", lost, capacity, demand, shares(claims[0]), worst)
		switch {
		case capacity >= demand && (worst > 1.001 || stretch != 1):
			t.Errorf("%d lost: a site carries %.2f of its cap while %.0f of capacity are left for %.0f", lost, worst, capacity, demand)
		case capacity < demand && worst > demand/capacity*stretchStep*1.001:
			t.Errorf("%d lost: a site carries %.2f of its cap; alike, it would be %.2f", lost, worst, demand/capacity)
		}
		alive[first] = false
	}
}

func BenchmarkFit(b *testing.B) {
	base := make([]Claim, 0, 1000*10)
	for range cap(base) {
		base = append(base, claim(1, 1, 0, 0, 0, 0, 0, 0, 0))
	}
	limits := caps(8000, 1000, 1000, 1000, 1000, 1000, 1000, 1000)
	claims := make([]Claim, len(base))
	for b.Loop() {
		for i := range base {
			claims[i] = Claim{Demand: base[i].Demand, Options: append([]Option(nil), base[i].Options...)}
		}
		Fit(claims, limits)
	}
}

// What was on a capacity stays when what comes anew can leave; of what was there no more
// goes than must.
func TestWhoWasThereStays(t *testing.T) {
	claims := func(demand float64) []Claim {
		return []Claim{
			{Demand: [2]float64{60}, Options: []Option{{Share: 1, Held: 1, Draws: []int{0}}, {Class: 1, Draws: []int{1}}}},
			{Demand: [2]float64{demand}, Options: []Option{{Share: 1, Draws: []int{0}}, {Class: 1, Held: 1, Draws: []int{1}}}},
		}
	}
	limits := []Capacity{{Limit: 80}, {Limit: 200}}
	c := claims(50)
	Fit(c, limits)
	if c[0].Options[0].Share != 1 || math.Abs(c[1].Options[0].Share-0.4) > 1e-6 {
		t.Errorf("60 were there of 80, 50 come: %+v, want that only 20 of them come in", c)
	}
	limits[0].Limit = 45
	c = claims(50)
	Fit(c, limits)
	if math.Abs(c[0].Options[0].Share-0.75) > 1e-6 || c[1].Options[0].Share > 1e-6 {
		t.Errorf("60 were there of 45: %+v, want 45 of them to stay and nobody to come in", c)
	}
}

// Where all that some may use is too little, the limits of others hold all the same.
func TestOnlyWhatIsShortIsStretched(t *testing.T) {
	eu, na := claim(300, 1, 0), claim(90, 0.9, 0.1)
	na.Options[0].Draws, na.Options[1].Draws = []int{2}, []int{3}
	claims := []Claim{eu, na}
	if stretch := Fit(claims, caps(100, 100, 80, 100)); stretch < 1.5 || stretch > 1.5*stretchStep*1.001 {
		t.Errorf("stretched by %v, want about 1.5: the first two caps hold 200 of 300", stretch)
	}
	wantShares(t, "who has room elsewhere keeps its caps", claims[1], 80.0/90, 10.0/90)
	claims = []Claim{claim(300, 1, 0), na}
	claims[1].Options[0].Share, claims[1].Options[1].Share = 1, 0
	Fit(claims, caps(100, 100, 80, 100))
	wantShares(t, "and goes there", claims[1], 80.0/90, 10.0/90)
}
