package transfer

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestSignedQuestion: secondaries sign their SOA questions too, and expect signed
// answers, also where these are cut.
func TestSignedQuestion(t *testing.T) {
	w := newWorld(t, nil)
	server := w.run()
	for _, qtype := range []uint16{dns.TypeSOA, dns.TypeTXT, dns.TypeMX} {
		q := new(dns.Msg).SetQuestion(apex, qtype)
		q.SetEdns0(1232, false)
		q.SetTsig(testKey.Name, testKey.Algorithm, 300, time.Now().Unix())
		for _, network := range []string{"udp", "tcp"} {
			c := &dns.Client{Net: network, Timeout: 30 * time.Second, TsigProvider: &testKey}
			r, _, err := c.Exchange(q.Copy(), server)
			if err != nil {
				t.Fatalf("%s %s: %v", network, dns.TypeToString[qtype], err)
			}
			if r.IsTsig() == nil || r.Rcode != dns.RcodeSuccess || !r.Authoritative {
				t.Errorf("%s %s: %v", network, dns.TypeToString[qtype], r)
			}
		}
	}
}

// exchanged sends octets over TCP and reads the answer without checking it.
func exchanged(t *testing.T, server string, packet []byte) *dns.Msg {
	t.Helper()
	c := &dns.Client{Net: "tcp", Timeout: 30 * time.Second}
	conn, err := c.Dial(server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	raw, err := conn.ReadMsgHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(raw); err != nil {
		t.Fatal(err)
	}
	return m
}

func signedAXFR(t testing.TB, key Key, at time.Time) []byte {
	t.Helper()
	q := axfr()
	q.SetTsig(key.Name, key.Algorithm, 300, at.Unix())
	packet, _, err := dns.TsigGenerateWithProvider(q, &key, "", false)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// RFC 8945 §5.2: what fails is answered NOTAUTH with the error in the TSIG record.
// §5.2.1 (BADKEY) and §5.2.2 (BADSIG): "the response […] MUST be unsigned"; §5.2.3
// (BADTIME): signed, with the client's time and ours in the other data.
func TestTSIGErrors(t *testing.T) {
	w := newWorld(t, nil)
	server := w.run()
	unknown := Key{Name: "unknown.", Algorithm: dns.HmacSHA256, Secret: testKey.Secret}
	wrong := Key{Name: testKey.Name, Algorithm: dns.HmacSHA256, Secret: []byte("wrong")}
	past := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name   string
		packet []byte
		want   uint16
		signed bool
	}{
		{"unknown key", signedAXFR(t, unknown, time.Now()), dns.RcodeBadKey, false},
		{"wrong secret", signedAXFR(t, wrong, time.Now()), dns.RcodeBadSig, false},
		{"an hour late", signedAXFR(t, testKey, past), dns.RcodeBadTime, true},
	} {
		r := exchanged(t, server, c.packet)
		tsig := r.IsTsig()
		if r.Rcode != dns.RcodeNotAuth || tsig == nil || tsig.Error != c.want || len(r.Answer) > 0 || (tsig.MACSize > 0) != c.signed {
			t.Errorf("%s: %v", c.name, r)
			continue
		}
		if c.want == dns.RcodeBadTime {
			other, err := hex.DecodeString(tsig.OtherData)
			if err != nil || len(other) != 6 || tsig.TimeSigned != uint64(past.Unix()) {
				t.Fatalf("%s: %v", c.name, tsig)
			}
			told := int64(binary.BigEndian.Uint64(append([]byte{0, 0}, other...)))
			if apart := time.Since(time.Unix(told, 0)); apart < -time.Minute || apart > 10*time.Minute {
				t.Errorf("our time is told as %v ago", apart)
			}
		}
	}
}

// RFC 8945 §5.1: a TSIG record that is not the last, or one of several, is a
// format error.
func TestMisplacedTSIG(t *testing.T) {
	w := newWorld(t, nil)
	q := axfr()
	q.SetTsig(testKey.Name, testKey.Algorithm, 300, time.Now().Unix())
	q.SetEdns0(1232, false)
	packet, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if r := exchanged(t, w.run(), packet); r.Rcode != dns.RcodeFormatError {
		t.Error(r)
	}
}
