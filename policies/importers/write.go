package importers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// writer prints YAML in the layout of `fairway fmt`, and knows at which line it
// is.
type writer struct {
	bytes.Buffer
	line int // of the next line, from 1
}

func (w *writer) linef(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.line += strings.Count(text, "\n") + 1
	w.WriteString(text)
	w.WriteByte('\n')
}

// section begins a top-level section.
func (w *writer) section(comment, key string) {
	w.linef("\n# %s\n%s:", comment, key)
}

// write prints the draft; records tells which of them stands at which line.
func (d *draft) write() (text []byte, records map[int]*record) {
	w := &writer{line: 1}
	records = make(map[int]*record)
	w.linef("# Imported from %s. Compare it with where it came from, and let `fairway check` pass.", d.kind)
	d.writeZones(w, records)
	d.writeRegions(w)
	if len(d.providers) > 0 {
		w.section("The CDNs, or data centres.", "providers")
		for _, p := range d.providers {
			w.linef("  %s: {}", quote(p))
		}
	}
	d.writeServices(w)
	if len(d.probes) > 0 {
		w.section("How endpoints are measured.", "probes")
		for _, p := range d.probes {
			w.linef("  %s: %s", quote(p.name), mapping(p.keys))
		}
	}
	d.writePolicies(w)
	return w.Bytes(), records
}

func (d *draft) writeZones(w *writer, records map[int]*record) {
	if len(d.zones) == 0 {
		return
	}
	w.section("The names that we answer for.", "zones")
	for _, z := range d.zones {
		w.linef("  - name: %s", quote(z.name))
		w.linef("    ns: %s", quotes(z.ns))
		if z.ttl != "" {
			w.linef("    ttl: %s", z.ttl)
		}
		if len(z.soa) > 0 {
			w.linef("    soa: %s", mapping(z.soa))
		}
		head := false
		for _, r := range z.records {
			if r.dropped {
				continue
			}
			if !head {
				w.linef("    records:")
				head = true
			}
			records[w.line] = r
			keys := [][2]string{{"name", quote(r.name)}, {"type", quote(r.kind)}}
			if r.ttl != "" && r.ttl != z.ttl {
				keys = append(keys, [2]string{"ttl", r.ttl})
			}
			w.linef("      - %s", mapping(append(keys, [2]string{"value", quote(r.value)})))
		}
	}
}

func (d *draft) writeRegions(w *writer) {
	if len(d.regions) == 0 {
		return
	}
	w.section("Groups of clients.", "regions")
	for _, r := range d.regions {
		w.linef("  %s:", quote(r.name))
		if r.pool != "" {
			w.linef("    pool: %s", quote(r.pool))
		}
		w.linef("    prefixes:")
		for _, p := range r.prefixes {
			w.linef("      - %s", quote(p.String()))
		}
	}
}

func (d *draft) writeServices(w *writer) {
	w.section("What clients ask for.", "services")
	for _, s := range d.services {
		if s.comment != "" {
			w.linef("  # %s", s.comment)
		}
		w.linef("  %s:", quote(s.key))
		if len(s.hostnames) > 0 {
			w.linef("    hostnames: %s", quotes(s.hostnames))
		}
		for _, k := range [][2]string{{"ttl", s.ttl}, {"probe", quoteUnlessEmpty(s.probe)}, {"policy", quoteUnlessEmpty(s.policy)}} {
			if k[1] != "" {
				w.linef("    %s: %s", k[0], k[1])
			}
		}
		w.linef("    endpoints:")
		for _, e := range s.endpoints {
			w.linef("      - %s", mapping(e.keys()))
		}
	}
}

func (e *endpoint) keys() [][2]string {
	keys := [][2]string{{"provider", quote(e.provider)}}
	if e.name != "" {
		keys = append(keys, [2]string{"name", quote(e.name)})
	}
	if e.host != "" {
		keys = append(keys, [2]string{"host", quote(strings.TrimSuffix(e.host, "."))})
	}
	if len(e.addresses) > 0 {
		keys = append(keys, [2]string{"addresses", addresses(e.addresses)})
	}
	if e.url != "" {
		keys = append(keys, [2]string{"url", quote(e.url)})
	}
	if e.weight != "" {
		keys = append(keys, [2]string{"weight", e.weight})
	}
	return keys
}

func (d *draft) writePolicies(w *writer) {
	if len(d.policies) == 0 {
		return
	}
	w.section("Who goes where: the first rule that matches decides.", "policies")
	for _, p := range d.policies {
		w.linef("  %s:", quote(p.name))
		w.linef("    rules:")
		for _, r := range p.rules {
			w.linef("      - name: %s", quote(r.name))
			if r.when != "" {
				w.linef("        when: %s", quote(r.when))
			}
			if len(r.allow) > 0 {
				w.linef("        allow: {providers: %s}", quotes(r.allow))
			}
			if len(r.deny) > 0 {
				w.linef("        deny: {providers: %s}", quotes(r.deny))
			}
			if len(r.prefer) > 1 {
				w.linef("        prefer: %s", quotes(r.prefer))
			}
			if r.score != "" {
				w.linef("        score: %s", quote(r.score))
			}
			if r.split != "" {
				w.linef("        split: %s", r.split)
			}
		}
	}
}

// mapping prints keys and values in braces; the values are YAML already.
func mapping(keys [][2]string) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = k[0] + ": " + k[1]
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// bare are texts that YAML reads as texts without quotes, also in brackets.
var bare = regexp.MustCompile(`^([A-Za-z_/][A-Za-z0-9._/-]*|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(/[0-9]+)?)$`)

// quote prints a text, in quotes where YAML might read something else.
func quote(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if bare.MatchString(s) {
			return s
		}
	}
	if strings.Contains(s, `"`) && !strings.ContainsAny(s, "'\\") && strings.IndexFunc(s, unicode.IsControl) < 0 {
		return "'" + s + "'"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // a text cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}

func quoteUnlessEmpty(s string) string {
	if s == "" {
		return ""
	}
	return quote(s)
}

func quotes(list []string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = quote(s)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func addresses(list []netip.Addr) string {
	parts := make([]string, len(list))
	for i, a := range list {
		parts[i] = quote(a.String())
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func decimal(n int) string { return strconv.Itoa(n) }

// seconds prints a number of seconds within bounds as a duration.
func seconds(n, low, high int) string { return decimal(min(max(n, low), high)) + "s" }
