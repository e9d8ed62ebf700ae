// Command quality writes the figures of docs/STEERING-QUALITY.md.
//
// In:  what fairway sim -o json found, with --study or without, and what --evacuation
// and --off-policy said.
// Out: the part of the page between its two marks, and drawings in a folder beside it.
// The rest of the page is written by hand. It simulates nothing itself: `make quality`
// does.
package main
