// Package crew has goroutines that come and go while something runs: probes of
// targets that a reload names, ways to control nodes that are found later.
//
// In:  functions, each with the context that ends it. Out: nothing.
//
// What is started before Run begins with it; what is started while it runs begins at
// once; what is started after it ended never does. Run returns when all have. All
// methods may be called from any goroutine, also by a member of the crew.
package crew
