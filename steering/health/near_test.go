package health

import (
	"testing"
	"time"
)

// TestNear: in how much time a quorum may say down, once failures have begun in so
// many views that it takes less than from the start.
func TestNear(t *testing.T) {
	p := probe()
	p.Fall = 3
	for name, c := range map[string]struct {
		ams, fra, lon []string
		want          time.Duration
	}{
		"all is well":                         {[]string{"ooo"}, []string{"ooo"}, []string{"ooo"}, 0},
		"one vantage is no quorum":            {[]string{"oFF"}, []string{"ooo"}, []string{"ooo"}, 0},
		"two vantages, one failure each":      {[]string{"ooF"}, []string{"ooF"}, []string{"ooo"}, 10 * time.Second},
		"the slower one of the quorum counts": {[]string{"oFF"}, []string{"ooF"}, []string{"ooo"}, 10 * time.Second},
		"two failures each":                   {[]string{"oFF"}, []string{"oFF"}, []string{"ooo"}, 5 * time.Second},
		"down already":                        {[]string{"FFF"}, []string{"FFF"}, []string{"ooo"}, 0},
		"half of the addresses are enough":    {[]string{"oFF", "ooo"}, []string{"oFF", "ooo"}, []string{"ooo", "ooo"}, 5 * time.Second},
		"one of three is not":                 {[]string{"oFF", "ooo", "ooo"}, []string{"oFF", "ooo", "ooo"}, []string{"ooo"}, 0},
		"the name does not resolve":           {[]string{"oNN"}, []string{"oNN"}, []string{"ooo"}, 5 * time.Second},
		"it got better":                       {[]string{"FFo"}, []string{"FFo"}, []string{"ooo"}, 0},
		"too few vantages are left":           {[]string{"oFF"}, nil, nil, 0},
	} {
		w := newWorld(t, revision(p))
		w.rounds(0, map[string][]string{"ams": c.ams, "fra": c.fra, "lon": c.lon})
		if got := w.in("eu").Near; got != c.want {
			t.Errorf("%s: near %v, want %v (%v: %s)", name, got, c.want, w.in("eu").Verdict, w.in("eu").Evidence)
		}
	}
}
