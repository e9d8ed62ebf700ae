package policies

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// Consul is where a fleet keeps what all of its nodes share.
type Consul struct {
	Address    string // host:port, or unix:///path
	TLS        bool
	Prefix     string // of every key
	Datacenter string // empty = the one of the agent that is asked
	TokenFile  string // empty = no token
	CAFile     string // PEM; empty = the system's authorities
	CertFile   string // PEM, of this node; empty = none is shown
	KeyFile    string
	// Fallback are those that hold the same, for nodes that only read: asked in this
	// order while nothing new comes from this one.
	Fallback []Consul
}

// The defaults of store.consul.
const (
	defaultConsul = "http://127.0.0.1:8500"
	defaultPrefix = "fairway"
)

// store reads where what the nodes of a fleet share is kept; nil = in the data
// folder alone.
func (c *compiler) store() *Consul {
	v, ok := c.single("store")
	if !ok {
		return nil
	}
	f, _ := v.fields("consul")
	if v, ok = f.require("consul", "add consul: {address: "+defaultConsul+"}, or take store out to keep everything in the data folder"); !ok {
		return nil
	}
	f, _ = v.as("store.consul").fields(consulKeys + " fallback")
	consul := f.consul(Consul{Address: strings.TrimPrefix(defaultConsul, "http://"), Prefix: defaultPrefix})
	c.checkConsul(f, "store.consul", consul)
	if v, ok := f.under("fallback"); ok {
		consul.Fallback = c.furtherConsuls(v, consul)
	}
	return &consul
}

// furtherConsuls reads the Consuls that stand in for another one.
func (c *compiler) furtherConsuls(v value, first Consul) (further []Consul) {
	const subject = "store.consul.fallback"
	seen := map[string]bool{first.Address: true}
	items, _ := v.list()
	for _, item := range items {
		f, _ := item.as(subject).fields(consulKeys)
		address, named := f.require("address", "add address: https://consul.example:8501")
		one := f.consul(first)
		if !named || one.Address == "" {
			continue
		}
		if seen[one.Address] {
			address.fault("name each Consul once, the nearest first", "%s is named already", one.Address)
		}
		seen[one.Address] = true
		c.checkConsul(f, subject, one)
		further = append(further, one)
	}
	return further
}

const consulKeys = "address prefix datacenter token_file ca_file cert_file key_file"

// consul reads how one Consul is asked; what is not named is as in another.
func (f fields) consul(c Consul) Consul {
	if v, ok := f.under("address"); ok {
		c.Address, c.TLS = v.consulAddress()
	}
	if v, ok := f.under("prefix"); ok {
		c.Prefix = v.keyPrefix()
	}
	if v, ok := f.under("datacenter"); ok {
		c.Datacenter, _ = v.text()
	}
	for key, into := range map[string]*string{"token_file": &c.TokenFile, "ca_file": &c.CAFile, "cert_file": &c.CertFile, "key_file": &c.KeyFile} {
		if v, ok := f.under(key); ok {
			*into, _ = v.file()
		}
	}
	return c
}

// checkConsul reports what does not go together.
func (c *compiler) checkConsul(f fields, subject string, consul Consul) {
	if (consul.CertFile == "") != (consul.KeyFile == "") {
		f.fault("name both cert_file and key_file, or neither", "a certificate and its key belong together")
	}
	for _, key := range []string{"ca_file", "cert_file"} {
		if v, ok := f.under(key); ok && !consul.TLS {
			v.fault("write the address as https://…, or take "+key+" out", "%s is of no use: the address is not https", key)
		}
	}
	host, _, err := net.SplitHostPort(consul.Address)
	if ip, bad := netip.ParseAddr(host); err != nil || host == "localhost" || bad == nil && ip.IsLoopback() || consul.TLS {
		return
	}
	v, named := f.under("token_file")
	if !named {
		v, named = f.under("address")
	}
	if named && consul.TokenFile != "" {
		c.warn(v.keyAt, "write the address as https://…, or ask the Consul agent of this machine, at "+defaultConsul,
			"%s: the token goes to %s in the clear", subject, consul.Address)
	}
}

// consulAddress reads where Consul listens: a URL without a path, host:port, or a
// Unix socket.
func (v value) consulAddress() (address string, tls bool) {
	const remedy = "write it as " + defaultConsul + ", https://consul.example:8501 or unix:///run/consul.sock"
	s, ok := v.text()
	if !ok {
		return "", false
	}
	if path, is := strings.CutPrefix(s, "unix://"); is {
		if !filepath.IsAbs(path) {
			v.fault(remedy, "%q names no absolute path", clip(s))
		}
		return s, false
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		v.fault(remedy, "%q is not the address of a Consul", clip(v.node.Value))
		return "", false
	case u.User != nil:
		v.fault("leave user and password out, and name a token_file", "the address holds a user")
		return "", false
	case !validURLHost(u):
		v.fault(remedy, "%q has no valid host", clip(v.node.Value))
		return "", false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "8500", "https": "8501"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port), u.Scheme == "https"
}

// keyPrefix reads the first part of Consul keys: names with slashes between them.
func (v value) keyPrefix() string {
	s, ok := v.text()
	if !ok {
		return ""
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || len(part) > 63 || strings.ContainsFunc(part, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r)
		}) {
			v.fault("write it as "+defaultPrefix+" or video/production: letters, digits, . _ - with single slashes between them",
				"%s is not a prefix for keys", strconv.Quote(clip(s)))
			return ""
		}
	}
	return s
}

func storeSchema() property {
	return key("store", "What the nodes of a fleet share, and where. Default: the data folder alone. Taken up by SIGUSR2 or a restart only.",
		object("", key("consul", "Consul's key-value store.", object("", append(consulSchema(),
			consulAddressSchema().by(defaultConsul),
			key("fallback", "Further Consuls that hold the same, as fairway mirror keeps them: nodes without control read from the first of these that is well while the one above is not. What they do not name is as above.",
				list(object("", append(consulSchema(), consulAddressSchema().needed())...))).like([]map[string]string{{"address": "https://consul.eu.example:8501"}}))...)).needed()))
}

func consulAddressSchema() property {
	return key("address", "The Consul agent of this machine, or a server: a URL without a path, HOST:PORT, or unix:///PATH.", text()).like("https://consul.example:8501")
}

// consulSchema are the keys of one Consul beside its address.
func consulSchema() []property {
	return []property{
		key("prefix", "The beginning of every key; each deployment has its own.", matching(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)).by(defaultPrefix).like("video/production"),
		key("datacenter", "Consul's datacenter. Default: the agent's own.", text()).like("dc1"),
		key("token_file", "A file with mode 0600 that holds the ACL token; read again when it changes.", text()).like("/etc/fairway/consul-token"),
		key("ca_file", "PEM file of the authority of Consul's certificate. Default: the system's authorities.", text()).like("/etc/fairway/consul-ca.pem"),
		key("cert_file", "PEM file of the certificate that this node shows Consul, with key_file.", text()).like("/etc/fairway/consul.pem"),
		key("key_file", "PEM file of its key.", text()).like("/etc/fairway/consul.key"),
	}
}
