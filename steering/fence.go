package steering

import "strings"

// Fence keeps an endpoint from some clients, whatever rules and operators say
// and whatever fails: the licence or the contract does not reach there, or the
// law forbids it.
type Fence struct {
	Code  ReasonCode       // ReasonGeofenced or ReasonBlocked
	Bars  func(*Cell) bool // the clients that the endpoint is kept from; pure
	Text  string           // for people: whose fence it is, and what it says
	Place Place
}

// Barred are the endpoints that fences keep from the clients of a group.
type Barred struct {
	by  map[string]*Fence // endpoint id → the first fence that bars it
	key string
}

// Fence returns what bars an endpoint; nil = nothing does.
func (b *Barred) Fence(endpointID string) *Fence {
	if b == nil {
		return nil
	}
	return b.by[endpointID]
}

// Key names what is barred; empty = nothing.
func (b *Barred) Key() string {
	if b == nil {
		return ""
	}
	return b.key
}

// Barred returns what fences bar from the clients of a cell; nil = nothing.
func (s *Service) Barred(cell *Cell) *Barred {
	return newBarred(s.Endpoints, func(f *Fence) bool { return f.Bars(cell) })
}

// newBarred makes one of the endpoints that fences bar from a cell; nil where
// none is.
func newBarred(endpoints []*Endpoint, bars func(*Fence) bool) *Barred {
	var b *Barred
	var ids []string
	for _, e := range endpoints {
		for _, f := range e.Fences {
			if !bars(f) {
				continue
			}
			if b == nil {
				b = &Barred{by: make(map[string]*Fence)}
			}
			b.by[e.ID] = f
			ids = append(ids, e.ID)
			break
		}
	}
	if b != nil {
		b.key = strings.Join(ids, ",")
	}
	return b
}
