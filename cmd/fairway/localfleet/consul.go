package localfleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// Consul is a cluster of Consul servers that refuse whoever has no token.
type Consul struct {
	program   string
	folder    string
	addresses []string // of the servers, IP addresses
	manager   string   // token that may do everything
}

// Ports of the servers, Consul's own.
const (
	httpPort = 8500
	raftPort = 8300
	serfPort = 8301
)

// NewConsul prepares servers, one at each address, that keep what they know in a
// folder.
func NewConsul(program, folder string, addresses ...string) *Consul {
	return &Consul{program: program, folder: folder, addresses: addresses, manager: newUUID()}
}

// Processes writes the servers' configurations and returns what to start.
func (c *Consul) Processes() ([]Process, error) {
	var processes []Process
	for i, address := range c.addresses {
		name := fmt.Sprintf("consul-%d", i+1)
		folder := filepath.Join(c.folder, name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		data, err := json.MarshalIndent(c.server(name, address, folder), "", "  ")
		if err != nil {
			return nil, err
		}
		file := filepath.Join(folder, "consul.json")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return nil, err
		}
		processes = append(processes, Process{Name: name, Args: []string{c.program, "agent", "-config-file=" + file}})
	}
	return processes, nil
}

// server is the configuration of one server.
func (c *Consul) server(name, address, folder string) map[string]any {
	return map[string]any{
		"server": true, "bootstrap_expect": len(c.addresses), "node_name": name, "retry_join": c.addresses,
		"data_dir": filepath.Join(folder, "data"), "bind_addr": address, "client_addr": address,
		"ports": map[string]int{"http": httpPort, "server": raftPort, "serf_lan": serfPort, "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1},
		"acl": map[string]any{
			"enabled": true, "default_policy": "deny", "enable_token_persistence": true,
			"tokens": map[string]string{"initial_management": c.manager, "agent": c.manager},
		},
		"performance": map[string]int{"raft_multiplier": 1},
		"log_level":   "warn", "disable_host_node_id": true, "disable_update_check": true, "disable_remote_exec": true,
	}
}

// Address is where a server is asked, host:port.
func (c *Consul) Address(server int) string {
	return fmt.Sprintf("%s:%d", c.addresses[server], httpPort)
}

// Manager is the token that may do everything.
func (c *Consul) Manager() string { return c.manager }

// Grant makes a policy of some rules, and a token that may do what they say. It
// waits, as long as the context lasts, until the servers have a leader.
func (c *Consul) Grant(ctx context.Context, name, rules string) (token string, err error) {
	client, err := consul.NewClient(&consul.Config{Address: c.Address(0), Token: c.manager})
	if err != nil {
		return "", err
	}
	o := new(consul.WriteOptions).WithContext(ctx)
	var policy *consul.ACLPolicy
	for {
		policy, _, err = client.ACL().PolicyCreate(&consul.ACLPolicy{Name: name, Rules: rules}, o)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("make the policy %s in consul: %w", name, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
	made, _, err := client.ACL().TokenCreate(&consul.ACLToken{Description: name, Policies: []*consul.ACLLink{{ID: policy.ID}}}, o)
	if err != nil {
		return "", fmt.Errorf("make the token %s in consul: %w", name, err)
	}
	return made.SecretID, nil
}

// newUUID makes a random UUID (RFC 9562 §5.4), the form that Consul wants of tokens.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
