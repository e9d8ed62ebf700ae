package transfer

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
)

// onWire are records one behind the other, as messages have them.
func onWire(t testing.TB, rrs []dns.RR) (data []byte) {
	t.Helper()
	for _, rr := range rrs {
		buffer := make([]byte, dns.Len(rr)+300)
		end, err := dns.PackRR(rr, buffer, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, buffer[:end]...)
	}
	return data
}

// fromWire reads as many as there are.
func fromWire(data []byte) (rrs []dns.RR) {
	for off := 0; off < len(data) && len(rrs) < 1000; {
		rr, next, err := dns.UnpackRR(data, off)
		if err != nil || next <= off {
			return rrs
		}
		rrs, off = append(rrs, rr), next
	}
	return rrs
}

// FuzzTakeIn takes in what a primary gone mad may send, as the whole zone and as steps.
// What is accepted lies in the zone and is told from others as before; what is stored of
// it is the same after a restart.
func FuzzTakeIn(f *testing.F) {
	for _, lines := range []string{
		soaLine("2") + "@ 300 NS ns1\nns1 300 A 192.0.2.1\nwww 300 TXT \"a\\\"b\" \"\"\n*.wild 60 AAAA 2001:db8::1\n" + soaLine("2"),
		soaLine("3") + soaLine("1") + "www 300 A 192.0.2.2\n" + soaLine("2") + "WWW 60 A 192.0.2.3\n" + soaLine("2") + soaLine("3") + "new 300 TXT new\n" + soaLine("3"),
		soaLine("1"), soaLine("0") + soaLine("0"), soaLine("2") + "other.test. 300 A 192.0.2.1\n" + soaLine("2"),
		soaLine("2") + "@ 300 NS ns1\nsvc 300 HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1\nodd 300 TYPE65280 \\# 3 010203\ncaa 60 CAA 0 issue \"ca.test; x=\\\"y\\\"\"\n" +
			"loc 60 LOC 51 30 0 N 0 7 0 W 10m\nnaptr 60 NAPTR 1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .\n\\000\\255\\.x 60 A 192.0.2.9\n" + soaLine("2"),
	} {
		f.Add(onWire(f, parsed(f, lines)))
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		before := held(t)
		had := maps.Clone(before.records)
		c, err := takeIn(apex, before, fromWire(data))
		if !maps.Equal(before.records, had) || before.SOA.Serial != 1 {
			t.Fatal("the copy that serves was changed")
		}
		if err != nil {
			return
		}
		if c.SOA.Hdr.Name != apex {
			t.Fatalf("the zone is %s", c.SOA.Hdr.Name)
		}
		for key, r := range c.records {
			if !dns.IsSubDomain(apex, key.name) || key != (identity{r.Name, r.Type, r.Data}) {
				t.Fatalf("%+v is %+v", key, r)
			}
		}
		stored := filepath.Join(folder, "copy")
		keep(t, c, stored)
		again, _, err := readCopy(apex, stored)
		if err != nil {
			text, _ := os.ReadFile(stored)
			t.Fatalf("what was stored cannot be read: %v\n%s", err, text)
		}
		if again.SOA.String() != c.SOA.String() || !slices.Equal(slices.Sorted(keysOf(again)), slices.Sorted(keysOf(c))) {
			t.Fatalf("stored\n%v\nread\n%v", slices.Sorted(keysOf(c)), slices.Sorted(keysOf(again)))
		}
	})
}

// keysOf are the records in a form that can be sorted.
func keysOf(c *Copy) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key, r := range c.records {
			if !yield(key.name + " " + dns.Type(key.rrtype).String() + " " + r.TTL.String() + " " + hex.EncodeToString([]byte(key.data))) {
				return
			}
		}
	}
}

// keep stores a copy.
func keep(t testing.TB, c *Copy, file string) {
	t.Helper()
	var text bytes.Buffer
	w := bufio.NewWriter(&text)
	if err := c.write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzStoredCopy reads the file of a copy, whatever has become of it: what is accepted
// lies in the zone.
func FuzzStoredCopy(f *testing.F) {
	file := filepath.Join(f.TempDir(), "copy")
	keep(f, held(f), file)
	text, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{string(text), string(text[:len(text)/2]), "", "garbage", "$INCLUDE /etc/passwd\n", "$GENERATE 1-9999999 a$ A 192.0.2.1\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := readCopy(apex, file)
		if err != nil {
			return
		}
		if c.SOA.Hdr.Name != apex {
			t.Fatalf("the zone is %s", c.SOA.Hdr.Name)
		}
		for key := range c.records {
			if !dns.IsSubDomain(apex, key.name) {
				t.Fatalf("%+v", key)
			}
		}
	})
}

// FuzzTSIG reads signed requests. One is taken for signed only with a MAC that RFC 8945
// §4.3.3 makes of its octets: the message as it was before, then the record's variables.
func FuzzTSIG(f *testing.F) {
	now := time.Now()
	f.Add(signedAXFR(f, testKey, now))
	f.Add(signedAXFR(f, testKey, now.Add(-time.Hour)))
	f.Add(signedAXFR(f, Key{Name: testKey.Name, Algorithm: dns.HmacSHA512, Secret: testKey.Secret}, now))
	f.Add(signedAXFR(f, Key{Name: "other.", Algorithm: testKey.Algorithm, Secret: testKey.Secret}, now))
	f.Add(signedAXFR(f, Key{Name: testKey.Name, Algorithm: testKey.Algorithm, Secret: []byte("another secret, of others")}, now))
	keys := map[string]*Key{testKey.Name: &testKey}
	f.Fuzz(func(t *testing.T, packet []byte) {
		m := new(dns.Msg)
		if m.Unpack(packet) != nil || misplacedSignature(m) {
			return
		}
		s, failure := check(keys, packet, m)
		if failure != dns.RcodeSuccess || s == nil {
			return
		}
		if !hmac.Equal(macOf(t, packet, m.IsTsig()), mustHex(t, m.IsTsig().MAC)) {
			t.Fatalf("% x is taken for signed", packet)
		}
	})
}

