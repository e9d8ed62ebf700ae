package policies

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"fairway/steering"
)

// The defaults of imports.
const (
	defaultImportEvery   = 15 * time.Second
	defaultImportTimeout = 5 * time.Second
)

// imports reads what others have measured and where they keep it. The result is
// sorted by name, and so are the signals of all imports together.
func (c *compiler) imports() (all []steering.Import, signals []steering.Signal) {
	first := make(map[string]steering.Place) // by signal
	for _, v := range c.each(importing) {
		f, _ := v.fields("prometheus scrape every timeout stale_after token_file user password_file ca_file cert_file key_file signals measurements")
		i := steering.Import{Name: v.name, Place: v.home()}
		i.Every = f.duration("every", defaultImportEvery, time.Second, time.Hour)
		i.Timeout = f.duration("timeout", defaultImportTimeout, 100*time.Millisecond, time.Minute)
		i.Stale = f.duration("stale_after", 3*i.Every+i.Timeout, i.Every, 24*time.Hour)
		f.importSource(&i)
		f.importAccess(&i)
		i.Signals = f.signals(&i, first)
		i.Measurements = f.imported(&i)
		_, some := f.under("signals")
		if _, measured := f.under("measurements"); !some && !measured && !f.broken {
			f.fault("add signals or measurements", "nothing is taken from it")
		}
		signals = append(signals, i.Signals...)
		all = append(all, i)
	}
	slices.SortFunc(signals, func(a, b steering.Signal) int { return cmp.Compare(a.Name, b.Name) })
	return all, signals
}

// importSource reads where an import is asked, which is one of two.
func (f fields) importSource(i *steering.Import) {
	prometheus, one := f.under("prometheus")
	scrape, other := f.under("scrape")
	switch {
	case one && other:
		scrape.fault("keep one of the two; make another import of the other", "an import has one source")
	case one:
		i.Source = steering.ImportPrometheus
		i.URL, _ = prometheus.baseURL()
		f.c.importsAt = append(f.c.importsAt, importAt{prometheus, i.URL})
	case other:
		i.Source = steering.ImportScrape
		i.URL, _ = scrape.scrapeURL()
		f.c.importsAt = append(f.c.importsAt, importAt{scrape, i.URL})
	case !f.broken:
		f.fault("add prometheus: http://HOST:9090, or scrape: http://HOST:9313/metrics", "it names nowhere to ask")
	}
}

// scrapeURL reads a URL that may have a query.
func (v value) scrapeURL() (string, bool) {
	const remedy = "write it as http://host:port/metrics, or http://host:9115/probe?module=http_2xx"
	s, ok := v.text()
	if !ok {
		return "", false
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || !validURLHost(u):
		v.fault(remedy, "%q is not a URL of http or https with a host", clip(s))
	case u.User != nil:
		v.fault("name user and password_file instead; secrets do not belong into URLs", "the URL holds a user")
	case u.Fragment != "" || strings.Contains(s, "#"):
		v.fault("end it before the #", "%q has a fragment", clip(s))
	default:
		return s, true
	}
	return "", false
}

// importAccess reads what an import shows, and whom it trusts.
func (f fields) importAccess(i *steering.Import) {
	a := &i.Access
	a.User = f.text("user")
	for key, into := range map[string]*string{
		"token_file": &a.TokenFile, "password_file": &a.PasswordFile, "ca_file": &a.CAFile, "cert_file": &a.CertFile, "key_file": &a.KeyFile,
	} {
		if v, ok := f.under(key); ok {
			*into, _ = v.file()
		}
	}
	if (a.User == "") != (a.PasswordFile == "") {
		f.fault("name both user and password_file, or neither", "a user and a password belong together")
	}
	if a.TokenFile != "" && a.User != "" {
		f.fault("keep token_file, or user and password_file", "both a token and a password are named")
	}
	if (a.CertFile == "") != (a.KeyFile == "") {
		f.fault("name both cert_file and key_file, or neither", "a certificate and its key belong together")
	}
	secure := strings.HasPrefix(i.URL, "https:")
	for _, key := range []string{"ca_file", "cert_file"} {
		if v, ok := f.under(key); ok && !secure && i.URL != "" {
			v.fault("write the URL as https://…, or take "+key+" out", "%s is of no use: the URL is not https", key)
		}
	}
}

// importAt is where a file says where an import is asked.
type importAt struct {
	value
	url string
}

