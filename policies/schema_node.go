package policies

// The sections that concern one node, and the names that it answers for.

func listenSchema() property {
	return key("listen", "Where the node listens: ADDRESS:PORT, one or a list each. An empty address means every address of the machine. Taken up by SIGUSR2 or a restart only.",
		object("",
			key("dns", "The DNS door, UDP and TCP.", oneOrSome(listener())).by(defaultDNS).like("192.0.2.53:53"),
			key("dot", "The DNS door over TLS (RFC 7858), beside dns; it needs dns.tls. Default: none.", oneOrSome(listener())).like(":853"),
			key("http", "The HTTP door, clear text.", oneOrSome(listener())).by(defaultHTTP).like(":80"),
			key("https", "The HTTP door over TLS, beside http: HTTP/1.1 and HTTP/2, and HTTP/3 over UDP on the same port; it needs http.tls. Default: none.", oneOrSome(listener())).like(":443"),
			key("api", "API, console, /metrics, /healthz and /readyz. Beyond loopback it needs api.token_file, else the node does not start.",
				oneOrSome(listener())).by(defaultAPI),
		))
}

func httpSchema() property {
	return key("http", "What the HTTP door believes and accepts.",
		object("",
			key("trusted_proxies", "Whose Forwarded or X-Forwarded-For is believed. Name your own load balancers only: whoever stands here can say that a client is anywhere.",
				list(prefix())).like([]string{"198.51.100.0/28"}),
			key("hosts", "Further names accepted in the Host header. Addresses, localhost and the services' hostnames always are; others get 421.",
				list(hostname())).like([]string{"go.video.example"}),
			key("tls", "The certificate for listen.https: files, or acme, which has it obtained as the section acme says.",
				certificateSchema(
					key("certificate", "A PEM file with the certificate and its chain. Taken up when it changes.", text()),
					key("key", "A PEM file with its key.", text()))).like("acme", map[string]string{"certificate": "/etc/fairway/http.pem", "key": "/etc/fairway/http.key"}),
			key("http3", "Whether listen.https takes HTTP/3 as well, over UDP.", word("on", "off")).by("on"),
			key("proxy_protocol", "Load balancers that begin each connection with a PROXY header, which tells the client. One that sends none is refused.",
				list(prefix())).like([]string{"198.51.100.0/28"}),
			key("connections", "Open at once over TCP, in clear text and TLS together, and as many over QUIC; more wait in the kernel's queue, or are refused over QUIC. Default: what the machine bears, an eighth of its memory at 20 KiB each and half of the descriptors, 100,000 at most.",
				whole(leastConnections, mostConnections)).like(20_000),
			key("steering_secret_file", "Signs what players carry from one steering poll to the next; the same on every node of the http role. A missing file is made at the start, mode 0600. Default: a secret of this node alone, which a restart forgets: players then begin anew.",
				text()).like("/var/lib/fairway/steering-secret"),
		))
}

func apiSchema() property {
	return key("api", "The control API.", object("",
		key("token_file", "The token that everything below /api/ asks for. A missing file is made at the start, mode 0600; one that others may read is refused.",
			text()).like("/var/lib/fairway/token"),
		key("advertise", "The base URL at which other nodes of a fleet reach this API. Default: the first address that it listens on, with the machine's name where that is every address.",
			baseURL()).like("http://control-1.example:8400"),
		key("tls", "Has the API speak TLS, and nodes know each other by certificates.", object("",
			key("certificate", "PEM file of this node's certificate with its chain, for a server and a client.", text()).needed().like("/etc/fairway/node.pem"),
			key("key", "PEM file of its key.", text()).needed().like("/etc/fairway/node.key"),
			key("ca", "PEM file of the authority of all nodes. With it, reports are taken only from who shows a certificate of it. Default: the system's authorities, and no certificate is asked for.", text()).like("/etc/fairway/fleet-ca.pem"),
		)),
		key("tokens", "Further tokens, by name; each may do what its scopes say. Taken up by a reload.", entries(object("",
			key("sha256", "The SHA-256 of the token, which fairway token NAME makes. Two while one token takes the place of another.", oneOrSome(matching(`^[0-9A-Fa-f]{64}$`))).needed(),
			key("scopes", "read: ask. measure: report measurements, traffic and players. operate: read, and give orders. admin: everything.", oneOrSome(word(words(tokenScopes)...))).needed().like([]string{"read"}),
			key("vantages", "Whose measurements it may report. Default: everybody's.", references()).like([]string{"fra"}),
		))),
	))
}

