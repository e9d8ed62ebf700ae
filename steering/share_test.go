package steering_test

import (
	"math"
	"testing"

	"fairway/steering"
)

// sharing has rule "trial" give parts of its clients to policies that send
// everybody to one endpoint each.
func sharing(t *testing.T, shares map[string]float64) *steering.Snapshot {
	r := revision()
	rule := &steering.Rule{Name: "trial", Split: steering.SplitSpec{Kind: steering.SplitPolicies}}
	for _, name := range []string{"alpha", "bravo", "charlie"} {
		if shares[name] > 0 {
			p := &steering.Policy{Name: name, HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: name}}}
			rule.Split.Policies = append(rule.Split.Policies, steering.PolicyShare{Policy: p, Share: shares[name]})
		}
	}
	r.Services[0].Policy = &steering.Policy{Name: "main", HashV4: 24, HashV6: 56, IgnoreSession: true, Rules: []*steering.Rule{rule}}
	return snapshotOf(t, layout(t, r), func(s *steering.Service, g steering.Group) *steering.Split {
		weights := make([]float64, len(s.Endpoints))
		for i, e := range s.Endpoints {
			if g.Policy == nil || e.Provider == g.Policy.Name {
				weights[i] = 1
			}
		}
		return splitOf(t, s.Endpoints, weights...)
	})
}

// Policies get their parts of the clients; a change moves no more clients than it
// must; neighbours stay together, and a session makes no difference where the
// policy says so.
func TestPoliciesShareClients(t *testing.T) {
	before, after := sharing(t, map[string]float64{"alpha": 0.9, "bravo": 0.1}), sharing(t, map[string]float64{"alpha": 0.7, "bravo": 0.2, "charlie": 0.1})
	list := clients(40_000)
	count, moved, back := map[string]float64{}, 0.0, 0
	for _, c := range list {
		d := before.Decide(steering.Query{Client: c})
		count[d.Group.Policy.Name] += 1 / float64(len(list))
		is := after.Decide(steering.Query{Client: c}).Group.Policy.Name
		if is != d.Group.Policy.Name {
			moved += 1 / float64(len(list))
			if is == "alpha" {
				back++
			}
		}
		if first(before, steering.Query{Client: c, Session: "s"}) != first(before, steering.Query{Client: c}) {
			t.Fatalf("%v: a session makes a difference", c)
		}
		if d.Scope < 24 {
			t.Fatalf("%v: scope %d, though the prefix decides which policy", c, d.Scope)
		}
		if d.Group.Matched().Name != "trial" || d.Group.Name() != "trial:"+d.Group.Policy.Name+":"+d.Group.Rule.Name {
			t.Fatalf("%v: group %s, matched %s", c, d.Group.Key(), d.Group.Matched().Name)
		}
	}
	if math.Abs(count["alpha"]-0.9) > 0.01 || math.Abs(count["bravo"]-0.1) > 0.01 {
		t.Errorf("the policies have %v of the clients, want 90 %% and 10 %%", count)
	}
	if moved > 0.22 || back > 0 {
		t.Errorf("%.3f of the clients moved, %d of them to the policy that lost; want 0.2 and none", moved, back)
	}
	parts := before.Layout.Services[0].Parts(0, steering.Query{})
	if len(parts) != 2 || parts[0].Share != 0.9 || parts[1].Share != 0.1 {
		t.Errorf("parts %v, want 0.9 and 0.1", parts)
	}
}

func TestSharesAllocateNothing(t *testing.T) {
	s := sharing(t, map[string]float64{"alpha": 0.9, "bravo": 0.1})
	q := steering.Query{Client: addr("10.1.2.3")}
	if n := testing.AllocsPerRun(100, func() { s.Decide(q) }); n != 0 {
		t.Errorf("Decide allocates %v times", n)
	}
}
