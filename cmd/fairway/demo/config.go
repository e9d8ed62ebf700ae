package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"text/template"
)

// zoneName is the DNS zone of everything here; .test is nobody's (RFC 6761 §6.2).
const zoneName = "fairway.test"

// score is the policies' formula. Latency is 100 ms / (100 ms + p50), throughput
// t / (t + 1 Mbit/s): a CDN 300 ms slower loses about a third of its score, one
// at 60 kbit/s nearly all of the last term.
const score = "0.5 * latency + 0.2 * availability + 0.3 * throughput"

//go:embed config.yaml.tmpl
var configTemplate string

// What the template is filled with.
type (
	configData struct {
		DNS, HTTP, API, TokenFile, CAFile, Zone, Score string
		OfFleet                                        bool

		Ports    configPorts
		CDNs     []configCDN
		Regions  []configRegion
		Services []configService
	}
	configPorts struct{ HTTP, HTTPS int }
	configCDN   struct {
		Name      string
		Addresses flowList
		Price     string
	}
	configRegion struct {
		Name                          string
		Vantages, Continents, Origins flowList
		Fallback                      string
	}
	configService struct {
		Name    string
		Origins []string // base URLs
	}
)

// flowList prints as a YAML list on one line.
type flowList []string

func (l flowList) String() string { return "[" + strings.Join(l, ", ") + "]" }

// renderConfig writes the configuration for the ports that Listen found.
func (w *World) renderConfig() ([]byte, error) {
	data := configData{
		DNS: w.options.DNS, HTTP: w.options.HTTP, API: w.options.API,
		OfFleet:   w.options.OfFleet,
		TokenFile: w.TokenFile(), CAFile: w.CAFile(), Zone: zoneName, Score: score,
		Ports: configPorts{w.ports.http, w.ports.https},
	}
	prices := map[string]string{"alpha": "0.0060", "bravo": "0.0085", "charlie": "0.0040"}
	for _, c := range cdns() {
		data.CDNs = append(data.CDNs, configCDN{c.name, texts(c.addresses), prices[c.name]})
	}
	continents := map[string]flowList{"na": {"NA"}, "eu": {"EU", "AF"}, "as": {"AS", "OC"}, "sa": {"SA"}}
	// Fallbacks must end somewhere: na has none.
	fallbacks := map[string]string{"eu": "na", "as": "eu", "sa": "na"}
	for i, name := range regionNames {
		r := configRegion{Name: name, Vantages: texts(vantageAddresses(i)), Continents: continents[name], Fallback: fallbacks[name]}
		for _, a := range originAddresses(i) {
			r.Origins = append(r.Origins, fmt.Sprintf("%q", "http://"+netip.AddrPortFrom(a, uint16(w.ports.origin)).String()))
		}
		data.Regions = append(data.Regions, r)
	}
	for _, name := range []string{"live", "vod"} {
		s := configService{Name: name}
		for i := range regionNames {
			s.Origins = append(s.Origins, fmt.Sprintf("http://%s/%s", netip.AddrPortFrom(originAddresses(i)[0], uint16(w.ports.origin)), name))
		}
		data.Services = append(data.Services, s)
	}
	parsed, err := template.New("config").Funcs(template.FuncMap{
		"quote": strconv.Quote,
		"inc":   func(i int) int { return i + 1 },
	}).Parse(configTemplate)
	if err != nil {
		return nil, fmt.Errorf("configuration template: %w", err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("configuration template: %w", err)
	}
	return out.Bytes(), nil
}

func texts(addresses []netip.Addr) flowList {
	var list flowList
	for _, a := range addresses {
		list = append(list, a.String())
	}
	return list
}
