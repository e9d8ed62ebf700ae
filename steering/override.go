package steering

import (
	"fmt"
	"strings"
	"time"
)

// OverrideKind says what an override does.
type OverrideKind string

// The kinds of override.
const (
	Drain OverrideKind = "drain" // no new clients
	Force OverrideKind = "force" // all clients that it can serve
)

// Override is an operator's order that beats policy, as policy beats
// measurement. Reason, author and expiry are required.
type Override struct {
	ID       string       `json:"id"`
	Kind     OverrideKind `json:"kind"`
	Provider string       `json:"provider,omitempty"` // one of Provider and Endpoint is set
	Endpoint string       `json:"endpoint,omitempty"` // an endpoint's id
	Region   string       `json:"region,omitempty"`   // empty = every region
	Service  string       `json:"service,omitempty"`  // empty = every service
	Reason   string       `json:"reason"`
	Author   string       `json:"author"`
	Created  time.Time    `json:"created"`
	Expires  time.Time    `json:"expires"`
}

// Applies tells whether the override concerns an endpoint for clients of a
// region. It does not look at the expiry: see Active.
func (o *Override) Applies(e *Endpoint, region string) bool {
	return (o.Provider == "" || o.Provider == e.Provider) &&
		(o.Endpoint == "" || o.Endpoint == e.ID) &&
		(o.Region == "" || o.Region == region) &&
		(o.Service == "" || o.Service == e.Service)
}

// Active tells whether the override is in force at now.
func (o *Override) Active(now time.Time) bool { return now.Before(o.Expires) }

// Validate returns what is missing or contradictory, nil when nothing is.
func (o *Override) Validate() error {
	var missing []string
	if o.Kind != Drain && o.Kind != Force {
		missing = append(missing, fmt.Sprintf("kind %q is neither drain nor force", o.Kind))
	}
	if (o.Provider == "") == (o.Endpoint == "") {
		missing = append(missing, "name a provider or an endpoint, and not both")
	}
	if strings.TrimSpace(o.Reason) == "" {
		missing = append(missing, "a reason is required")
	}
	if strings.TrimSpace(o.Author) == "" {
		missing = append(missing, "an author is required")
	}
	if o.Created.IsZero() {
		missing = append(missing, "when it was made is required")
	}
	if o.Expires.IsZero() {
		missing = append(missing, "an expiry is required")
	} else if !o.Expires.After(o.Created) {
		missing = append(missing, "it expires before it begins")
	}
	if missing != nil {
		return fmt.Errorf("override: %s", strings.Join(missing, "; "))
	}
	return nil
}
