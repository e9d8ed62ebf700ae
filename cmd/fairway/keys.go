package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"fairway/dnsserver"
	"fairway/dnsserver/dnssec"
	"fairway/steering/metrics"
)

// newKeeper makes the keeper of the zones' keys, on nodes that sign with them or that make
// them: the one that decides. Others of the same vault follow, also a node that leads no
// more, or not yet.
func (n *node) newKeeper(c *configuration) (*dnssec.Keeper, error) {
	if !n.roles.dns && !n.roles.control {
		return nil, nil
	}
	vault, err := n.newVault(c.Node)
	if err != nil {
		return nil, err
	}
	return dnssec.New(dnssec.Config{Vault: vault, Writes: n.leads, Logger: n.log.With("part", "dnssec")})
}

// prepare gets ready for a configuration's layout, before it is published: what its
// zones have from elsewhere, their keys, then the zones.
func (n *node) prepare(c *configuration) error {
	err := n.prepareZones(c)
	if serving := n.config.Load(); err != nil && serving != nil && n.secondary != nil {
		n.secondary.Set(serving.Revision.Zones, serving.tsig)
	}
	return err
}

func (n *node) prepareZones(c *configuration) error {
	if n.roles.http {
		if _, err := loadSigners(c.Revision); err != nil {
			return err
		}
	}
	if err := n.fill(c); err != nil {
		return err
	}
	if n.keys != nil {
		if err := n.keys.Prepare(c.Revision.Zones); err != nil {
			return err
		}
	}
	if n.dns == nil {
		return nil
	}
	return n.dns.Prepare(c.layout)
}

// signing is what metrics show of the signed zones.
func (n *node) signing() metrics.Signing {
	if n.keys == nil {
		return metrics.Signing{} // not made yet, or nothing is signed here
	}
	counts := n.keys.Counts()
	shown := metrics.Signing{
		Made: counts.Made, Minted: counts.Minted, Refused: counts.Refused, Standing: counts.Standing, MintedStands: counts.MintedKept,
	}
	for _, z := range n.keys.Status() {
		s := metrics.SignedZone{Zone: z.Zone, Expires: z.Expires, Waiting: z.Waiting, Fault: z.Error != ""}
		if i := slices.IndexFunc(z.Next, func(next dnssec.Next) bool { return !next.At.IsZero() }); i >= 0 {
			s.Next = z.Next[i].At
		}
		shown.Zones = append(shown.Zones, s)
	}
	return shown
}

// keysPath is where keysHandler answers.
const keysPath = "/dnssec/v1/zones"

// keyOrder is what a POST to a zone asks for: the successor of a key, or to note
// that the parent has the DS.
type keyOrder struct {
	Roll   dnssec.Role `json:"roll,omitempty"`
	DSSeen bool        `json:"ds_seen,omitempty"`
}

// signedStatus is a signed zone, its keys, and what its servers' names say for it.
type signedStatus struct {
	dnssec.Status
	Signals []dnsserver.Signal `json:"signals,omitempty"`
}

// signedZones are all of them. That no server's name lies outside of a zone is told by no
// signals.
func (n *node) signedZones() []signedStatus {
	all, signals := []signedStatus{}, dnsserver.Signals(n.config.Load().Revision.Zones)
	for _, status := range n.keys.Status() {
		all = append(all, signedStatus{status, signals[status.Zone]})
	}
	return all
}

// keysHandler tells of the signed zones (GET) and takes orders about one (POST,
// a keyOrder in JSON); both answer with the zones as they then are.
func (n *node) keysHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+keysPath, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, n.signedZones()) })
	mux.HandleFunc("POST "+keysPath+"/{zone}", func(w http.ResponseWriter, r *http.Request) {
		var order keyOrder
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<10))
		if err == nil {
			err = json.Unmarshal(body, &order)
		}
		if err == nil {
			err = n.orderKeys(r.PathValue("zone"), order)
		}
		if err != nil {
			answerJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		answerJSON(w, http.StatusOK, n.signedZones())
	})
	return mux
}

func (n *node) orderKeys(zone string, order keyOrder) error {
	switch {
	case order.DSSeen:
		return n.keys.Seen(zone)
	case order.Roll != "":
		return n.keys.Roll(zone, order.Roll)
	}
	return errors.New(`an order is {"roll": "csk"}, or "ksk", or "zsk", or {"ds_seen": true}`)
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
