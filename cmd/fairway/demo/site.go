package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
)

// site is one HTTP server, of a CDN, of a pool's origins or of the page, with all
// the addresses that it is reached at.
type site struct {
	server    *http.Server
	plain     []net.Listener
	encrypted []net.Listener
}

// openSites opens every socket. All CDNs share one port number per protocol, so
// that the addresses in the configuration stay readable.
func (w *World) openSites() error {
	var edges, origins []netip.Addr
	for _, c := range cdns() {
		edges = append(edges, c.addresses...)
	}
	for i := range regionNames {
		origins = append(origins, originAddresses(i)...)
	}
	var plain, encrypted, pools, page []net.Listener
	for _, group := range []struct {
		addresses []netip.Addr
		wanted    int
		port      *int
		listeners *[]net.Listener
	}{
		{edges, wantedPorts.http, &w.ports.http, &plain},
		{edges, wantedPorts.https, &w.ports.https, &encrypted},
		{origins, wantedPorts.origin, &w.ports.origin, &pools},
		{[]netip.Addr{pageAddress}, wantedPorts.page, &w.ports.page, &page},
	} {
		var err error
		if *group.listeners, *group.port, err = listenSomewhere(group.addresses, group.wanted); err != nil {
			closeAll(slices.Concat(plain, encrypted, pools))
			return err
		}
	}
	at := 0
	for _, c := range cdns() {
		certificate, err := w.ca.issue(c.name, c.addresses)
		if err != nil {
			closeAll(slices.Concat(plain, encrypted, pools, page))
			return fmt.Errorf("certificate of %s: %w", c.name, err)
		}
		s := &site{server: newServer(w.counted(&edge{world: w, cdn: c}))}
		s.server.TLSConfig = certificate
		for range c.addresses {
			s.plain = append(s.plain, &relayListener{Listener: plain[at], world: w, cdn: c.name})
			s.encrypted = append(s.encrypted, &relayListener{Listener: encrypted[at], world: w, cdn: c.name})
			at++
		}
		w.sites = append(w.sites, s)
	}
	for i, name := range regionNames {
		n := len(originAddresses(i))
		w.sites = append(w.sites, &site{server: newServer(w.counted(origin{name, w.content})), plain: pools[i*n : (i+1)*n]})
	}
	w.sites = append(w.sites, &site{server: newServer(w.counted(w.pageHandler())), plain: page})
	return nil
}

// newServer makes a server that stays silent about clients that hang up or
// distrust the certificate: the faults make plenty of them.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
}

// serve accepts on every listener until the server is closed. The first failure
// of any is sent to failed.
func (s *site) serve(w *World, failed chan<- error) {
	accept := func(serve func() error) {
		if !w.begin() {
			return
		}
		go func() {
			defer w.running.Done()
			if err := serve(); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				select {
				case failed <- fmt.Errorf("demo: emulated server: %w", err):
				default:
				}
			}
		}()
	}
	for _, l := range s.plain {
		accept(func() error { return s.server.Serve(l) })
	}
	for _, l := range s.encrypted {
		accept(func() error { return s.server.ServeTLS(l, "", "") })
	}
}

// counted has Run wait for the requests that h still answers.
func (w *World) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.begin() {
			defer w.running.Done()
			h.ServeHTTP(rw, r)
		}
	})
}

// portTries is how many ports are tried before giving up.
const portTries = 50

// listenSomewhere listens on one port at every address: the wanted one, or
// another when somebody has it.
func listenSomewhere(addresses []netip.Addr, wanted int) ([]net.Listener, int, error) {
	port := wanted
	var err error
	for range portTries {
		var list []net.Listener
		if list, err = listenAll(addresses, port); err == nil {
			return list, port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		port = somePort()
	}
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		err = fmt.Errorf("%w: this system needs the address on its loopback interface first (ifconfig lo0 alias ADDRESS)", err)
	}
	return nil, 0, err
}

// listenAll listens at every address, or at none.
func listenAll(addresses []netip.Addr, port int) ([]net.Listener, error) {
	var list []net.Listener
	for _, a := range addresses {
		l, err := net.Listen("tcp", netip.AddrPortFrom(a, uint16(port)).String())
		if err != nil {
			closeAll(list)
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		l.Close()
	}
}

// resolvePort replaces port 0 in an address by one that is free on UDP and TCP.
// It stays free until whoever reads the configuration listens: nobody is given
// it by the system meanwhile, since it lies below the ephemeral ports.
func resolvePort(address *string) error {
	ap := netip.MustParseAddrPort(*address) // New has checked it
	if ap.Port() != 0 {
		return nil
	}
	var err error
	for range portTries {
		candidate := netip.AddrPortFrom(ap.Addr(), uint16(somePort())).String()
		if err = probeFree(candidate); err == nil {
			*address = candidate
			return nil
		}
	}
	return fmt.Errorf("find a free port at %s: %w", ap.Addr(), err)
}

func probeFree(address string) error {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	p, err := config.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return err
	}
	return p.Close()
}

// somePort picks a port between the well-known and the ephemeral ones.
func somePort() int { return 20000 + rand.IntN(12000) }
