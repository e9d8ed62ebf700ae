// Package learn finds out where the clients of a DNS resolver are that does not
// tell (RFC 7871).
//
// In:  names that resolvers ask for, and requests that clients send to these names.
// Out: for a resolver, the address of a client network that stands for its clients.
//
// # How
//
// A player asks our HTTP door under a name that nobody has used before:
// TOKEN.learn.cdn.example. Its resolver has to ask our DNS door for it. So both are
// seen once, and belong together: this resolver has a client in that region. The
// evidence is counted by distinct client networks; with enough of it, and a clear
// majority for one region, questions of the resolver without a client subnet are
// answered as that region's.
//
// # What it distrusts
//
// The source of a UDP packet can be forged. So the first question is answered with a
// CNAME to TOKEN-CODE, where CODE depends on a secret and on who asked: only a
// resolver that got this answer can ask the second question, and only the second
// question counts. Clients can lie by having many addresses. So a network counts once
// for a resolver, neighbours count little, and one region must have most of all.
//
// # What it keeps
//
// Of a resolver its network (/24, /48), of a client its network (/24, /56), with the
// region and the time; no address of anybody, and nothing on disk. All of it is
// bounded: tokens by number and a minute, resolvers by number, networks of a resolver
// by number, everything by age.
//
// # Known limits
//
// Both doors must be of one process: a node with roles dns and http whose DNS answer
// leads to its own HTTP door. What is learned is not shared between nodes.
package learn
