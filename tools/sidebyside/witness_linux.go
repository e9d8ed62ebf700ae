package sidebyside

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Witness sees what the machine did during a comparison.
type Witness struct {
	servers []*Process
	began   time.Time
	busy    time.Duration // of all processors, by then
	ours    time.Duration // of it the servers' and our own
	load    string
}

// NewWitness begins to watch.
func NewWitness(servers []*Process) *Witness {
	w := &Witness{servers: servers, began: time.Now(), load: loadAverage()}
	w.busy, w.ours = machineBusy(), w.own()
	return w
}

// Statement says on what, when and beside what else was measured. releases are
// the peers with their versions.
func (w *Witness) Statement(releases ...string) string {
	took := time.Since(w.began)
	foreign := (machineBusy() - w.busy) - (w.own() - w.ours)
	return fmt.Sprintf("%s, %d processors (%s), Linux %s, %s. Load average %s before and %s after, with this run's own; other processes took %.2f of a processor.",
		w.began.UTC().Format("2006-01-02"), runtime.NumCPU(), processor(), kernel(), strings.Join(append([]string{runtime.Version()}, releases...), ", "),
		w.load, loadAverage(), max(0, foreign.Seconds()/took.Seconds()))
}

// own is the processor time of the servers and of the load.
func (w *Witness) own() (sum time.Duration) {
	for _, s := range w.servers {
		user, system, _ := s.Used()
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
