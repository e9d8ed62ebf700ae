package steering

import "net/netip"

// Traffic is how often the clients of one network asked a door for a service,
// as far as a sample can tell. It names no client: the network is as wide as the
// policy hashes.
type Traffic struct {
	Door    string       `json:"door"`
	Service string       `json:"service"`
	Client  netip.Prefix `json:"client"` // see Decision.Network
	Count   uint64       `json:"count"`  // queries that the sampled ones stand for
}
