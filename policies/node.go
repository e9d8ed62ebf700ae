package policies

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairway/steering"
)

// Node is what a node needs beside the revision.
type Node struct {
	Listen         Listen
	DNS            DNS
	TrustedProxies []netip.Prefix // whose X-Forwarded-For and Forwarded are believed
	HTTP           HTTPDoor
	HTTPHosts      []string // further Host names that the HTTP door accepts; lower case, no final dot
	TokenFile      string   // the API's token; empty = none named
	Tokens         []APIToken
	PeerTLS        *PeerTLS // what the API speaks TLS with, and nodes among each other; nil = HTTP in the clear
	Advertise      string   // base URL at which other nodes reach the API; empty = as it listens
	SteeringSecret string   // the file with what signs players' steering sessions; empty = none named
	KeyFolder      string   // where DNSSEC keys are kept; empty = in the data folder
	KeySecret      string   // the file with the secret that seals them; empty = they are not sealed
	KeysInStore    bool     // they are in the store; then there is a KeySecret
	ACME           *ACME    // how certificates are obtained; nil = they are not
	Learning       Learning
	TSIGKeys       []TSIGKey     // for copies of zones, sorted by name
	Databases      []string      // MMDB files, in the order of their precedence; "embedded" = the built-in data
	Control        []string      // base URLs where a node without control pushes its measurements
	FindControl    bool          // also to the control nodes that are registered in Consul
	ControlToken   string        // the file with the token that it shows there; empty = the API's own
	Consul         *Consul       // what a fleet shares; nil = this node keeps everything in its data folder
	DrainFor       time.Duration // how long SIGTERM waits, not ready, before it closes
}

// Listen are the addresses, host:port each, that the roles listen on.
type Listen struct {
	DNS, DoT, HTTP, HTTPS, API []string
}

// HTTPDoor is how the HTTP door is reached.
type HTTPDoor struct {
	Certificate, Key string         // PEM files for listen.https
	ACME             bool           // in place of files, what ACME obtains
	NoHTTP3          bool           // listen.https is TCP only
	ProxyProtocol    []netip.Prefix // load balancers that send a PROXY header
	Connections      int            // open at once over TCP, and as many over QUIC; 0 = what the machine bears
	ConnectionsAt    steering.Place // where the configuration says so
}

// The defaults of a node.
const (
	defaultDNS   = "127.0.0.1:5300"
	defaultHTTP  = "127.0.0.1:8080"
	defaultAPI   = "127.0.0.1:8400"
	defaultDrain = 2 * time.Second
)

// The bounds of http.connections.
const (
	leastConnections = 16
	mostConnections  = 1_000_000
)

// node reads the sections that concern this node alone.
func (c *compiler) node() Node {
	n := Node{DrainFor: defaultDrain, DNS: c.dnsDoor()}
	n.Listen = c.listen()
	c.checkDoT(n)
	if v, ok := c.single("http"); ok {
		f, _ := v.fields("trusted_proxies hosts steering_secret_file tls http3 proxy_protocol connections")
		for _, item := range f.texts("trusted_proxies") {
			if p, ok := item.prefix(); ok {
				n.TrustedProxies = append(n.TrustedProxies, p)
			}
		}
		for _, item := range f.texts("hosts") {
			if name, ok := item.hostname(); ok {
				n.HTTPHosts = append(n.HTTPHosts, strings.TrimSuffix(name, "."))
			}
		}
		n.HTTP = f.httpDoor()
		if v, ok := f.under("steering_secret_file"); ok {
			n.SteeringSecret, _ = v.file()
		}
	}
	c.api(&n)
	c.checkHTTPS(n)
	c.checkToken(n)
	if v, ok := c.single("dnssec"); ok {
		f, _ := v.fields("keys folder secret_file")
		if v, ok := f.under("folder"); ok {
			n.KeyFolder, _ = v.file()
		}
		if v, ok := f.under("secret_file"); ok {
			n.KeySecret, _ = v.file()
		}
		n.KeysInStore = f.choice("keys", "folder", "folder", "store") == "store"
		if n.KeysInStore && n.KeySecret == "" {
			v.fault("add secret_file: PATH, with the same secret on every node (openssl rand -hex 32)", "keys in the store must be sealed")
		}
	}
	if v, ok := c.single("geo"); ok {
		f, _ := v.fields("databases")
		for _, item := range f.oneOrMore("databases") {
			if item.node.Value == builtInData {
				n.Databases = append(n.Databases, builtInData)
			} else if name, ok := item.file(); ok {
				n.Databases = append(n.Databases, name)
			}
		}
	}
	n.Consul = c.store()
	c.control(&n)
	n.ACME = c.acme()
	if v, ok := c.single("drain"); ok {
		if d, ok := v.duration(0, 10*time.Minute); ok {
			n.DrainFor = d
		}
	}
	return n
}

// listen reads the listeners and reports two on one address.
func (c *compiler) listen() Listen {
	l := Listen{DNS: []string{defaultDNS}, HTTP: []string{defaultHTTP}, API: []string{defaultAPI}}
	v, ok := c.single("listen")
	if !ok {
		return l
	}
	f, _ := v.fields("dns dot http https api")
	taken := make(map[string]value)
	for _, door := range []struct {
		key  string
		into *[]string
	}{{"dns", &l.DNS}, {"dot", &l.DoT}, {"http", &l.HTTP}, {"https", &l.HTTPS}, {"api", &l.API}} {
		if _, ok := f.under(door.key); !ok {
			continue
		}
		*door.into = nil
		for _, item := range f.oneOrMore(door.key) {
			address, ok := item.listener()
			if !ok {
				continue
			}
			if other := clashing(taken, address); other != "" {
				item.fault("give each its own port", "%s is taken by %s %s at %s", address, taken[other].key, other, taken[other].place())
				continue
			}
			taken[address] = item
			*door.into = append(*door.into, address)
		}
		if node := f.byKey[door.key].node; node.Tag == "!!seq" && len(node.Content) == 0 {
			f.byKey[door.key].fault("name an address, or leave the key out for the default", "is empty")
		}
	}
	return l
}

