package importers

import (
	"fmt"
	"strings"

	"fairway/policies"
)

// importATC reads coverage zone files: which networks belong to which cache
// group. Each zone becomes a region. The files name no services, so the one in
// the result is to be replaced.
func importATC(files []policies.File) (*Result, error) {
	d := newDraft(files[0].Name, "Apache Traffic Control's coverage zone file")
	nets := newNetworks()
	for _, f := range files {
		root, err := parseJSON(f)
		if err != nil {
			return nil, err
		}
		// A deep zone goes before a coverage zone of the same network.
		deep, plain := root.get("deepCoverageZones"), root.get("coverageZones")
		if !deep.exists() && !plain.exists() {
			return nil, fmt.Errorf("%s: it has neither coverageZones nor deepCoverageZones: is it a coverage zone file?", f.Name)
		}
		d.coverage(nets, deep)
		d.coverage(nets, plain)
		for _, e := range root.entries() {
			if e.key != "coverageZones" && e.key != "deepCoverageZones" {
				d.note(e.at, "%s is not carried over", e.key)
			}
		}
	}
	d.regions, _ = nets.carve(func(zones map[string]string) string {
		return d.names.unique("region", regionName(zones["zone"]))
	})
	d.note(place{file: d.file}, "it says nothing of delivery services: put your own in the place of provider your-cdn and service live")
	d.providers = []string{"your-cdn"}
	d.services = []*service{{
		key: "live", comment: "The file knows no delivery services: put yours here.",
		endpoints: []*endpoint{{provider: "your-cdn", host: "cdn.example", url: "https://cdn.example"}},
	}}
	return d.finish(), nil
}

// regionName keeps clear of the region of all the others.
func regionName(original string) string {
	if original == "default" {
		return "default-zone"
	}
	return original
}

func (d *draft) coverage(nets *networks, zones tree) {
	for _, zone := range zones.entries() {
		if plainName(zone.key) != zone.key || zone.key == "default" {
			d.note(zone.at, "zone %q becomes region %q", zone.key, plainName(regionName(zone.key)))
		}
		some := false
		for _, e := range zone.entries() {
			switch e.key {
			case "network", "network6":
				for _, item := range e.items() {
					some = d.network(nets, zone.key, item) || some
				}
			case "coordinates":
				d.note(e.at, "zone %q: coordinates are not carried over: clients go by measured latency, not by distance", zone.key)
			case "backupZones":
				backups := strings.Join(e.get("list").texts(), ", ")
				d.note(e.at, "zone %q: backup zones (%s) are not carried over: give the region a pool whose fallback is theirs", zone.key, backups)
			case "caches":
				d.note(e.at, "zone %q: caches are not carried over: an endpoint is a CDN, not a cache", zone.key)
			default:
				d.note(e.at, "zone %q: %s is not carried over", zone.key, e.key)
			}
		}
		if !some {
			d.note(zone.at, "zone %q has no network of its own and is left out", zone.key)
		}
	}
}

// network adds one network of a zone; false when it is not to be had.
func (d *draft) network(nets *networks, zone string, item tree) bool {
	p, ok := parsePrefix(item.text())
	if !ok {
		d.note(item.at(), "zone %q: %q is not a network", zone, item.text())
		return false
	}
	if p.String() != item.text() && strings.Contains(item.text(), "/") {
		d.note(item.at(), "zone %q: %s is written as %s", zone, item.text(), p)
	}
	if earlier, clash := nets.add(p, "zone", zone); clash {
		d.note(item.at(), "zone %q: %s belongs to zone %q already and stays there", zone, p, earlier)
		return false
	}
	return true
}
