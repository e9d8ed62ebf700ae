package importers

import (
	"bytes"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/geo"
	"fairway/steering/publish"
)

// layoutOf compiles the network map with the built-in country table and a city
// database that knows one network of California.
func layoutOf(t *testing.T, c *policies.Configuration) *steering.Layout {
	t.Helper()
	city, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City"})
	if err != nil {
		t.Fatal(err)
	}
	_, network, err := net.ParseCIDR("8.8.8.0/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := city.Insert(network, mmdbtype.Map{
		"continent":    mmdbtype.Map{"code": mmdbtype.String("NA")},
		"country":      mmdbtype.Map{"iso_code": mmdbtype.String("US")},
		"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String("CA")}},
	}); err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if _, err := city.WriteTo(&data); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "city.mmdb")
	if err := os.WriteFile(path, data.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	table, _, err := geo.Compile(geo.Config{Regions: c.Revision.Regions, Reads: c.Revision.Reads, Databases: []string{path, geo.Embedded}})
	if err != nil {
		t.Fatal(err)
	}
	layout, err := steering.NewLayout(c.Revision, table)
	if err != nil {
		t.Fatal(err)
	}
	return layout
}

// shares decides a world in which the named providers are down and all others
// are healthy at the same latency, and returns the provider (or endpoint, where
// a provider has several) and share of each pick for a client.
func shares(t *testing.T, layout *steering.Layout, service, client string, down ...string) map[string]float64 {
	t.Helper()
	rows := make(map[steering.Subject]map[string]steering.Health)
	for _, s := range layout.Services {
		for _, e := range s.Service.Endpoints {
			h := steering.Health{Verdict: steering.Healthy, Samples: 100, P50: 50 * time.Millisecond, Availability: 1}
			if slices.Contains(down, e.Provider) {
				h.Verdict = steering.Down
			}
			row := make(map[string]steering.Health)
			for _, region := range layout.Revision.RegionNames() {
				row[region] = h
			}
			rows[e.Subject()] = row
		}
	}
	var table steering.HealthTable
	view, err := publish.Still(publish.World{Layout: layout, Health: table.With(rows), Now: time.Unix(1_700_000_000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	at := layout.ByKey(service)
	if at < 0 {
		t.Fatalf("there is no service %q", service)
	}
	d := view.Snapshot.Decide(steering.Query{Service: at, Client: netip.MustParseAddr(client)})
	got := make(map[string]float64)
	for _, pick := range d.Split.Picks() {
		name := pick.Endpoint.ID[len(service)+1:]
		got[name] += pick.Weight
	}
	return got
}

// TestDecisions: for sample clients the imported configuration chooses what the
// original would, also when what it prefers is down. The addresses: 5.9.1.2 is
// in Germany, 8.8.8.8 in California, 12.1.1.1 elsewhere in the United States,
// 133.11.1.2 in Japan, 200.160.2.3 in Brazil, 130.59.1.1 in Switzerland,
// 196.25.1.1 in South Africa, 41.206.1.1 in Nigeria.
func TestDecisions(t *testing.T) {
	type row struct {
		service, client string
		down            []string
		want            map[string]float64
	}
	one := func(name string) map[string]float64 { return map[string]float64{name: 1} }
	for name, rows := range map[string][]row{
		"gdnsd": {
			{"prod_www", "5.9.1.2", nil, one("de")},
			{"prod_www", "5.9.1.2", []string{"de"}, one("us")},
			{"prod_www", "130.59.1.1", nil, one("us")},
			{"prod_www", "8.8.8.8", nil, one("sg")},
			{"prod_www", "12.1.1.1", nil, one("us")},
			{"prod_www", "12.1.1.1", []string{"us"}, one("last")},
			{"prod_www", "133.11.1.2", nil, one("sg")},
			{"prod_www", "200.160.2.3", nil, one("us")}, // the map's default: its datacenters in order
			{"prod_www", "200.160.2.3", []string{"us", "de"}, one("sg")},
			{"prod_www", "10.2.3.4", nil, one("de")},
			{"prod_www", "10.1.2.3", nil, one("us")}, // the longer prefix
			{"prod_www", "10.1.2.3", []string{"us"}, one("us")},
			{"prod_www", "192.0.2.200", nil, one("de")},
			{"prod_www", "2001:db8::5", nil, one("sg")},
			{"prod_www-de", "12.1.1.1", nil, one("de")},
			{"app", "12.1.1.1", nil, one("real")},
			{"app", "12.1.1.1", []string{"real"}, one("backup")},
		},
		"octodns": {
			{"www", "5.9.1.2", nil, map[string]float64{"eu-1": 0.4, "eu-2": 0.6}},
			{"www", "5.9.1.2", []string{"eu"}, one("na-1")},
			{"www", "133.11.1.2", nil, map[string]float64{"apac-1": 0.5, "apac-2": 0.5}},
			{"www", "133.11.1.2", []string{"apac"}, one("na-1")},
			{"www", "196.25.1.1", nil, map[string]float64{"apac-1": 0.5, "apac-2": 0.5}},
			{"www", "41.206.1.1", nil, map[string]float64{"eu-1": 0.4, "eu-2": 0.6}},
			{"www", "8.8.8.8", nil, map[string]float64{"apac-1": 0.5, "apac-2": 0.5}},
			{"www", "12.1.1.1", nil, one("na-1")},
			{"www", "200.160.2.3", nil, one("na-1")},
			{"www", "5.149.176.9", nil, map[string]float64{"apac-1": 0.5, "apac-2": 0.5}},
			{"cdn", "5.9.1.2", nil, one("two-1")},
			{"cdn", "12.1.1.1", nil, one("one-1")},
		},
		"route53": {
			{"weighted", "12.1.1.1", nil, map[string]float64{"Alpha-CDN": 0.75, "Bravo-CDN": 0.25}},
			{"weighted", "12.1.1.1", []string{"Alpha-CDN"}, one("Bravo-CDN")},
			{"geo", "5.9.1.2", nil, one("germany")},
			{"geo", "130.59.1.1", nil, one("europe")},
			{"geo", "8.8.8.8", nil, one("california")},
			{"geo", "12.1.1.1", nil, one("default")},
			{"fail", "12.1.1.1", nil, one("a")},
			{"fail", "12.1.1.1", []string{"a"}, one("b")},
			{"many", "12.1.1.1", nil, map[string]float64{"m1": 0.5, "m2": 0.5}},
		},
	} {
		_, c := imported(t, name)
		layout := layoutOf(t, c)
		for _, r := range rows {
			got := shares(t, layout, r.service, r.client, r.down...)
			same := len(got) == len(r.want)
			for pick, share := range r.want {
				same = same && math.Abs(got[pick]-share) < 1e-9
			}
			if !same {
				t.Errorf("%s: service %s, client %s, down %v: %v, want %v", name, r.service, r.client, r.down, got, r.want)
			}
		}
	}
}

// TestZones: clients are in the region of the coverage zone that the file says.
func TestZones(t *testing.T) {
	_, c := imported(t, "atc-czf")
	layout := layoutOf(t, c)
	for client, want := range map[string]string{
		"198.51.100.9":       "edge-fra",
		"203.0.113.5":        "edge-fra", // the longer of two prefixes
		"203.0.113.200":      "edge-ams",
		"2001:db8:10:4::1":   "edge-fra",
		"2001:db8:10:5::1":   "edge-ams",
		"192.0.2.10":         "edge-ams",
		"192.0.2.130":        "edge-lon",
		"10.9.9.9":           "default-zone",
		"172.16.0.1":         "default",
		"2001:db8:ffff::1":   "default",
		"::ffff:203.0.113.5": "edge-fra",
	} {
		cell, _ := layout.Table.Locate(netip.MustParseAddr(client))
		if got := layout.Table.Cells()[cell].Region; got != want {
			t.Errorf("%s is in %s, want %s", client, got, want)
		}
	}
}