// macOf is the MAC of a request, made by hand.
func macOf(t *testing.T, packet []byte, tsig *dns.TSIG) []byte {
	t.Helper()
	off, err := headerOctets, error(nil)
	for range binary.BigEndian.Uint16(packet[4:]) {
		if _, off, err = dns.UnpackDomainName(packet, off); err != nil {
			t.Fatal(err)
		}
		off += 4
	}
	others := int(binary.BigEndian.Uint16(packet[6:])) + int(binary.BigEndian.Uint16(packet[8:])) + int(binary.BigEndian.Uint16(packet[10:])) - 1
	for range others {
		if _, off, err = dns.UnpackRR(packet, off); err != nil {
			t.Fatal(err)
		}
	}
	message := bytes.Clone(packet[:off])
	binary.BigEndian.PutUint16(message, tsig.OrigId)
	binary.BigEndian.PutUint16(message[10:], binary.BigEndian.Uint16(message[10:])-1)
	for _, name := range []string{dns.CanonicalName(tsig.Hdr.Name), dns.CanonicalName(tsig.Algorithm)} {
		wire := make([]byte, 256)
		end, err := dns.PackDomainName(name, wire, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		message = append(message, wire[:end]...)
		if name == dns.CanonicalName(tsig.Hdr.Name) {
			message = binary.BigEndian.AppendUint16(message, dns.ClassANY)
			message = binary.BigEndian.AppendUint32(message, 0)
		}
	}
	message = binary.BigEndian.AppendUint16(message, uint16(tsig.TimeSigned>>32))
	message = binary.BigEndian.AppendUint32(message, uint32(tsig.TimeSigned))
	message = binary.BigEndian.AppendUint16(message, tsig.Fudge)
	message = binary.BigEndian.AppendUint16(message, tsig.Error)
	message = binary.BigEndian.AppendUint16(message, tsig.OtherLen)
	message = append(message, mustHex(t, tsig.OtherData)...)
	mac := hmac.New(sha256.New, testKey.Secret)
	mac.Write(message)
	return mac.Sum(nil)
}

const headerOctets = 12

func mustHex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// FuzzCopies has whatever a client sends answered, as far as it concerns copies: with
// messages that can be read, of the request's id, and with records of the zone for nobody
// without the key.
func FuzzCopies(f *testing.F) {
	w := newWorld(f, nil)
	for _, q := range []*dns.Msg{axfr(), ixfr(1), ixfr(1 << 31), new(dns.Msg).SetNotify(apex), new(dns.Msg).SetAxfr("other.")} {
		packet, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, true)
		f.Add(packet, false)
	}
	f.Add(signedAXFR(f, Key{Name: testKey.Name, Algorithm: testKey.Algorithm, Secret: []byte("another secret, of others")}, time.Now()), true)
	stranger := netip.MustParseAddr("127.0.0.1")
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		m := new(dns.Msg)
		if m.Unpack(packet) != nil || m.Response || !w.primary.Concerns(m) {
			return
		}
		r := dnsserver.CopyRequest{Packet: packet, Message: m, Client: stranger, Transport: "udp", Ask: func() []byte {
			return []byte{packet[0], packet[1], 0x80 | packet[2]&0x78, dns.RcodeRefused, 11: 0}
		}}
		if tcp {
			r.Transport = "tcp"
		}
		_, failure := check(*w.primary.keys.Load(), packet, m)
		signed := m.IsTsig() != nil && failure == dns.RcodeSuccess
		messages := 0
		for answer := range w.primary.Answer(r) {
			messages++
			got := new(dns.Msg)
			if err := got.Unpack(answer); err != nil {
				t.Fatalf("% x is answered % x: %v", packet, answer, err)
			}
			if got.Id != m.Id || !got.Response {
				t.Fatalf("% x is answered %v", packet, got)
			}
			if !signed && len(got.Answer) > 0 {
				t.Fatalf("a stranger gets %v", got)
			}
		}
		if messages == 0 {
			t.Fatalf("% x is not answered", packet)
		}
	})
}

// FuzzTSIGSecret: whatever a file of a TSIG key's secret holds, it is a secret that is long
// enough, or an error that does not tell what stands in it. Other secrets have no form
// that could be wrong: the API's tokens and the secrets of sessions and sealed keys are
// taken as they stand.
func FuzzTSIGSecret(f *testing.F) {
	for _, text := range []string{"", "c2VjcmV0", "MDEyMzQ1Njc4OWFiY2RlZg==", "MDEyMzQ1Njc4OWFiY2RlZg", "MDEy\nMzQ1Njc4OWFiY2RlZg==", "key \"k\" { secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; };"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := ParseSecret("f", text)
		if (err == nil) != (len(secret) >= shortestSecret) {
			t.Fatalf("%d octets and %v", len(secret), err)
		}
		octets := len(text) / 4 * 3
		for octets >= 0 && err != nil && err.Error() != "f does not hold base64" && err.Error() != fmt.Sprintf("the secret in f has %d octets, and 16 are the least", octets) {
			octets--
		}
		if octets < 0 {
			t.Fatalf("%q: more is told than that: %v", text, err)
		}
	})
}
