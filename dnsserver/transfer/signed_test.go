package transfer

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver/dnssec"
	"fairway/steering"
)

// newSignedWorld has a delegation with glue, and one with a DS, beside the rest.
func newSignedWorld(t testing.TB, change func(*Config, *steering.Zone)) *world {
	t.Helper()
	return newSignedWorldOf(t, dnssec.Folder(t.TempDir()), change)
}

// newSignedWorldOf has the keys of a vault.
func newSignedWorldOf(t testing.TB, vault dnssec.Vault, change func(*Config, *steering.Zone)) *world {
	t.Helper()
	keeper, err := dnssec.New(dnssec.Config{Vault: vault, Writes: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldWith(t, keeper, func(c *Config, z *steering.Zone) {
		z.DNSSEC = &steering.DNSSEC{Algorithm: dns.ECDSAP256SHA256, Validity: 14 * 24 * time.Hour, KeyTTL: time.Hour, Announce: true}
		for _, line := range []string{
			"sub 300 NS ns.sub", "ns.sub 300 A 192.0.2.1", "secure 300 NS ns1",
			"secure 300 DS 12345 13 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "deep.ent 300 TXT deep", "Z.upper 300 TXT up",
		} {
			rr, err := dns.NewRR("$ORIGIN " + apex + "\n" + line)
			if err != nil {
				t.Fatal(err)
			}
			wire := make([]byte, 512)
			end, err := dns.PackRR(rr, wire, 0, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			length := dns.Len(&dns.NULL{Hdr: *rr.Header()})
			r := record(strings.ToLower(rr.Header().Name), rr.Header().Rrtype, string(wire[length:end]))
			z.Records = append(z.Records, r)
		}
		if change != nil {
			change(c, z)
		}
		if err := keeper.Prepare([]steering.Zone{*z}); err != nil {
			t.Fatal(err)
		}
	})
	return w
}

// TestSignedZoneVerifies: BIND's verifier walks over the whole copy: the chain of
// NSEC records, what each says of its name, every signature. Also after a change
// that came as an increment.
func TestSignedZoneVerifies(t *testing.T) {
	w := newSignedWorld(t, nil)
	server := w.run()
	first, err := transferred(t, server, axfr(), &testKey)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, first[:len(first)-1])

	old := w.look()
	w.steer(nil, 1)
	now := w.look()
	steps, err := transferred(t, server, ixfr(old), &testKey)
	if err != nil {
		t.Fatal(err)
	}
	if !newer(now, old) || len(steps) < 10 || steps[1].Header().Rrtype != dns.TypeSOA {
		t.Fatalf("no increment from %d to %d: %v", old, now, steps)
	}
	verify(t, applied(first[:len(first)-1], steps))
}

// applied is a copy after an increment (RFC 1995 §4).
func applied(have []dns.RR, steps []dns.RR) []dns.RR {
	zone := make(map[string]dns.RR)
	for _, rr := range have {
		zone[rr.String()] = rr
	}
	soas := 0
	for _, rr := range steps[1 : len(steps)-1] {
		if rr.Header().Rrtype == dns.TypeSOA {
			soas++
		}
		if soas%2 == 1 {
			delete(zone, rr.String())
		} else {
			zone[rr.String()] = rr
		}
	}
	var out []dns.RR
	for _, rr := range zone {
		out = append(out, rr)
	}
	return out
}

func verify(t *testing.T, zone []dns.RR) {
	t.Helper()
	d := newDaemon(t, "127.0.0.1")
	var text strings.Builder
	for _, rr := range zone {
		text.WriteString(rr.String() + "\n")
	}
	out, err := exec.Command(program(t, "dnssec-verify"), "-z", "-o", apex, d.write("zone", text.String())).CombinedOutput()
	if err != nil {
		t.Errorf("dnssec-verify: %v\n%s\n%s", err, out, text.String())
	}
}

// TestSignedZoneIsQuiet: without a change, proofs are not made again, and the serial
// stays.
func TestSignedZoneIsQuiet(t *testing.T) {
	w := newSignedWorld(t, nil)
	first := w.look()
	w.steer(nil, 0)
	if got := w.look(); got != first {
		t.Errorf("serial %d, was %d, and nothing has changed", got, first)
	}
	w.reload(0)
	if got := w.look(); got != first {
		t.Errorf("serial %d after a reload, was %d", got, first)
	}
}

// TestSignedSerialSurvivesRestart: the same keys sign the same content alike, so that a
// restart, and another node, have the same zone by the same serial.
func TestSignedSerialSurvivesRestart(t *testing.T) {
	vault, kept := dnssec.Folder(t.TempDir()), file(t)
	start := func() uint32 {
		w := newSignedWorldOf(t, vault, func(c *Config, z *steering.Zone) { c.File = kept })
		return w.look()
	}
	if first, again := start(), start(); first != again {
		t.Errorf("serial %d, and after a restart %d", first, again)
	}
}

// TestSOASignatureIsRenewed: a zone that does not change gets a new serial when the
// signature over its SOA record had to be made anew, so that secondaries get it.
func TestSOASignatureIsRenewed(t *testing.T) {
	w := newSignedWorld(t, nil)
	first := w.look()
	old := *(*w.primary.versions.Load())[apex]
	old.soaSigs = []*steering.Record{{Name: apex, Type: dns.TypeRRSIG, Data: "the one before"}}
	w.primary.versions.Store(&map[string]*version{apex: &old})
	w.primary.proven = time.Time{}
	got := w.look()
	now := (*w.primary.versions.Load())[apex]
	if !newer(got, first) || len(now.soaSigs) != 1 || now.soaSigs[0].Data == "the one before" {
		t.Errorf("serial %d, was %d, signatures %v", got, first, now.soaSigs)
	}
	steps, known := now.since(first)
	if !known || len(steps) != 1 || len(steps[0].deleted) != 1 || len(steps[0].added) != 1 {
		t.Errorf("no step that replaces the signature: %v", steps)
	}
	if again := w.look(); again != got {
		t.Errorf("serial %d, was %d, and nothing was renewed", again, got)
	}
}
