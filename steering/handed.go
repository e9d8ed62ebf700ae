package steering

// Handed is how often doors have handed out an endpoint to the clients of one
// region that one rule matches. The count only grows while a node runs.
type Handed struct {
	Service  string `json:"service"`
	Region   string `json:"region"`
	Rule     string `json:"rule"`     // Group.Name
	Endpoint string `json:"endpoint"` // empty = nothing was handed out
	Count    uint64 `json:"count"`
}

// Group is the key of the group that was asked for.
func (h *Handed) Group() string { return groupKey(h.Region, h.Rule) }
