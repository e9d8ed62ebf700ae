package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver/load"
	"fairway/steering"
	"fairway/steering/geo"
	"fairway/tools/sidebyside"
)

// size is how large a world is that our door is measured in.
type size struct {
	name                     string
	names, services, regions int
}

func sizes() []size {
	return []size{{"small", 1_000, 1, 6}, {"large", 1_000_000, 10_000, 250}}
}

func sizeOf(name string) (size, bool) {
	for _, z := range sizes() {
		if z.name == name {
			return z, true
		}
	}
	return size{}, false
}

// questions are what both worlds are asked, each about as many names as it has: all of them
// alike, which is the worst that there can be, and steered ones also as audiences are.
func questions() []string { return []string{"steered", popular, "static", "missing"} }

// popular asks for services and from regions by Zipf's law, a few of which have most of the
// audience.
const (
	popular  = "steered, by popularity"
	exponent = 1.05
)

// compareSizes measures our door in a small world and in a large one, turn by turn, and
// prints what an answer costs in each.
func compareSizes(o options) (err error) {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var running []*server
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.End())
		}
	}()
	var processes []*sidebyside.Process
	for i, z := range sizes() {
		s, err := begin(z.name, fmt.Sprintf("127.0.0.1:%d", 5440+i), filepath.Join(folder, z.name), o, z.queries("steered", 0)[0])
		if err != nil {
			return err
		}
		running, processes = append(running, s), append(processes, s.Process)
	}
	if err := pinLoad(o.workers); err != nil {
		return err
	}
	machine := sidebyside.NewWitness(processes)
	results := make(map[string][2][]result)
	for round := range o.rounds {
		for _, question := range questions() {
			both := results[question]
			for i, z := range sizes() {
				r, err := running[i].turn(z.queries(question, uint64(round)), o)
				if err != nil {
					return err
				}
				both[i] = append(both[i], r)
			}
			results[question] = both
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	fmt.Printf("%d rounds of %v. %s\n\n", o.rounds, o.each, machine.Statement())
	reportSizes(os.Stdout, results, running)
	return nil
}

func reportSizes(w io.Writer, results map[string][2][]result, servers []*server) {
	fmt.Fprintln(w, "| question | small: CPU ns/answer | large: CPU ns/answer | large to small | small: least | large: least | lost | wrong |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, question := range questions() {
		var median, least [2]time.Duration
		lost, wrong := 0, 0
		for i, turns := range results[question] {
			median[i], least[i] = sidebyside.Median(turns, result.perAnswer), turns[0].perAnswer()
			for _, r := range turns {
				lost, wrong, least[i] = lost+r.lost, wrong+r.bad, min(least[i], r.perAnswer())
			}
		}
		fmt.Fprintf(w, "| %s | %d | %d | %.2f | %d | %d | %d | %d |\n", question,
			median[0].Nanoseconds(), median[1].Nanoseconds(), float64(median[1])/float64(median[0]), least[0].Nanoseconds(), least[1].Nanoseconds(), lost, wrong)
	}
	fmt.Fprintf(w, "\nMemory of the processes: %d and %d MiB.\n", servers[0].Memory()>>20, servers[1].Memory()>>20)
}

func (z size) hostname(service int) string { return fmt.Sprintf("s%d.%s", service, zoneName) }

// target is the host that a service's clients in a region are sent to.
func (z size) target(service, region int) string {
	return fmt.Sprintf("s%d.cdn-%s.example.net.", service, cdns()[(service+region)%len(cdns())])
}

// network is a region's.
func (z size) network(region int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(11 + region/200), byte(region % 200)}), 16)
}

// snapshot is the world: each service has an endpoint at each CDN, and each region one of
// them.
func (z size) snapshot() (*steering.Snapshot, error) {
	policy := &steering.Policy{Name: "bench", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "all"}}}
	world := zone()
	for i := range z.names {
		world.Records = append(world.Records, steering.Record{
			Name: fmt.Sprintf("host%d.%s", i, zoneName), Type: dns.TypeA, TTL: answerTTL, Data: string([]byte{192, 0, byte(i >> 8), byte(i)}),
		})
	}
	revision := &steering.Revision{Hash: "bench", Zones: []steering.Zone{world}, Policies: []*steering.Policy{policy}}
	for i := range z.regions {
		revision.Regions = append(revision.Regions, steering.Region{Name: fmt.Sprintf("r%d", i), Prefixes: []netip.Prefix{z.network(i)}})
	}
	for i := range z.services {
		s := &steering.Service{Key: fmt.Sprintf("s%d", i), Hostnames: []string{z.hostname(i)}, TTL: answerTTL, Policy: policy}
		for at, cdn := range cdns() {
			s.Endpoints = append(s.Endpoints, &steering.Endpoint{
				ID: s.Key + "/" + cdn, Service: s.Key, Provider: cdn, Host: z.target(i, at-i%len(cdns())+len(cdns())), Weight: 1,
			})
		}
		revision.Services = append(revision.Services, s)
	}
	table, _, err := geo.Compile(geo.Config{Regions: revision.Regions})
	if err != nil {
		return nil, err
	}
	layout, err := steering.NewLayout(revision, table)
	if err != nil {
		return nil, err
	}
	splits := make([][]*steering.Split, z.services)
	for i, sl := range layout.Services {
		var byCDN []*steering.Split // that regions share
		for _, e := range sl.Service.Endpoints {
			split, err := steering.NewSplit([]steering.Candidate{{Endpoint: e, Weight: 1}}, answerTTL, steering.Reason{Code: steering.ReasonOnly}, nil)
			if err != nil {
				return nil, err
			}
			byCDN = append(byCDN, split)
		}
		for _, g := range sl.Groups {
			region := 0 // of those that are in none
			fmt.Sscanf(g.Region, "r%d", &region)
			splits[i] = append(splits[i], byCDN[(i+region)%len(byCDN)])
		}
	}
	return steering.NewSnapshot(1, time.Now(), layout, splits, nil)
}

// queries are as many as a load takes, about names and for clients at random.
func (z size) queries(question string, seed uint64) []query {
	random := rand.New(rand.NewPCG(seed, 250))
	services, regions := rand.NewZipf(random, exponent, 1, uint64(z.services-1)), rand.NewZipf(random, exponent, 1, uint64(z.regions-1))
	out := make([]query, load.MaxQueries)
	for i := range out {
		region, service := random.IntN(z.regions), random.IntN(z.services)
		if question == popular {
			region, service = int(regions.Uint64()), int(services.Uint64())
		}
		m := new(dns.Msg)
		switch name := random.IntN(z.names); question {
		case "static":
			m.SetQuestion(fmt.Sprintf("host%d.%s", name, zoneName), dns.TypeA)
			out[i].target = string([]byte{0, 4, 192, 0, byte(name >> 8), byte(name)})
		case "missing":
			m.SetQuestion(fmt.Sprintf("none%d.%s", name, zoneName), dns.TypeA)
			out[i].target = "\x04host"
		default:
			m.SetQuestion(z.hostname(service), dns.TypeA)
			out[i].target = fmt.Sprintf("cdn-%s", cdns()[(service+region)%len(cdns())])
		}
		m.Id, m.RecursionDesired = uint16(i), false
		m.SetEdns0(1232, false)
		address := z.network(region).Addr().As4()
		address[2] = byte(random.Uint32())
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: address[:]}}
		packet, err := m.Pack()
		if err != nil {
			panic(err)
		}
		out[i].packet = packet
	}
	return out
}
