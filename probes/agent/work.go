package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fairway/probes"
	"fairway/steering"
	"fairway/steering/store/kept"
)

// WorkVersion is the form of Work that this release writes and reads.
const WorkVersion = 1

// Work is what a vantage is to measure: all that an agent needs of a configuration.
// Between the programs it is JSON.
type Work struct {
	Version  int              `json:"version"`
	Revision string           `json:"revision"`
	Vantage  steering.Vantage `json:"vantage"`
	Targets  []probes.Target  `json:"targets"`

	Probing    steering.Probing    `json:"probing"`
	References steering.References `json:"references"`
	Subnet     netip.Prefix        `json:"subnet"` // a client network of the vantage's region, for probes that resolve per region
	// Authorities are the PEM files that probes trust in the system's stead, by the
	// name under which they stand in the probes.
	Authorities map[string][]byte `json:"authorities,omitempty"`
	// Unsigned names providers whose URLs have tokens: the keys do not leave control,
	// so that what they have is not measured from here.
	Unsigned []string `json:"unsigned,omitempty"`
}

// Tag names the work: another one differs.
func (w *Work) Tag() (string, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("assignment: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Aim is what the probes are set to. Authorities are written into a folder.
func (w *Work) Aim(folder string) (probes.Aim, error) {
	if w.Version != WorkVersion {
		return probes.Aim{}, fmt.Errorf("the assignment has version %d, this release reads %d: upgrade this agent", w.Version, WorkVersion)
	}
	files := make(map[string]string, len(w.Authorities))
	for name, pem := range w.Authorities {
		sum := sha256.Sum256(pem)
		path := filepath.Join(folder, "authorities-"+hex.EncodeToString(sum[:8])+".pem")
		if err := os.WriteFile(path, pem, 0o600); err != nil {
			return probes.Aim{}, fmt.Errorf("keep the authorities of probes: %w", err)
		}
		files[name] = path
	}
	aim := probes.Aim{
		Vantages: []steering.Vantage{w.Vantage}, Allow: w.Probing.Allow, Budget: w.Probing.Budget,
		References: probes.ReferencesOf(w.References),
	}
	if w.Subnet.IsValid() {
		aim.Subnets = map[string]netip.Prefix{w.Vantage.Region: w.Subnet}
	}
	for _, t := range w.Targets {
		if t.Probe == nil {
			continue
		}
		if path, sent := files[t.Probe.CAFile]; sent {
			p := *t.Probe
			p.CAFile = path
			t.Probe = &p
		}
		aim.Targets = append(aim.Targets, t)
	}
	return aim, nil
}

// Follower keeps an agent at what control says it is to measure.
type Follower struct {
	// Control is whom to ask first: one after the other, until one answers; that one is
	// stayed with. SetControl says who there is later.
	Control []Control
	Vantage string
	// Folder keeps the newest assignment for a start at which no control node answers.
	Folder string
	Take   func(*Work) error
	Logger *slog.Logger

	mu sync.Mutex // guards Control once Run has begun
}

// SetControl says whom to ask from now on.
func (f *Follower) SetControl(nodes []Control) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Control = nodes
}

func (f *Follower) nodes() []Control {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Control
}

const (
	askFor   = 20 * time.Second // how long a control node may keep a question
	askAgain = time.Second      // the first pause after a failure; doubled up to retryMost
)

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	tag := f.restore()
	at, failing, pause := 0, false, askAgain
	for ctx.Err() == nil {
		nodes := f.nodes()
		if len(nodes) == 0 { // none is found yet
			if sleep(ctx, askAgain) != nil {
				break
			}
			continue
		}
		at %= len(nodes)
		work, next, err := f.ask(ctx, nodes[at], tag)
		if err == nil && work != nil {
			err = f.take(work)
		}
		if err == nil {
			if failing {
				f.Logger.Info("control says what to measure", "control", nodes[at].Address())
			}
			tag, failing, pause = next, false, askAgain
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if !failing {
			f.Logger.Error("control does not say what to measure: what was assigned last goes on", "control", nodes[at].Address(), "err", err)
		}
		failing = true
		at = (at + 1) % len(nodes)
		if sleep(ctx, pause/2+rand.N(pause)) != nil {
			break
		}
		pause = min(2*pause, retryMost)
	}
	return nil
}

// ask asks one control node; nil when nothing has changed.
func (f *Follower) ask(ctx context.Context, control Control, tag string) (*Work, string, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor+patience)
	defer cancel()
	work := new(Work)
	next, fresh, err := control.Assignment(ctx, f.Vantage, tag, askFor, work)
	if err != nil || !fresh {
		return nil, next, err
	}
	return work, next, nil
}

func (f *Follower) take(work *Work) error {
	if err := f.Take(work); err != nil {
		return err
	}
	f.Logger.Info("assigned", "targets", len(work.Targets), "revision", fmt.Sprintf("%.12s", work.Revision))
	for _, provider := range work.Unsigned {
		f.Logger.Warn("not measured from here: its URLs have tokens, and their keys do not leave control; an agent with the whole configuration measures them", "provider", provider)
	}
	text, err := json.Marshal(work)
	if err == nil {
		err = kept.WriteFile(f.file(), text, 0o600)
	}
	if err != nil {
		f.Logger.Warn("the assignment is not kept: a start needs control", "err", err)
	}
	return nil
}

func (f *Follower) file() string { return filepath.Join(f.Folder, "assignment.json") }

// restore takes up what was assigned last, and returns its tag.
func (f *Follower) restore() string {
	text, err := os.ReadFile(f.file())
	if err != nil {
		return ""
	}
	work := new(Work)
	if err = json.Unmarshal(text, work); err == nil && work.Vantage.Name == f.Vantage {
		err = f.Take(work)
	}
	if err != nil || work.Vantage.Name != f.Vantage {
		return ""
	}
	f.Logger.Info("what was assigned last is measured until control answers", "targets", len(work.Targets))
	tag, _ := work.Tag()
	return tag
}
