package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// The examples are those of the COSE working group (github.com/cose-wg/Examples), with
// which RFC 9052 was tried.

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func encoder(t *testing.T) cbor.EncMode {
	t.Helper()
	encode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	return encode
}

var content = []byte("This is the content.")

// mac0-tests/HMac-01: what a secret seals is the same, octet by octet.
func TestMac0(t *testing.T) {
	encode := encoder(t)
	key := loaded{secret: fromHex(t, "849b57219dae48de646d07dbb533566e976686457c1491be3a76dcea6c427188")}
	sealed, err := seal(encode, key, content)
	if err != nil {
		t.Fatal(err)
	}
	got, err := encode.Marshal(sealed)
	const want = "d18443a10105a054546869732069732074686520636f6e74656e742e5820a1a848d3471f9d61ee49018d244c824772f223ad4f935293f1789fc3a08d8c58"
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("got  %x, %v\nwant %s", got, err, want)
	}
}

// ecdsa-examples/ecdsa-sig-01: what is signed is the same, octet by octet, and the
// published signature fits it; ours are random, and fit the key of the example.
func TestSign1(t *testing.T) {
	encode := encoder(t)
	signed, err := structure(encode, "Signature1", fromHex(t, "a201260300"), content)
	const want = "846a5369676e61747572653145a2012603004054546869732069732074686520636f6e74656e742e"
	if err != nil || hex.EncodeToString(signed) != want {
		t.Errorf("signs %x, %v\nwant  %s", signed, err, want)
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), fromHex(t, "57c92077664146e876760c9520d054aa93c3afb04e306705db6090308507b4d3"))
	if err != nil {
		t.Fatal(err)
	}
	fits := func(what string, signed, seal []byte) {
		t.Helper()
		sum := sha256.Sum256(signed)
		if len(seal) != 64 || !ecdsa.Verify(&private.PublicKey, sum[:], new(big.Int).SetBytes(seal[:32]), new(big.Int).SetBytes(seal[32:])) {
			t.Errorf("%s does not fit: %x", what, seal)
		}
	}
	fits("the published signature", signed, fromHex(t, "eae868ecc176883766c5dc5ba5b8dca25dab3c2e56a551ce5705b793914348e172727f48461fabbba2e343492ddecac3983686250bc68e9f1a7a07d41225b59f"))
	sealed, err := seal(encode, loaded{Key: Key{ID: "11"}, secret: private}, content)
	if err != nil {
		t.Fatal(err)
	}
	parts := sealed.Content.([]any)
	protected, own := parts[0].([]byte), parts[3].([]byte)
	if sealed.Number != tagSign1 || hex.EncodeToString(protected) != "a10126" || string(parts[1].(map[int]any)[headerKid].([]byte)) != "11" {
		t.Errorf("sealed as tag %d, protected %x, open %v", sealed.Number, protected, parts[1])
	}
	if signed, err = structure(encode, "Signature1", protected, content); err != nil {
		t.Fatal(err)
	}
	fits("our signature", signed, own)
}
