package policies

import (
	"net/netip"
	"strings"
)

// fullName returns a host name fully qualified, lower case, with the final dot,
// or says why it is none. Underscores are allowed: CDNs use them.
func fullName(s string) (name, why string) {
	name = strings.ToLower(strings.TrimSuffix(s, "."))
	switch {
	case name == "":
		return "", "is empty"
	case len(name) > 253:
		return "", "is longer than 253 bytes (RFC 1035 §2.3.4)"
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", "is an IP address, not a host name"
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return "", "has an empty label"
		case len(label) > 63:
			return "", "has a label longer than 63 bytes (RFC 1035 §2.3.4)"
		case label[0] == '-' || label[len(label)-1] == '-':
			return "", "has a label that begins or ends with a hyphen"
		}
		for i := range len(label) {
			if b := label[i]; b >= 0x80 {
				return "", "has letters beyond ASCII: write the xn-- form (RFC 5890)"
			} else if !isAlnum(b) && b != '-' && b != '_' {
				return "", "has a character that host names cannot have"
			}
		}
	}
	return name + ".", ""
}

// hostname reads a host name and returns it as fullName does.
func (v value) hostname() (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	name, why := fullName(s)
	if why != "" {
		v.fault("write a name such as live.video.example", "%q %s", clip(s), why)
		return "", false
	}
	return name, true
}

// within tells whether a fully qualified name is at or below a zone's apex.
func within(name, zone string) bool {
	return name == zone || strings.HasSuffix(name, "."+zone)
}
