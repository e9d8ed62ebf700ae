//go:build slow

package main

const slack = 1
