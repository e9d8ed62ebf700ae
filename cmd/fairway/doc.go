// Command fairway steers video players between CDNs: it probes, judges,
// decides and answers, in one process or in many. `fairway --help` teaches it.
//
// In:  a command line; for a node, a configuration, a data folder and signals.
// Out: a running node, or what a running node says through its API.
//
// This package only wires the others together (node.go), brings changes to them
// (reload.go, follow.go) and speaks with operators (a file per command). It holds
// no opinion on health, policy or answers.
package main
