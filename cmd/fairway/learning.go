package main

import (
	"encoding/json"
	"net/http"
	"net/netip"

	"fairway/steering/learn"
)

// learnConfig is what the files say of learning.
func (n *node) learnConfig(c *configuration) learn.Config {
	l := c.Node.Learning
	return learn.Config{
		Name: l.Name, Evidence: l.Evidence, Majority: l.Majority, Keep: l.Keep, Resolvers: l.Resolvers,
		Region: func(client netip.Addr) string {
			snapshot := n.current.Load()
			if snapshot == nil {
				return ""
			}
			table := snapshot.Layout.Table
			cell, _ := table.Locate(client)
			return table.Cells()[cell].Region
		},
	}
}

// learnPath is where tellLearned answers.
const learnPath = "/learning/v1/resolvers"

// tellLearned says how much is known, and of nobody in particular.
func (n *node) tellLearned(w http.ResponseWriter, _ *http.Request) {
	served, seen := n.learning.Known()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]int{"served": served, "seen": seen})
}
