package dnssec

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// askParent asks the servers that the plan names for the zone's DS records, while
// that of the announced key is awaited, and returns the tag of a key that all of
// them know; 0 for none. RFC 7583 §2.2: the parent publishes when it pleases.
func (k *Keeper) askParent(ctx context.Context, zone string) uint16 {
	a := (*k.zones.Load())[zone]
	key := a.ring.announced()
	if !k.Writes() || key == nil || !key.Trusted.IsZero() || len(a.plan.ParentServers) == 0 {
		return 0
	}
	k.mu.Lock()
	due := k.Now().Sub(k.asked[zone]).Abs() >= k.AskEvery
	if due {
		k.asked[zone] = k.Now()
	}
	k.mu.Unlock()
	if !due {
		return 0
	}
	want := key.ds(zone, 0)
	for _, server := range a.plan.ParentServers {
		set, err := askDS(ctx, server, zone)
		if err != nil {
			k.Logger.Warn("dnssec: the parent's DS cannot be read", "zone", zone, "server", server, "err", err)
			return 0
		}
		if !slices.ContainsFunc(set, func(ds *dns.DS) bool {
			return ds.KeyTag == want.KeyTag && ds.Algorithm == want.Algorithm && ds.DigestType == want.DigestType && strings.EqualFold(ds.Digest, want.Digest)
		}) {
			return 0
		}
	}
	return key.Tag
}

// askDS asks one server. A recursive one is asked not to validate: what the parent
// says counts, also while the zone is bogus.
func askDS(ctx context.Context, server, zone string) (set []*dns.DS, err error) {
	request := new(dns.Msg)
	request.SetQuestion(zone, dns.TypeDS)
	request.CheckingDisabled = true
	request.SetEdns0(1232, false)
	var reply *dns.Msg
	for _, transport := range []string{"udp", "tcp"} {
		client := dns.Client{Net: transport, Timeout: 3 * time.Second}
		if reply, _, err = client.ExchangeContext(ctx, request, server); err == nil && !reply.Truncated {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if reply.Rcode != dns.RcodeSuccess {
		return nil, fmt.Errorf("answered %s", dns.RcodeToString[reply.Rcode])
	}
	for _, rr := range reply.Answer {
		if ds, ok := rr.(*dns.DS); ok {
			set = append(set, ds)
		}
	}
	return set, nil
}
