//go:build slow

package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"fairway/steering/store/consultest"
	"fairway/tools/freeport"
)

// certifiedFleet is a fleet with Consul whose edges listen for DNS, HTTP and TLS each at
// addresses of its own.
type certifiedFleet struct {
	*certified
	controls map[string]*process // by the API's address
	edges    map[string]string   // the API's address, by that of listen.https
}

// TestCertificatesInFleet: in a fleet with Consul the control node that leads orders one
// certificate for all edges; they answer the authority and show it; nothing in Consul tells
// a key. When the leader dies the next one renews, and all edges show what it got. An edge
// that starts while nobody leads has it from the store.
func TestCertificatesInFleet(t *testing.T) {
	c := newCertified(t, "dns")
	consul := consultest.Start(t, 1)
	secret := write(t, c.temp, "secret", "0123456789abcdef0123456789abcdef")
	text, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(string(text), "acme: {", fmt.Sprintf("acme: {secret_file: %q, ", secret), 1) +
		fmt.Sprintf("store: {consul: {address: %q, prefix: test}}\ndnssec: {keys: store, secret_file: %q}\n", consul[0].Address, secret)
	write(t, c.temp, "fairway.yaml", config)
	f := &certifiedFleet{certified: c, controls: make(map[string]*process), edges: make(map[string]string)}
	f.startEdge(c.https, config)
	second := f.address()
	f.startEdge(second, config)
	for _, api := range []string{c.api, f.address()} {
		f.controls[api] = f.start("control", api, c.config)
	}
	c.api = f.leads()
	first := c.obtains()
	f.showEverywhere("the leader's", first)
	if got := f.obtained(); got != 1 {
		t.Errorf("%d certificates were ordered for the fleet, want one", got)
	}
	f.sealed(consul[0].Address)

	f.controls[c.api].kill()
	delete(f.controls, c.api)
	c.api = f.leads()
	c.text("certificates", "renew", "--all")
	renewed := c.obtainsBeside(first)
	f.showEverywhere("the next leader's", renewed)

	f.controls[c.api].kill()
	third := f.address()
	f.startEdge(third, config)
	f.showEverywhere("the last leader's, without any,", renewed)
}

func (f *certifiedFleet) address() string {
	return fmt.Sprintf("127.0.0.1:%d", freeport.Find(f.t, "127.0.0.1"))
}

// start starts a node with a folder of its own: what nodes share is in Consul.
func (f *certifiedFleet) start(roles, api, config string) *process {
	_, port, _ := strings.Cut(api, ":")
	return start(f.t, f.temp, "run", "--config", config, "--data", filepath.Join(f.data, port), "--role", roles, "--name", "node-"+port, "--api", api)
}

// startEdge starts an edge that has TLS at an address; the first is that of the files.
func (f *certifiedFleet) startEdge(https, config string) {
	if https != f.https {
		for _, taken := range []string{f.dns, f.dot, f.http} {
			config = strings.ReplaceAll(config, taken, f.address())
		}
		config = strings.ReplaceAll(config, f.https, https)
	}
	api := f.address()
	_, port, _ := strings.Cut(https, ":")
	f.start("dns,http", api, write(f.t, f.temp, port+".yaml", config))
	f.edges[https] = api
}

// leads waits until one of the control nodes leads.
func (f *certifiedFleet) leads() (api string) {
	f.t.Helper()
	until(f.t, 2*patience, "a control node leads", func() bool {
		for api = range f.controls {
			connection := connection{address: api}
			var told fleetNode
			if node, err := connection.open(); err == nil && node.Do(f.t.Context(), "GET", fleetPath+"node", nil, &told) == nil && told.Leads {
				return true
			}
		}
		return false
	})
	return api
}

// showEverywhere waits until every edge shows a certificate.
func (f *certifiedFleet) showEverywhere(whose string, want *big.Int) {
	f.t.Helper()
	for https := range f.edges {
		until(f.t, patience, "the edge at "+https+" shows "+whose+" certificate", func() bool {
			got := f.shown(https)
			return got != nil && got.Cmp(want) == 0
		})
	}
}

var obtainedMetric = regexp.MustCompile(`(?m)^fairway_certificate_requests_total\{outcome="obtained"\} (\d+)$`)

// obtained is how many certificates all nodes together have been given.
func (f *certifiedFleet) obtained() (sum int) {
	f.t.Helper()
	for _, api := range f.edges {
		sum += f.counted(api)
	}
	for api := range f.controls {
		sum += f.counted(api)
	}
	return sum
}

func (f *certifiedFleet) counted(api string) int {
	f.t.Helper()
	match := obtainedMetric.FindStringSubmatch((&doors{t: f.t, api: api}).scrape())
	if match == nil {
		f.t.Errorf("the node at %s does not tell of certificates", api)
		return 0
	}
	n, _ := strconv.Atoi(match[1])
	return n
}

// sealed looks at what Consul has of the certificates.
func (f *certifiedFleet) sealed(consul string) {
	f.t.Helper()
	answer, err := direct.Get("http://" + consul + "/v1/kv/test/values/acme/?recurse")
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	var pairs []struct {
		Key   string
		Value []byte
	}
	if err := json.NewDecoder(answer.Body).Decode(&pairs); err != nil {
		f.t.Fatal(err)
	}
	if len(pairs) < 2 {
		f.t.Errorf("Consul has %d values of acme, want a certificate and an account", len(pairs))
	}
	for _, p := range pairs {
		var kept struct{ Value struct{ Data []byte } }
		if err := json.Unmarshal(p.Value, &kept); err != nil || len(kept.Value.Data) == 0 {
			f.t.Errorf("%s has %q, %v", p.Key, p.Value, err)
		}
		if data := kept.Value.Data; json.Valid(data) || strings.Contains(string(data), "PRIVATE KEY") {
			f.t.Errorf("%s lies open: %q", p.Key, data)
		}
	}
}
