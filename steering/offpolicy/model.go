package offpolicy

import "hash/fnv"

const (
	folds   = 5
	kinship = 10 // trials of a narrower circle that outweigh the wider one
)

// model says what reward an endpoint gives to clients of a circle.
type model struct {
	means map[key]*tally
	total tally
	none  map[string]*tally // by circle, whatever was told
}

type key struct{ circle, endpoint string }

// tally is a sum of rewards, once for each fold of the units: what is said of a unit
// leaves its own fold out.
type tally struct {
	n, sum [folds]float64
}

func (t *tally) add(fold int, reward float64) {
	t.n[fold]++
	t.sum[fold] += reward
}

// without gives number and sum of all folds but one.
func (t *tally) without(fold int) (n, sum float64) {
	for i := range t.n {
		if i != fold {
			n, sum = n+t.n[i], sum+t.sum[i]
		}
	}
	return n, sum
}

func fit(trials []Trial) *model {
	m := &model{means: make(map[key]*tally), none: make(map[string]*tally)}
	for i := range trials {
		t := &trials[i]
		fold := foldOf(t.Unit)
		m.total.add(fold, t.Reward)
		tallyOf(m.means, key{"", t.Told}).add(fold, t.Reward)
		for _, c := range t.Circle {
			tallyOf(m.means, key{c, t.Told}).add(fold, t.Reward)
			tallyOf(m.none, c).add(fold, t.Reward)
		}
	}
	return m
}

func tallyOf[K comparable](m map[K]*tally, k K) *tally {
	if m[k] == nil {
		m[k] = new(tally)
	}
	return m[k]
}

// says gives the expected reward of a trial's client at an endpoint, or at none in
// particular: each circle's mean, drawn towards that of the wider one.
func (m *model) says(t *Trial, endpoint string) float64 {
	fold := foldOf(t.Unit)
	n, sum := m.total.without(fold)
	mean := 0.0
	if n > 0 {
		mean = sum / n
	}
	draw := func(of *tally) {
		if of != nil {
			n, sum := of.without(fold)
			mean = (sum + kinship*mean) / (n + kinship)
		}
	}
	// How clients of these circles fare at all, then how they fare there: a far
	// region is slow from everywhere.
	if endpoint == "" {
		for i := len(t.Circle) - 1; i >= 0; i-- {
			draw(m.none[t.Circle[i]])
		}
		return mean
	}
	draw(m.means[key{"", endpoint}])
	for i := len(t.Circle) - 1; i >= 0; i-- {
		draw(m.means[key{t.Circle[i], endpoint}])
	}
	return mean
}

func foldOf(unit string) int {
	h := fnv.New32a()
	h.Write([]byte(unit))
	return int(h.Sum32() % folds)
}
