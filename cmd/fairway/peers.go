package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"fairway/policies"
	"fairway/steering/api"
	"fairway/steering/api/client"
	"fairway/steering/certs"
)

// openPeers opens what the nodes of a fleet know each other by; nil where they speak
// in the clear. What cannot be read keeps no door from answering: only the API and
// other nodes are out of reach until the files are there.
func openPeers(settings policies.Node, log *slog.Logger) *certs.Files {
	t := settings.PeerTLS
	if t == nil {
		return nil
	}
	peers, err := certs.OpenPeers(t.Certificate, t.Key, t.CA, log.With("part", "peers"))
	if err != nil {
		log.Error("api.tls: the API refuses connections, and no other node is reached, until these files can be read; the doors answer", "certificate", t.Certificate, "key", t.Key, "ca", t.CA, "err", err)
	}
	return peers
}

// overPeers has clients show this node's certificate.
func (n *node) overPeers() []client.Option {
	if n.peers == nil {
		return nil
	}
	return []client.Option{client.Over(n.peers.Transport())}
}

// toPeers is how other nodes are reached; nil = by HTTP's default.
func (n *node) toPeers() http.RoundTripper {
	if n.peers == nil {
		return nil
	}
	return n.peers.Transport()
}

// accept is what the API's listeners speak TLS with; nil = they speak in the clear.
func (n *node) accept() *tls.Config {
	if n.peers == nil {
		return nil
	}
	return n.peers.Accept()
}

// shown is the token that this node shows control: one of its own, so that an edge
// that is broken into can only report, or else the API's.
func (n *node) shown(c *configuration, token string) (string, error) {
	if c.Node.ControlToken == "" || n.roles.control {
		return token, nil
	}
	shown, err := readToken(c.Node.ControlToken)
	if err != nil {
		return "", fmt.Errorf("control.token_file: %w", err)
	}
	return shown, nil
}

// tokens are those that the configuration names, as it is at the moment; nil where
// there are none at the start, and none that would let the API be open.
func (n *node) tokens(c *configuration) func() []api.Token {
	if len(c.Node.Tokens) == 0 && c.Node.TokenFile == "" {
		return nil
	}
	return func() []api.Token {
		now := n.config.Load().Node.Tokens
		tokens := make([]api.Token, len(now))
		for i, t := range now {
			tokens[i] = api.Token{Name: t.Name, SHA256: t.SHA256, Vantages: t.Vantages}
			for _, scope := range t.Scopes {
				tokens[i].Scopes = append(tokens[i].Scopes, api.Scope(scope))
			}
		}
		return tokens
	}
}

// needs is the scope that a request to one of the paths beside the API's own needs.
func needs(r *http.Request) api.Scope {
	asks := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch path := r.URL.Path; {
	case asks && path == fleetPath+"node":
		return api.ScopeNode
	case strings.HasPrefix(path, "/debug/"):
		return api.ScopeAdmin // profiles show what is in memory, and cost
	case asks:
		return api.ScopeRead
	case strings.HasPrefix(path, "/demo/"):
		return api.ScopeOperate
	}
	return api.ScopeAdmin
}
