package certs

import (
	"testing"
	"time"
)

func TestLate(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		life, left time.Duration
		want       bool
	}{
		{90 * day, 89 * day, false}, {90 * day, 30 * day, false}, {90 * day, 22 * day, false}, {90 * day, 20 * day, true},
		{6 * day, 2 * day, false}, {6 * day, day, true}, {398 * day, 40 * day, false}, {398 * day, 20 * day, true}, {90 * day, -day, true},
	} {
		notAfter := now.Add(c.left)
		if got := Late(notAfter.Add(-c.life), notAfter, now); got != c.want {
			t.Errorf("of %v days %v are left: %v, want %v", c.life.Hours()/24, c.left.Hours()/24, got, c.want)
		}
	}
}
