package policies

import (
	"net"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"fairway/steering"
)

// ACME is how certificates are obtained (RFC 8555).
type ACME struct {
	Directory  string
	Email      string   // empty = none is told
	Names      []string // lower case, no final dot; a wildcard begins with "*."
	Challenge  string   // dns, http or alpn
	Profile    string   // empty = the authority's own choice
	KeyID      string   // of an external account; empty = there is none
	KeyFile    string   // with the key that the authority gave for it
	CAFile     string   // PEM; empty = the system's authorities
	SecretFile string   // empty = what is kept is not sealed
	Settle     time.Duration
}

// The directories that have a word of their own.
const (
	letsEncrypt        = "letsencrypt"
	letsEncryptStaging = "letsencrypt-staging"
)

func directories() map[string]string {
	return map[string]string{
		letsEncrypt:        "https://acme-v02.api.letsencrypt.org/directory",
		letsEncryptStaging: "https://acme-staging-v02.api.letsencrypt.org/directory",
	}
}

const (
	defaultChallenge = "dns"
	defaultSettle    = 5 * time.Second
	maxACMENames     = 100

	// fromACME stands for the certificate of a listener.
	fromACME = "acme"
)

// acme reads how certificates are obtained; nil = they are not.
func (c *compiler) acme() *ACME {
	v, ok := c.single("acme")
	if !ok {
		return nil
	}
	f, _ := v.fields("directory terms email names challenge profile eab ca_file secret_file settle")
	a := &ACME{
		Email: f.text("email"), Profile: f.text("profile"),
		Challenge: f.choice("challenge", defaultChallenge, "dns", "http", "alpn"),
		Settle:    f.duration("settle", defaultSettle, 0, 10*time.Minute),
	}
	if v, ok := f.under("email"); ok && !strings.Contains(a.Email, "@") {
		v.fault("write an address such as ops@video.example", "%q is not an email address", clip(a.Email))
	}
	if v, ok := f.require("directory", "add directory: "+letsEncryptStaging+" to try it, "+letsEncrypt+" for certificates that browsers trust, or the URL of another authority"); ok {
		a.Directory = v.directory()
	}
	// RFC 8555 §7.3: "Clients SHOULD NOT automatically agree to terms by default.
	// Rather, they SHOULD require some user interaction for agreement to terms."
	if _, ok := f.require("terms", "read the authority's terms of service, then add terms: accepted"); ok {
		f.choice("terms", "", "accepted")
	}
	f.require("names", "add names: [go.video.example], the names that players ask")
	for _, item := range f.oneOrMore("names") {
		if name, ok := item.certified(a.Challenge); ok {
			a.Names = append(a.Names, name)
		}
	}
	if v, ok := f.under("names"); ok && len(a.Names) > maxACMENames {
		v.fault("use a wildcard for some of them", "has %d names; at most %d", len(a.Names), maxACMENames)
	}
	for key, into := range map[string]*string{"ca_file": &a.CAFile, "secret_file": &a.SecretFile} {
		if v, ok := f.under(key); ok {
			*into, _ = v.file()
		}
	}
	if v, ok := f.under("eab"); ok {
		eab, _ := v.as("acme.eab").fields("key_id key_file")
		if id, ok := eab.require("key_id", "add key_id: as the authority gave it"); ok {
			a.KeyID, _ = id.text()
		}
		if file, ok := eab.require("key_file", "add key_file: PATH, a file with mode 0600 that holds the key as the authority gave it"); ok {
			a.KeyFile, _ = file.file()
		}
	}
	return a
}

// directory reads where an authority tells of itself.
func (v value) directory() string {
	s, ok := v.text()
	if !ok {
		return ""
	}
	if url, known := directories()[s]; known {
		return url
	}
	if !strings.HasPrefix(s, "https://") {
		v.fault("write "+letsEncryptStaging+", "+letsEncrypt+", or an https URL", "%q is not the directory of an authority", clip(s))
		return ""
	}
	s, _ = v.baseURL()
	return s
}

// certified reads a name to get a certificate for.
func (v value) certified(challenge string) (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	rest, wild := strings.CutPrefix(s, "*.")
	name, why := fullName(rest)
	switch {
	case why != "":
		v.fault("write a name such as go.video.example", "%q %s", clip(s), why)
		return "", false
	case wild && challenge != "dns":
		// RFC 8555 §7.4.1 leaves it to authorities; none gives wildcards by the others.
		v.fault("use challenge: dns, or list the names one by one", "%s: a wildcard can be shown to be ours in the DNS only", clip(s))
		return "", false
	}
	name = strings.TrimSuffix(name, ".")
	if wild {
		name = "*." + name
	}
	return name, true
}

// certificate reads where a listener's certificate is from: two files, or acme.
func (f fields) certificate(subject string) (certificate, key string, acme bool) {
	v, ok := f.under("tls")
	if !ok {
		return "", "", false
	}
	if v = v.as("%s", subject); v.node.Kind == yaml.ScalarNode && !v.isNull() {
		if word, ok := v.text(); ok && word != fromACME {
			v.fault("write {certificate: PATH, key: PATH}, or acme", "%q does not say where the certificate is from", clip(word))
		}
		return "", "", true
	}
	t, _ := v.fields("certificate key")
	return t.neededFile("certificate"), t.neededFile("key"), false
}

