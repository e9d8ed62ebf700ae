package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fairway/steering"
	"fairway/steering/crew"
	"fairway/steering/vantage"
)

// Config is what a Courier needs.
type Config struct {
	// Control is every control node; each gets every measurement. Required, unless Later.
	Control []Control
	// Later has SetControl say which control nodes there are.
	Later bool
	// Buffer is how many measurements of one vantage wait for one control node that is
	// away, default 30,000: two minutes of 250 probes a second.
	Buffer int
	// Version is told to control. Default: nothing.
	Version string
	// Withheld returns how many measurements were not delivered since their vantage was
	// ill. Default: none.
	Withheld func() int64
	// Logger gets what operators should know. Default: nothing is logged.
	Logger *slog.Logger
	// Now is the clock of this machine. Default: time.Now.
	Now func() time.Time
}

// Courier brings measurements to every control node. Make one with New.
type Courier struct {
	config Config
	boot   string

	mu         sync.Mutex
	lanes      map[string][]*lane // by vantage
	conditions map[string]steering.Condition
	running    crew.Crew // lanes
}

// New checks the configuration.
func New(c Config) (*Courier, error) {
	if len(c.Control) == 0 && !c.Later {
		return nil, errors.New("agent: no control node is named")
	}
	if c.Buffer < 0 {
		return nil, fmt.Errorf("agent: a buffer of %d measurements", c.Buffer)
	}
	if c.Buffer == 0 {
		c.Buffer = 30_000
	}
	if c.Withheld == nil {
		c.Withheld = func() int64 { return 0 }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Courier{config: c, boot: rand.Text(), lanes: make(map[string][]*lane), conditions: make(map[string]steering.Condition)}, nil
}

// Sink is Add in the form that probes deliver to.
func (c *Courier) Sink(_ context.Context, batch []steering.Measurement) { c.Add(batch) }

// Add queues a batch of one vantage for every control node and returns at once.
func (c *Courier) Add(batch []steering.Measurement) {
	if len(batch) == 0 {
		return
	}
	for _, l := range c.of(batch[0].Vantage) {
		l.add(batch)
	}
}

// Told takes a vantage's condition, and has every control node told.
func (c *Courier) Told(name string, condition steering.Condition) {
	c.mu.Lock()
	c.conditions[name] = condition
	c.mu.Unlock()
	for _, l := range c.of(name) {
		l.nudge()
	}
}

// of gives a vantage's lanes.
func (c *Courier) of(name string) []*lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.lanes[name]; !known {
		c.lanes[name] = nil
		c.extend(name)
	}
	return c.lanes[name]
}

// extend makes the lanes of a vantage that it lacks. The caller holds mu.
func (c *Courier) extend(name string) {
	was := c.lanes[name]
	lanes := slices.Clone(was) // who was given the old ones may still read them
	for _, control := range c.config.Control {
		if slices.ContainsFunc(was, func(l *lane) bool { return l.control.Address() == control.Address() }) {
			continue
		}
		l := &lane{
			of: c, control: control, vantage: name, wake: make(chan struct{}, 1), clock: newClock(c.config.Now),
			log: c.config.Logger.With("control", control.Address(), "vantage", name),
		}
		lanes = append(lanes, l)
		l.end = c.running.Go(l.run)
	}
	c.lanes[name] = lanes
}

// SetControl says which control nodes there are from now on. What waits for those that
// stay, by their addresses, goes on waiting; what waits for others is given up.
func (c *Courier) SetControl(nodes []Control) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config.Control = nodes
	for name, lanes := range c.lanes {
		var kept []*lane
		for _, l := range lanes {
			if slices.ContainsFunc(nodes, func(n Control) bool { return n.Address() == l.control.Address() }) {
				kept = append(kept, l)
			} else {
				l.end()
			}
		}
		c.lanes[name] = kept
		c.extend(name)
	}
}

// Run sends what is added until ctx ends. It may be called once.
func (c *Courier) Run(ctx context.Context) error { return c.running.Run(ctx) }

// sender is what this agent says of itself to every control node.
func (c *Courier) sender(name string) vantage.Sender {
	c.mu.Lock()
	defer c.mu.Unlock()
	return vantage.Sender{
		Vantage: name, Boot: c.boot, Version: c.config.Version, Withheld: uint64(c.config.Withheld()), Condition: c.conditions[name],
	}
}
