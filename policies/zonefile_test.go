package policies

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"fairway/steering"
)

// zoned compiles a configuration with one zone, video.example, and its zone files,
// the first of which is its file.
func zoned(files ...File) (*Configuration, Findings) {
	return Compile(append([]File{{Name: "c/fairway.yaml", Data: fmt.Appendf(nil, `
zones:
  - name: video.example
    file: %s
providers: {akamai: {}}
services:
  live:
    hostnames: [live.video.example]
    endpoints: [{provider: akamai, host: live.akamaized.example}]
`, strings.TrimPrefix(files[0].Name, "c/"))}}, files...))
}

// line is a record as in a zone file, with its place.
func line(r steering.Record) string {
	rr, _, err := dns.UnpackRRWithHeader(dns.RR_Header{
		Name: r.Name, Rrtype: r.Type, Class: dns.ClassINET, Ttl: wholeSeconds(r.TTL), Rdlength: uint16(len(r.Data)),
	}, []byte(r.Data), 0)
	if err != nil {
		return err.Error()
	}
	return r.Place.String() + " " + strings.ReplaceAll(rr.String(), "\t", " ")
}

// TestZoneFile reads what RFC 1035 §5, RFC 2308 §4 and RFC 3597 §5 let stand in a
// zone file, and finds every record at its line.
func TestZoneFile(t *testing.T) {
	c, findings := zoned(File{Name: "c/zones/video.zone", Data: []byte(`; the zone
$TTL 1h
@       IN SOA NS1 Host.Master 2026112301 ( 2h   ; refresh
                 30m 2w
                 1m )
        NS  ns1
        NS  ns.else.example.
ns1     A   192.0.2.53
        AAAA 2001:db8::53
WwW  60 IN A 192.0.2.80
www 1m A (
         192.0.2.81 )
txt     TXT "semi;colon" "two (words" un\"quoted
mx      MX  10 ns1
unknown TYPE65280 \# 3 0102 03
known   A   \# 4 C0000209
a\.b.\065c TXT dot
$GENERATE 8-10/2 host$ A 192.0.2.$
$INCLUDE more/sub.zone sub
after   A   192.0.2.82
_https._tcp.www HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.80
last    CAA 0 issue "ca.example"`)},
		File{Name: "c/zones/more/sub.zone", Data: []byte("@ A 192.0.2.90\nwww A 192.0.2.91\n$INCLUDE deep.zone\n")},
		File{Name: "c/zones/more/deep.zone", Data: []byte("\n\ndeep A 192.0.2.92\n")},
	)
	if len(findings) > 0 {
		t.Fatalf("findings:\n%s", report(findings))
	}
	z := c.Revision.Zones[0]
	if got, want := fmt.Sprint(z.SOA), "{ns1.video.example. host.master.video.example. 2026112301 2h0m0s 30m0s 336h0m0s 1m0s 1h0m0s}"; got != want {
		t.Errorf("SOA %s, want %s", got, want)
	}
	if want := []string{"ns1.video.example.", "ns.else.example."}; !slices.Equal(z.NS, want) {
		t.Errorf("name servers %q, want %q", z.NS, want)
	}
	want := []string{
		"zones/video.zone:8:1 ns1.video.example. 3600 IN A 192.0.2.53",
		"zones/video.zone:9:9 ns1.video.example. 3600 IN AAAA 2001:db8::53",
		"zones/video.zone:10:1 www.video.example. 60 IN A 192.0.2.80",
		"zones/video.zone:11:1 www.video.example. 60 IN A 192.0.2.81",
		`zones/video.zone:13:1 txt.video.example. 3600 IN TXT "semi;colon" "two (words" "un\"quoted"`,
		"zones/video.zone:14:1 mx.video.example. 3600 IN MX 10 ns1.video.example.",
		`zones/video.zone:15:1 unknown.video.example. 3600 CLASS1 TYPE65280 \# 3 010203`,
		"zones/video.zone:16:1 known.video.example. 3600 IN A 192.0.2.9",
		`zones/video.zone:17:1 a\.b.ac.video.example. 3600 IN TXT "dot"`,
		"zones/video.zone:18:1 host8.video.example. 3600 IN A 192.0.2.8",
		"zones/video.zone:18:1 host10.video.example. 3600 IN A 192.0.2.10",
		"zones/more/sub.zone:1:1 sub.video.example. 3600 IN A 192.0.2.90",
		"zones/more/sub.zone:2:1 www.sub.video.example. 3600 IN A 192.0.2.91",
		"zones/more/deep.zone:3:1 deep.sub.video.example. 3600 IN A 192.0.2.92",
		"zones/video.zone:20:1 after.video.example. 3600 IN A 192.0.2.82",
		`zones/video.zone:21:1 _https._tcp.www.video.example. 3600 IN HTTPS 1 . alpn="h2,h3" ipv4hint="192.0.2.80"`,
		`zones/video.zone:22:1 last.video.example. 3600 IN CAA 0 issue "ca.example"`,
	}
	for i, r := range z.Records {
		if got := line(r); i >= len(want) || got != "c/"+want[i] {
			t.Errorf("record %d: %s", i, got)
		}
	}
	if len(z.Records) != len(want) {
		t.Errorf("%d records, want %d", len(z.Records), len(want))
	}
}