// checkACME holds the ways to a certificate against where the node listens, and what it
// answers for.
func (c *compiler) checkACME(n Node, zones []steering.Zone) {
	used := n.HTTP.ACME || n.DNS.TLS.ACME
	if n.ACME == nil {
		if used && !c.partial {
			section := "http"
			if !n.HTTP.ACME {
				section = "dns"
			}
			c.fault(c.sections[section][0].keyAt, "add acme: {directory: "+letsEncryptStaging+", terms: accepted, names: [go.video.example]}", "%s.tls: there is no section acme", section)
		}
		return
	}
	v, _ := c.single("acme")
	if !used {
		v.warn("add http: {tls: acme} or dns: {tls: acme}", "acme does nothing: no listener takes its certificate from it")
	}
	if n.Consul != nil && n.ACME.SecretFile == "" {
		v.fault("add secret_file: PATH, with the same secret on every node (openssl rand -hex 32)", "keys in the store must be sealed")
	}
	switch n.ACME.Challenge {
	case "dns":
		for _, name := range n.ACME.Names {
			c.checkProvable(v, name, zones)
		}
	case "http":
		c.checkPort(v, n.Listen.HTTP, "80", "RFC 8555 §8.3", "http")
	case "alpn":
		if !n.HTTP.ACME && !c.partial {
			v.fault("add http: {tls: acme} and listen: {https: :443}, or use another challenge", "challenge alpn is answered by listen.https, whose certificate is from elsewhere")
		}
		c.checkPort(v, n.Listen.HTTPS, "443", "RFC 8737 §3", "https")
	}
}

// checkProvable reports a name whose _acme-challenge is not ours to answer.
func (c *compiler) checkProvable(v value, name string, zones []steering.Zone) {
	asked := "_acme-challenge." + strings.TrimPrefix(name, "*.") + "."
	ours := slices.ContainsFunc(zones, func(z steering.Zone) bool {
		return z.Name == "." || asked == z.Name || strings.HasSuffix(asked, "."+z.Name)
	})
	if !ours && !c.partial {
		v.fault("add the zone, or use challenge: http or alpn; where the zone is somebody else's, have "+strings.TrimSuffix(asked, ".")+" delegated to this node as a zone of its own",
			"%s: the authority will ask for %s, which is in none of the zones", name, strings.TrimSuffix(asked, "."))
	}
}

// checkPort warns where an authority's question reaches us only if something forwards it.
func (c *compiler) checkPort(v value, listen []string, port, rfc, key string) {
	if !slices.ContainsFunc(listen, func(address string) bool { _, p, _ := net.SplitHostPort(address); return p == port }) {
		v.warn("listen at port "+port+", unless a load balancer sends it here", "the authority asks at port %s (%s), where listen.%s is not", port, rfc, key)
	}
}

func acmeSchema() property {
	return key("acme", "How certificates are obtained from an authority and renewed (RFC 8555); http.tls and dns.tls say acme to use them. One node at a time obtains, the one with the role control that leads; all others load. Taken up by SIGUSR2 or a restart.",
		object("",
			key("directory", "The authority: letsencrypt-staging for trials, letsencrypt, or the https URL of another one's directory.", text()).needed().like(letsEncryptStaging, letsEncrypt, "https://acme.example/directory"),
			key("terms", "That you have read and accept the authority's terms of service.", word("accepted")).needed(),
			key("names", "The names, one certificate each. The first one serves clients that name none. Wildcards need challenge dns.",
				oneOrSome(matching(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?$`))).needed().like([]string{"go.video.example"}),
			key("challenge", "How the authority is shown that the names are ours. dns: by TXT records that our own DNS doors answer; it needs no port but 53. http: at port 80 of the HTTP door. alpn: at port 443.", word("dns", "http", "alpn")).by(defaultChallenge),
			key("email", "Where the authority may write to.", text()).like("ops@video.example"),
			key("profile", "Which of the authority's kinds of certificates is wanted. Default: its own choice.", text()).like("shortlived"),
			key("eab", "An account that the authority knows otherwise (external account binding).", object("",
				key("key_id", "As the authority gave it.", text()).needed().like("kid-1"),
				key("key_file", "A file with mode 0600 that holds the key, base64url, as the authority gave it.", text()).needed().like("/etc/fairway/eab.key"),
			)),
			key("ca_file", "PEM file of the authorities that the directory's own certificate is from. Default: the system's.", text()).like("/etc/fairway/step-ca.pem"),
			key("secret_file", "A secret of 16 octets or more that certificates' keys and the account's are sealed with, AES-256-GCM; the same on every node. store.consul needs it. Default: they are files with mode 0600 in the data folder.", text()).like("/etc/fairway/keys.secret"),
			key("settle", "How long all doors have to learn of a challenge before the authority asks: 0s to 10m.", duration()).by("5s"),
		))
}

// certificateSchema is where a listener's certificate is from.
func certificateSchema(certificate, key property) *schema {
	return &schema{AnyOf: []*schema{word(fromACME), object("", certificate.needed(), key.needed())}}
}
