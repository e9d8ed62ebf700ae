package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"fairway/dnsserver"
	"fairway/dnsserver/transfer"
	"fairway/policies"
	"fairway/steering"
)

// transferFile, in the data folder, keeps the serials of zones that may be copied.
const transferFile = "transfer.json"

// makePrimary makes what hands out copies of zones. It is there also when no zone
// allows any, so that a reload can.
func (n *node) makePrimary(c *configuration) (err error) {
	n.primary, err = transfer.New(transfer.Config{
		Current: n.current, Keys: c.tsig, Notices: n.secondary, File: filepath.Join(n.data, transferFile), Logger: n.log.With("part", "transfer"),
	})
	return err
}

// copiesFolder, in the data folder, keeps the zones that come from elsewhere.
const copiesFolder = "copies"

// makeSecondary makes what keeps zones that are maintained elsewhere.
func (n *node) makeSecondary() (err error) {
	n.refills = make(chan struct{}, 1)
	n.secondary, err = transfer.NewSecondary(transfer.SecondaryConfig{
		Folder: filepath.Join(n.data, copiesFolder), Check: n.checkCopy, Logger: n.log.With("part", "transfer"),
		Changed: func() {
			select {
			case n.refills <- struct{}{}:
			default: // one is due already, and finds this copy too
			}
		},
	})
	return err
}

// fill gives the zones of a configuration that are maintained elsewhere what their
// primaries hold. A configuration that was filled stays as it is.
func (n *node) fill(c *configuration) error {
	if n.secondary == nil || c.asWritten != nil {
		return nil
	}
	n.secondary.Set(c.Revision.Zones, c.tsig)
	revision := *c.Revision
	revision.Zones = slices.Clone(revision.Zones)
	filled := false
	for i, z := range revision.Zones {
		held := n.secondary.Copy(z.Name)
		if len(z.Primaries) == 0 || held == nil {
			continue
		}
		var aside []string
		revision.Zones[i], aside = held.Fill(z, revision.Services)
		filled = true
		for _, what := range aside {
			n.log.Warn("records of a zone from elsewhere are not served", "zone", z.Name, "serial", held.SOA.Serial, "records", what)
		}
	}
	c.asWritten = c.Revision
	if !filled {
		return nil
	}
	layout, err := steering.NewLayout(&revision, c.geo)
	if err != nil {
		return err
	}
	whole := *c.Configuration
	whole.Revision = &revision
	c.Configuration, c.layout = &whole, layout
	return nil
}

// checkCopy refuses a copy that the DNS door could not serve beside what is steered.
// That it could be signed is not in question.
func (n *node) checkCopy(zone string, held *transfer.Copy) error {
	c := n.config.Load()
	if c == nil {
		return nil
	}
	at := slices.IndexFunc(c.Revision.Zones, func(z steering.Zone) bool { return z.Name == zone })
	if at < 0 {
		return fmt.Errorf("zone %s is not configured any more", zone)
	}
	filled, _ := held.Fill(c.Revision.Zones[at], c.Revision.Services)
	filled.DNSSEC = nil
	revision := *c.Revision
	revision.Zones = []steering.Zone{filled}
	layout, err := steering.NewLayout(&revision, c.geo)
	if err != nil {
		return err
	}
	return dnsserver.Check(layout)
}

// refill puts what serves in force again, with the newest copies.
func (n *node) refill(ctx context.Context) {
	old := n.config.Load()
	c := *old
	if c.asWritten != nil {
		whole := *c.Configuration
		whole.Revision = c.asWritten
		c.Configuration, c.asWritten = &whole, nil
	}
	err := n.prepare(&c)
	if err == nil && n.leads() {
		n.checked.Store(&c)
		err = n.rollout.Again(ctx)
	} else if err == nil {
		if err = n.take(ctx, &c, n.canary.Load(), 0); err == nil {
			err = n.followChange(ctx)
		}
	}
	if err != nil {
		n.log.Error("a new copy of a zone is not served: the last one stands", "err", err)
	}
}

// readKeys reads the secrets of the TSIG keys. Like the API's token, one that others
// may read is not used. That costs the transfers with this key and nothing else, so
// it stops no configuration.
func readKeys(keys []policies.TSIGKey) (read []transfer.Key, findings policies.Findings) {
	for _, k := range keys {
		text, err := readPrivate(k.SecretFile, "secret")
		var secret []byte
		if err == nil {
			secret, err = transfer.ParseSecret(k.SecretFile, text)
		}
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
