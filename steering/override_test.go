package steering_test

import (
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func drain() steering.Override {
	return steering.Override{
		ID: "1", Kind: steering.Drain, Provider: "alpha", Reason: "maintenance", Author: "ann",
		Created: noon, Expires: noon.Add(time.Hour),
	}
}

func TestOverrideApplies(t *testing.T) {
	e := &steering.Endpoint{ID: "live/alpha", Service: "live", Provider: "alpha", Pool: "one"}
	service := &steering.Service{Key: "live", Labels: map[string]string{"team": "sport-live", "tier": "gold"}}
	for _, row := range []struct {
		name     string
		override steering.Override
		region   string
		want     bool
	}{
		{"provider", steering.Override{Provider: "alpha"}, "eu", true},
		{"another provider", steering.Override{Provider: "bravo"}, "eu", false},
		{"endpoint", steering.Override{Endpoint: "live/alpha"}, "eu", true},
		{"another endpoint", steering.Override{Endpoint: "vod/alpha"}, "eu", false},
		{"provider in this region", steering.Override{Provider: "alpha", Region: "eu"}, "eu", true},
		{"provider in another region", steering.Override{Provider: "alpha", Region: "na"}, "eu", false},
		{"the default region is not every region", steering.Override{Provider: "alpha", Region: steering.DefaultRegion}, "eu", false},
		{"provider for this service", steering.Override{Provider: "alpha", Service: "live"}, "eu", true},
		{"provider for another service", steering.Override{Provider: "alpha", Service: "vod"}, "eu", false},
		{"pool", steering.Override{Pool: "one"}, "eu", true},
		{"another pool", steering.Override{Pool: "two"}, "eu", false},
		{"provider and pool", steering.Override{Provider: "alpha", Pool: "one"}, "eu", true},
		{"provider and another pool", steering.Override{Provider: "alpha", Pool: "two"}, "eu", false},
		{"a label", steering.Override{Provider: "alpha", Labels: "tier=gold"}, "eu", true},
		{"a label by glob", steering.Override{Provider: "alpha", Labels: "team=sport*"}, "eu", true},
		{"all labels must match", steering.Override{Provider: "alpha", Labels: "team=sport*, tier=silver"}, "eu", false},
		{"a label that the service lacks", steering.Override{Provider: "alpha", Labels: "owner=*"}, "eu", false},
		{"endpoint, region and service", steering.Override{Endpoint: "live/alpha", Region: "eu", Service: "live"}, "eu", true},
	} {
		if got := row.override.Applies(service, e, row.region); got != row.want {
			t.Errorf("%s: applies %v, want %v", row.name, got, row.want)
		}
	}
}

func TestOverrideActive(t *testing.T) {
	o := drain()
	for at, want := range map[time.Time]bool{
		noon:                                  true,
		noon.Add(time.Hour - time.Nanosecond): true,
		noon.Add(time.Hour):                   false,
		noon.Add(2 * time.Hour):               false,
	} {
		if got := o.Active(at); got != want {
			t.Errorf("active at %v: %v, want %v", at, got, want)
		}
	}
}

func TestOverrideValidate(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*steering.Override)
		want   []string
	}{
		{"sound", func(*steering.Override) {}, nil},
		{"force of an endpoint", func(o *steering.Override) { o.Kind, o.Provider, o.Endpoint = steering.Force, "", "live/alpha" }, nil},
		{"no kind", func(o *steering.Override) { o.Kind = "" }, []string{"none of drain, force, weight, freeze"}},
		{"neither provider nor endpoint", func(o *steering.Override) { o.Provider = "" }, []string{"a provider, an endpoint or a pool"}},
		{"both", func(o *steering.Override) { o.Endpoint = "live/alpha" }, nil},
		{"a pool", func(o *steering.Override) { o.Provider, o.Pool = "", "eu" }, nil},
		{"a weight", func(o *steering.Override) { o.Kind, o.Weight = steering.Weigh, 2.5 }, nil},
		{"a weight of nothing", func(o *steering.Override) { o.Kind = steering.Weigh }, nil},
		{"a negative weight", func(o *steering.Override) { o.Kind, o.Weight = steering.Weigh, -1 }, []string{"0 to 1000000"}},
		{"a drain with a weight", func(o *steering.Override) { o.Weight = 1 }, []string{"only an override of kind weight"}},
		{"a freeze", func(o *steering.Override) { o.Kind, o.Provider = steering.Freeze, "" }, nil},
		{"a freeze of a provider", func(o *steering.Override) { o.Kind = steering.Freeze }, []string{"services and regions"}},
		{"labels", func(o *steering.Override) { o.Labels = "team=sport*,tier=gold" }, nil},
		{"labels without a value", func(o *steering.Override) { o.Labels = "team" }, []string{"KEY=GLOB"}},
		{"a broken glob", func(o *steering.Override) { o.Labels = "team=[" }, []string{"KEY=GLOB"}},
		{"blank reason", func(o *steering.Override) { o.Reason = " \t" }, []string{"a reason is required"}},
		{"blank author", func(o *steering.Override) { o.Author = "" }, []string{"an author is required"}},
		{"no expiry", func(o *steering.Override) { o.Expires = time.Time{} }, []string{"an expiry is required"}},
		{"over before it begins", func(o *steering.Override) { o.Expires = o.Created }, []string{"expires before it begins"}},
		{"all at once", func(o *steering.Override) { *o = steering.Override{} },
			[]string{"kind", "reason", "author", "expiry"}},
	} {
		o := drain()
		row.change(&o)
		err := o.Validate()
		if (err == nil) != (row.want == nil) {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not say %q", row.name, err, want)
			}
		}
	}
}
