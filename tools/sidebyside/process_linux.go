package sidebyside

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a server that runs.
type Process struct {
	cmd *exec.Cmd
	log bytes.Buffer
}

// Start starts a server. It ends with this process, whatever happens.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd}
	cmd.Stderr = &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p, cmd.Start()
}

// End ends the server.
func (p *Process) End() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end %s: %w", p.cmd.Path, err)
	}
	_ = p.cmd.Wait() // some end by the signal itself
	return nil
}

// Log is what a server that has ended wrote to its standard error.
func (p *Process) Log() string { return p.log.String() }

// tick is the unit of times in /proc: USER_HZ is 100 everywhere.
const tick = 10 * time.Millisecond

// Used is the user and system time that the server has taken.
func (p *Process) Used() (user, system time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	u, errU := strconv.Atoi(fields[11])
	v, errV := strconv.Atoi(fields[12])
	return time.Duration(u) * tick, time.Duration(v) * tick, errors.Join(errU, errV)
}

// Memory is what the server holds, in octets.
func (p *Process) Memory() int {
	statm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}

// Pin keeps every thread of a process on these processors.
func Pin(pid int, processors ...int) error {
	var set unix.CPUSet
	for _, p := range processors {
		set.Set(p)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, _ := strconv.Atoi(thread.Name())
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return fmt.Errorf("pin process %d to processors %v: %w", pid, processors, err)
		}
	}
	return nil
}

// Find finds a daemon, which need not be on everybody's path.
func Find(program string) (string, error) {
	for _, folder := range []string{"/usr/sbin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(folder + program); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(program)
}

// Median is that of a figure over all turns.
func Median[T any, F cmp.Ordered](turns []T, figure func(T) F) F {
	var all []F
	for _, t := range turns {
		all = append(all, figure(t))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
