package dnssec

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/miekg/dns"
)

// inMemory is a vault.
type inMemory map[string][]byte

func (v inMemory) Load(zone string) ([]byte, error) {
	if data, known := v[zone]; known {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (v inMemory) Save(zone string, data []byte) error {
	v[zone] = data
	return nil
}

// FuzzRing reads stored keys, whatever has become of them: what is accepted signs, and
// the signature fits a key that is published.
func FuzzRing(f *testing.F) {
	const zone = "video.example."
	clock := newClock()
	for _, split := range []bool{false, true} {
		d := testPlan(split).DNSSEC
		vault := inMemory{}
		k := newTestKeeper(f, clock, func(c *Config) { c.Vault = vault })
		if err := k.Prepare(zoneWith(&d)); err != nil {
			f.Fatal(err)
		}
		f.Add(vault[zone], split)
		f.Add(bytes.ReplaceAll(vault[zone], []byte(`"algorithm": 15`), []byte(`"algorithm": 13`)), split)
		f.Add(bytes.ReplaceAll(vault[zone], []byte(`"csk"`), []byte(`"none"`)), split)
		f.Add(vault[zone][:len(vault[zone])/2], split)
		if err := k.Roll(zone, ""); err != nil {
			f.Fatal(err)
		}
		f.Add(vault[zone], split)
	}
	f.Add([]byte(`{"zone": "video.example.", "keys": [{}]}`), false)
	f.Add([]byte(`null`), false)
	f.Fuzz(func(t *testing.T, data []byte, split bool) {
		d := testPlan(split).DNSSEC
		k := newTestKeeper(t, clock, func(c *Config) { c.Vault, c.Writes = inMemory{zone: data}, func() bool { return false } })
		err := k.Prepare(zoneWith(&d))
		k.Status()
		set := address("www.video.example.", 60)
		sigs, unsigned := k.Sign(zone, set, nil)
		if err == nil && unsigned != nil {
			t.Fatalf("accepted, and does not sign: %v\n%s", unsigned, data)
		}
		for _, sig := range sigs {
			fits := false
			for _, rr := range k.Apex(zone, dns.TypeDNSKEY) {
				key := rr.(*dns.DNSKEY)
				fits = fits || key.KeyTag() == sig.KeyTag && sig.Verify(key, set) == nil
			}
			if !fits {
				t.Fatalf("%v is by no key of %v", sig, k.Apex(zone, dns.TypeDNSKEY))
			}
		}
	})
}

// FuzzSealed opens what lies where sealed keys are kept: nothing but what was sealed with
// the secret, for this zone, opens.
func FuzzSealed(f *testing.F) {
	const zone, plain = "video.example.", "the keys"
	vault, err := Seal(nil, []byte("0123456789abcdef"))
	if err != nil {
		f.Fatal(err)
	}
	box := vault.(*sealed).box
	nonce := make([]byte, box.NonceSize()) // the same in every process that fuzzes
	blob := box.Seal(nonce, nonce, []byte(plain), []byte(zone))
	f.Add(blob, zone)
	f.Add(blob, "other.example.")
	f.Add(blob[:len(blob)-1], zone)
	f.Add(blob[:5], zone)
	f.Add(append(bytes.Clone(blob), 0), zone)
	f.Add([]byte(nil), zone)
	ring, err := json.Marshal(Ring{Zone: zone})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ring, zone)
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		got, err := (&sealed{inMemory{name: data}, box}).Load(name)
		if same := bytes.Equal(data, blob) && name == zone; (err == nil) != same || same && string(got) != plain {
			t.Fatalf("%q, %v", got, err)
		}
	})
}
