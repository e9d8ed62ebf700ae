// Package consultest runs real Consul servers for tests, on loopback addresses and
// free ports. The program is the one that `make consul` builds, once for all
// trees on a machine, since that takes minutes.
//
// In:  how many servers. Out: their addresses, and the ways to kill, stop and
// restart them. It never looks into what they store.
package consultest
