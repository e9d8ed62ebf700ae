package policies

import (
	"slices"

	"fairway/steering"
)

// Configuration is what a set of files means.
type Configuration struct {
	Files    []File
	Revision *steering.Revision
	Node     Node
}

// Compile reads, checks and compiles a set of files. The configuration is nil
// when any finding is an error.
func Compile(files []File) (*Configuration, Findings) {
	c := newCompiler()
	c.load(files)
	c.declareAll(files)

	revision := &steering.Revision{
		Hash:      Hash(files),
		Currency:  c.currency(),
		Providers: c.providers(),
		Pools:     c.pools(),
		Vantages:  c.vantages(),
		Regions:   c.regions(),
		Services:  c.services(),
	}
	priceParts(revision)
	c.outside = revision.Vantages
	revision.Imports, revision.Signals = c.imports()
	c.language.knowSignals(revision.Signals)
	// A policy may name endpoints, a zone must not hold a steered hostname: both
	// need the services.
	revision.Policies = c.policies(revision.Services)
	c.originsOfManifests(revision.Services, revision.Pools)
	revision.Schedules = c.schedules(revision.Services)
	revision.Zones = c.zones()
	c.unusedZoneFiles()
	revision.Probing = c.probing()
	revision.Reference = c.references()
	c.reviewProbing(revision)
	c.reviewImports(revision.Probing)
	revision.Reads = c.reads.sealed()
	node := c.node()
	c.checkACME(node, revision.Zones)
	c.checkKeys(node, revision.Zones)
	node.TSIGKeys = c.tsigKeys()
	node.Learning = c.learning(revision.Zones)
	c.review(revision)

	findings := c.findings.sorted()
	if findings.Errors() > 0 {
		return nil, findings
	}
	return &Configuration{Files: files, Revision: revision, Node: node}, findings
}

// The top level of the language. Each file may have any of these keys.
const topLevel = "zones listen dns dnssec http acme api control store drain geo currency vantages providers pools regions services probes probing references policies tsig schedules learning imports"

// named are the sections that are mappings from a name to a thing.
var named = []noun{provider, pool, region, vantage, probe, policy, service, tsigKey, schedule, importing}

// compiler is one run of Compile.
type compiler struct {
	findings  Findings
	guesses   int  // names compared with wrong ones so far
	partial   bool // a file could not be read: what seems missing may stand there
	sections  map[string][]value
	zoneFiles zoneFiles
	declared  map[noun]*declarations
	language  *language
	reads     reads
	compiled  map[string]condition // conditions in which nothing was found, by text

	accounts      map[string]*steering.Provider
	fencesOf      map[string][]*steering.Fence // of the providers
	manifestsOf   map[string]fields            // service → manifests that name no origins
	probes        map[string]*steering.Probe
	pendingShares []pendingShare
	policyNamed   map[string]*steering.Policy
	policyOf      map[string]value   // what services say of their policy
	hostnames     map[string]steered // what DNS answers for, by full name
	outside       []steering.Vantage // all of them, for what imports say of theirs
	importsAt     []importAt
}

func newCompiler() *compiler {
	c := &compiler{
		sections:    make(map[string][]value),
		zoneFiles:   make(zoneFiles),
		declared:    make(map[noun]*declarations),
		language:    newLanguage(),
		reads:       make(reads),
		compiled:    make(map[string]condition),
		accounts:    make(map[string]*steering.Provider),
		fencesOf:    make(map[string][]*steering.Fence),
		manifestsOf: make(map[string]fields),
		policyOf:    make(map[string]value),
		hostnames:   make(map[string]steered),
	}
	for _, kind := range append(slices.Clone(named), endpoint) {
		c.declared[kind] = &declarations{entries: make(map[string]value), used: make(map[string]bool)}
	}
	return c
}

// load parses the files and sorts their contents by top-level key.
func (c *compiler) load(files []File) {
	if len(files) == 0 {
		c.fault(steering.Place{}, "name a file, or a folder with .yaml files", "there is no configuration file")
		return
	}
	for _, f := range files {
		if IsZone(f.Name) {
			c.zoneFiles.add(f)
			continue
		}
		s := c.parse(f)
		if s == nil {
			c.partial = true
			continue
		}
		if s.root == nil {
			continue
		}
		top, ok := value{c: c, src: s, node: s.root}.fields(topLevel)
		if !ok {
			c.partial = true
		}
		for key, v := range top.byKey {
			c.sections[key] = append(c.sections[key], v)
		}
	}
}

// declareAll collects all names, so that references may go forwards and from
// file to file. A configuration without a service is none.
func (c *compiler) declareAll(files []File) {
	for _, kind := range named {
		for _, section := range c.sections[kind.plural()] {
			entries, _ := section.entries()
			for _, e := range entries {
				c.checkName(e.keyAt, kind, e.key)
				c.declare(kind, e.key, e)
			}
		}
	}
	if !c.partial && len(files) > 0 && len(c.declared[service].entries) == 0 {
		c.fault(steering.Place{File: files[0].Name, Line: 1, Col: 1},
			"add a service under services; `fairway init HOST` writes a configuration to start from", "no service is declared")
	}
}

// single returns a section that may stand in one file only.
func (c *compiler) single(key string) (value, bool) {
	all := c.sections[key]
	if len(all) == 0 {
		return value{}, false
	}
	for _, again := range all[1:] {
		c.fault(again.keyAt, "write it in one file", "%s is defined twice, first at %s", key, all[0].keyAt)
	}
	return all[0].as("%s", key), true
}
