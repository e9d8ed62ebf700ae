//go:build slow

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// alone runs the test once more, in namespaces of its own (clone(2): CLONE_NEWNET,
// CLONE_NEWNS), in which it may lay cables and mount file systems, and returns true
// there. All that it made ends with it.
func alone(t *testing.T, namespaces uintptr) bool {
	t.Helper()
	const here = "FAIRWAY_TEST_ALONE"
	if os.Getenv(here) != "" {
		if namespaces&syscall.CLONE_NEWNET != 0 {
			sh(t, "ip", "link", "set", "lo", "up")
			sh(t, "ip", "address", "add", hub+"/32", "dev", "lo")
		}
		if namespaces&syscall.CLONE_NEWNS != 0 {
			sh(t, "mount", "--make-rprivate", "/") // what is mounted here stays here
		}
		return true
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, fmt.Sprintf("-test.timeout=%v", time.Until(deadline)))
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), here+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	runtime.LockOSThread() // a child ends with the thread that made it, see prctl(2)
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("in namespaces of its own: %v", err)
	}
	return false
}

// machine is a network namespace: a machine of its own. Two cables lead to it, one
// on which its clients are, and one on which the rest of its fleet is.
type machine struct {
	t       *testing.T
	pid     int    // of the process that keeps the namespace
	address string // of the machine, for its clients
	fleet   string // this end of the cable to its fleet
}

// hub is where a machine finds the rest of its fleet.
const hub = "10.0.0.1"

// newMachine makes a machine with a number of its own, 1 to 200.
func newMachine(t *testing.T, number int) *machine {
	t.Helper()
	holder := exec.Command("sleep", "infinity")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	m := &machine{t: t, pid: holder.Process.Pid, address: fmt.Sprintf("10.1.%d.2", number), fleet: fmt.Sprint("fleet", number)}
	m.cable(fmt.Sprint("clients", number), "clients", fmt.Sprintf("10.1.%d.", number))
	m.cable(m.fleet, "fleet", fmt.Sprintf("10.2.%d.", number))
	m.inside("ip", "link", "set", "lo", "up")
	m.inside("ip", "route", "add", hub, "via", fmt.Sprintf("10.2.%d.1", number))
	return m
}

// cable lays a cable whose ends have the addresses .1 here and .2 there.
func (m *machine) cable(here, there, network string) {
	m.t.Helper()
	sh(m.t, "ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", strconv.Itoa(m.pid))
	sh(m.t, "ip", "address", "add", network+"1/30", "dev", here)
	sh(m.t, "ip", "link", "set", here, "up")
	m.inside("ip", "address", "add", network+"2/30", "dev", there)
	m.inside("ip", "link", "set", there, "up")
}

// cut takes the cable to the rest of the fleet down: packets vanish.
func (m *machine) cut() { m.t.Helper(); sh(m.t, "ip", "link", "set", m.fleet, "down") }

// heal puts it up again.
func (m *machine) heal() { m.t.Helper(); sh(m.t, "ip", "link", "set", m.fleet, "up") }

// slow has what the fleet sends arrive at a rate, such as 32kbit, until quick is called.
func (m *machine) slow(rate string) {
	m.t.Helper()
	sh(m.t, "tc", "qdisc", "add", "dev", m.fleet, "root", "tbf", "rate", rate, "burst", "4k", "latency", "1s")
}

func (m *machine) quick() { m.t.Helper(); sh(m.t, "tc", "qdisc", "delete", "dev", m.fleet, "root") }

func (m *machine) inside(command ...string) {
	m.t.Helper()
	sh(m.t, "nsenter", append([]string{"--net=" + m.namespace()}, command...)...)
}

func (m *machine) namespace() string { return fmt.Sprintf("/proc/%d/ns/net", m.pid) }

// runs has a command run on the machine.
func (m *machine) runs(cmd *exec.Cmd) {
	program, err := exec.LookPath("nsenter")
	if err != nil {
		m.t.Fatal(err)
	}
	// nsenter becomes the command: the process is the same.
	cmd.Args = slices.Concat([]string{"nsenter", "--net=" + m.namespace(), cmd.Path}, cmd.Args[1:])
	cmd.Path = program
}

// sh runs a command that must work.
func sh(t *testing.T, program string, args ...string) {
	t.Helper()
	if found, err := exec.LookPath(program); err == nil {
		program = found
	} else if _, err := os.Stat(filepath.Join("/usr/sbin", program)); err == nil {
		program = filepath.Join("/usr/sbin", program)
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
	}
}
