package policies

import (
	"errors"
	"fmt"
	"strings"
)

// Starter writes a configuration to start from: one service over the given CDN
// hostnames. It compiles without errors, and its comments say what to change.
func Starter(hosts []string) ([]byte, error) {
	if len(hosts) == 0 {
		return nil, errors.New("init: name at least one CDN hostname, such as live.akamaized.example")
	}
	var wrong []error
	var names []string
	first := make(map[string]bool)
	for _, host := range hosts {
		name, why := fullName(host)
		switch {
		case why != "":
			wrong = append(wrong, fmt.Errorf("init: %q %s; give host names only, such as live.akamaized.example", clip(host), why))
		case first[name]:
			wrong = append(wrong, fmt.Errorf("init: %s is named twice; name it once", strings.TrimSuffix(name, ".")))
		default:
			first[name] = true
			names = append(names, strings.TrimSuffix(name, "."))
		}
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	return []byte(starterHead + starterCDNs(names) + starterTail), nil
}

// starterCDNs writes the providers and the service with its endpoints.
func starterCDNs(hosts []string) string {
	var providers, endpoints strings.Builder
	count := make(map[string]int)
	for i, host := range hosts {
		cdn := cdnOf(host)
		count[cdn]++
		if count[cdn] == 1 {
			fmt.Fprintf(&providers, "  %s: {}   # price_per_gb: 0.005 lets policies weigh the cost\n", cdn)
		}
		name := ""
		if count[cdn] > 1 {
			// Two endpoints of one provider and pool need names of their own.
			name = fmt.Sprintf(", name: %s-%d", cdn, count[cdn])
		}
		fmt.Fprintf(&endpoints, "      - {provider: %s, host: %s, url: \"https://%s\", pathway: P%d%s}\n", cdn, host, host, i+1, name)
	}
	return "# The CDNs.\nproviders:\n" + providers.String() + `
# What players ask for. Here it is one service; its key, live, is in URLs and metrics.
services:
  live:
    hostnames: [live.video.example]
    ttl: 20s
    endpoints:
` + endpoints.String() + `    probe: page
    policy: fastest
`
}

// cdnOf guesses a provider's name from a hostname of its network: a known
// suffix, or the label before the last two or the last.
func cdnOf(host string) string {
	for _, known := range [][2]string{
		{"akamaized.net", "akamai"}, {"akamaihd.net", "akamai"}, {"akamai.net", "akamai"}, {"edgekey.net", "akamai"}, {"edgesuite.net", "akamai"},
		{"azureedge.net", "azure"}, {"azurefd.net", "azure"},
		{"b-cdn.net", "bunny"},
		{"cdn77.org", "cdn77"},
		{"cdn.cloudflare.net", "cloudflare"},
		{"cloudfront.net", "cloudfront"},
		{"fastly.net", "fastly"}, {"fastlylb.net", "fastly"},
		{"gcdn.co", "gcore"},
	} {
		if within(host, known[0]) {
			return known[1]
		}
	}
	labels := strings.Split(host, ".")
	name := strings.Trim(labels[max(0, len(labels)-2)], "_-")
	if name == "" {
		return "cdn"
	}
	return name
}

const starterHead = `# A Fairway configuration to start from. ` + "`fairway check`" + ` tells what is missing, with the line;
# ` + "`fairway run --config`" + ` serves it. Change whatever says "example".

# The zone that this server answers for: delegate it to the name servers under ns.
zones:
  - name: video.example
    ns: [ns1.video.example]
    records:
      - {name: ns1, type: A, value: 192.0.2.53}   # this server's public address

# Where the doors and the API listen. DNS belongs on port 53 in production.
listen:
  dns: 127.0.0.1:5300
  http: 127.0.0.1:8080
  api: 127.0.0.1:8400

# Where probes run. Three in a region let two outvote one that is cut off.
vantages:
  here: {region: default}

# Groups of clients, each measured and decided on its own. Clients that no region
# names are in the region default.
regions:
  eu: {continents: [EU]}
  na: {continents: [NA]}

`

const starterTail = `
# How an endpoint is measured. Name an object that every CDN has, small and cacheable.
probes:
  page: {type: https, path: /, status: [200-399], every: 5s, timeout: 2s}

# How to choose. Scores are between 0 and 1, higher wins; the best and those close
# to it share the clients.
policies:
  fastest:
    defaults:
      score: 0.7 * latency + 0.3 * availability
      split: {within: 10%}
    switch: {margin: 10%, dwell: 60s, ramp: [5%, 25%, 100%]}
    on_all_down: all
`
