// Package players holds the player kit: for each video player the configuration
// with which it leaves a failing CDN before its viewer notices, and a module that
// reports what players go through. README.md tells how to use them; the tests of
// the whole program and the demo's page load these very files.
//
// In:  nothing. Out: the files. It never serves them itself.
package players
