package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// witness sees what the machine did during a comparison.
type witness struct {
	servers []*server
	began   time.Time
	busy    time.Duration // of all processors, by then
	ours    time.Duration // of it the servers' and our own
	load    string
}

func newWitness(servers []*server) *witness {
	w := &witness{servers: servers, began: time.Now(), load: loadAverage()}
	w.busy, w.ours = machineBusy(), w.own()
	return w
}

// statement says on what, when and beside what else was measured.
func (w *witness) statement() string {
	took := time.Since(w.began)
	foreign := (machineBusy() - w.busy) - (w.own() - w.ours)
	return fmt.Sprintf("%s, %d processors (%s), Linux %s, %s%s. Load average %s before and %s after, with this run's own; other processes took %.2f of a processor.",
		w.began.UTC().Format("2006-01-02"), runtime.NumCPU(), processor(), kernel(), runtime.Version(), w.releases(),
		w.load, loadAverage(), max(0, foreign.Seconds()/took.Seconds()))
}

// releases are the versions of the peers that ran.
func (w *witness) releases() (text string) {
	for _, p := range peers() {
		for _, s := range w.servers {
			if s.name == p.name {
				text += ", " + p.name + " " + p.release()
			}
		}
	}
	return text
}

// own is the processor time of the servers and of the load.
func (w *witness) own() (sum time.Duration) {
	for _, s := range w.servers {
		user, system, _ := s.used()
		sum += user + system
	}
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) == nil {
		sum += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return sum
}

// machineBusy is the time that all processors have worked, of proc_stat(5): all
// columns but idle and iowait, and without the guests', which are counted in user.
func machineBusy() (sum time.Duration) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		ticks, _ := strconv.Atoi(field)
		sum += time.Duration(ticks) * tick
	}
	return sum
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
