package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"fairway/steering/api/client"
	"fairway/steering/store/consulstore"

	"github.com/spf13/cobra"
)

// fleetPath is where nodes tell of themselves and of the fleet.
const fleetPath = "/fleet/v1/"

// fleetNode is one node of a fleet, as it tells of itself; of one that does not
// answer, as Consul knows it.
type fleetNode struct {
	Name       string    `json:"name"`
	Address    string    `json:"address"`
	Roles      []string  `json:"roles"`
	Version    string    `json:"version"`
	Health     string    `json:"health"` // ready, or why not
	Generation uint64    `json:"generation"`
	Published  time.Time `json:"published,omitzero"`
	LagSeconds float64   `json:"lag_seconds"` // behind the newest generation of all nodes that answer
	Revision   string    `json:"revision"`
	Leads      bool      `json:"leads,omitempty"`
	Leader     string    `json:"leader,omitempty"` // as far as this node has heard
	Term       uint64    `json:"term,omitempty"`
	Started    time.Time `json:"started,omitzero"`
	Contact    time.Time `json:"contact,omitzero"` // with the shared store
	Trouble    []string  `json:"trouble,omitempty"`
	Load       float64   `json:"load"` // 0..1, of the processors that it may use
	Answers    bool      `json:"answers"`
	Vantages   *voices   `json:"vantages,omitempty"` // that report to it; absent = none does
}

// register keeps this node registered until the context ends. Consul's agent may
// forget it, so it is told now and then.
func (n *node) register(ctx context.Context) error {
	const again = time.Minute
	failing := false
	for {
		wait := again
		n.registering.Lock()
		if !n.leaving {
			err := n.shared.Register(ctx, consulstore.Member{Name: n.name(), Address: n.advertised(), Version: version(), Roles: n.roles.names()})
			if (err != nil) != failing && ctx.Err() == nil { // told when it changes
				failing = err != nil
				n.log.Warn("this node among Consul's services", "registered", err == nil, "err", err)
			}
			if failing {
				wait = 5 * time.Second
			} else {
				_, _ = n.members(ctx) // to be known when Consul is away
			}
		}
		n.registering.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// deregister has nobody sent here any more: the first step of an end.
func (n *node) deregister(ctx context.Context) {
	if n.replica == nil {
		return
	}
	n.registering.Lock()
	defer n.registering.Unlock()
	n.leaving = true
	if err := n.shared.Deregister(ctx, n.name()); err != nil {
		n.log.Warn("this node stays among Consul's services until its check fails", "err", err)
	}
}

// self is what this node tells of itself.
func (n *node) self() fleetNode {
	f := fleetNode{
		Name: n.name(), Address: n.advertised(), Roles: n.roles.names(), Version: version(), Health: "ready", Started: n.started,
		Revision: n.config.Load().Revision.Hash, Leads: n.replica != nil && n.leads(), Answers: true, Load: n.load.now(),
	}
	if err := n.ready(); err != nil {
		f.Health = err.Error()
	}
	f.Vantages, f.Trouble = hearing(n.reporting(), time.Now())
	if s := n.current.Load(); s != nil {
		f.Generation, f.Published = s.Generation, s.Published
	}
	if why := n.failure.Load(); why != nil {
		first, _, _ := strings.Cut(*why, "\n")
		f.Trouble = append(f.Trouble, "configuration refused: "+first)
	}
	if n.replica == nil {
		return f
	}
	if l, known := n.asked().Leader(); known {
		f.Leader, f.Term = l.Node, l.Term
	}
	contact := n.contact()
	f.Contact = contact.At
	if h := n.heldBack.Load(); h != nil {
		f.Trouble = append(f.Trouble, fmt.Sprintf("held back: revision %.12s: %s", h.hash, h.why))
	}
	for what, err := range map[string]error{
		"shared store": contact.Err, "not believed": contact.Doubt, "copy on disk": contact.Disk, "reads from a fallback, the near Consul": n.astray(),
	} {
		if err != nil {
			f.Trouble = append(f.Trouble, what+": "+err.Error())
		}
	}
	return f
}

// fleet asks every node that Consul knows: as a peer, where nodes have certificates,
// and else with the token of whoever wants to know. Peers get no token to see, since
// who can write to Consul's catalogue can put himself among them.
// While Consul does not answer they are those that it knew last, with the reason.
func (n *node) fleet(ctx context.Context, token string) (nodes []fleetNode, why error) {
	if n.replica == nil {
		return []fleetNode{n.self()}, nil
	}
	members, err := n.members(ctx)
	nodes = make([]fleetNode, len(members))
	over := n.overPeers()
	if len(over) > 0 {
		token = ""
	}
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() {
			if m.Name == n.name() {
				nodes[i] = n.self()
				return
			}
			nodes[i] = askMember(ctx, m, token, over...)
		})
	}
	asking.Wait()
	var newest time.Time
	for _, f := range nodes {
		if f.Published.After(newest) {
			newest = f.Published
		}
	}
	for i := range nodes {
		if !nodes[i].Published.IsZero() {
			nodes[i].LagSeconds = newest.Sub(nodes[i].Published).Seconds()
		}
	}
	return nodes, err
}

