package importers

import (
	"net/netip"
	"slices"
	"strings"
)

// draft is a configuration in the making, in the order in which it is written.
type draft struct {
	file      string // the first file imported
	kind      string // the system that it comes from
	notes     []Note
	zones     []*zone
	regions   []*region
	providers []string
	probes    []*probe
	services  []*service
	policies  []*policy
	names     namer
}

func newDraft(file, kind string) *draft {
	return &draft{file: file, kind: kind, names: namer{taken: make(map[string]string)}}
}

type zone struct {
	name    string // without the final dot
	ns      []string
	ttl     string
	soa     [][2]string
	records []*record
}

// record is a static record; values are as in a zone file, with full names.
type record struct {
	name, kind, ttl, value string
	at                     place
	dropped                bool
}

type region struct {
	name     string
	prefixes []netip.Prefix
	pool     string
}

// probe is a name and keys with their values as YAML.
type probe struct {
	name string
	keys [][2]string
}

type service struct {
	key       string
	hostnames []string
	ttl       string
	probe     string
	policy    string
	endpoints []*endpoint
	comment   string
}

type endpoint struct {
	provider  string
	name      string
	host      string
	addresses []netip.Addr
	weight    string // as YAML; empty = 1
	url       string
}

// address adds an address once.
func (e *endpoint) address(a netip.Addr) {
	if !slices.Contains(e.addresses, a) {
		e.addresses = append(e.addresses, a)
	}
}

type policy struct {
	name  string
	rules []*rule
}

type rule struct {
	name   string
	when   string // empty = always
	allow  []string
	deny   []string
	prefer []string
	score  string
	split  string // as YAML
}

// provider declares a provider and returns its name here.
func (d *draft) provider(original string) string {
	name := d.names.name("provider", original)
	if !slices.Contains(d.providers, name) {
		d.providers = append(d.providers, name)
	}
	return name
}

// addProbe declares a probe, or finds one that is the same.
func (d *draft) addProbe(p probe) string {
	for _, known := range d.probes {
		if slices.Equal(known.keys, p.keys) {
			return known.name
		}
	}
	p.name = d.names.unique("probe", p.name)
	d.probes = append(d.probes, &p)
	return p.name
}

// namer makes names that our language takes, each original one the same name,
// and different ones different names.
type namer struct{ taken map[string]string } // kind and name → original

// name returns the name for an original one.
func (n namer) name(kind, original string) string {
	base := plainName(original)
	for i := 1; ; i++ {
		name := numbered(base, i)
		if owner, taken := n.taken[kind+" "+name]; !taken || owner == original {
			n.taken[kind+" "+name] = original
			return name
		}
	}
}

// unique returns a name that nothing else has.
func (n namer) unique(kind, wanted string) string {
	base := plainName(wanted)
	for i := 1; ; i++ {
		name := numbered(base, i)
		if _, taken := n.taken[kind+" "+name]; !taken {
			n.taken[kind+" "+name] = name
			return name
		}
	}
}

func numbered(base string, i int) string {
	if i == 1 {
		return base
	}
	suffix := "-" + decimal(i)
	return base[:min(len(base), 63-len(suffix))] + suffix
}

// plainName turns a text into a name: what may not stand in one becomes a hyphen.
func plainName(s string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, s)
	name = strings.Trim(name, "._-")
	if name == "" {
		return "unnamed"
	}
	return name[:min(len(name), 63)]
}
