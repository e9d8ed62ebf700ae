package publish

import (
	"fmt"

	"fairway/steering"
)

// poolsDown returns the pools whose origins are all down, each with the
// reason. An origin is down when it is judged down in more than half of the
// regions that know anything about it: a region that cannot reach an origin
// says more about the region than about the origin.
func poolsDown(revision *steering.Revision, health steering.HealthTable) map[string]string {
	down := make(map[string]string)
	for _, pool := range revision.Pools {
		failed := 0
		for _, origin := range pool.Origins {
			if originDown(health, steering.OriginSubject(pool.Name, origin)) {
				failed++
			}
		}
		if failed > 0 && failed == len(pool.Origins) {
			down[pool.Name] = fmt.Sprintf("pool %s: %d of %d origins down", pool.Name, failed, failed)
		}
	}
	return down
}

func originDown(health steering.HealthTable, origin steering.Subject) bool {
	known, down := 0, 0
	for _, h := range health.Regions(origin) {
		if h.Verdict != steering.Unknown {
			known++
		}
		if h.Verdict == steering.Down {
			down++
		}
	}
	return 2*down > known
}
