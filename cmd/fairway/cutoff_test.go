package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What does not last is not told of; what lasts is, once, and that it is over as soon as
// that is seen.
func TestWatchCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		since := func() time.Duration { return time.Since(began) }
		var told []string
		watchCutOff(ctx, func() bool {
			return since() > 10*time.Second && since() < 14*time.Second || since() > 20*time.Second && since() < 40*time.Second
		}, func(is bool) { told = append(told, fmt.Sprint(since(), is)) })
		if want := []string{"25s true", "40s false"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
