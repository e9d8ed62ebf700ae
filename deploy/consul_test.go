package deploy_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairway/cmd/fairway/localfleet"
	"fairway/deploy"
	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/consultest"
	"fairway/tools/freeport"

	consul "github.com/hashicorp/consul/api"
)

// manager is the token that may do everything in the Consul of this test.
const manager = "11111111-2222-4333-8444-555555555555"

// guarded is a Consul that refuses whoever has no token, and speaks TLS.
type guarded struct {
	t         *testing.T
	address   string // of HTTPS
	authority string // file
	client    *consul.Client
}

func startGuarded(t *testing.T) guarded {
	t.Helper()
	folder := t.TempDir()
	authority, err := localfleet.NewAuthority()
	must(t, err)
	g := guarded{t: t, authority: filepath.Join(folder, "ca.pem")}
	must(t, authority.WriteTo(g.authority))
	must(t, authority.Issue(folder, "consul", netip.MustParseAddr("127.0.0.1")))
	port := freeport.Find(t, "127.0.0.1")
	g.address = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)).String()
	consultest.StartWith(t, 1, func(config map[string]any) {
		config["ports"].(map[string]int)["https"] = port
		config["tls"] = map[string]any{"https": map[string]any{"cert_file": filepath.Join(folder, "node.pem"), "key_file": filepath.Join(folder, "node.key"), "ca_file": g.authority}}
		config["acl"] = map[string]any{"enabled": true, "default_policy": "deny", "tokens": map[string]string{"initial_management": manager, "agent": manager}}
	})
	g.client = g.as(manager)
	return g
}

// as speaks to Consul with a token, without Fairway's code between.
func (g guarded) as(token string) *consul.Client {
	g.t.Helper()
	c, err := consul.NewClient(&consul.Config{Address: g.address, Scheme: "https", Token: token, TLSConfig: consul.TLSConfig{CAFile: g.authority}})
	must(g.t, err)
	return c
}

// grant makes a token that may do what some rules say.
func (g guarded) grant(name, rules string) string {
	g.t.Helper()
	var token *consul.ACLToken
	eventually(g.t, "the token "+name+" is made", func() bool {
		policy, _, err := g.client.ACL().PolicyReadByName(name, nil)
		if err != nil || policy == nil {
			if policy, _, err = g.client.ACL().PolicyCreate(&consul.ACLPolicy{Name: name, Rules: rules}, nil); err != nil {
				return false
			}
		}
		token, _, err = g.client.ACL().TokenCreate(&consul.ACLToken{Policies: []*consul.ACLLink{{ID: policy.ID}}}, nil)
		return err == nil
	})
	return token.SecretID
}

func (g guarded) open(token string, writer bool) *consulstore.Store {
	g.t.Helper()
	s, err := consulstore.Open(consulstore.Options{
		Address: g.address, Token: func() string { return token }, TLS: &consulstore.TLS{CAFile: g.authority}, Writer: writer, Warn: func(err error) { g.t.Log(err) },
	})
	must(g.t, err)
	g.t.Cleanup(func() { s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("never: ", what)
		}
	}
}

// refused fails the test unless Consul's access control has refused something.
func refused(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "Permission denied") && !strings.Contains(err.Error(), "403") {
		t.Errorf("%s: %v, want it refused", what, err)
	}
}

