package steering_test

import (
	"slices"
	"testing"
	"time"

	"fairway/steering"
)

func TestRevisionLookups(t *testing.T) {
	r := revision()
	r.Pools = []*steering.Pool{{Name: "eu"}, {Name: "us"}}
	if p := r.Pool("us"); p != r.Pools[1] || r.Pool("asia") != nil {
		t.Errorf("pool us is %v, pool asia %v", p, r.Pool("asia"))
	}
	if s := r.Service("vod"); s != r.Services[1] || r.Service("radio") != nil {
		t.Errorf("service vod is %v, service radio %v", s, r.Service("radio"))
	}
	if g := r.Region("office"); g != &r.Regions[1] || r.Region(steering.DefaultRegion) != nil {
		t.Errorf("region office is %v, the default region %v", g, r.Region(steering.DefaultRegion))
	}
	if got, want := r.RegionNames(), []string{"eu", "office", "default"}; !slices.Equal(got, want) {
		t.Errorf("regions %v, want %v", got, want)
	}
}

func TestWords(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{steering.Place{}.String(), "built in"},
		{steering.Place{File: "a.yaml", Line: 3}.String(), "a.yaml:3"},
		{steering.Place{File: "a.yaml", Line: 3, Col: 5}.String(), "a.yaml:3:5"},
		{steering.Reason{Code: steering.ReasonBest}.String(), "best"},
		{steering.Reason{Code: steering.ReasonBest, Detail: "0.91"}.String(), "best: 0.91"},
		{string(steering.EndpointSubject("live/alpha")), "endpoint live/alpha"},
		{string((&steering.Endpoint{ID: "live/alpha"}).Subject()), "endpoint live/alpha"},
		{string(steering.OriginSubject("eu", "https://o.example")), "origin eu https://o.example"},
	} {
		if row.got != row.want {
			t.Errorf("%q, want %q", row.got, row.want)
		}
	}
}

// Name resolution and the body are not what a player waits for at the CDN.
func TestLatency(t *testing.T) {
	p := steering.Phases{DNS: 1, Connect: 10, TLS: 100, TTFB: 1000, Transfer: 10000}
	if got := p.Latency(); got != time.Duration(1110) {
		t.Errorf("latency %d, want 1110", got)
	}
}

func TestOutcomesAreComplete(t *testing.T) {
	all := steering.Outcomes()
	for _, o := range all {
		m := steering.Measurement{Outcome: o}
		if m.OK() != (o == steering.OutcomeOK) {
			t.Errorf("%s is ok: %v", o, m.OK())
		}
	}
	slices.Sort(all)
	if got := len(slices.Compact(all)); got != 14 {
		t.Errorf("%d outcomes, want 14 different ones", got)
	}
}

func TestReadSet(t *testing.T) {
	for _, row := range []struct {
		set   steering.ReadSet
		value string
		want  bool
	}{
		{steering.ReadSet{}, "DE", false},
		{steering.ReadSet{Values: []string{"AT", "DE"}}, "DE", true},
		{steering.ReadSet{Values: []string{"AT", "DE"}}, "FR", false},
		{steering.ReadSet{All: true}, "FR", true},
	} {
		if got := row.set.Has(row.value); got != row.want {
			t.Errorf("%+v.Has(%q) = %v", row.set, row.value, got)
		}
	}
}
