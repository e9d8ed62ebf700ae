// Package sidebyside is what comparisons of servers share: the processes under
// comparison, what they used, what else the machine did meanwhile, and the place
// in a document where the tables go.
//
// In:  commands that start servers.
// Out: processor time and memory by server; one sentence on the machine; a file
// with a new text between two of its lines.
//
// Everything but writing between lines reads /proc, so it is for Linux only.
package sidebyside
