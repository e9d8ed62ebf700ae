package main

import (
	"context"
	"time"
)

const (
	// cutOffAfter is for how long a node hears of no news before its answers say so: a
	// Consul agent that is restarted is no reason.
	cutOffAfter = 5 * time.Second
	cutOffLook  = time.Second
)

// tellCutOff has the DNS door say by what it answers that this node hears of no news:
// its Consul does not answer, or nobody leads there.
func (n *node) tellCutOff(ctx context.Context) error {
	watchCutOff(ctx, func() bool { return !n.leads() && n.asked().Behind() != nil }, n.dns.CutOff)
	return nil
}

// watchCutOff tells, until the context ends, whenever something that is looked at begins
// to last, and when it is over.
func watchCutOff(ctx context.Context, behind func() bool, tell func(bool)) {
	look := time.NewTicker(cutOffLook)
	defer look.Stop()
	last, told := time.Now(), false // when it was not so
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if !behind() {
			last = time.Now()
		}
		if is := time.Since(last) >= cutOffAfter; is != told {
			told = is
			tell(is)
		}
	}
}
