package policies

// The sections that say who and what there is: clients, CDNs, services, probes.

func vantagesSchema() property {
	return key("vantages", "Places where probes run, by name. Three in a region let two outvote one that is cut off.",
		entries(object("",
			key("region", "The region that it stands in.", reference()).by("default"),
			key("network", "The network that it hangs on, such as an AS. Vantages of one network fail together: alone they take nothing down while another of the region is content. Default: one of its own.", text()).like("AS64500"),
			key("bind", "The source address of its probes. One bound to IPv4 does not measure IPv6 addresses, nor the other way round.", address()).like("192.0.2.10"),
			key("resolver", "Whom probes with resolve: per-region ask from here: an address, perhaps with a port. Default: the probe's resolver, told where the region's clients are.", resolverAddress()).like("192.0.2.53"),
			key("source", "outside: no node probes as this vantage; what it measures comes over POST /api/v1/measurements or from an import.", word("probes", "outside")).by("probes"),
		)))
}

func regionsSchema() property {
	country := &schema{Ref: "#/$defs/country"}
	return key("regions", "Groups of clients, measured and decided on their own. The most specific selector wins: prefix > ASN > subdivision > country > continent. Who is in none is in the region default.",
		entries(object("",
			key("prefixes", "Client networks. Selectors are ANDed, the entries of one are ORed.", some(prefix())).like([]string{"192.0.2.0/24"}),
			key("asns", "Autonomous systems.", &schema{Type: "array", Items: whole(1, 1<<32-1), MinItems: 1, Unique: true}).like([]int{3320}),
			key("subdivisions", "ISO 3166-2 codes.", some(matching(`^[A-Z]{2}-[A-Z0-9]{1,3}$`))).like([]string{"US-CA"}),
			key("countries", "ISO 3166-1 codes.", &schema{Type: "array", Items: country, MinItems: 1, Unique: true}).like([]string{"DE", "AT"}),
			key("continents", "AF, AN, AS, EU, NA, OC, SA.", some(word(words(continents)...))).like([]string{"EU"}),
			key("within", "The region that this is a part of: unless it says otherwise it is measured as that one is and has its pool and prices, and caps stated there hold for both together.", reference()),
			key("measured_by", "Vantages whose measurements count here. Default: those that stand in the region, else all.", references()),
			key("pool", "The pool that clients from here go to first. Default: any.", reference()),
		)))
}

// references is a list of names, each once.
func references() *schema {
	s := list(reference())
	s.Unique = true
	return s
}

func providersSchema() property {
	return key("providers", "CDN accounts, by name. {} is enough.",
		entries(object("",
			append(termSchemas("the account, all regions together"),
				key("headroom", "The part of each cap that is left free: clients spill to others before the cap is reached. 0% to 90%.", percentage()).by("10%"),
				key("commit", "The volume that is paid for in any case. Rules follow its pace by cost: {commit: 20%}, or by what their score reads.",
					object("",
						key("gb_month", "GB in a calendar month (UTC).", from(0)).needed(),
						key("strictness", "How much the pace counts on the first day of the month; on the last it counts in full.", percentage()).by("30%"))),
				key("p95", "95th-percentile billing: of the month's 5-minute samples, the highest 5 % do not count.",
					object("", key("gbps", "The rate that is paid for in any case. When the free samples are used up, it is a cap.", from(0.001)).needed())),
				key("regions", "Terms of single regions, by the region's name; what one does not state is as in the account's.",
					entries(object("", append(termSchemas("the region"),
						key("latency", "What a fetch usually takes the region's clients, as a survey found it: score: auto begins with it. 100us to 1m. Default: not known.", duration()).like("35ms"))...))),
				tokenSchema(),
				geofenceSchema("the account"), blockedSchema("the account"),
			)...)))
}