func keysSchema() property {
	return key("dnssec", "Where the keys of signed zones are kept.", object("",
		key("keys", "store has them in the store that the nodes share, sealed: every node with the role control looks after them, and one at a time changes them. Keys that lie in the folder are taken over once.", word("folder", "store")).by("folder"),
		key("folder", "One that every node with the role control or dns can reach, and nobody else. Default: dnssec in the data folder.", text()).like("/var/lib/fairway/keys"),
		key("secret_file", "A secret of 16 octets or more that the keys are sealed with, AES-256-GCM; the same on every node; keys in the store need it. Default: they are not sealed.", text()).like("/etc/fairway/keys.secret"),
	))
}

func controlSchema() property {
	return key("control", "Where a node with the role probe and without control sends what it measures.",
		object("", key("addresses", "Base URLs of control nodes; every one gets every measurement. consul: all that are registered in the Consuls of store. Default: the node's own API.",
			oneOrList(controlAddress())).needed().like("http://192.0.2.53:8400", inConsul),
			key("token_file", "A file with mode 0600 that holds the token that the node shows there; measure is scope enough. Default: api.token_file.", text()).like("/etc/fairway/control-token")))
}

func controlAddress() *schema { return &schema{AnyOf: []*schema{word(inConsul), baseURL()}} }

func drainSchema() property {
	return key("drain", "How long SIGTERM goes on answering, while no longer ready, before the node closes: 0s to 10m. Longer than your load balancer takes to notice.",
		duration()).by("2s")
}

func geoSchema() property {
	return key("geo", "What is known of client networks.",
		object("", key("databases", "MMDB files of MaxMind or DB-IP; of each attribute, the first file that knows it counts. Default: the built-in table of countries. Subdivisions need a City file, ASNs an ASN file.",
			oneOrList(text())).like([]string{"/var/lib/GeoIP/GeoLite2-City.mmdb", "/var/lib/GeoIP/GeoLite2-ASN.mmdb"})))
}

func zonesSchema() property {
	zone := object("",
		key("name", "The apex.", hostname()).needed().like("cdn.video.example"),
		key("ns", "The name servers, full names; needed unless the zone file has them. One inside the zone should have an A or AAAA record there.",
			oneOrSome(hostname())).like([]string{"ns1.cdn.video.example"}),
		key("ttl", "For records and name servers that name none: 1s to 7d, whole seconds.", duration()).by("5m"),
		key("soa", "The start of authority (RFC 1035 §3.3.13).", soaSchema()),
		key("dnssec", "How the zone is signed; {} takes every default. Without it the zone is not signed.", dnssecSchema()),
		key("file", "A zone file (RFC 1035 §5) with the static part, relative to this file's folder. Its name ends in .zone.",
			matching(`\.zone$`)).like("zones/video.example.zone"),
		key("records", "Static records, beside those of the zone file.", &schema{Type: []string{"array", "null"}, Items: recordSchema()}),
		key("primary", "The name server that has the zone, if it is maintained elsewhere: ns, soa and records then come from there, by AXFR, IXFR and NOTIFY.", object("",
			key("address", "An IP address, perhaps with a port; 53 by default. Several are asked one after the other.", oneOrSome(serverAddress())).needed().like("192.0.2.53"),
			key("key", "The TSIG key that signs requests and answers.", reference()),
		)),
		key("transfer", "Who may have copies of the zone (AXFR, IXFR), and who is told of changes (NOTIFY).", transferSchema()),
	)
	return key("zones", "DNS zones that this server is authoritative for. Names outside all of them are answered REFUSED.",
		&schema{Type: []string{"array", "null"}, Items: zone})
}

func dnssecSchema() *schema {
	lifetime := func() *schema { return &schema{AnyOf: []*schema{word(never), duration()}} }
	return object("",
		key("algorithm", "Of the keys (RFC 8624).", word(defaultAlgorithm, "ed25519")).by(defaultAlgorithm),
		key("keys", "csk: one key signs everything. ksk-zsk: one for the keys, which the parent knows, and one for the data.", word(defaultKeys, "ksk-zsk")).by(defaultKeys),
		key("validity", "Of a signature: 3d to 60d, at least three times the longest TTL.", duration()).by("14d"),
		key("zsk_lifetime", "How long a ZSK serves before it is replaced: 1d to 3650d, or never. With keys: ksk-zsk only.", lifetime()).by("90d"),
		key("ksk_lifetime", "The same for a KSK or CSK, whose successor the parent has to learn of.", lifetime()).by(never),
		key("key_ttl", "Of DNSKEY, CDS and CDNSKEY: 1s to 7d.", duration()).by("1h"),
		key("propagation", "How long until every server of the zone has a new key: 0s to 7d.", duration()).by("5m"),
		key("parent", "What concerns the delegation.", object("",
			key("ttl", "Of the DS records there: 1s to 30d.", duration()).by("1d"),
			key("propagation", "How long until all of the parent's servers have a new DS: 0s to 7d.", duration()).by("1h"),
			key("cds", "publish: offer the DS to the parent as CDS and CDNSKEY (RFC 8078). none: you hand it over.", word("publish", "none")).by("publish"),
			key("servers", "Whom to ask whether the DS is there: the parent's servers, or resolvers. Default: nobody, you say so.", oneOrList(listener())).like("192.0.2.1:53"),
		)),
		key("state", "leaving asks the parent to remove the DS (RFC 8078 §4), before dnssec is taken out.", word("signed", "leaving")).by("signed"),
	)
}

