// Command quality writes the figures of docs/STEERING-QUALITY.md.
//
// In:  what fairway sim -o json found, what fairway sim --evacuation and --off-policy said.
// Out: the part of the page between its two marks, and the drawing beside it. The rest
// of the page is written by hand. It simulates nothing itself: `make quality` does.
package main
