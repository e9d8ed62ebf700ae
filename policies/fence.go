package policies

import (
	"fmt"
	"slices"
	"strings"

	"fairway/steering"
)

// fences reads who a provider, a service or an endpoint may not serve: geofence
// says where it may (a licence, a contract), blocked where the law forbids it.
// Nothing lifts either.
func (f fields) fences() []*steering.Fence {
	var all []*steering.Fence
	if b, ok := f.under("blocked"); ok {
		all = append(all, b.blocks()...)
	}
	if v, ok := f.under("geofence"); ok {
		if bars, ok := v.c.fence(v, false); ok {
			all = append(all, &steering.Fence{
				Code: steering.ReasonGeofenced, Bars: bars, Place: v.place(),
				Text: fmt.Sprintf("%s serves only where %s", f.subject, oneLine(v.node.Value)),
			})
		}
	}
	return all
}

// blocks reads one block, or several: each has a reason of its own.
func (v value) blocks() []*steering.Fence {
	items := []value{v}
	if v.node.Tag == "!!seq" {
		items, _ = v.list()
	}
	var all []*steering.Fence
	for _, item := range items {
		f, _ := item.as("blocked of %s", v.subject).fields("when reason")
		when, ok := f.require("when", `add when: which clients, such as client.country == "DE"`)
		reason, stated := f.require("reason", "add reason: the law or the order, for whoever asks why")
		if !ok || !stated {
			continue
		}
		text, stated := reason.text()
		bars, ok := v.c.fence(when, true)
		if ok && stated {
			all = append(all, &steering.Fence{
				Code: steering.ReasonBlocked, Bars: bars, Place: when.place(), Text: fmt.Sprintf("%s: %s", v.subject, oneLine(text)),
			})
		}
	}
	return all
}

// fenced gives an endpoint all the fences that concern it, the law's first: its
// own, its provider's and its service's.
func fenced(e *steering.Endpoint, more ...[]*steering.Fence) {
	for _, fences := range more {
		e.Fences = append(e.Fences, fences...)
	}
	slices.SortStableFunc(e.Fences, func(a, b *steering.Fence) int {
		return strings.Compare(string(a.Code), string(b.Code)) // blocked, geofenced
	})
}

// oneLine takes line breaks out of a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// labels reads what a service is called beside its key: name → text.
func (f fields) labels() map[string]string {
	v, ok := f.under("labels")
	if !ok {
		return nil
	}
	entries, _ := v.as("labels of %s", f.subject).entries()
	var labels map[string]string
	for _, e := range entries {
		f.c.checkName(e.keyAt, "label", e.key)
		if text, ok := e.text(); ok {
			if labels == nil {
				labels = make(map[string]string)
			}
			labels[e.key] = text
		}
	}
	return labels
}
