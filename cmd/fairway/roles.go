package main

import (
	"fmt"
	"slices"
	"strings"
)

// roles are the parts that a node plays.
type roles struct{ probe, control, dns, http bool }

var allRoles = []string{"probe", "control", "dns", "http"}

// parseRoles reads a comma-separated list.
func parseRoles(text string) (roles, error) {
	var r roles
	for name := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(name) {
		case "probe":
			r.probe = true
		case "control":
			r.control = true
		case "dns":
			r.dns = true
		case "http":
			r.http = true
		default:
			return r, fmt.Errorf("role %q is none of %s", name, strings.Join(allRoles, ", "))
		}
	}
	return r, nil
}

// doors tells whether the node answers players.
func (r roles) doors() bool { return r.dns || r.http }

// names lists the roles in their usual order.
func (r roles) names() []string {
	return slices.DeleteFunc(slices.Clone(allRoles), func(name string) bool {
		return !map[string]bool{"probe": r.probe, "control": r.control, "dns": r.dns, "http": r.http}[name]
	})
}
