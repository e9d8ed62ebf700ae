//go:build !race

package publish

const underRace = false
