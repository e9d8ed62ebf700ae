package client

import (
	"net/netip"
	"testing"

	"fairway/steering"
	"fairway/steering/api"
)

// Revision, State and Traffic make node a Control.
func (n *node) Revision() (api.Revision, error) {
	return api.Revision{RevisionInfo: api.RevisionInfo{Hash: "abc"}, Files: []api.File{{Name: "a.yaml", Data: []byte("\xff not text")}}}, nil
}

func (n *node) State() (api.State, error) {
	return api.State{Now: epoch, State: steering.State{Generation: 7}}, nil
}

func (n *node) Traffic() []steering.Traffic {
	return []steering.Traffic{{Door: "dns", Service: "live", Client: netip.MustParsePrefix("2001:db8::/56"), Count: 4}}
}

func TestCapture(t *testing.T) {
	n, addr := start(t, "")
	c := dial(t, addr, "")
	if r, err := c.Revision(t.Context()); err != nil || r.Hash != "abc" || string(r.Files[0].Data) != "\xff not text" {
		t.Errorf("revision %+v, %v", r, err)
	}
	if s, err := c.State(t.Context()); err != nil || s.State.Generation != 7 || !s.Now.Equal(epoch) {
		t.Errorf("state %+v, %v", s, err)
	}
	if q, err := c.Traffic(t.Context()); err != nil || len(q) != 1 || q[0] != n.Traffic()[0] {
		t.Errorf("traffic %+v, %v", q, err)
	}
}
