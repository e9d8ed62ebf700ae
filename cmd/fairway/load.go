package main

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// loadMeter tells which part of the processors that this process may use it does
// use: what scales edges.
type loadMeter struct {
	mu    sync.Mutex
	at    time.Time
	used  time.Duration
	ratio float64
}

// loadOver is the least time that a load is the mean of.
const loadOver = 5 * time.Second

// now is the load of the newest span, 0..1.
func (l *loadMeter) now() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, used := time.Now(), processorTime()
	if passed := now.Sub(l.at); passed >= loadOver {
		if !l.at.IsZero() {
			l.ratio = min(1, (used-l.used).Seconds()/passed.Seconds()/float64(runtime.GOMAXPROCS(0)))
		}
		l.at, l.used = now, used
	}
	return l.ratio
}

// processorTime is what this process has used since it began.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
