package importers

import (
	"strings"

	"github.com/miekg/dns"
)

// record takes a static record into the zone, one line for each of its values.
func (o *octodns) record(z *zone, owner, host string, r tree) {
	kind := strings.ToUpper(r.get("type").text())
	values := append(r.get("values").items(), r.get("value").items()...)
	ttl := seconds(r.get("ttl").number(3600), 1, 7*86400)
	if kind == "" || len(values) == 0 {
		o.note(r.at(), "%s: a record without type or values is left out", host)
		return
	}
	for _, v := range values {
		text, ok := recordValue(kind, v)
		switch {
		case !ok:
			o.note(v.at(), "%s: records of type %s are not carried over", host, kind)
		case kind == "NS" && owner == "":
			z.ns = append(z.ns, strings.TrimSuffix(text, "."))
		default:
			name := owner
			if name == "" {
				name = "@"
			}
			z.records = append(z.records, &record{name: name, kind: kind, ttl: ttl, value: text, at: v.at()})
		}
	}
}

// recordValue writes a value of octoDNS as in a zone file.
func recordValue(kind string, v tree) (string, bool) {
	fields := func(keys ...string) (string, bool) {
		var parts []string
		for _, k := range keys {
			either := strings.Split(k, "|") // older files have other names
			text := v.get(either[0]).text()
			if text == "" && len(either) > 1 {
				text = v.get(either[1]).text()
			}
			if text == "" {
				return "", false
			}
			parts = append(parts, text)
		}
		return strings.Join(parts, " "), true
	}
	switch kind {
	case "A", "AAAA", "CNAME", "NS", "PTR":
		return v.text(), v.text() != ""
	case "TXT", "SPF":
		return quotedText(strings.ReplaceAll(v.text(), `\;`, ";")), kind == "TXT" && v.text() != ""
	case "MX":
		return fields("preference|priority", "exchange|value")
	case "SRV":
		return fields("priority", "weight", "port", "target")
	case "CAA":
		value := v.get("value").text()
		return v.get("flags").text() + " " + v.get("tag").text() + " " + quotedText(value), v.get("tag").text() != ""
	}
	return "", false
}

// quotedText writes a text as character strings of at most 255 bytes (RFC 1035
// §3.3).
func quotedText(s string) string {
	var parts []string
	for len(s) > 255 {
		parts = append(parts, s[:255])
		s = s[255:]
	}
	rr := dns.TXT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT}, Txt: append(parts, s)}
	for i, part := range rr.Txt {
		rr.Txt[i] = strings.ReplaceAll(part, `\`, `\\`)
	}
	return strings.TrimPrefix(rr.String(), rr.Hdr.String())
}
