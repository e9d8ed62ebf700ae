package consultest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/tools/freeport"
)

// patience is how long a server may take for what should take a second.
const patience = 2 * time.Minute

// Program is where `make consul` puts Consul: beside what other trees have built,
// since it takes minutes.
func Program() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "fairway", "consul-1.15.4")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("there is no Consul at %s: build it with: make consul", path)
	}
	return path, nil
}

// Server is one Consul server.
type Server struct {
	Address string // host:port of its HTTP API

	args []string
	cmd  *exec.Cmd
	log  string
}

// Start runs a cluster of n servers until the test ends, and returns when it has
// a leader.
func Start(t testing.TB, n int) []*Server {
	t.Helper()
	return StartWith(t, n, func(map[string]any) {})
}

// StartWith is Start with servers whose configuration, as Consul reads it from JSON,
// has been changed.
func StartWith(t testing.TB, n int, change func(map[string]any)) []*Server {
	t.Helper()
	program, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	ports := make([]int, 4*n)
	for i := range ports {
		ports[i] = freeport.Find(t, "127.0.0.1")
	}
	var servers []*Server
	for i := range n {
		p := ports[4*i:]
		s := &Server{
			Address: fmt.Sprintf("127.0.0.1:%d", p[0]),
			log:     filepath.Join(folder, fmt.Sprintf("%d.log", i)),
		}
		config := map[string]any{
			"server": true, "bootstrap_expect": n, "node_name": fmt.Sprintf("consul-%d", i), "datacenter": "dc1",
			"data_dir": filepath.Join(folder, fmt.Sprint(i)), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
			"ports":                map[string]int{"http": p[0], "server": p[1], "serf_lan": p[2], "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1},
			"performance":          map[string]int{"raft_multiplier": 1},
			"session_ttl_min":      "1s",
			"log_level":            "warn",
			"disable_host_node_id": true, "disable_update_check": true, "disable_remote_exec": true, "leave_on_terminate": false,
		}
		var others []string
		for k := range n {
			others = append(others, fmt.Sprintf("127.0.0.1:%d", ports[4*k+2]))
		}
		config["retry_join"] = others
		change(config)
		file := filepath.Join(folder, fmt.Sprintf("%d.json", i))
		data, err := json.Marshal(config)
		if err == nil {
			err = os.WriteFile(file, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.args = []string{program, "agent", "-config-file=" + file}
		servers = append(servers, s)
		s.Run(t)
	}
	t.Cleanup(func() {
		for _, s := range servers {
			s.Kill()
		}
		if t.Failed() {
			for _, s := range servers {
				text, _ := os.ReadFile(s.log)
				t.Logf("consul at %s said:\n%s", s.Address, text)
			}
		}
	})
	AwaitLeader(t, servers)
	return servers
}

// Run starts the server, also again after Kill: its data are still there.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// Signal stops the server with SIGSTOP, or lets it go on with SIGCONT.
func (s *Server) Signal(signal syscall.Signal) { s.cmd.Process.Signal(signal) }

// Leads tells whether the server says that it leads.
func (s *Server) Leads() bool {
	var about struct {
		Stats struct{ Consul map[string]string }
	}
	r, err := client.Get("http://" + s.Address + "/v1/agent/self")
	if err != nil {
		return false
	}
	defer r.Body.Close()
	return json.NewDecoder(r.Body).Decode(&about) == nil && about.Stats.Consul["leader"] == "true"
}

// AwaitLeader waits until every server knows one leader.
func AwaitLeader(t testing.TB, servers []*Server) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		known := 0
		for _, s := range servers {
			if leader(s.Address) != "" {
				known++
			}
		}
		if known == len(servers) {
			return
		}
		if time.Since(begin) > patience {
			t.Fatalf("%d of %d Consul servers have a leader after %v", known, len(servers), patience)
		}
	}
}

var client = &http.Client{Timeout: 2 * time.Second}

func leader(address string) (name string) {
	r, err := client.Get("http://" + address + "/v1/status/leader")
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK || json.NewDecoder(r.Body).Decode(&name) != nil {
		return ""
	}
	return strings.TrimSpace(name)
}
