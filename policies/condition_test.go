package policies

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairway/steering"
)

// ruleOf compiles a when into a rule.
func ruleOf(t testing.TB, expression string) *steering.Rule {
	t.Helper()
	r := compileWith(t, "policies:\n  p:\n    rules:\n      - name: r\n        when: |-\n          "+expression+"\n")
	return policyOf(t, r, "p").Rules[0]
}

// TestConditionReadsAllFacts asks what a when can read beside the attributes of a
// network: how a client asks, of which service, and when.
func TestConditionReadsAllFacts(t *testing.T) {
	cell := &steering.Cell{Region: "eu", Family: steering.FamilyIPv6, Prefix: netip.MustParsePrefix("2001:db8:1::/48")}
	gold := &steering.Service{Key: "live", Labels: map[string]string{"tier": "gold"}}
	dns, resolver := steering.Query{}, steering.Query{Source: steering.SourceResolver}
	vod := steering.Query{Door: steering.DoorRedirect, Path: "/vod/a.m3u8"}
	// A Saturday in summer: 20:30 in Berlin, 18:30 in UTC.
	match := time.Date(2026, 7, 4, 18, 30, 40, 0, time.UTC)
	tests := []struct {
		expression string
		query      steering.Query
		want       bool
	}{
		{`client.family == "ipv6"`, dns, true},
		{`client.family != "ipv6"`, dns, false},
		{`client.prefix.within("2001:db8::/32")`, dns, true},
		{`client.prefix.within("2001:db8:1::/48")`, dns, true},
		{`client.prefix.within("2001:db8:1:2::/64")`, dns, false}, // wider than it
		{`client.prefix.within(["192.0.2.0/24", "2001:db8::/32"])`, dns, true},
		{`!client.prefix.within("192.0.2.0/24")`, dns, true},
		{`client.source == "resolver"`, dns, false},
		{`client.source == "resolver"`, resolver, true},
		{`query.door == "dns"`, dns, true},
		{`query.door in ["redirect", "steering"]`, vod, true},
		{`query.door in ["redirect", "steering"]`, dns, false},
		{`query.path.startsWith("/vod/")`, vod, true},
		{`query.path.startsWith("/vod/")`, dns, false},
		{`query.path.endsWith(".m3u8") && !query.path.contains("live")`, vod, true},
		{`query.path == "/vod/a.m3u8" && query.path != "/"`, vod, true},
		{`query.path in ["/a", "/b"] || query.path.matches("^/vod/[a-z].m3u8$")`, vod, true},
		{`query.path != "/a"`, dns, true}, // nobody asks DNS for a path
		{`service.key == "live"`, dns, true},
		{`service.labels.tier == "gold"`, dns, true},
		{`service.labels["tier"] in ["silver"]`, dns, false},
		{`service.labels.nothing != "x"`, dns, false}, // cannot be computed
		{`has(service.labels.tier) && !has(service.labels.nothing)`, dns, true},
		{`now.getHours("Europe/Berlin") == 20`, dns, true},
		{`now.getHours() == 18 && now.getSeconds() == 0`, dns, true}, // whole minutes
		{`now.getDayOfWeek("Europe/Berlin") == 6`, dns, true},
		{`now.between("20:30", "23:00", "Europe/Berlin")`, dns, true},
		{`now.between("20:31", "23:00", "Europe/Berlin")`, dns, false},
		{`now.between("18:00", "18:30", "UTC")`, dns, false}, // the end is not in it
		{`now.between("22:00", "19:00", "UTC")`, dns, true},  // over midnight
		{`now.between("22:00", "06:00", "UTC")`, dns, false}, //
		{`now >= timestamp("2026-07-04T18:30:00Z") && now < timestamp("2026-07-05T00:00:00Z")`, dns, true},
	}
	for _, tt := range tests {
		if got := ruleOf(t, tt.expression).Matches(cell, gold, tt.query, match); got != tt.want {
			t.Errorf("when %s = %t for %+v, want %t", tt.expression, got, tt.query, tt.want)
		}
	}
}

// TestConditionSaysWhatItReads: what is not read is not told apart.
func TestConditionSaysWhatItReads(t *testing.T) {
	for expression, want := range map[string][5]bool{ // service, door, source, time, path
		`client.country == "DE"`:                                          {},
		`service.key == "live" || service.labels.a == "b"`:                {0: true},
		`query.door == "dns"`:                                             {1: true},
		`client.source == "client"`:                                       {2: true},
		`now.getHours("UTC") > 5`:                                         {3: true},
		`query.path == "/" || query.path.startsWith("/a")`:                {4: true},
		`query.path.contains("a") ? query.door == "dns" : 1 > client.asn`: {1: true, 4: true},
	} {
		r := ruleOf(t, expression).Reads
		if got := [5]bool{r.Service, r.Door, r.Source, r.Time, len(r.Paths) > 0}; got != want {
			t.Errorf("%s reads %v, want %v", expression, got, want)
		}
	}
}

// TestEqualPathQuestionsAreOne: they take one of the few places.
func TestEqualPathQuestionsAreOne(t *testing.T) {
	r := ruleOf(t, `query.path.startsWith("/a") && client.region == "eu" || query.path.startsWith("/a") || query.path in ["/b", "/c"]`)
	if len(r.Reads.Paths) != 2 {
		t.Errorf("%d questions about the path, want 2: %+v", len(r.Reads.Paths), r.Reads.Paths)
	}
}

func TestReadsOfPrefixesAndFamily(t *testing.T) {
	r := compileWith(t, `policies:
  p:
    rules:
      - {name: a, when: 'client.prefix.within(["2001:db8::/32", "192.0.2.0/24"]) || client.prefix.within("192.0.2.0/24")'}
      - {name: b, when: 'client.family == "ipv4"'}
`)
	if len(r.Reads.Prefixes) != 2 || !r.Reads.Family {
		t.Errorf("reads %+v, want two prefixes and the family", r.Reads)
	}
}

// TestFencesFailClosed: a fence that cannot be computed bars.
func TestFencesFailClosed(t *testing.T) {
	r := compileWith(t, `services:
  fenced:
    endpoints:
      - {provider: akamai, url: https://a.example, geofence: 10 / (client.asn - 1) == 5}
      - {provider: fastly, url: https://b.example, blocked: {when: 10 / (client.asn - 1) == 5, reason: an order}}
`)
	for _, s := range r.Services {
		for _, e := range s.Endpoints {
			for _, f := range e.Fences {
				if !f.Bars(&steering.Cell{Attributes: steering.Attributes{ASN: 1}}) {
					t.Errorf("%s: %s lets through what cannot be computed", e.ID, f.Code)
				}
				if got, want := f.Bars(&steering.Cell{Attributes: steering.Attributes{ASN: 3}}), f.Code == steering.ReasonBlocked; got != want {
					t.Errorf("%s: %s bars = %t, want %t", e.ID, f.Code, got, want)
				}
			}
		}
	}
}

// sameZone compares time zones by name.
var sameZone = cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })
