package imports

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fairway/steering"
)

const (
	maxAtOnce   = 16     // connections to one source
	maxMeasured = 10_000 // measurements of one turn
)

// nowhere stands for the address that a prober reached and does not tell (RFC 5737).
// Health tells by an address from a name that does not resolve.
var nowhere = netip.AddrFrom4([4]byte{192, 0, 2, 1})

// askProber makes measurements of a prober's metrics.
func (t *task) askProber(ctx context.Context, a *asker, y *yield, now time.Time) error {
	m := t.of.Measurements
	all, err := t.collect(ctx, a)
	y.series += len(all)
	names := map[steering.Prober][]string{steering.Blackbox: blackboxNames, steering.Cloudprober: cloudproberNames}[m.Prober]
	targets, strange := byTarget(m, all, names)
	var problems []error
	for _, target := range slices.Sorted(maps.Keys(targets)) {
		subjects := t.subjectsOf(target)
		if len(subjects) == 0 {
			strange = append(strange, target)
			continue
		}
		measured, wrong := t.measure(target, targets[target], now)
		if wrong != nil {
			problems = append(problems, fmt.Errorf("%s: %w", clip(target), wrong))
		}
		for _, one := range measured {
			for _, subject := range subjects {
				one.Subject, one.Vantage, one.Region = subject, m.Vantage, m.Region
				y.measurements = append(y.measurements, one)
			}
		}
	}
	if len(strange) > 0 {
		y.note("no endpoint is measured by %s", some(strange))
	}
	if err == nil {
		t.missing(targets, y)
	}
	if len(y.measurements) > maxMeasured {
		problems = append(problems, fmt.Errorf("%d measurements at once, more than %d: none is taken; ask more often", len(y.measurements), maxMeasured))
		y.measurements = nil
	}
	return errors.Join(append([]error{err}, problems...)...)
}

// missing notes targets of the configuration of which nothing came.
func (t *task) missing(targets map[string][]series, y *yield) {
	var absent []string
	for target := range t.of.Measurements.Endpoints {
		if targets[target] == nil {
			absent = append(absent, target)
		}
	}
	if len(absent) > 0 {
		y.note("nothing came of %s", some(absent))
	}
}

// subjectsOf are the endpoints that a target stands for: one, and another of its name
// where a revision is on trial.
func (t *task) subjectsOf(target string) (subjects []steering.Subject) {
	id := target
	if m := t.of.Measurements; m.Endpoints != nil {
		id = m.Endpoints[target]
	}
	for _, s := range t.revision.Load().Services {
		for _, e := range s.Endpoints {
			if e.ID == id {
				subjects = append(subjects, e.Subject())
			}
		}
	}
	return subjects
}

func (t *task) measure(target string, all []series, now time.Time) ([]steering.Measurement, error) {
	if t.of.Measurements.Prober == steering.Cloudprober {
		return t.cloudprober(target, all, now)
	}
	return t.blackbox(target, all, now), nil
}

// collect fetches the prober's series, with a label that tells the target.
func (t *task) collect(ctx context.Context, a *asker) ([]series, error) {
	m := t.of.Measurements
	switch {
	case t.of.Source == steering.ImportPrometheus:
		all, _, err := a.query(ctx, t.selector())
		return all, err
	case m.Prober == steering.Blackbox:
		return t.probe(ctx, a)
	}
	return a.scrape(ctx, t.of.URL)
}

// selector is the query for the prober's metrics: raw samples, with their own times.
func (t *task) selector() string {
	m := t.of.Measurements
	names := blackboxNames
	if m.Prober == steering.Cloudprober {
		names = nil
		for _, n := range cloudproberNames {
			names = append(names, regexp.QuoteMeta(m.Prefix+n))
		}
	}
	matchers := []string{"__name__=~" + strconv.Quote(strings.Join(names, "|"))}
	for _, label := range slices.Sorted(maps.Keys(m.Select)) {
		matchers = append(matchers, label+"="+strconv.Quote(m.Select[label]))
	}
	return withOwnTimes("{"+strings.Join(matchers, ",")+"}", t.of.Stale)
}

// probe has blackbox_exporter probe every target.
func (t *task) probe(ctx context.Context, a *asker) ([]series, error) {
	m := t.of.Measurements
	base, err := url.Parse(t.of.URL)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var all []series
	var problems []error
	var asking sync.WaitGroup
	room := make(chan struct{}, maxAtOnce)
	for _, target := range slices.Sorted(maps.Keys(m.Endpoints)) {
		room <- struct{}{}
		asking.Go(func() {
			defer func() { <-room }()
			at, query := *base, base.Query()
			query.Set("target", target)
			at.RawQuery = query.Encode()
			found, err := a.scrape(ctx, at.String())
			for i := range found {
				found[i].labels[m.Label] = target
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, found...)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", clip(target), err))
			}
		})
	}
	asking.Wait()
	return all, errors.Join(problems...)
}

// byTarget sorts series by target, and leaves out those that are not selected. strange
// are what has no label for it.
func byTarget(m *steering.ImportedMeasurements, all []series, names []string) (targets map[string][]series, strange []string) {
	targets = make(map[string][]series)
	for _, s := range all {
		name, is := strings.CutPrefix(s.name, m.Prefix)
		if !is || !slices.Contains(names, name) || !selected(m.Select, s.labels) {
			continue
		}
		s.name = name
		target, has := s.labels[m.Label]
		if !has {
			strange = append(strange, "a series without a label "+m.Label)
			continue
		}
		targets[target] = append(targets[target], s)
	}
	return targets, strange
}

func selected(wanted, labels map[string]string) bool {
	for label, value := range wanted {
		if labels[label] != value {
			return false
		}
	}
	return true
}

// fresh tells whether something of a time is to be taken.
func (t *task) fresh(target string, at, now time.Time) bool {
	return at.After(t.memory.seen[target]) && now.Sub(at) <= t.of.Stale
}
