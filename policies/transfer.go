package policies

import (
	"net/netip"
	"strings"

	"fairway/steering"
)

// TSIGKey is a key that name servers share (RFC 8945). Its secret is in a file of
// its own, which is not part of the revision.
type TSIGKey struct {
	Name       string // as a domain name: lower case, with the final dot
	Algorithm  string // such as "hmac-sha256"
	SecretFile string // the secret in base64
	Place      steering.Place
}

// The defaults of transfers.
const (
	defaultTSIGAlgorithm = "hmac-sha256"
	defaultJournal       = 100
)

// tsigKeys reads the section tsig.
func (c *compiler) tsigKeys() []TSIGKey {
	var keys []TSIGKey
	for _, v := range c.each(tsigKey) {
		f, _ := v.fields("algorithm secret_file")
		k := TSIGKey{Name: keyName(v.name), Place: v.place()}
		k.Algorithm = f.choice("algorithm", defaultTSIGAlgorithm, "hmac-sha256", "hmac-sha512")
		if file, ok := f.require("secret_file", "add secret_file: PATH, a file with mode 0600 that holds the secret in base64, as `tsig-keygen` or `keymgr -t` make it"); ok {
			k.SecretFile, _ = file.file()
		}
		keys = append(keys, k)
	}
	return keys
}

// keyName is a key's name as both sides write it on the wire.
func keyName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) + "." }

// copies reads what a zone's transfer says.
func (f fields) copies() steering.Copies {
	v, ok := f.under("transfer")
	if !ok {
		return steering.Copies{}
	}
	var c steering.Copies
	t, _ := v.as("transfer of %s", f.subject).fields("allow notify journal")
	allow, stated := t.require("allow", "add allow: [{network: 192.0.2.54, key: NAME}]: who may have copies of the zone")
	if stated {
		items, _ := allow.list()
		for _, item := range items {
			if rule, ok := item.copyRule(); ok {
				c.Allow = append(c.Allow, rule)
			}
		}
	}
	if v, ok := t.under("notify"); ok {
		items, _ := v.list()
		for _, item := range items {
			if peer, ok := item.peer(); ok {
				c.Notify = append(c.Notify, peer)
			}
		}
	}
	c.Journal = int(t.integer("journal", defaultJournal, 0, 10_000))
	return c
}

// copyRule reads who may have copies. An address alone is easily forged over UDP,
// and behind one address there may be many: a key is better.
func (v value) copyRule() (steering.CopyRule, bool) {
	f, ok := v.fields("network key")
	if !ok {
		return steering.CopyRule{}, false
	}
	var rule steering.CopyRule
	network, hasNetwork := f.under("network")
	_, hasKey := f.under("key")
	if hasNetwork {
		rule.Network, ok = network.prefix()
	}
	if name := f.refer("key", tsigKey); name != "" {
		rule.Key = keyName(name)
	}
	switch {
	case !hasNetwork && !hasKey:
		v.fault("state a network, a key, or both: both must then fit", "allows everybody")
		return rule, false
	case hasNetwork && !hasKey && ok && rule.Network.Bits() == 0:
		network.warn("name a key, or the secondaries' addresses", "everybody may have the whole zone")
	}
	return rule, ok && (rule.Key != "" || !hasKey)
}

// peer reads a name server: an address, or a mapping of address and key.
func (v value) peer() (steering.Peer, bool) {
	if v.node.Tag == "!!str" {
		addr, ok := v.serverAddress()
		return steering.Peer{Address: addr}, ok
	}
	f, ok := v.fields("address key")
	if !ok {
		return steering.Peer{}, false
	}
	var p steering.Peer
	address, ok := f.require("address", "add address: 192.0.2.54")
	if ok {
		p.Address, ok = address.serverAddress()
	}
	if name := f.refer("key", tsigKey); name != "" {
		p.Key = keyName(name)
	}
	return p, ok
}

// serverAddress reads an IP address, perhaps with a port; 53 is the default.
func (v value) serverAddress() (netip.AddrPort, bool) {
	s, ok := v.text()
	if !ok {
		return netip.AddrPort{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.AddrPortFrom(a.Unmap(), 53), true
	}
	p, err := netip.ParseAddrPort(s)
	if err != nil || p.Port() == 0 || p.Addr().Zone() != "" {
		v.fault("write it as 192.0.2.54, 192.0.2.54:5353 or [2001:db8::54]:5353", "%q is not the address of a name server", clip(s))
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), true
}

// primaries reads where a zone is maintained, if that is elsewhere.
func (f fields) primaries() []steering.Peer {
	v, ok := f.under("primary")
	if !ok {
		return nil
	}
	for _, key := range []string{"ns", "soa", "ttl", "file", "records"} {
		if own, ok := f.under(key); ok {
			own.fault("take it out, or take primary out and keep the zone here", "comes from the primary")
		}
	}
	p, _ := v.as("primary of %s", f.subject).fields("address key")
	p.require("address", "add address: 192.0.2.53, the name server that has the zone")
	key := ""
	if name := p.refer("key", tsigKey); name != "" {
		key = keyName(name)
	}
	var peers []steering.Peer
	for _, item := range p.oneOrMore("address") {
		if addr, ok := item.serverAddress(); ok {
			peers = append(peers, steering.Peer{Address: addr, Key: key})
		}
	}
	if _, hasKey := p.under("key"); !hasKey && len(peers) > 0 {
		v.warn("share a key with the primary, and name it here", "without a TSIG key, who can forge an address on the way can forge the zone")
	}
	return peers
}
