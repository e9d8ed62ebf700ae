package dnsserver

import (
	"net/netip"
	"time"
)

// Tap is shown queries and answers as they were on the wire.
type Tap interface {
	// Saw is told of every answer that goes out. It is called from many goroutines
	// at once on the way of the answer, must not wait, and keeps none of the octets.
	Saw(x Exchange)
}

// Exchange is a query and its answer.
type Exchange struct {
	Transport     string // as observers hear it: udp, tcp …
	Client        netip.Addr
	Query, Answer []byte
	Took          time.Duration
}
