//go:build slow

package main

const handovers = 20
