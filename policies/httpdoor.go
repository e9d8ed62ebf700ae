package policies

// httpDoor reads how the HTTP door is reached.
func (f fields) httpDoor() HTTPDoor {
	d := HTTPDoor{NoHTTP3: f.choice("http3", "on", "on", "off") == "off"}
	d.Certificate, d.Key, d.ACME = f.certificate("http.tls")
	for _, item := range f.texts("proxy_protocol") {
		if p, ok := item.prefix(); ok {
			d.ProxyProtocol = append(d.ProxyProtocol, p)
		}
	}
	if v, ok := f.under("connections"); ok {
		if n, ok := v.integer(leastConnections, mostConnections); ok {
			d.Connections, d.ConnectionsAt = int(n), v.place()
		}
	}
	return d
}

// checkHTTPS reports a TLS listener without a certificate, and one the other way
// round.
func (c *compiler) checkHTTPS(n Node) {
	listens, certified := len(n.Listen.HTTPS) > 0, n.HTTP.Certificate != "" || n.HTTP.ACME
	switch v, stated := c.single("http"); {
	case listens && !certified && !c.partial:
		c.fault(c.sections["listen"][0].keyAt, "add http: {tls: {certificate: PATH, key: PATH}}, or http: {tls: acme}", "listen.https needs a certificate")
	case certified && !listens && stated:
		v.warn("add listen: {https: ADDRESS:443}", "tls does nothing: listen.https names no address")
	}
}
