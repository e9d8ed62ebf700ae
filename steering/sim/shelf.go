package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Shelf keeps what became of worlds, so that a long run which was cut goes on where it
// was. Its methods are called by several goroutines at once.
type Shelf interface {
	// Get returns what was kept under a key; false when nothing was, or it is not
	// whole.
	Get(key string) ([]Result, bool)
	Put(key string, results []Result) error
}

// keyed is a policy that more follows from than from its name.
type keyed interface{ key() string }

// key names all that the results of a world follow from, but for the code.
func (p *Plan) key(scenario string, seed uint64, spec Spec, trials []*trial) (string, error) {
	all := struct {
		Scenario     string
		Seed         uint64
		Spec         Spec
		Length, Warm time.Duration
		Policies     []string
	}{Scenario: scenario, Seed: seed, Spec: spec, Length: p.Length, Warm: p.Warm}
	for _, t := range trials {
		name := t.policy.Name()
		if k, more := t.policy.(keyed); more {
			name += "\n" + k.key()
		}
		all.Policies = append(all.Policies, name)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("name a world: %w", err)
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%s-%d-%s", scenario, seed, hex.EncodeToString(sum[:12])), nil
}
