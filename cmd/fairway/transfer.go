package main

import (
	"encoding/base64"
	"fmt"
	"path/filepath"

	"fairway/dnsserver/transfer"
	"fairway/policies"
)

// transferFile, in the data folder, keeps the serials of zones that may be copied.
const transferFile = "transfer.json"

// makePrimary makes what hands out copies of zones. It is there also when no zone
// allows any, so that a reload can.
func (n *node) makePrimary(c *configuration) (err error) {
	n.primary, err = transfer.New(transfer.Config{
		Current: n.current, Keys: c.tsig, File: filepath.Join(n.data, transferFile), Logger: n.log.With("part", "transfer"),
	})
	return err
}

// readKeys reads the secrets of the TSIG keys. Like the API's token, one that others
// may read is not used. That costs the transfers with this key and nothing else, so
// it stops no configuration.
func readKeys(keys []policies.TSIGKey) (read []transfer.Key, findings policies.Findings) {
	for _, k := range keys {
		secret, err := readSecret(k.SecretFile)
		if err != nil {
			findings = append(findings, policies.Finding{
				Place: k.Place, Severity: policies.Warning, Message: fmt.Sprintf("TSIG key %q cannot be used, requests that it signs are refused: %v", k.Name, err),
				Remedy: "make the file: openssl rand -base64 32 > " + k.SecretFile + " && chmod 600 " + k.SecretFile,
			})
			continue
		}
		read = append(read, transfer.Key{Name: k.Name, Algorithm: k.Algorithm + ".", Secret: secret})
	}
	return read, findings
}

// shortestSecret is a HMAC key of 128 bits: RFC 8945 §8 asks for no less than the
// digest is long, in new keys.
const shortestSecret = 16

func readSecret(path string) ([]byte, error) {
	text, err := readPrivate(path, "secret")
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s does not hold base64", path)
	}
	if len(secret) < shortestSecret {
		return nil, fmt.Errorf("the secret in %s has %d octets, and %d are the least", path, len(secret), shortestSecret)
	}
	return secret, nil
}