// TestZoneFileBeside: what the file lacks stands with the zone, and its records
// join those of the file.
func TestZoneFileBeside(t *testing.T) {
	c, findings := Compile([]File{
		{Name: "fairway.yaml", Data: []byte(`
zones:
  - name: video.example
    file: v.zone
    ns: [ns1.video.example]
    ttl: 2m
    soa: {serial: 7}
    records:
      - {name: www, type: AAAA, value: "2001:db8::80"}
providers: {akamai: {}}
services:
  live: {hostnames: [live.video.example], endpoints: [{provider: akamai, host: live.akamaized.example}]}
`)}, {Name: "v.zone", Data: []byte("www A 192.0.2.80\nns1 A 192.0.2.53\n")}})
	if len(findings) > 0 {
		t.Fatalf("findings:\n%s", report(findings))
	}
	z := c.Revision.Zones[0]
	if len(z.Records) != 3 || z.SOA.Serial != 7 || z.NS[0] != "ns1.video.example." || line(z.Records[1]) != "v.zone:1:1 www.video.example. 120 IN A 192.0.2.80" {
		t.Errorf("%+v", z)
	}
}

// TestReadZoneFiles: a configuration of one file brings the zone files that it
// names and that these include; a folder, all that it has.
func TestReadZoneFiles(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("c/fairway.yaml", "zones:\n  - {name: a.example, file: \"zones/a.zone\"}\n  - name: b.example\n    file: b.zone # here\n  - {name: c.example, file: ../outside.zone}\n")
	write("c/zones/a.zone", "$INCLUDE part.zone\n $include no.zone\n$INCLUDE missing.zone\n")
	write("c/zones/part.zone", "www A 192.0.2.1\n")
	write("c/b.zone", "www A 192.0.2.1\n")
	write("c/other.zone", "")
	write("outside.zone", "")
	names := func(path string) (names []string) {
		files, err := Read(filepath.Join(folder, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			name, _ := filepath.Rel(folder, f.Name)
			names = append(names, filepath.ToSlash(name))
		}
		return names
	}
	for path, want := range map[string][]string{
		"c/fairway.yaml": {"c/fairway.yaml", "c/zones/a.zone", "c/b.zone", "c/zones/part.zone"},
		"c":              {"c/b.zone", "c/fairway.yaml", "c/other.zone", "c/zones/a.zone", "c/zones/part.zone"},
	} {
		if got := names(path); !slices.Equal(got, want) {
			t.Errorf("Read(%s) = %q, want %q", path, got, want)
		}
	}
}

// FuzzZoneFile: whatever a zone file holds, reading it ends, and every place is in
// the file.
func FuzzZoneFile(f *testing.F) {
	for _, seed := range []string{
		"@ SOA a b 1 2 3 4 5\n@ NS a\na A 192.0.2.1\n", "$ORIGIN x\n$TTL 1\n a (\n A\n 192.0.2.1 ) ; c\n", "$GENERATE 1-3 a$ A 192.0.2.$\n",
		"$INCLUDE other.zone\nx TXT \"a\n\" b", "a\\", "(", "\"", "a TXT \\# 1 00", "$ORIGIN", "\\.a MX 1 \\", "x A\ny A\n@ TXT", "a HTTPS 1 . key1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(strings.ToUpper(string(data)), "$GENERATE") && len(data) > 60 {
			return // many times 65,536 records say nothing new
		}
		c, findings := zoned(File{Name: "c/v.zone", Data: data}, File{Name: "c/other.zone", Data: []byte("o A 192.0.2.1\n$INCLUDE v.zone\n")})
		lines := 1 + strings.Count(string(data), "\n")
		for _, finding := range findings {
			if finding.Place.File == "c/v.zone" && (finding.Place.Line < 1 || finding.Place.Line > lines) {
				t.Errorf("%s: the file has %d lines", finding, lines)
			}
		}
		if c == nil {
			return
		}
		for _, r := range c.Revision.Zones[0].Records {
			if r.Place.Line < 1 || r.Place.File == "c/v.zone" && r.Place.Line > lines || strings.Contains(line(r), "overflow") {
				t.Errorf("%s of %d lines", line(r), lines)
			}
		}
	})
}