func transferSchema() *schema {
	server := serverAddress()
	return object("",
		key("allow", "Any of these may have copies.", list(object("What is stated must all fit; one of both is needed.",
			key("network", "Where the secondary asks from.", prefix()).like("192.0.2.54"),
			key("key", "The TSIG key that signs its requests.", reference()),
		))).needed(),
		key("notify", "Secondaries that are told when the zone has changed.", list(&schema{AnyOf: []*schema{server, object("",
			key("address", "An IP address, perhaps with a port; 53 by default.", server).needed().like("192.0.2.54"),
			key("key", "The TSIG key that signs the message.", reference()),
		)}})),
		key("journal", "Changes that are kept for incremental transfers.", whole(0, 10_000)).by(defaultJournal),
	)
}

func learningSchema() property {
	return key("learning", "Finding out where the clients of resolvers are that send no client subnet. Off without this section.",
		object("",
			key("name", "Below it are the names that players use once: a name in one of the zones, with a wildcard that leads to this node's HTTP door.", hostname()).needed().like("learn.cdn.video.example"),
			key("evidence", "Client networks that a resolver must have been seen with.", whole(2, 64)).by(defaultEvidence),
			key("majority", "The share of them that must be in one region: 50% to 100%.", percentage()).by(defaultMajority),
			key("keep", "How long a sighting counts: 1h to 90d.", duration()).by("7d"),
			key("resolvers", "How many are remembered.", whole(1, 1_000_000)).by(defaultResolvers),
		))
}

// serverAddress is an IP address, perhaps with a port.
func serverAddress() *schema {
	return matching(`^([0-9A-Fa-f:.]+|[0-9.]+:[0-9]+|\[[0-9A-Fa-f:.]+\]:[0-9]+)$`)
}

func tsigSchema() property {
	return key("tsig", "TSIG keys (RFC 8945) by name: what this server shares with its secondaries and primaries.",
		entries(object("",
			key("algorithm", "Of the signature.", word("hmac-sha256", "hmac-sha512")).by(defaultTSIGAlgorithm),
			key("secret_file", "A file with mode 0600 that holds the secret in base64.", text()).needed().like("tsig/ns2.secret"),
		)))
}

func soaSchema() *schema {
	return object("",
		key("mname", "The primary name server, a full name. Default: the first of ns.", hostname()),
		key("rname", "The mailbox of who is responsible. Default: hostmaster at the apex.",
			matching(`^[^\s.@]*@?[A-Za-z0-9._-]+$`)).like("dns@video.example"),
		key("serial", "0: made from the configuration's hash, which differs with every change but does not grow; of a zone with transfer, from the time of the last change. Else the least that the zone has.",
			whole(0, 1<<32-1)).by(0),
		key("refresh", "1s to 7d.", duration()).by("1h"),
		key("retry", "1s to 7d.", duration()).by("10m"),
		key("expire", "1s to 365d.", duration()).by("14d"),
		key("minimum", "How long negative answers are cached (RFC 2308 §4): 0s to 24h.", duration()).by("1m"),
		key("ttl", "Of the record itself. Default: the zone's.", duration()),
	)
}

func recordSchema() *schema {
	return object("",
		key("name", "@ for the apex, a name in the zone, or a full name with the final dot. * may be the first label.", text()).needed().like("www"),
		key("type", "Any type with data: A, AAAA, CAA, CNAME, MX, SRV, TXT, HTTPS …, and NS or DS for a delegation.", text()).needed().like("A"),
		key("ttl", "Default: the zone's. One TTL per name and type.", duration()),
		key("value", "The data as in a zone file, in one line; names without a final dot are in the zone.", text()).needed().like("192.0.2.53"),
	)
}