// clashing returns the earlier listener that leaves no room for an address: the
// same one, or one of the same port on every address. Port 0 lets the system
// choose, so it never clashes.
func clashing(taken map[string]value, address string) string {
	host, port, _ := net.SplitHostPort(address)
	if port == "0" {
		return ""
	}
	for _, other := range slices.Sorted(maps.Keys(taken)) {
		otherHost, otherPort, _ := net.SplitHostPort(other)
		if port == otherPort && (host == otherHost || everyAddress(host) || everyAddress(otherHost)) {
			return other
		}
	}
	return ""
}

func everyAddress(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// listener reads host:port, where the host is an address or empty for all.
func (v value) listener() (string, bool) {
	const remedy = "write ADDRESS:PORT, such as 127.0.0.1:5300, [::1]:5300 or :5300 for every address"
	s, ok := v.text()
	if !ok {
		return "", false
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		v.fault(remedy, "%q is not an address with a port", clip(s))
		return "", false
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		v.fault(remedy, "%q is not an IP address", clip(host))
		return "", false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		v.fault(remedy, "%q is not a port", clip(port))
		return "", false
	}
	return s, true
}

// checkToken warns of an API that its node will refuse to open.
func (c *compiler) checkToken(n Node) {
	if n.TokenFile != "" || len(n.Tokens) > 0 {
		return
	}
	for _, address := range n.Listen.API {
		host, _, _ := net.SplitHostPort(address)
		if ip, err := netip.ParseAddr(host); (err != nil && host != "localhost") || (err == nil && !ip.IsLoopback()) {
			c.warn(c.sections["listen"][0].keyAt, "add api: {token_file: PATH}, a file with mode 0600, or listen on 127.0.0.1",
				"listen.api %s is reachable from beyond this machine and there is no token: the API will refuse to open", address)
		}
	}
}

// control reads where measurements go, by default to this node's own API.
func (c *compiler) control(n *Node) {
	v, ok := c.single("control")
	if !ok {
		n.Control = []string{ownAPI(n.Listen.API)}
		return
	}
	f, _ := v.fields("addresses token_file")
	f.require("addresses", "add addresses: [http://127.0.0.1:8400]")
	for _, item := range f.oneOrMore("addresses") {
		if item.node.Value == inConsul {
			n.FindControl = true
			if len(c.sections["store"]) == 0 {
				item.fault("add store: {consul: {address: "+defaultConsul+"}}, or name the control nodes", "there is no Consul to find control nodes in")
			}
		} else if u, ok := item.baseURL(); ok {
			n.Control = append(n.Control, u)
		}
	}
	if v, ok := f.under("token_file"); ok {
		n.ControlToken, _ = v.file()
	}
}

// inConsul, among the addresses of control nodes, is all of those that Consul knows.
const inConsul = "consul"

// ownAPI is the URL at which a node reaches its own first API listener.
func ownAPI(api []string) string {
	if len(api) == 0 {
		return "http://" + defaultAPI
	}
	host, port, _ := net.SplitHostPort(api[0])
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// file reads a path; a relative one is relative to the file that names it.
func (v value) file() (string, bool) {
	name, ok := v.text()
	if ok && !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(v.src.name), name)
	}
	return name, ok
}

// prefix reads a network; a lone address is a network of one.
func (v value) prefix() (netip.Prefix, bool) {
	const remedy = "write it as 192.0.2.0/24 or 2001:db8::/32"
	s, ok := v.text()
	if !ok {
		return netip.Prefix{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Zone() != "":
		v.fault(remedy, "%q is not a network", clip(s))
	case p.Addr().Is4In6():
		v.fault(remedy, "%s is an IPv4 network in IPv6 clothes", s)
	case p != p.Masked():
		v.fault("write "+p.Masked().String(), "%s has bits beyond its length", s)
	default:
		return p, true
	}
	return netip.Prefix{}, false
}

// address reads an IP address.
func (v value) address() (netip.Addr, bool) {
	s, ok := v.text()
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		v.fault("write it as 192.0.2.1 or 2001:db8::1", "%q is not an IP address", clip(s))
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// baseURL reads an absolute http or https URL that paths can be appended to;
// the result has no final slash.
func (v value) baseURL() (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	const remedy = "write it as https://host/base"
	u, err := url.Parse(s)
	switch {
	case err != nil:
		v.fault(remedy, "%q is not a URL", clip(s))
	case u.Scheme != "http" && u.Scheme != "https":
		v.fault(remedy, "%q does not begin with http:// or https://", clip(s))
	case u.User != nil:
		v.fault("leave user and password out; secrets do not belong into URLs", "the URL holds a user")
	case u.RawQuery != "" || u.ForceQuery:
		v.fault("end it before the question mark; a client's own query is appended", "%q has a query", clip(s))
	case u.Fragment != "" || strings.Contains(s, "#"):
		v.fault("end it before the #", "%q has a fragment", clip(s))
	case !validURLHost(u):
		v.fault(remedy, "%q has no valid host", clip(s))
	default:
		return strings.TrimRight(s, "/"), true
	}
	return "", false
}

// validURLHost tells whether a URL's host can be connected to.
func validURLHost(u *url.URL) bool {
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return false
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return true
	}
	_, why := fullName(u.Hostname())
	return why == ""
}

// builtInData stands in geo.databases for the country data that Fairway ships
// with, to be used after the operator's own files.
const builtInData = "embedded"
