package consulstore

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// Member is a node of the fleet, as it registers itself.
type Member struct {
	Name    string
	Address string // of its API, as a base URL
	Version string
	Roles   []string
}

// Registered is a member as Consul knows it.
type Registered struct {
	Member
	Passing bool   // by its health check
	Output  string // of the check
}

// Service is what members are called among Consul's services; each role is a tag.
const Service = "fairway"

const (
	checkEvery  = 5 * time.Second
	forgetAfter = 72 * time.Hour // a machine that never comes back
)

func (s *Store) memberID(name string) string {
	return Service + "/" + strings.TrimSuffix(s.prefix, "/") + "/" + name
}

// Register makes a member known to the Consul agent, with a check of its /readyz.
// Doing so again changes nothing.
func (s *Store) Register(ctx context.Context, m Member) error {
	u, err := url.Parse(m.Address)
	if err != nil {
		return fmt.Errorf("register %s: %w", m.Name, err)
	}
	port, _ := strconv.Atoi(cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]))
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = s.client.Agent().ServiceRegisterOpts(&consul.AgentServiceRegistration{
		ID: s.memberID(m.Name), Name: Service, Tags: m.Roles, Address: u.Hostname(), Port: port,
		Meta: map[string]string{"name": m.Name, "api": m.Address, "version": m.Version, "prefix": s.prefix},
		Check: &consul.AgentServiceCheck{
			Name: "ready", HTTP: m.Address + "/readyz", Interval: checkEvery.String(), Timeout: patience.String(),
			TLSSkipVerify:                  true, // the agent need not know the fleet's authority to see whether a node is ready
			DeregisterCriticalServiceAfter: forgetAfter.String(),
		},
	}, consul.ServiceRegisterOpts{}.WithContext(limited))
	if err != nil {
		return fmt.Errorf("register %s with consul: %w", m.Name, err)
	}
	return nil
}

// Deregister takes a member out, so that nobody is sent there any more.
func (s *Store) Deregister(ctx context.Context, name string) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var o consul.QueryOptions
	return s.client.Agent().ServiceDeregisterOpts(s.memberID(name), o.WithContext(limited))
}

// Members lists the members of this deployment by name.
func (s *Store) Members(ctx context.Context) ([]Registered, error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o := consul.QueryOptions{AllowStale: true}
	entries, _, err := s.client.Health().Service(Service, "", false, o.WithContext(limited))
	if err != nil {
		return nil, fmt.Errorf("list the fleet's nodes in consul: %w", err)
	}
	var members []Registered
	for _, e := range entries {
		if e == nil || e.Service == nil {
			continue // no answer of Consul's, whatever stands between
		}
		e.Checks = slices.DeleteFunc(e.Checks, func(c *consul.HealthCheck) bool { return c == nil })
		if e.Service.Meta["prefix"] != s.prefix {
			continue // another deployment's
		}
		m := Registered{Passing: e.Checks.AggregatedStatus() == consul.HealthPassing, Member: Member{
			Name: e.Service.Meta["name"], Address: e.Service.Meta["api"], Version: e.Service.Meta["version"], Roles: e.Service.Tags,
		}}
		if m.Address == "" {
			m.Address = "http://" + net.JoinHostPort(e.Service.Address, strconv.Itoa(e.Service.Port))
		}
		for _, check := range e.Checks {
			if check.Status != consul.HealthPassing {
				m.Output = strings.TrimSpace(check.Output)
			}
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b Registered) int { return cmp.Compare(a.Name, b.Name) })
	return members, nil
}
