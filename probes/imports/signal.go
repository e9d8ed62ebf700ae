package imports

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// askSignal asks for one signal. An answer replaces what was known of it, so that what
// Prometheus does not know any more is not known here.
func (t *task) askSignal(ctx context.Context, a *asker, s *steering.Signal, y *yield, now time.Time) error {
	query := s.Query
	if plain.MatchString(query) {
		query = withOwnTimes(query, t.of.Stale)
	}
	all, warnings, err := a.query(ctx, query)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		y.note("signal %s: Prometheus warns: %s", s.Name, clip(w))
	}
	y.series += len(all)
	readings, strange, err := read(s, all, t.revision.Load(), now, t.of.Stale)
	if err != nil {
		return err
	}
	if len(strange) > 0 {
		y.note("signal %s: nothing here is called %s", s.Name, some(strange))
	}
	if len(all) == 0 {
		y.note("signal %s: the query finds nothing", s.Name)
	}
	y.signals[s.Name] = readings
	return nil
}

// plain is a metric, perhaps with matchers, and nothing that is computed.
var plain = regexp.MustCompile(`^\s*[a-zA-Z_:][a-zA-Z0-9_:]*\s*(\{[^{}]*\})?\s*$`)

// withOwnTimes asks for the samples of a selector, and so for their times.
func withOwnTimes(selector string, within time.Duration) string {
	return fmt.Sprintf("%s[%dms]", strings.TrimSpace(selector), within.Milliseconds())
}

// read makes readings of series. strange are values of labels that name nothing.
func read(s *steering.Signal, all []series, r *steering.Revision, now time.Time, stale time.Duration) (readings []steering.SignalReading, strange []string, err error) {
	names := namesOf(r)
	said := make(map[steering.SignalKey]bool)
	for _, one := range all {
		newest := one.points[len(one.points)-1]
		key, odd, err := keyOf(s, one.labels, names)
		switch {
		case err != nil:
			return nil, nil, err
		case odd != "":
			strange = append(strange, odd)
			continue
		case said[key]:
			return nil, nil, fmt.Errorf("two values for %s: sum by the labels that are named here, and no others", describe(key))
		}
		said[key] = true
		if number(newest.value) && now.Sub(newest.at) <= stale {
			readings = append(readings, steering.SignalReading{SignalKey: key, Value: newest.value, At: newest.at.UTC()})
		}
	}
	return readings, strange, nil
}

// keyOf says of what a series is. odd is a name that nothing has.
func keyOf(s *steering.Signal, labels map[string]string, names map[string]map[string]bool) (key steering.SignalKey, odd string, err error) {
	key.Signal = s.Name
	for _, part := range []struct {
		kind string
		from *steering.Labelled
		into *string
	}{
		{"service", &s.Service, &key.Service}, {"endpoint", &s.Endpoint, &key.Endpoint}, {"provider", &s.Provider, &key.Provider},
		{"pool", &s.Pool, &key.Pool}, {"region", &s.Region, &key.Region},
	} {
		if part.from.Label == "" {
			continue
		}
		value, has := labels[part.from.Label]
		if !has {
			return key, "", fmt.Errorf("a value has no label %q, which says its %s: it has %s", part.from.Label, part.kind, listOf(labels))
		}
		*part.into = part.from.Name(value)
		if !names[part.kind][*part.into] {
			return key, part.kind + " " + *part.into, nil
		}
	}
	return key, "", nil
}

// namesOf are all names of a revision, by kind.
func namesOf(r *steering.Revision) map[string]map[string]bool {
	names := map[string]map[string]bool{"service": {}, "endpoint": {}, "provider": {}, "pool": {}, "region": {}}
	for _, s := range r.Services {
		names["service"][s.Key] = true
		for _, e := range s.Endpoints {
			names["endpoint"][e.ID] = true
		}
	}
	for _, p := range r.Providers {
		names["provider"][p.Name] = true
	}
	for _, p := range r.Pools {
		names["pool"][p.Name] = true
	}
	for _, region := range r.RegionNames() {
		names["region"][region] = true
	}
	return names
}

func describe(k steering.SignalKey) string {
	var parts []string
	for _, p := range [][2]string{{"service", k.Service}, {"endpoint", k.Endpoint}, {"provider", k.Provider}, {"pool", k.Pool}, {"region", k.Region}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	return strings.Join(parts, ", ")
}

// listOf names labels, for people.
func listOf(labels map[string]string) string {
	if len(labels) == 0 {
		return "none"
	}
	var names []string
	for name := range labels {
		names = append(names, name)
	}
	return some(names)
}

// some lists the first few of many.
func some(names []string) string {
	const most = 5
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
