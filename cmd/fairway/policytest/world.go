package policytest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/geo"
)

// world is a compiled configuration.
type world struct {
	path     string
	revision *steering.Revision
	network  geo.Config
	table    *geo.Table
	findings policies.Findings // why it cannot be used
	notes    []string          // what is other than on a node
	reached  map[*steering.Rule]bool
}

func newWorld(path string) *world {
	w := &world{path: path, reached: make(map[*steering.Rule]bool)}
	files, err := policies.Read(path)
	if err != nil {
		w.fail("name the right one under configuration, or put the test beside its configuration", err)
		return w
	}
	c, findings := policies.Compile(files)
	if c == nil {
		for _, f := range findings {
			if f.Severity == policies.Error {
				w.findings = append(w.findings, f)
			}
		}
		return w
	}
	w.revision = c.Revision
	w.network = geo.Config{Regions: c.Revision.Regions, Reads: c.Revision.Reads, Databases: c.Node.Databases}
	w.table, _, err = geo.Compile(w.network)
	if err != nil && len(w.network.Databases) > 0 { // a build machine has no licensed database
		w.notes = append(w.notes, fmt.Sprintf("clients given by address are placed by the built-in country table alone: %v", err))
		w.network.Databases = nil
		w.table, _, err = geo.Compile(w.network)
	}
	if err != nil {
		w.fail("`fairway check` tells more", err)
	}
	return w
}

func (w *world) failed() bool { return len(w.findings) > 0 }

func (w *world) fail(remedy string, err error) {
	w.findings = append(w.findings, policies.Finding{
		Place: steering.Place{File: w.path, Line: 1, Col: 1}, Severity: policies.Error, Message: err.Error(), Remedy: remedy,
	})
}

func (w *world) region(name string) bool {
	for _, r := range w.revision.RegionNames() {
		if r == name {
			return true
		}
	}
	return false
}

// endpoint finds an endpoint by its id; without its service only where no other
// service has one of that name.
func (w *world) endpoint(name string) *steering.Endpoint {
	var found *steering.Endpoint
	for _, s := range w.revision.Services {
		e := endpointOf(s, name)
		switch {
		case e == nil:
		case e.ID == name:
			return e
		case found != nil:
			return nil
		default:
			found = e
		}
	}
	return found
}

// endpointOf finds a service's endpoint by its id, or by what follows the
// service's name in it.
func endpointOf(s *steering.Service, name string) *steering.Endpoint {
	for _, e := range s.Endpoints {
		if e.ID == name || strings.TrimPrefix(e.ID, s.Key+"/") == name {
			return e
		}
	}
	return nil
}

func (w *world) provider(name string) bool {
	for _, p := range w.revision.Providers {
		if p.Name == name {
			return true
		}
	}
	return false
}

// stage is a world with the clients of one test file in it. As a table it is
// the world's own, and a few addresses more.
type stage struct {
	*world
	layout *steering.Layout
	cells  []steering.Cell
	extra  map[netip.Addr]uint32
}

func newStage(w *world) *stage {
	return &stage{world: w, cells: w.table.Cells(), extra: make(map[netip.Addr]uint32)}
}

// Cells returns the cells by index.
func (s *stage) Cells() []steering.Cell { return s.cells }

// Locate finds the cell of an address.
func (s *stage) Locate(addr netip.Addr) (uint32, int) {
	if cell, ok := s.extra[addr]; ok {
		return cell, addr.BitLen()
	}
	return s.table.Locate(addr)
}

// standIn gives the address that stands for clients of a cell.
func (s *stage) standIn(cell steering.Cell) netip.Addr {
	at := -1
	for i := range s.cells {
		if s.cells[i] == cell {
			at = i
			break
		}
	}
	if at < 0 {
		at = len(s.cells)
		s.cells = append(s.cells[:at:at], cell) // never into the table's own array
	}
	address := netip.AddrFrom16([16]byte{0: 1, 12: byte(at >> 24), 13: byte(at >> 16), 14: byte(at >> 8), 15: byte(at)})
	s.extra[address] = uint32(at)
	return address
}

// at returns a service as it is at a time; nil stays nil.
func (w *world) at(service *steering.Service, now time.Time) *steering.Service {
	if service == nil {
		return nil
	}
	return w.revision.At(slices.Index(w.revision.Services, service), now)
}

// build makes the layout, once all clients are placed.
func (s *stage) build() (err error) {
	s.layout, err = steering.NewLayout(s.revision, s)
	return err
}
