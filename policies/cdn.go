package policies

import (
	"slices"
	"strings"

	"fairway/steering"
)

// pools compiles the origin pools.
func (c *compiler) pools() []*steering.Pool {
	var all []*steering.Pool
	fallbacks := make(map[string]value)
	for _, v := range c.each(pool) {
		f, _ := v.fields("origins fallback probe")
		p := &steering.Pool{Name: v.name, Place: v.home()}
		if _, ok := f.require("origins", "add origins: [https://origin.example]"); ok {
			for _, item := range f.oneOrMore("origins") {
				if origin, ok := item.baseURL(); ok {
					p.Origins = append(p.Origins, origin)
				}
			}
			if origins := f.byKey["origins"]; len(origins.node.Content) == 0 && origins.node.Tag == "!!seq" {
				origins.fault("name at least one origin", "is empty")
			}
		}
		if p.Fallback = f.refer("fallback", pool); p.Fallback != "" {
			fallbacks[p.Name] = f.byKey["fallback"]
		}
		p.Probe = c.probe(f.refer("probe", probe))
		all = append(all, p)
	}
	c.checkFallbacks(all, fallbacks)
	return all
}

// checkFallbacks reports chains of fallbacks that end where they began, each
// once. Every pool is walked over once, so the cost is linear.
func (c *compiler) checkFallbacks(pools []*steering.Pool, at map[string]value) {
	next := make(map[string]string, len(pools))
	for _, p := range pools {
		next[p.Name] = p.Fallback
	}
	walked := make(map[string]int) // name → the walk that met it
	for walk, p := range pools {
		var path []string
		name := p.Name
		for name != "" && walked[name] == 0 {
			walked[name] = walk + 1
			path = append(path, name)
			name = next[name]
		}
		if name != "" && walked[name] == walk+1 {
			circle := append(path[slices.Index(path, name):], name)
			at[name].fault("take the fallback of one of them out", "the fallbacks go in a circle: %s", strings.Join(circle, " → "))
		}
	}
}
