package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// checkSignals looks at what the zone's name servers say for it under their own names, by
// which a parent takes a first DS from nobody's hand (RFC 9615). §4.2: the parent verifies
// "that at least one of its nameservers is outside the child domain", and that the RRsets
// at the apex and at all signaling names "have equal contents".
func (x *examination) checkSignals(ctx context.Context) {
	apex := x.announced()
	if apex == nil {
		return
	}
	outside := slices.DeleteFunc(x.namedServers(), func(host string) bool { return dns.IsSubDomain(x.zone, host) })
	if len(outside) == 0 {
		if !x.parentHasDS() {
			x.find("signal", Note, "", "all name servers' names lie in the zone: no parent takes its first DS by itself (RFC 9615), so hand it over")
		}
		return
	}
	said := make(map[signalState][]string)
	for _, host := range outside {
		state := x.signalOf(ctx, host, apex)
		said[state] = append(said[state], host)
	}
	x.tellSignals(said)
}

// signalState is how what is said under a server's name stands to the zone.
type signalState int

const (
	signalSound    signalState = iota
	signalUnproven             // the same, and no chain of trust leads to it
	signalOther                // other keys than the zone's
	signalMissing              // nothing
	signalUnknown              // nobody answered
)

// tellSignals tells in words what was found, by server. As long as the parent has no DS,
// one server that says nothing, or something else, keeps it from taking one. Later, only
// what is wrong is worth a word.
func (x *examination) tellSignals(said map[signalState][]string) {
	needed := !x.parentHasDS()
	names := func(s signalState) string {
		var all []string
		for _, host := range said[s] {
			all = append(all, signalName(x.zone, host))
		}
		return list(all)
	}
	if hosts := said[signalOther]; len(hosts) > 0 {
		x.find("signal", Warning, "publish the zone's own CDS and CDNSKEY records at "+names(signalOther)+", or remove what stands there",
			"stale or wrong: under the name of %s stand other keys than the zone's, so no parent takes a first DS from there (RFC 9615)", list(hosts))
	}
	if !needed {
		return
	}
	if hosts := said[signalUnproven]; len(hosts) > 0 {
		x.find("signal", Warning, "sign the zones of "+list(hosts)+", with a DS at their parents", "under the name of %s stand the zone's keys, and nothing proves it: no parent takes a first DS from there (RFC 9615)", list(hosts))
	}
	if hosts := said[signalUnknown]; len(hosts) > 0 {
		x.find("signal", Note, "", "what the names of %s say of the zone's keys (RFC 9615) could not be looked at", list(hosts))
	}
	switch missing := said[signalMissing]; {
	case len(missing) == 0 && len(said) == 1 && len(said[signalSound]) > 0:
		x.find("signal", OK, "", "the names of %s speak for the zone: a parent that knows RFC 9615 takes the first DS by itself", list(said[signalSound]))
	case len(missing) > 0 && len(said) > 1:
		x.find("signal", Warning, "publish the zone's CDS and CDNSKEY records at "+names(signalMissing)+" as well: a Fairway that signs the zone of that name does so by itself",
			"missing under the name of %s, though others speak for the zone: a parent takes a first DS only when all do (RFC 9615)", list(missing))
	case len(missing) > 0:
		x.find("signal", Note, "", "no name server speaks for the zone (RFC 9615): its first DS has to be handed over")
	}
}

// signalName is where a server says what a zone's parent should know (RFC 9615 §2).
func signalName(zone, host string) string { return "_dsboot." + zone + "_signal." + host }

// signalOf compares what stands under a server's name with the zone's apex.
func (x *examination) signalOf(ctx context.Context, host string, apex *visit) signalState {
	name, state := signalName(x.zone, host), signalSound
	if len(name) > 255 {
		return signalMissing // as the name cannot be
	}
	found := 0
	for qtype, want := range map[uint16][]string{dns.TypeCDS: contents(apex.cds), dns.TypeCDNSKEY: contents(apex.cdnskey)} {
		reply, proven, err := x.askAnybody(ctx, name, qtype)
		if err != nil {
			return signalUnknown
		}
		got := contents(ofType(reply.Answer, name, qtype))
		found += len(got)
		switch {
		case !slices.Equal(got, want):
			state = max(state, signalOther)
		case !proven:
			state = max(state, signalUnproven)
		}
	}
	if found == 0 {
		return signalMissing
	}
	return state
}

// askAnybody asks the resolver, or without one the zone's own servers, which may serve the
// servers' zones too. proven is false where the resolver has found no chain of trust.
func (x *examination) askAnybody(ctx context.Context, name string, qtype uint16) (reply answer, proven bool, err error) {
	answers := func(err error) bool {
		return err == nil && (reply.Rcode == dns.RcodeSuccess || reply.Rcode == dns.RcodeNameError)
	}
	if through := x.config.Resolver; through.IsValid() {
		if reply, err = x.whole(ctx, through, recursive(name, qtype)); answers(err) {
			return reply, reply.AuthenticatedData, nil
		}
		return reply, false, errUnreachable
	}
	for _, v := range x.visits {
		if reply, err = x.whole(ctx, v.addr, question(name, qtype)); answers(err) && reply.Authoritative {
			return reply, true, nil // nobody is there to prove it
		}
	}
	return reply, false, errUnreachable
}

// announced is a server that offers the parent keys to take up; nil where none does, or
// where the zone asks for the end of DNSSEC (RFC 8078 §4).
func (x *examination) announced() *visit {
	for _, v := range x.visits {
		leaves := slices.ContainsFunc(v.cds, func(rr dns.RR) bool { return rr.(*dns.CDS).Algorithm == 0 })
		if len(v.cds)+len(v.cdnskey) > 0 && !leaves {
			return v
		}
	}
	return nil
}

// namedServers are the zone's name servers: as the parent delegates, else as the zone says.
func (x *examination) namedServers() []string {
	if d := x.delegation; d != nil && len(d.names) > 0 {
		return slices.Clone(d.names)
	}
	names, _ := x.zoneServers()
	return names
}

func (x *examination) parentHasDS() bool { return x.delegation != nil && len(x.delegation.ds) > 0 }

// contents are records' data, sorted, to be compared. Digests and keys are told apart by
// their octets, whatever the case that they are written in.
func contents(rrs []dns.RR) (all []string) {
	for _, rr := range rrs {
		data := rr.String()[len(rr.Header().String()):]
		if rr.Header().Rrtype == dns.TypeCDS {
			data = strings.ToLower(data)
		}
		all = append(all, data)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ofType picks the records of a name and type out of a section.
func ofType(section []dns.RR, name string, rrtype uint16) (found []dns.RR) {
	for _, rr := range section {
		if rr.Header().Rrtype == rrtype && strings.EqualFold(rr.Header().Name, name) {
			found = append(found, rr)
		}
	}
	return found
}
