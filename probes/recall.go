package probes

import (
	"net/netip"
	"sync"
)

// memory is what an assignment knows of its addresses from one probe to the next.
type memory struct {
	mu        sync.Mutex
	byAddress map[netip.Addr]*recall
}

// recall is what is known of one address. It is used by one attempt at a time.
type recall struct {
	idle  *line            // for the next probe
	media map[string]*edge // by playlist: how far it had come
}

// of returns what is known of an address.
func (m *memory) of(a netip.Addr) *recall {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.byAddress[a]
	if r == nil {
		r = &recall{media: make(map[string]*edge)}
		m.byAddress[a] = r
	}
	return r
}

// keep forgets all addresses but these.
func (m *memory) keep(addresses []netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := make(map[netip.Addr]bool, len(addresses))
	for _, a := range addresses {
		known[a] = true
	}
	for a, r := range m.byAddress {
		if !known[a] {
			r.close()
			delete(m.byAddress, a)
		}
	}
}

func (r *recall) close() {
	if r.idle != nil {
		r.idle.close()
		r.idle = nil
	}
}

// take returns the idle connection to a place, if there is one.
func (r *recall) take(to string) *line {
	l := r.idle
	if l == nil || l.to != to {
		return nil
	}
	r.idle = nil
	return l
}

// keepLine keeps a connection for the next probe. One is enough.
func (r *recall) keepLine(l *line) bool {
	if r.idle != nil {
		return false
	}
	r.idle = l
	return true
}
