package policies

import (
	"net/url"
	"time"

	"fairway/steering"
)

// The defaults of references.
const (
	defaultReferenceEvery   = 10 * time.Second
	defaultReferenceTimeout = 2 * time.Second
)

// references reads what vantages hold their own network against.
func (c *compiler) references() steering.References {
	v, ok := c.single("references")
	if !ok {
		return steering.References{}
	}
	f, _ := v.fields("targets need every timeout")
	r := steering.References{
		Every:   f.duration("every", defaultReferenceEvery, time.Second, time.Hour),
		Timeout: f.duration("timeout", defaultReferenceTimeout, 50*time.Millisecond, time.Minute),
	}
	f.require("targets", "name things outside that have nothing to do with your CDNs, such as https://www.example.com/")
	for _, item := range f.oneOrMore("targets") {
		if item.reference() {
			r.Targets = append(r.Targets, item.node.Value)
		}
	}
	r.Need = int(f.integer("need", int64(len(r.Targets)/2+1), 1, 1000))
	if need, stated := f.under("need"); stated && len(r.Targets) > 0 && r.Need > len(r.Targets) {
		need.fault("name at most as many as there are targets", "%d of %d targets cannot answer", r.Need, len(r.Targets))
	}
	if len(r.Targets) == 1 {
		v.warn("name three, of different owners and networks", "with one target, its failure silences every vantage")
	}
	return r
}

// reference checks that a text is something that can be asked.
func (v value) reference() bool {
	const remedy = "write it as https://host/path, http://host/path or tcp://host:port"
	text := v.node.Value
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || !validURLHost(u):
		v.fault(remedy, "%q is not a URL with a host", clip(text))
	case u.User != nil || u.Fragment != "":
		v.fault(remedy, "%q has a user or a fragment", clip(text))
	case u.Scheme == "http" || u.Scheme == "https":
		return true
	case u.Scheme != "tcp":
		v.fault(remedy, "%q begins with none of https://, http:// and tcp://", clip(text))
	case u.Port() == "" || u.Path != "" || u.RawQuery != "":
		v.fault("write tcp://host:port", "%q needs a port, and nothing behind it", clip(text))
	default:
		return true
	}
	return false
}
