// Package resolvertest puts the resolvers that players use in front of a name
// server under test: unbound, BIND, PowerDNS Recursor and Knot Resolver, as Debian
// ships them, in an internet of their own on loopback addresses. It is for tests.
//
// In:  the delegations of that internet, and a name server that listens at one of
// its addresses.
// Out: running resolvers to ask.
//
//	internet := resolvertest.New(t)
//	server := internet.Address() // listen here, port 53
//	internet.Delegate("video.example.", map[string]netip.Addr{"ns1.video.example.": server})
//	unbound := internet.Resolver(resolvertest.Unbound)
//	answer := unbound.Ask("live.video.example.", dns.TypeA, resolvertest.From("192.0.2.0/24"))
//
// Each resolver starts from a root server of ours and follows its referrals, as it
// would outside; nothing leaves the machine. It asks from an address of its own, so
// that a server sees where a query without a client subnet comes from. With Trust it
// validates.
//
// unbound and PowerDNS Recursor are set to send the client's subnet (RFC 7871) to
// everybody, and to take it from their client's query; BIND and Knot Resolver do not
// know how to.
//
// Resolvers ask port 53, so a test needs the right to listen there: root's, as in
// most containers, or net.ipv4.ip_unprivileged_port_start at 53 or below.
package resolvertest
