package steering

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// OverrideKind says what an override does.
type OverrideKind string

// The kinds of override.
const (
	Drain  OverrideKind = "drain"  // no new clients
	Force  OverrideKind = "force"  // all clients that it can serve
	Weigh  OverrideKind = "weight" // this weight instead of the configured one, in splits that use weights
	Freeze OverrideKind = "freeze" // no voluntary moves
)

// OverrideKinds lists every kind.
func OverrideKinds() []OverrideKind { return []OverrideKind{Drain, Force, Weigh, Freeze} }

// Override is an operator's order that beats policy, as policy beats
// measurement. What a rule denies stays denied all the same. Reason, author and
// expiry are required. Its scope is ANDed: each field that is not empty narrows it.
type Override struct {
	ID       string       `json:"id"`
	Kind     OverrideKind `json:"kind"`
	Provider string       `json:"provider,omitempty"` // at least one of Provider, Endpoint and Pool, none for a freeze
	Endpoint string       `json:"endpoint,omitempty"` // an endpoint's id
	Pool     string       `json:"pool,omitempty"`
	Region   string       `json:"region,omitempty"`  // empty = every region
	Service  string       `json:"service,omitempty"` // empty = every service
	Labels   string       `json:"labels,omitempty"`  // services with these labels, such as team=sport*,tier=gold; empty = every service
	Weight   float64      `json:"weight,omitempty"`  // for Weigh, 0 to 1000000
	Reason   string       `json:"reason"`
	Author   string       `json:"author"`
	Created  time.Time    `json:"created"`
	Expires  time.Time    `json:"expires"`
}

// OverrideEvent is a line of the audit log: who did what.
type OverrideEvent struct {
	At       time.Time `json:"at"`
	Action   string    `json:"action"` // put, delete or expire
	By       string    `json:"by,omitempty"`
	Override Override  `json:"override"`
	Error    string    `json:"error,omitempty"` // why it did not come to pass
}

// Applies tells whether the override concerns an endpoint of a service for clients
// of a region. It does not look at the expiry: see Active.
func (o *Override) Applies(s *Service, e *Endpoint, region string) bool {
	return (o.Provider == "" || o.Provider == e.Provider) &&
		(o.Endpoint == "" || o.Endpoint == e.ID) &&
		(o.Pool == "" || o.Pool == e.Pool) &&
		o.Covers(s, region)
}

// Covers tells whether the override concerns clients of a region that ask for a
// service, whatever endpoint it is about.
func (o *Override) Covers(s *Service, region string) bool {
	return (o.Region == "" || o.Region == region) && o.CoversService(s)
}

// CoversService tells whether the override concerns a service in some region.
func (o *Override) CoversService(s *Service) bool {
	return (o.Service == "" || o.Service == s.Key) && (o.Labels == "" || matchLabels(o.Labels, s.Labels))
}

// matchLabels tells whether a service has all labels that a text names, as
// KEY=GLOB,KEY=GLOB. A glob is as in package path: * is any text.
func matchLabels(wanted string, labels map[string]string) bool {
	for _, term := range strings.Split(wanted, ",") {
		key, glob, _ := strings.Cut(term, "=")
		value, known := labels[strings.TrimSpace(key)]
		if matches, err := path.Match(strings.TrimSpace(glob), value); !known || err != nil || !matches {
			return false
		}
	}
	return true
}

// CheckLabels returns what is wrong with a text for Override.Labels, nil when
// nothing is.
func CheckLabels(wanted string) error {
	for _, term := range strings.Split(wanted, ",") {
		key, glob, has := strings.Cut(term, "=")
		if _, err := path.Match(strings.TrimSpace(glob), ""); !has || strings.TrimSpace(key) == "" || err != nil {
			return fmt.Errorf("labels are written KEY=GLOB,KEY=GLOB, such as team=sport*; %q is not", strings.TrimSpace(term))
		}
	}
	return nil
}

// Target names what the override is about, for people.
func (o *Override) Target() string {
	var parts []string
	for _, part := range []string{o.Provider, o.Endpoint} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if o.Pool != "" {
		parts = append(parts, "pool "+o.Pool)
	}
	return strings.Join(parts, ", ")
}

// Active tells whether the override is in force at now.
func (o *Override) Active(now time.Time) bool { return now.Before(o.Expires) }

// Validate returns what is missing or contradictory, nil when nothing is.
func (o *Override) Validate() error {
	var missing []string
	find := func(wrong bool, text string) {
		if wrong {
			missing = append(missing, text)
		}
	}
	targets := o.Provider != "" || o.Endpoint != "" || o.Pool != ""
	switch o.Kind {
	case Drain, Force, Weigh:
		find(!targets, "name a provider, an endpoint or a pool")
	case Freeze:
		find(targets, "a freeze is about services and regions, not about providers, endpoints or pools")
	default:
		find(true, fmt.Sprintf("kind %q is none of drain, force, weight, freeze", o.Kind))
	}
	find(!(o.Weight >= 0 && o.Weight <= 1e6), fmt.Sprintf("a weight is from 0 to 1000000, %v is not", o.Weight))
	find(o.Weight != 0 && o.Kind != Weigh, "only an override of kind weight has a weight")
	if o.Labels != "" {
		if err := CheckLabels(o.Labels); err != nil {
			find(true, err.Error())
		}
	}
	find(strings.TrimSpace(o.Reason) == "", "a reason is required")
	find(strings.TrimSpace(o.Author) == "", "an author is required")
	find(o.Created.IsZero(), "when it was made is required")
	find(o.Expires.IsZero(), "an expiry is required")
	find(!o.Expires.IsZero() && !o.Expires.After(o.Created), "it expires before it begins")
	if missing != nil {
		return fmt.Errorf("override: %s", strings.Join(missing, "; "))
	}
	return nil
}