func tokenSchema() property {
	secret := []property{
		key("file", "A file, mode 0600, that holds the secret as the provider hands it out.", text()).like("secrets/akamai.key"),
		key("env", "Or a variable of the environment that holds it.", matching(`^[A-Za-z_][A-Za-z0-9_]*$`)).like("AKAMAI_KEY"),
	}
	signing := object("", append([]property{
		key("id", "As the provider calls it: CloudFront's key pair id, the kid of a CAT.", text()),
		key("from", "Signs from then on. Default: always.", text()).like("2026-12-24T20:00:00+01:00"),
	}, secret...)...)
	return key("token", "Gives the account's URLs the token by which it lets a viewer in, in redirects and manifests.",
		object("",
			key("scheme", "How the token is made.", word(tokenSchemes...)).needed(),
			key("keys", "The secrets. The newest one whose time has come signs.", some(signing)).needed(),
			key("ttl", "How long a token holds: 10s to 7d.", duration()).by("1h"),
			key("cover", "What it lets a viewer have. Default: directory where the scheme can, else exact.", word("exact", "directory")),
			key("prefix", "In place of cover: the path that is covered, with all that begins with it.", matching(`^/`)).like("/live/"),
			key("param", "The parameter that carries it. Default: as the provider calls it.", matching(`^[A-Za-z_-][A-Za-z0-9_-]*$`)).like("hdnea"),
			key("in", "Where it stands. In front of the path, relative URIs inherit it; the CDN must know that form.", word("query", "path")).by("query"),
			key("bind", "client: the token holds for the viewer's address only. Phones change theirs.", word("none", "client")).by("none"),
			key("hash", "What CloudFront or Fastly is signed for with. Default: sha1 for CloudFront, sha256 for Fastly, whose recipe had sha1 until 2018.", word("sha1", "sha256")),
			key("issuer", "The claim iss of a CAT.", text()),
			key("salt", "Akamai's: a secret beside the key.", object("", secret...)),
		))
}

func geofenceSchema(of string) property {
	return key("geofence", "Where "+of+" may serve, whatever rules, overrides and failures say: a CEL expression that reads the client's network.",
		text()).like(`client.country == "CN"`, `client.continent in ["EU", "NA"]`)
}

func blockedSchema(of string) property {
	block := object("",
		key("when", "Which clients: a CEL expression that reads the client's network, such as client.country == \"DE\".", text()).needed(),
		key("reason", "The law or the order, for whoever asks why.", text()).needed())
	return key("blocked", "Clients that the law forbids "+of+" to serve, whatever rules, overrides and failures say.",
		&schema{AnyOf: []*schema{block, list(block)}})
}

// termSchemas are what an account, and a region of it, may say.
func termSchemas(of string) []property {
	tier := object("",
		key("up_to_gb", "The volume of the month at which this price ends. The last tier has none.", from(0.001)),
		key("price", "Per GB.", number(0, mostPrice)).needed())
	return []property{
		key("price_per_gb", "The price, or tiers of prices by the month's volume; in your currency. What the score's cost and price_per_gb read, and the rule's cost. 0: not stated.",
			&schema{AnyOf: []*schema{number(0, mostPrice), some(tier)}}).like(0.004),
		key("cap_gbps", "The most that "+of+" may carry. Needs usage reports.", from(0.001)),
		key("cap_rps", "The most requests a second of "+of+". Without usage reports, the doors' decisions stand in.", from(0.001)),
	}
}

func currencySchema() property {
	return key("currency", "What all prices are in: the three letters of ISO 4217.", matching(`^[A-Z]{3}$`)).like("USD", "EUR")
}

func poolsSchema() property {
	return key("pools", "Sets of origins behind endpoints, by name.",
		entries(object("",
			key("origins", "Base URLs of what is probed.", oneOrSome(baseURL())).needed().like([]string{"https://origin.eu.example"}),
			key("fallback", "The pool that takes over when no endpoint of this one is left.", reference()),
			key("probe", "How the origins are measured. Default: not at all.", reference()),
		)))
}

func servicesSchema() property {
	return key("services", "What players ask for, by the key that stands in /r/KEY/…, commands and metrics.",
		entries(object("",
			key("endpoints", "The ways to reach the service.", some(endpointSchema())).needed(),
			key("hostnames", "The steered names, for DNS and for the Host header. Each belongs to one service.", oneOrList(hostname())).like("live.cdn.video.example"),
			key("reports", "From whom players' reports are taken: from any, or only at target URLs that fairway reports sign has signed.", word("any", "signed")).by(defaultReports),
			key("alias", "Which hostnames DNS answers with the addresses behind an endpoint's host, in place of a CNAME: those that are a zone's apex, or always.",
				word(defaultAlias, "always")).by(defaultAlias),
			key("ttl", "Of the answers: 1s to 1h, whole seconds. A resolver may send clients to a dead endpoint for so long.", duration()).by("30s"),
			key("ttl_min", "What the TTL shrinks to at most when an endpoint is about to be found down: 1s up to the ttl. Default: 5s, or the ttl if that is less.", duration()).like("2s"),
			key("ttl_max", "What the TTL grows to while nothing can change it but an operator: the ttl up to 24h. Default: the ttl.", duration()).like("5m"),
			key("labels", "What overrides pick services by.", &schema{Type: "object", More: text()}),
			key("probe", "How the endpoints are measured. Without one all are taken for usable.", reference()),
			key("labels", "What rules can tell services apart by beside their keys: name to text.", &schema{Type: []string{"object", "null"}, Names: reference(), More: text()}),
			manifestSchema(),
			playerSchema(),
			key("methods", "Methods that are redirected beside GET and HEAD, with 307, which keeps them as they are.", oneOrList(word(words(redirectable)...))).like([]string{"POST", "PUT"}),
			geofenceSchema("the service"), blockedSchema("the service"),
			key("policy", "How to choose. Default: the declared policy default, else the built-in one.", reference()),
		)))
}

