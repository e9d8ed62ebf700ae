package acme

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"time"
)

// Vault keeps what must outlive the process, as octets whose meaning is ours; what is in it
// is secret. A name is of a-z, 0-9, ".", "-" and "*".
type Vault interface {
	// Load returns what was saved under a name; fs.ErrNotExist when nothing was.
	Load(name string) ([]byte, error)
	// Save replaces what Load gave last. It fails when another process has replaced that
	// meanwhile.
	Save(name string, data []byte) error
}

// record is a name's certificate with its key, and how obtaining it went.
type record struct {
	Directory   string    `json:"directory,omitempty"` // of the authority that it is from
	Certificate []byte    `json:"certificate,omitempty"`
	Key         []byte    `json:"key,omitempty"` // both in PEM
	Obtained    time.Time `json:"obtained,omitzero"`
	Renew       time.Time `json:"renew,omitzero"`

	// Of the failures since the certificate was obtained.
	Way      string    `json:"way,omitempty"` // by which it was tried last
	Tried    time.Time `json:"tried,omitzero"`
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"`

	pair *tls.Certificate // parsed; nil = there is none
}

// vaultName is where a name's record is.
func vaultName(name string) string { return "certificate." + name }

// load reads a name's record. One that was never saved is empty.
func load(v Vault, name string) (record, error) {
	data, err := v.Load(vaultName(name))
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return record{}, fmt.Errorf("what is kept for %s is not a certificate's record: %w", name, err)
	}
	return r, r.parse()
}

func (r *record) parse() error {
	if len(r.Certificate) == 0 {
		return nil
	}
	pair, err := tls.X509KeyPair(r.Certificate, r.Key)
	if err != nil {
		return err
	}
	r.pair = &pair
	return nil
}

func (r *record) save(v Vault, name string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return v.Save(vaultName(name), data)
}

// leaf is the certificate; nil where there is none.
func (r *record) leaf() *x509.Certificate {
	if r.pair == nil {
		return nil
	}
	return r.pair.Leaf
}

// way is how certificates are asked for.
type way struct {
	directory string
	kind      Kind
}

func (w way) String() string { return w.directory + " " + string(w.kind) }

// due is when a certificate is to be asked for next: at once where there is none, or one
// of another authority, such as the one for trials; and after a failure not before a pause,
// unless what failed was another way.
func (r *record) due(by way) time.Time {
	var at time.Time
	if r.pair != nil && r.Directory == by.directory {
		if at = r.Renew; at.Before(r.rested()) {
			at = r.rested()
		}
	}
	if again := r.Tried.Add(pause(r.Failures)); r.Failures > 0 && r.Way == by.String() && again.After(at) {
		return again
	}
	return at
}

// rested is before when a certificate is not renewed whatever its authority says: one that
// wants each renewed at once would otherwise be asked without end.
func (r *record) rested() time.Time {
	leaf := r.leaf()
	return r.Obtained.Add(min(time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/2))
}

// pause is how long to wait after so many failures in a row. Let's Encrypt allows five
// failures an hour for a name, which these stay below.
func pause(failures int) time.Duration {
	pauses := []time.Duration{time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}
	return pauses[min(max(failures, 1), len(pauses))-1]
}

// window is when an authority wants a certificate renewed.
type window struct {
	start, end time.Time
	again      time.Time // when to ask for it again; zero = that was not said
}

// ownWindow is when to renew a certificate of which its authority says nothing: with a
// third of its life left, half of a short one's.
func ownWindow(leaf *x509.Certificate) window {
	const short = 10 * 24 * time.Hour
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	left := life / 3
	if life <= short {
		left = life / 2
	}
	end := leaf.NotAfter.Add(-left)
	return window{start: end.Add(-life / 100), end: end}
}

// choose is a time within the window, the same each time for a name: RFC 9773 §4.2 has it
// chosen uniformly, so that those of one day are not all renewed at once.
func (w window) choose(name string) time.Time {
	h := fnv.New32a()
	h.Write([]byte(name))
	share := float64(h.Sum32()) / (1 << 32)
	return w.start.Add(time.Duration(share * float64(w.end.Sub(w.start))))
}
