package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/publish"
	"fairway/steering/store"
)

// control is what a node lets its API do.
type control struct{ *node }

// errNotControl answers what only a control node can do.
var errNotControl = fmt.Errorf("%w: this node does not play the control role; ask the node that does", api.ErrUnavailable)

// Status describes the node from its newest view.
func (c *control) Status() api.Status {
	config := c.config.Load()
	s := api.Status{
		Version: version(), Roles: c.roles.names(), Listen: c.bound(), Started: c.started,
		Overrides: c.Overrides(), Geo: c.geoStatus(config),
		Configuration: api.Configuration{
			Path: c.path, LoadedAt: config.loaded, ServingLastGood: config.lastGood != "" || c.failure.Load() != nil,
		},
	}
	s.Configuration.Rollout, s.Certificates = c.state(), c.certificates()
	if why := c.failure.Load(); why != nil {
		s.Configuration.Error = *why
	}
	seen := make(map[string]time.Time)
	c.seen.Range(func(vantage, at any) bool { seen[vantage.(string)] = at.(time.Time); return true })
	world := api.World{Snapshot: c.current.Load(), Health: c.health(), LastSeen: seen, Now: time.Now(), Conditions: c.ownConditions(), Reporting: c.reporting()}
	if c.loop != nil {
		view := c.loop.View()
		world.Snapshot, world.Health, world.Holds = view.Snapshot, view.Health, view.Holds
		s.Braked, s.Causes = view.Braked, view.Causes
	}
	s.Describe(world)
	s.Imports = c.importStatus()
	return s
}

func (c *control) bound() map[string][]string {
	bound := map[string][]string{"api": c.node.api.Addrs()}
	if c.dns != nil {
		bound["dns"] = c.dns.Addrs()
		if dot := c.dns.TLSAddrs(); len(dot) > 0 {
			bound["dot"] = dot
		}
	}
	if c.http != nil {
		bound["http"] = c.http.Addrs()
	}
	return bound
}

func (c *control) geoStatus(config *configuration) api.Geo {
	g := api.Geo{Source: "built in"}
	info := config.geo.Info()
	if len(info.Databases) > 0 {
		first := info.Databases[0]
		g.Type, g.Built = first.Type, first.Built
		var names []string
		for _, d := range info.Databases {
			names = append(names, d.Path)
		}
		g.Source = strings.Join(names, ", ")
	}
	if config.geoError != nil {
		g.Error = config.geoError.Error()
	}
	return g
}

// Explain decides for one client and adds what each door answers it.
func (c *control) Explain(service string, q steering.Query) (*steering.Explanation, error) {
	if c.loop == nil {
		return nil, errNotControl
	}
	x, err := c.loop.View().Explain(service, q)
	if errors.Is(err, publish.ErrNoService) {
		return nil, fmt.Errorf("%w: %w", api.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	x.Doors = make(map[string]string)
	if c.dns != nil {
		x.Doors["dns"] = c.dns.Preview(service, q.Client)
	}
	if c.http != nil {
		x.Doors["redirect"] = c.http.Preview(service, q.Client)
		if told := c.http.PreviewSteering(service, q.Client); told != "" {
			x.Doors["steering"] = told
		}
	}
	if len(x.Endpoints) > 0 && x.Endpoints[0].Weight > 0 {
		x.Doors["decide"] = x.Endpoints[0].ID
	}
	return x, nil
}

// Overrides returns those in force: as the loop sees them, or as stored.
func (c *control) Overrides() []steering.Override {
	if c.loop != nil {
		return c.loop.View().Overrides
	}
	overrides, err := c.store.Overrides(context.Background())
	if err != nil {
		return nil
	}
	return overrides
}

// PutOverride makes an override durable, then puts it in force.
func (c *control) PutOverride(ctx context.Context, o steering.Override) (steering.Override, error) {
	if c.loop == nil {
		return o, errNotControl
	}
	known := o.ID != "" // so it may come again
	if !known {
		o.ID = strings.ToLower(rand.Text()[:8])
	}
	if err := c.store.PutOverride(ctx, o); err != nil {
		c.metrics.StoreError("put_override")
		err = fmt.Errorf("the override is not in force, since it could not be stored: %w", err)
		if known {
			err = c.unstored(err)
		}
		return o, deposed(err)
	}
	return o, c.enforce(ctx)
}

// DeleteOverrides lifts those that match. One that is gone already is lifted: who asks
// again, since the answer was lost, is told so.
func (c *control) DeleteOverrides(ctx context.Context, match api.OverrideMatch) ([]steering.Override, error) {
	if c.loop == nil {
		return nil, errNotControl
	}
	lifted := slices.DeleteFunc(slices.Clone(c.Overrides()), func(o steering.Override) bool { return !match.Matches(&o) })
	for _, o := range lifted {
		if err := c.store.DeleteOverride(ctx, o.ID, match.By); err != nil && !errors.Is(err, store.ErrNotFound) {
			c.metrics.StoreError("delete_override")
			return nil, c.unstored(fmt.Errorf("override %s may still be in force, since its end could not be stored: %w", o.ID, err))
		}
	}
	return lifted, c.enforce(ctx)
}

// unstored is the error of an order that does no more when it is given twice: it may be
// given again where the store is Consul, which may or may not have taken it.
func (c *control) unstored(err error) error {
	if c.replica == nil {
		return err
	}
	return &api.Error{Status: http.StatusServiceUnavailable, Message: err.Error(), Remedy: "see fairway fleet for what troubles this node", RetryAfter: askAgain}
}

// OverrideLog tells who did what.
func (c *control) OverrideLog(ctx context.Context) ([]steering.OverrideEvent, error) {
	return c.store.OverrideLog(ctx)
}

// enforce puts the stored overrides in force and returns when doors answer by
// them.
func (c *control) enforce(ctx context.Context) error {
	c.ordering.Lock() // what was read last is put in force last
	defer c.ordering.Unlock()
	stored, err := c.store.Overrides(ctx)
	if err != nil {
		return err
	}
	for _, o := range stored { // the audit remembers them; the list need not
		if !o.Active(time.Now()) {
			if err := c.store.DeleteOverride(ctx, o.ID, ""); err != nil {
				c.log.Warn("an expired override stays in the store", "id", o.ID, "err", err)
			}
		}
	}
	stored = slices.DeleteFunc(stored, func(o steering.Override) bool { return !o.Active(time.Now()) })
	return c.loop.SetOverrides(ctx, stored)
}

// Observe takes measurements that another node made.
func (c *control) Observe(ctx context.Context, batch []steering.Measurement) error {
	if c.loop == nil {
		return errNotControl
	}
	c.probed(batch)
	return c.loop.Observe(ctx, batch)
}