// members are the nodes that Consul knows; with an error those that it knew last, or
// at least this one.
func (n *node) members(ctx context.Context) ([]consulstore.Registered, error) {
	members, err := n.shared.Members(ctx)
	if err == nil {
		n.lastMembers.Store(&members)
		return members, nil
	}
	if last := n.lastMembers.Load(); last != nil {
		return *last, err
	}
	return []consulstore.Registered{{Member: consulstore.Member{Name: n.name(), Address: n.advertised(), Version: version(), Roles: n.roles.names()}}}, err
}

func askMember(ctx context.Context, m consulstore.Registered, token string, over ...client.Option) fleetNode {
	f := fleetNode{Name: m.Name, Address: m.Address, Roles: m.Roles, Version: m.Version, Health: "does not answer"}
	if m.Output != "" {
		f.Trouble = []string{m.Output}
	}
	to, err := client.New(m.Address, token, over...)
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		var told fleetNode
		if err = to.Do(limited, http.MethodGet, fleetPath+"node", nil, &told); err == nil {
			return told
		}
	}
	f.Trouble = append(f.Trouble, err.Error())
	return f
}

// fleetTable is the body of GET /fleet/v1/nodes.
type fleetTable struct {
	Nodes   []fleetNode `json:"nodes"`
	Trouble string      `json:"trouble,omitempty"` // why nodes may be missing
}

// fleetHandler answers for this node and for all of them.
func (n *node) fleetHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+fleetPath+"node", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, n.self()) })
	mux.HandleFunc("GET "+fleetPath+"nodes", func(w http.ResponseWriter, r *http.Request) {
		nodes, err := n.fleet(r.Context(), bearer(r))
		answer := fleetTable{Nodes: nodes}
		if err != nil {
			answer.Trouble = "these are the nodes that Consul knew last: " + err.Error()
		}
		answerJSON(w, http.StatusOK, answer)
	})
	return mux
}

// bearer is the token that a request presents.
func bearer(r *http.Request) string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token)
}

func fleetCommand() *cobra.Command {
	var ask asking
	c := &cobra.Command{
		Use:   "fleet",
		Short: "Show every node of the fleet",
		Long: `Show every node that is registered in Consul: what it is, whether it is ready, which
generation it answers from and how far that is behind, who leads, and what troubles
it. Any node can be asked.`,
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			var answer fleetTable
			if err := node.Do(c.Context(), http.MethodGet, fleetPath+"nodes", nil, &answer); err != nil {
				return err
			}
			return ask.show(c, answer, func(w io.Writer) { printFleet(w, &answer) })
		},
	}
	ask.flags(c)
	return c
}

func printFleet(w io.Writer, fleet *fleetTable) {
	nodes := fleet.Nodes
	t := newTable(w, "NODE", "ROLES", "VERSION", "GENERATION", "LAG", "REVISION", "LOAD", "STORE", "VANTAGES", "HEALTH")
	for _, f := range nodes {
		roles, contact := strings.Join(f.Roles, ","), "-"
		if f.Leads {
			roles += fmt.Sprintf(" (leads, term %d)", f.Term)
		}
		if !f.Contact.IsZero() {
			contact = age(time.Since(f.Contact)) + " ago"
		}
		generation, lag, load, vantages := "-", "-", "-", "-"
		if f.Answers {
			generation, lag, load = fmt.Sprint(f.Generation), fmt.Sprintf("%.1f s", f.LagSeconds), percent(f.Load)
		}
		if v := f.Vantages; v != nil {
			vantages = fmt.Sprintf("%d of %d", v.Heard-v.Ill, v.Known)
		}
		t.row(f.Name, roles, f.Version, generation, lag, fmt.Sprintf("%.12s", f.Revision), load, contact, vantages, f.Health)
	}
	t.flush()
	for _, f := range nodes {
		for _, trouble := range f.Trouble {
			fmt.Fprintf(w, "%s: %s\n", f.Name, trouble)
		}
	}
	if fleet.Trouble != "" {
		fmt.Fprintln(w, fleet.Trouble)
	}
}
