package policies

// DNSTap says how the DNS door writes queries and answers down; the zero value is
// not at all.
type DNSTap struct {
	To        string  // a Unix socket or a file; empty = nowhere
	Share     float64 // of all queries, above 0
	PerSecond int
	Whole     bool // addresses as they are, not as networks
}

// The defaults of what is written down.
const (
	defaultTapShare     = "100%"
	defaultTapPerSecond = 10_000
	defaultLogShare     = "1%"
	defaultLogPerSecond = 100
	maxTapPerSecond     = 1_000_000
)

// dnsTap reads dns.dnstap or dns.query_log, of which one key says where to write.
func (f fields) dnsTap(section, to string, share float64, perSecond int64) (t DNSTap) {
	v, ok := f.under(section)
	if !ok {
		return t
	}
	f, _ = v.as("dns.%s", section).fields(to + " share per_second addresses")
	if v, ok := f.require(to, "add "+to+": PATH"); ok {
		t.To, _ = v.file()
	}
	t.Share = share
	if v, ok := f.under("share"); ok {
		if t.Share, ok = v.percent(); ok && t.Share == 0 {
			v.fault("use more than 0%, or leave "+section+" out", "%s is nothing", v.node.Value)
		}
	}
	t.PerSecond = int(f.integer("per_second", perSecond, 1, maxTapPerSecond))
	t.Whole = f.choice("addresses", "networks", "networks", "whole") == "whole"
	return t
}

func dnstapSchema() *schema {
	return tapSchema(
		key("socket", "A Unix socket on which somebody listens for dnstap (Frame Streams).", text()).needed().like("/run/dnstap/dnstap.sock"),
		defaultTapShare, defaultTapPerSecond)
}

func queryLogSchema() *schema {
	return tapSchema(
		key("file", "Where to write; opened anew when it was renamed or removed.", text()).needed().like("/var/log/fairway/queries.jsonl"),
		defaultLogShare, defaultLogPerSecond)
}

func tapSchema(to property, share string, perSecond int) *schema {
	return object("",
		to,
		key("share", "How many of the queries.", percentage()).by(share),
		key("per_second", "How many a second at most.", whole(1, maxTapPerSecond)).by(perSecond),
		key("addresses", "networks: of clients the /24 or /56, and no cookies. whole: as they are.", word("networks", "whole")).by("networks"),
	)
}
