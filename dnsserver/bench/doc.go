// Command bench measures the DNS door beside others: how much processor time one
// answer costs the server.
//
// In:  flags; the programs taskset and, for the comparison, gdnsd, Knot and
// PowerDNS with their geo modules (tools/setup/install --peers).
// Out: a table in Markdown on standard output, progress on standard error; or all
// tables of docs/PERFORMANCE.md, written into it.
//
//	make compare-dns                            # all tables
//	go run ./dnsserver/bench                    # our paths and back ends, and the others
//	go run ./dnsserver/bench -rounds 15 -each 2s
//	go run ./dnsserver/bench -rate 60000        # not as fast as it goes
//	go run ./dnsserver/bench -sizes -rounds 15  # our door, in a small world and a large one
//
// # How
//
// Every server runs at once, on processor 0, and answers for the same name over
// the same map; the load comes from processor 1, round after round to one server
// after the other, so that whatever else the machine does meets all of them
// alike. The figure is the median over the rounds of user and system time
// (/proc/PID/stat) per answer. Queries are for one CNAME, each with the ECS
// prefix of another /24, which is the worst case for every cache.
//
// # What it does not do
//
// It does not measure a network: packets go over the loopback interface, which
// charges half of the delivery to the sender. Linux only.
package main
