package main

import (
	"fmt"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"fairway/policies"
	"fairway/steering/metrics"
)

// resources are what a process may use of the machine that it runs on.
type resources struct {
	memory      uint64 // octets; 0 = not known
	descriptors uint64
}

// The HTTP door takes its bound of connections from the machine, where the configuration
// does not say one: an eighth of the memory for those over TCP, as much for QUIC, so that a
// flood of them leaves three quarters to everything else; and half of the descriptors.
// One that is silent holds 7 KiB in clear text and 12 over TLS, one that asks or shakes
// hands more.
const (
	connectionOctets = 20 << 10
	memoryPart       = 8
	descriptorPart   = 2
	mostByItself     = 100_000 // more is for an operator to ask for
	leastByItself    = 256
	descriptorsElse  = 512 // files, probes, the store, the API
)

// bears is how many connections a machine bears.
func (m resources) bears() int {
	n := min(mostByItself, m.descriptors/descriptorPart)
	if m.memory > 0 {
		n = min(n, m.memory/memoryPart/connectionOctets)
	}
	return int(max(n, leastByItself))
}

// tooFew says what is wrong with a configuration that wants more descriptors than a
// process has; two empty strings when nothing is.
func (m resources) tooFew(n policies.Node) (message, remedy string) {
	need := uint64(n.HTTP.Connections) + uint64(n.DNS.TCP.Connections) + descriptorsElse
	if n.HTTP.Connections == 0 || need <= m.descriptors {
		return "", ""
	}
	return fmt.Sprintf("http: %d connections, %d of dns.tcp and %d descriptors for all else are %d, and a process here may have %d: the last clients would wait for others to leave",
			n.HTTP.Connections, n.DNS.TCP.Connections, descriptorsElse, need, m.descriptors),
		"raise LimitNOFILE= of the unit (ulimit -n), or lower connections"
}

// connections is the bound of the HTTP door.
func (n *node) connections(settings policies.Node) int {
	here := thisMachine()
	if message, remedy := here.tooFew(settings); message != "" {
		n.log.Warn(message, "place", settings.HTTP.ConnectionsAt, "remedy", remedy)
	}
	if settings.HTTP.Connections > 0 {
		return settings.HTTP.Connections
	}
	bound := here.bears()
	n.log.Info("the HTTP door takes as many connections as this machine bears; http.connections says otherwise", "connections", bound)
	return bound
}

// httpConnections is what metrics show of them.
func (n *node) httpConnections() (c metrics.HTTPConnections) {
	if n.http != nil {
		c.TCP, c.QUIC, c.Most = n.http.Connections()
	}
	return c
}

// thisMachine looks at the limits of this process: its descriptors, and the least of the
// machine's memory, its control groups' and GOMEMLIMIT.
func thisMachine() (m resources) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		m.descriptors = limit.Cur
	}
	smaller := func(octets uint64) {
		if octets > 0 && (m.memory == 0 || octets < m.memory) {
			m.memory = octets
		}
	}
	smaller(installed("/proc/meminfo"))
	for _, name := range groupLimits("/proc/self/cgroup", "/sys/fs/cgroup") {
		smaller(readNumber(name))
	}
	if own := debug.SetMemoryLimit(-1); own != math.MaxInt64 {
		smaller(uint64(own))
	}
	return m
}

// installed is the machine's memory (proc_meminfo(5)); 0 where nothing tells.
func installed(name string) uint64 {
	text, _ := os.ReadFile(name)
	for line := range strings.Lines(string(text)) {
		if rest, is := strings.CutPrefix(line, "MemTotal:"); is {
			kib, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// groupLimits are the files with the limits of a process's control groups (cgroups(7)): of
// its own and all above it. Within a container only the root may be seen.
func groupLimits(groups, root string) (files []string) {
	text, _ := os.ReadFile(groups)
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, folder, _ := strings.Cut(rest, ":")
		under, file := "", "memory.max"
		if controllers == "memory" { // version 1
			under, file = "memory", "memory.limit_in_bytes"
		} else if controllers != "" {
			continue
		}
		for at := path.Clean("/" + folder); ; at = path.Dir(at) {
			files = append(files, path.Join(root, under, at, file))
			if at == "/" {
				break
			}
		}
	}
	return files
}

// readNumber reads a file with a number; 0 where it has none, or says max.
func readNumber(name string) uint64 {
	text, _ := os.ReadFile(name)
	n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n
}
