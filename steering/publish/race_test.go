//go:build race

package publish

// underRace: the detector has pools forget what they hold, at random.
const underRace = true