// TestConsulRules: with the tokens that consul/*.hcl make, each role can do in a
// Consul that denies by default, over TLS, what it has to, and nothing else.
func TestConsulRules(t *testing.T) {
	g := startGuarded(t)
	control, edge, prometheus := g.grant("control", deploy.ControlRules), g.grant("edge", deploy.EdgeRules), g.grant("prometheus", deploy.PrometheusRules)
	ctx := t.Context()

	leading := g.open(control, true)
	elected := make(chan uint64, 10)
	campaign, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		leading.Campaign(campaign, consulstore.Candidate{Node: "control-1", Address: "https://control-1:8400", Lead: func(ctx context.Context, term uint64) {
			elected <- term
			<-ctx.Done()
		}})
	}()
	defer func() { stop(); <-ended }()
	select {
	case <-elected:
	case <-time.After(time.Minute):
		t.Fatal("the token of control.hcl does not lead")
	}
	must(t, leading.PutState(ctx, steering.State{Version: steering.StateVersion, Generation: 7, Published: time.Now()}))
	_, err := leading.PutRevision(ctx, store.Revision{Hash: "abc", Author: "test", Files: []store.File{{Name: "fairway.yaml", Data: []byte("x: 1\n")}}})
	must(t, err)
	must(t, leading.Register(ctx, consulstore.Member{Name: "control-1", Address: "https://127.0.0.1:1", Version: "1", Roles: []string{"control"}}))

	reading := g.open(edge, false)
	must(t, reading.Register(ctx, consulstore.Member{Name: "dns-1", Address: "https://127.0.0.1:2", Version: "1", Roles: []string{"dns"}}))
	if state, found, err := reading.State(ctx); err != nil || !found || state.Generation != 7 {
		t.Errorf("the token of edge.hcl reads %+v, %v, %v", state, found, err)
	}
	eventually(t, "the token of edge.hcl lists both members", func() bool {
		members, err := reading.Members(ctx)
		return err == nil && len(members) == 2
	})
	eventually(t, "prometheus.hcl finds both members", func() bool {
		found, _, err := g.as(prometheus).Catalog().Service(consulstore.Service, "", nil)
		return err == nil && len(found) == 2
	})
	refused(t, "an edge stores a state", g.open(edge, true).PutState(ctx, steering.State{Version: steering.StateVersion, Generation: 8}))
	if state, _, err := reading.State(ctx); err != nil || state.Generation != 7 {
		t.Errorf("after that the state is %d, %v", state.Generation, err)
	}
	for name, token := range map[string]string{"control": control, "edge": edge, "prometheus": prometheus, "nobody": ""} {
		g.bounds(name, g.as(token))
	}
	must(t, reading.Deregister(ctx, "dns-1"))
}

// bounds asks for what no node may do, and for what only some may.
func (g guarded) bounds(name string, as *consul.Client) {
	g.t.Helper()
	put := func(key string) error {
		_, err := as.KV().Put(&consul.KVPair{Key: key, Value: []byte("x")}, nil)
		return err
	}
	refused(g.t, name+" writes beside the prefix", put("fairway-2/x"))
	refused(g.t, name+" writes another's key", put("other/x"))
	refused(g.t, name+" registers another service", as.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "web"}))
	_, _, err := as.ACL().TokenList(nil)
	refused(g.t, name+" lists tokens", err)
	_, _, err = as.ACL().PolicyCreate(&consul.ACLPolicy{Name: "mine", Rules: `acl = "write"`}, nil)
	refused(g.t, name+" makes a policy", err)
	_, err = as.Operator().RaftGetConfiguration(nil)
	refused(g.t, name+" asks for the servers", err)
	if name == "control" {
		return
	}
	refused(g.t, name+" writes below the prefix", put("fairway/x"))
	_, err = as.KV().DeleteTree("fairway/", nil)
	refused(g.t, name+" deletes the prefix", err)
	_, _, err = as.Session().Create(&consul.SessionEntry{TTL: "10s"}, nil)
	refused(g.t, name+" makes a session", err)
	if name == "edge" {
		return
	}
	if pairs, _, err := as.KV().List("fairway/", nil); err == nil && len(pairs) > 0 {
		g.t.Errorf("%s reads %d keys", name, len(pairs))
	}
}

// TestConsulOverTLS: whoever has the wrong authority hears nothing, and says why.
func TestConsulOverTLS(t *testing.T) {
	g := startGuarded(t)
	other, err := localfleet.NewAuthority()
	must(t, err)
	wrong := filepath.Join(t.TempDir(), "ca.pem")
	must(t, other.WriteTo(wrong))
	s, err := consulstore.Open(consulstore.Options{Address: g.address, Token: func() string { return manager }, TLS: &consulstore.TLS{CAFile: wrong}})
	must(t, err)
	defer s.Close()
	if _, _, err := s.State(t.Context()); err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with another authority: %v, want a word on the certificate", err)
	}
}
