//go:build !slow

package main

// slack is how many times later than promised something may come to pass.
const slack = 10
