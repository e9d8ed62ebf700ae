package policies

// The section that says what is taken from other systems.

func importsSchema() property {
	label := func() *schema {
		return &schema{AnyOf: []*schema{matching(labelName.String()), object("",
			key("label", "The label of the result.", matching(labelName.String())).needed(),
			key("names", "What its values stand for, where they are other names than here.", &schema{Type: []string{"object", "null"}, More: text()}),
		)}}
	}
	signal := object("",
		key("query", "An instant query in Prometheus' language. A range selector such as errors[1m] gives samples their own times.", text()).needed().
			like("sum by (cdn) (rate(cdn_errors_total[1m]))"),
		key("service", "The label that holds a service's key.", label()),
		key("endpoint", "The label that holds an endpoint's id.", label()),
		key("provider", "The label that holds a provider's name.", label()).like("cdn"),
		key("pool", "The label that holds a pool's name.", label()),
		key("region", "The label that holds a region's name. Without it, a value holds in all regions.", label()).like("region"),
		key("default", "What scores read where nothing is known of any endpoint of a service.", number(-1e15, 1e15)).by(0),
	)
	measurements := object("",
		key("of", "The program that measures.", word("blackbox", "cloudprober")).needed(),
		key("vantage", "The vantage, with source: outside, as which they count.", reference()).needed(),
		key("label", "The label whose values are targets. Default: instance of blackbox, dst of cloudprober.", matching(labelName.String())),
		key("endpoints", "The endpoint of each target. Default: the label holds endpoints' ids.", &schema{Type: []string{"object", "null"}, More: text()}).
			like(map[string]string{"https://live.akamaized.example/live/main.m3u8": "live/akamai"}),
		key("select", "Labels that each metric must have, by name.", &schema{Type: []string{"object", "null"}, Names: matching(labelName.String()), More: text()}).like(map[string]string{"job": "blackbox"}),
		key("prefix", "Of cloudprober: what its metrics_prefix says.", text()).like("cloudprober_"),
		key("unit", "Of cloudprober: what its latency_unit says.", word("ns", "us", "ms", "s")).by("us"),
	)
	return key("imports", "What other systems know: signals for scores, and measurements.",
		entries(object("",
			key("prometheus", "Base URL of Prometheus' HTTP API; or scrape.", baseURL()).like("http://127.0.0.1:9090"),
			key("scrape", "URL of a page of metrics, or of blackbox_exporter's /probe; or prometheus.", matching(`^[hH][tT][tT][pP][sS]?://[^\s@#]+$`)).like("http://127.0.0.1:9313/metrics"),
			key("every", "From start to start: 1s to 1h.", duration()).by("15s"),
			key("timeout", "For one answer: 100ms to 1m.", duration()).by("5s"),
			key("stale_after", "What is older by its own time does not count: every to 24h. Default: 3 × every + timeout.", duration()),
			key("token_file", "A file with mode 0600 that holds a bearer token; read again when it changes.", text()),
			key("user", "For basic authentication, with password_file.", text()),
			key("password_file", "A file with mode 0600.", text()),
			key("ca_file", "PEM file of the authority of its certificate. Default: the system's authorities.", text()),
			key("cert_file", "PEM file of the certificate that is shown to it, with key_file.", text()),
			key("key_file", "PEM file of its key.", text()),
			key("signals", "Figures of endpoints that scores read as signal.NAME; from Prometheus.", &schema{Type: []string{"object", "null"}, Names: matching(signalName.String()), More: signal}),
			key("measurements", "What a prober measures, as measurements of a vantage.", measurements),
		)))
}
