//go:build !slow

package main

// handovers is how often TestNothingIsLost replaces the process.
const handovers = 2
