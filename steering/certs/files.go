package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Files is a certificate in files, and the authority by which others are known.
type Files struct {
	certificate, key string
	authority        string // empty = the system's authorities
	log              *slog.Logger
	seen             [3]stamp
	current          atomic.Pointer[tls.Certificate]
	fault            atomic.Pointer[error]
	trusted          atomic.Pointer[x509.CertPool] // nil = the system's
}

// stamp tells whether a file is the one that it was.
type stamp struct {
	size int64
	at   time.Time
}

// Open reads a certificate, with its chain behind it, and its key. With an error there is
// none, and handshakes fail, until Run has taken one up.
func Open(certificate, key string, log *slog.Logger) (*Files, error) {
	return OpenPeers(certificate, key, "", log)
}

// OpenPeers reads a certificate, its key, and the authority that the certificates of
// others are from. The authority's file may hold several: the old one and the new
// one, while one takes the place of the other.
func OpenPeers(certificate, key, authority string, log *slog.Logger) (*Files, error) {
	f := &Files{certificate: certificate, key: key, authority: authority, log: log}
	f.seen = f.look()
	return f, f.load()
}

// Name is the certificate's file.
func (f *Files) Name() string { return f.certificate }

// Leaf is the certificate; nil while none could be read.
func (f *Files) Leaf() *x509.Certificate {
	if c := f.current.Load(); c != nil {
		return c.Leaf
	}
	return nil
}

// Fault is why the files, as they are, could not be read; nil when they could.
func (f *Files) Fault() error {
	if err := f.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// load reads the files and remembers how that went.
func (f *Files) load() error {
	err := f.read()
	if err == nil {
		f.fault.Store(nil)
	} else {
		f.fault.Store(&err)
	}
	return err
}

func (f *Files) read() error {
	c, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return err
	}
	if f.authority != "" {
		pool, err := Authority(f.authority)
		if err != nil {
			return err
		}
		f.trusted.Store(pool)
	}
	f.current.Store(&c)
	return nil
}

// Authority reads certificates that others must lead back to, from a PEM file.
func Authority(name string) (*x509.CertPool, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate: it must have at least one in PEM", name)
	}
	return pool, nil
}

var errNotYet = errors.New("no certificate could be read yet")

// TLS returns a configuration with the certificate, as it is at each handshake.
func (f *Files) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := f.current.Load(); c != nil {
				return c, nil
			}
			return nil, errNotYet
		},
	}
}

// followEvery is how often the files are looked at.
const followEvery = time.Second

// Run takes up the files whenever they change, until ctx ends.
func (f *Files) Run(ctx context.Context) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := f.look()
		if now == f.seen {
			continue
		}
		f.seen = now
		if err := f.load(); err != nil {
			f.log.Error("certificate, key or authority have changed and cannot be read; those of before stand", "file", f.certificate, "err", err)
			continue
		}
		f.log.Info("took up the certificate", "file", f.certificate, "until", f.current.Load().Leaf.NotAfter)
	}
}

// look remembers what the files are. It comes before reading them: what changes in
// between is then read twice and not missed.
func (f *Files) look() (now [3]stamp) {
	for i, name := range []string{f.certificate, f.key, f.authority} {
		if info, err := os.Stat(name); err == nil {
			now[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return now
}
