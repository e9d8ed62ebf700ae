// Command quality writes the figures of docs/STEERING-QUALITY.md.
//
// In:  the folder of pieces that tools/quality/run has made with fairway sim, or some of
// them.
// Out: the part of the page between its two marks, and drawings in a folder beside it.
// The rest of the page is written by hand. It simulates nothing itself.
package main