// signals reads the signals of an import, sorted by name.
func (f fields) signals(i *steering.Import, first map[string]steering.Place) []steering.Signal {
	section, ok := f.under("signals")
	if !ok {
		return nil
	}
	if i.Source == steering.ImportScrape {
		section.fault("name the Prometheus that scrapes it, as prometheus: URL", "signals come from queries, and what is scraped answers none")
	}
	entries, _ := section.entries()
	var all []steering.Signal
	for _, e := range entries {
		if !signalName.MatchString(e.key) || slices.Contains(reservedWords, e.key) {
			f.c.fault(e.keyAt, "use a-z, 0-9 and _ with a letter first; scores read it as signal.NAME", "%q is not a name for a signal", clip(e.key))
			continue
		}
		if at, twice := first[e.key]; twice {
			f.c.fault(e.keyAt, "keep one of the two, or rename one", "signal %q is defined twice, first at %s", e.key, at)
			continue
		}
		first[e.key] = e.keyAt
		all = append(all, e.signal(i))
	}
	slices.SortFunc(all, func(a, b steering.Signal) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

var (
	signalName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	// What CEL's syntax keeps for itself.
	reservedWords = strings.Fields("as break const continue else false for function if import in let loop namespace null package return true var void while")
)

// signal reads one signal.
func (v value) signal(i *steering.Import) steering.Signal {
	s := steering.Signal{Name: v.key, Import: i.Name, Place: v.keyAt}
	f, _ := v.as("signal %q", v.key).fields("query service endpoint provider pool region default")
	if _, ok := f.require("query", "add query: an instant query in Prometheus' language, such as sum by (cdn) (rate(errors_total[1m]))"); ok {
		s.Query = f.text("query")
	}
	s.Service = f.labelled("service", service)
	s.Endpoint = f.labelled("endpoint", endpoint)
	s.Provider = f.labelled("provider", provider)
	s.Pool = f.labelled("pool", pool)
	s.Region = f.labelled("region", region)
	s.Default = f.number("default", 0, -1e15, 1e15)
	if s.Service.Label+s.Endpoint.Label+s.Provider.Label+s.Pool.Label == "" && !f.broken {
		f.fault("add provider: LABEL, or endpoint, service or pool: the label of the result that says whose value it is", "it tells no endpoint from another")
	}
	return s
}

// labelled reads which label holds names of a kind.
func (f fields) labelled(key string, kind noun) steering.Labelled {
	v, ok := f.under(key)
	if !ok {
		return steering.Labelled{}
	}
	if v.node.Kind != yaml.MappingNode {
		name, _ := v.metricLabel()
		return steering.Labelled{Label: name}
	}
	g, _ := v.as("%s: %s", f.subject, key).fields("label names")
	l := steering.Labelled{}
	if at, ok := g.require("label", "add label: the label of the result that says which "+string(kind)); ok {
		l.Label, _ = at.metricLabel()
	}
	l.Names = g.namesOf("names", kind)
	return l
}

// namesOf reads a mapping from values of a label to declared things.
func (f fields) namesOf(key string, kind noun) map[string]string {
	v, ok := f.under(key)
	if !ok {
		return nil
	}
	entries, _ := v.entries()
	names := make(map[string]string, len(entries))
	for _, e := range entries {
		if name, ok := e.as("%s: %s", f.subject, quote(e.key)).refer(kind); ok {
			names[e.key] = name
		}
	}
	return names
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// metricLabel reads the name of a label.
func (v value) metricLabel() (string, bool) {
	s, ok := v.text()
	if ok && !labelName.MatchString(s) {
		v.fault("write a label's name, such as cdn", "%q is no name of a label", clip(s))
		return "", false
	}
	return s, ok
}

// proberLabels are the labels by which probers tell their targets apart.
var proberLabels = map[steering.Prober]string{steering.Blackbox: "instance", steering.Cloudprober: "dst"}

// latencyUnits are those in which cloudprober tells latencies (latency_unit).
var latencyUnits = map[string]time.Duration{"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second}

// imported reads how a prober's metrics become measurements.
func (f fields) imported(i *steering.Import) *steering.ImportedMeasurements {
	v, ok := f.under("measurements")
	if !ok {
		return nil
	}
	g, _ := v.as("measurements of %s", f.subject).fields("of vantage label endpoints select prefix unit")
	m := &steering.ImportedMeasurements{}
	if _, ok := g.require("of", "add of: blackbox, or of: cloudprober"); ok {
		m.Prober = steering.Prober(g.choice("of", "", string(steering.Blackbox), string(steering.Cloudprober)))
	}
	if at, ok := g.require("vantage", "add vantage: the vantage, with source: outside, as which they count"); ok {
		m.Vantage, m.Region = at.outsideVantage()
	}
	m.Label = proberLabels[m.Prober]
	if at, ok := g.under("label"); ok {
		m.Label, _ = at.metricLabel()
	}
	m.Endpoints = g.namesOf("endpoints", endpoint)
	g.selection(m)
	m.Prefix = g.text("prefix")
	m.Unit = latencyUnits[g.choice("unit", "us", "ns", "us", "ms", "s")]
	if m.Prober == steering.Blackbox {
		for _, key := range []string{"prefix", "unit"} {
			if at, ok := g.under(key); ok {
				at.fault("take it out", "blackbox_exporter's metrics have one name and unit")
			}
		}
		if i.Source == steering.ImportScrape && len(m.Endpoints) == 0 && !g.broken {
			g.fault("add endpoints: {TARGET: ENDPOINT}; each target is probed by it", "blackbox_exporter measures what it is told, and no target is named")
		}
	}
	return m
}

// selection reads which series are taken.
func (f fields) selection(m *steering.ImportedMeasurements) {
	v, ok := f.under("select")
	if !ok {
		return
	}
	entries, _ := v.entries()
	m.Select = make(map[string]string, len(entries))
	for _, e := range entries {
		if !labelName.MatchString(e.key) {
			f.c.fault(e.keyAt, "write a label's name, such as job", "%q is no name of a label", clip(e.key))
			continue
		}
		m.Select[e.key], _ = e.text()
	}
}

// outsideVantage reads the vantage as which imported measurements count.
func (v value) outsideVantage() (name, of string) {
	name, ok := v.refer(vantage)
	if !ok {
		return "", ""
	}
	for i := range v.c.outside {
		if one := &v.c.outside[i]; one.Name == name {
			if !one.External {
				v.fault("give it source: outside, or name another one", "vantage %q is probed by nodes", name)
			}
			return name, one.Region
		}
	}
	return name, steering.DefaultRegion
}

// reviewImports warns of addresses that may not be asked.
func (c *compiler) reviewImports(p steering.Probing) {
	for _, at := range c.importsAt {
		for _, a := range literalOf(at.url) {
			if !p.Allows(a) {
				at.warn("if you mean it, allow it: probing: {allow: ["+a.String()+"]}", "%s is no public address and is not asked", a)
			}
		}
	}
}
