package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"fairway/dnsserver"
	"fairway/dnsserver/dnssec"
	"fairway/steering/api"
)

// TestScopesOfOwnPaths states which scope each path beside the API's own needs: none that
// a node has is missing. The API refuses the rest (TestScopes there).
func TestScopesOfOwnPaths(t *testing.T) {
	needed := map[string][2]api.Scope{ // to ask, to change something
		fleetPath:             {api.ScopeRead, api.ScopeAdmin},
		fleetPath + "node":    {api.ScopeNode, api.ScopeAdmin}, // what nodes ask each other
		certificatesPath:      {api.ScopeRead, api.ScopeAdmin},
		keysPath:              {api.ScopeRead, api.ScopeAdmin},
		keysPath + "/example": {api.ScopeRead, api.ScopeAdmin},
		learnPath:             {api.ScopeRead, api.ScopeAdmin},
		quarantinePath:        {api.ScopeRead, api.ScopeAdmin},
		"/debug/pprof/heap":   {api.ScopeAdmin, api.ScopeAdmin},
		"/demo/v1/faults":     {api.ScopeRead, api.ScopeOperate}, // of fairway demo
	}
	n := &node{keys: new(dnssec.Keeper), dns: new(dnsserver.Server)}
	for path := range n.extraPaths() {
		stated := false
		for row := range needed {
			stated = stated || row == path || strings.HasSuffix(path, "/") && strings.HasPrefix(row, path)
		}
		if !stated {
			t.Errorf("which scope %s needs is not stated here", path)
		}
	}
	for path, scopes := range needed {
		for method, want := range map[string]api.Scope{"GET": scopes[0], "HEAD": scopes[0], "POST": scopes[1], "PUT": scopes[1], "DELETE": scopes[1]} {
			if got := needs(httptest.NewRequest(method, path, nil)); got != want {
				t.Errorf("%s %s needs %q, want %q", method, path, got, want)
			}
		}
	}
}
