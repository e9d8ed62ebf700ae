package transfer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/tools/freeport"
)

// loopback is an address of this process alone, as good as: nobody else takes its
// ports between our finding them free and a daemon's binding them.
func loopback() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+pid>>16&63, pid>>8&255, max(pid&255, 1))
}

// daemon is another implementation, as Debian has it, in a folder of its own.
type daemon struct {
	t       *testing.T
	folder  string
	host    string
	address string
	port    int
	log     string // file
	pid     int
}

// program finds a daemon's binary; they live in sbin.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, folder := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/bin"} {
		if path := filepath.Join(folder, name); exists(path) {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v; tools/setup/install installs it", err)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func newDaemon(t *testing.T, host string) *daemon {
	t.Helper()
	// Unix sockets have short names only: t.TempDir may be too deep.
	folder, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	port := freeport.Find(t, host)
	return &daemon{t: t, folder: folder, host: host, port: port, address: fmt.Sprint(host, ":", port), log: filepath.Join(folder, "log")}
}

func (d *daemon) write(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// start runs the daemon in the foreground until the test ends, or stop is called.
func (d *daemon) start(name string, args ...string) (stop func()) {
	d.t.Helper()
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	c := exec.Command(program(d.t, name), args...)
	c.Dir, c.Stdout, c.Stderr = d.folder, log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.pid = c.Process.Pid
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			<-ended
		}
	}
	d.t.Cleanup(stop)
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Logf("%s said:\n%s", name, d.said())
		}
	})
	return stop
}

func (d *daemon) said() string {
	text, _ := os.ReadFile(d.log)
	return string(text)
}

// ask puts a question to a server, several times: a packet may be lost while it
// loads a zone. nil when it does not answer.
func ask(server, name string, qtype uint16) *dns.Msg {
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.RecursionDesired = false
	c := &dns.Client{Timeout: 3 * time.Second}
	for range 5 {
		if r, _, err := c.Exchange(q, server); err == nil {
			return r
		}
	}
	return nil
}

// serves tells whether a server has a zone at a serial.
func serves(server string, serial uint32) bool {
	r := ask(server, apex, dns.TypeSOA)
	if r == nil || len(r.Answer) == 0 || !r.Authoritative {
		return false
	}
	soa, ok := r.Answer[0].(*dns.SOA)
	return ok && soa.Serial == serial
}

// target is where a server's CNAME for a name leads.
func target(server, name string) string {
	if r := ask(server, name, dns.TypeA); r != nil && len(r.Answer) > 0 {
		if c, ok := r.Answer[0].(*dns.CNAME); ok {
			return c.Target
		}
	}
	return ""
}

func (d *daemon) mentions(parts ...string) bool {
	text := d.said()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