func manifestSchema() property {
	return key("manifest", "Makes /manifest/v1/SERVICE/PATH hand out the origin's multivariant playlists and MPDs with every pathway declared, the chosen one first.",
		object("",
			key("origins", "Base URLs where the manifests are; the first that answers has it. Default: the origins of the endpoints' pools, and of their fallbacks.",
				oneOrSome(baseURL())).like([]string{"https://origin.eu.example"}),
			key("door", "The base URL by which players reach the HTTP door. Default: the one by which they asked for the manifest.", baseURL()).like("https://go.video.example"),
			key("steering", "How the manifest names the steering server. shared: caches may give its answers to others of the same cohort. none: the manifest is only ordered. redirect: it leads to the redirect door, for players that cannot be steered.", word("declared", "shared", "none", "redirect")).by("declared"),
			key("cache", "How long a manifest is kept without asking the origins: 0s to 1h.", duration()).by("2s"),
			key("stale", "How much longer while no origin answers: 0s to 7d.", duration()).by("5m"),
			key("timeout", "For one origin to answer: 50ms to 8s.", duration()).by("2s"),
			key("on_error", "What players get in place of what cannot be had or made steerable: an error, or a redirect to the chosen CDN's own copy.",
				word("refuse", "redirect")).by("refuse"),
			key("query", "Names of the query parameters that the origin gets. Default: none.", oneOrList(text())).like([]string{"lang"}),
			key("cmcd", "Has MPDs ask players to send data with every segment request (CTA-5004). HLS cannot ask.",
				object("",
					key("version", "Of CMCD.", whole(1, 2)).by(1),
					key("mode", "Where the data stand. Headers cost browsers a preflight for each URL.", word("query", "header")).by("query"),
					key("keys", "Which. Default: all.", oneOrList(matching(`^[a-z-]+$`))).like([]string{"br", "bl", "sid"}),
				)),
		))
}

func playerSchema() property {
	return key("player", "What the service's players are like: those that are steered are told to ask again before their buffer, less a segment, is empty, whatever the ttl.",
		object("",
			key("buffer", "How much they have ahead of what they show: 2s to 10m. Live players have no more than they are behind the edge.", duration()).by("30s"),
			key("segment", "The longest segment: 100ms to 1m.", duration()).by("6s"),
		))
}

func endpointSchema() *schema {
	return object("One way to reach the service: a provider, perhaps with a pool. At least one of host, addresses and url is needed.",
		key("provider", "The CDN account.", reference()).needed(),
		key("pool", "The pool of origins behind it. Default: none, at home in every region.", reference()),
		key("host", "The CNAME target that DNS hands out, or whose addresses it hands out.", hostname()).like("live.akamaized.example"),
		key("addresses", "Where probes connect, instead of resolving the host; what DNS hands out when there is no host.", list(address())),
		key("alpn", "The protocols that HTTPS records announce where DNS answers with addresses.", oneOrList(matching(`^[!-~]{1,255}$`))).like([]string{"h3", "h2"}),
		key("url", "What redirects extend: /r/live/a.m3u8 becomes url + /a.m3u8.", baseURL()).like("https://live.akamaized.example/live"),
		key("weight", "Share in splits by weight.", number(0, 1e6)).by(1),
		geofenceSchema("the endpoint"), blockedSchema("the endpoint"),
		key("pathway", "An id for content steering: letters, digits, . - _; one per service.", matching(`^[A-Za-z0-9._-]+$`)),
		key("name", "Makes the id SERVICE/NAME. Needed when two endpoints have the same provider and pool.", reference()),
	)
}

func resolverAddress() *schema {
	return matching(`^([0-9A-Fa-f:.]+|[0-9.]+:[0-9]+|\[[0-9A-Fa-f:.]+\]:[0-9]+)$`)
}
