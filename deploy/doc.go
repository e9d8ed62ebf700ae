// Package deploy is what operators copy from here: units, example configurations,
// Consul's access rules, Prometheus' files. Its tests check them with the tools that
// will read them there: systemd's, Consul's and Prometheus' own, and our compiler.
//
// In:  nothing. Out: the files of a fleet, as text, so that `fairway demo fleet` runs
// with the very rules and configuration that production does.
package deploy
