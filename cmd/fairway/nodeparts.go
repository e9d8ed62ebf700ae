package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/pprof"
	"os"

	"fairway/dnsserver"
	"fairway/policies"
	"fairway/probes"
	"fairway/probes/agent"
	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/api/client"
	"fairway/steering/api/console"
	"fairway/steering/httpserver"
	"fairway/steering/learn"
)

// makeParts makes what the roles need; nothing listens or runs yet.
func (n *node) makeParts(c *configuration) error {
	token, err := n.token(c)
	if err != nil {
		return err
	}
	var problems []error
	n.decisions, err = n.newDecisionLog()
	problems = append(problems, err)
	n.peers = openPeers(c.Node, n.log)
	shown, err := n.shown(c, token)
	problems = append(problems, err)
	n.keys, err = n.newKeeper(c)
	problems = append(problems, err)
	n.acme, err = n.newACME(c.Node)
	problems = append(problems, err)
	n.learning, err = learn.New(n.learnConfig(c))
	problems = append(problems, err)
	if n.roles.dns {
		problems = append(problems, n.makeSecondary(), n.makePrimary(c))
		n.aliases, err = n.newAliases(c)
		problems = append(problems, err)
		config := dnsDoor(n.listening(c.Node))
		config.Aliases = n.aliases
		config.Current, config.Sockets, config.Signer = n.current, n.sockets, n.keys
		config.Copies, config.Logger = n.primary, n.log.With("door", "dns")
		config.Learning = n.learning
		config.TLS.Config = n.dotCertificate(c.Node, config.Logger)
		config.Observer = dnsObserver{n.metrics.DNS(), n.sample, n.decisions.log()}
		if n.taps, err = newTaps(c.Node.DNS, n.log); err != nil {
			problems = append(problems, err)
		}
		for _, t := range n.taps {
			config.Taps = append(config.Taps, t)
		}
		n.dns, err = dnsserver.New(config)
		problems = append(problems, err)
		n.primary.Serve(n.dns)
	}
	if n.roles.control {
		n.audience = newAudience(n)
		n.chronicle = newChronicle(n)
		n.imports, err = n.newImporter()
		problems = append(problems, err)
	}
	if n.roles.http || n.roles.probe {
		n.signers = newSigners()
		n.loadTokens(c)
	}
	if n.roles.http {
		secret, err := steeringSecret(c.Node.SteeringSecret)
		problems = append(problems, err)
		n.collector, err = n.newCollector(secret)
		problems = append(problems, err)
		secure, err := n.httpsDoor(c.Node)
		problems = append(problems, err)
		n.http, err = httpserver.New(httpserver.Config{
			Explainer: n.explainer(c, token), TLS: secure, ProxyProtocol: c.Node.HTTP.ProxyProtocol,
			Connections: n.connections(c.Node), Listen: n.listening(c.Node).Listen.HTTP, Open: n.sockets.Listen, Current: n.current, Fetch: fetchManifest(n.log), Signer: n.signers, TrustedProxies: c.Node.TrustedProxies, Hosts: c.Node.HTTPHosts,
			SteeringSecret: secret, Learning: n.learning, Observer: httpObserver{n.metrics.HTTP(), n.sample, n.decisions.log()}, Logger: n.log.With("door", "http"),
			Players: n.collector, Challenge: n.board.Answer,
		})
		problems = append(problems, err)
	}
	var reported []*client.Client
	if !n.roles.control {
		reported, err = n.reportTo(c, shown)
		problems = append(problems, err)
		n.tellers.Store(&reported)
	}
	if n.roles.probe {
		sink, told := n.observe, n.conditionOf
		if !n.roles.control {
			n.courier, err = agent.New(agent.Config{
				Control: asControl(reported), Later: n.discovery != nil, Version: version(), Withheld: func() int64 { return n.probes.Withheld() }, Logger: n.log.With("part", "courier"),
			})
			problems = append(problems, err)
			sink = func(_ context.Context, batch []steering.Measurement) { n.probed(batch); n.courier.Add(batch) }
			told = func(name string, condition steering.Condition) { n.courier.Told(name, condition) }
		}
		n.probes, err = probes.New(probes.Config{
			Sink: sink, Told: told, Sign: n.signProbe, Logger: n.log.With("part", "probes"), Seed: uint64(n.started.UnixNano()), MaxInFlight: c.Revision.Probing.Budget.InFlight,
		})
		problems = append(problems, err)
	}
	n.api, err = api.New(api.Config{
		Listen: n.listening(c.Node).Listen.API, Open: n.sockets.Listen, Token: token, Control: &control{n}, Revisions: n.revisions(), Usage: n.carriers(), Ready: n.ready, Alive: n.alive, Forward: n.forward,
		Vantages: n.vantages(), Players: n.players(), History: n.past(), TLS: n.accept(), Certified: n.peers != nil && c.Node.PeerTLS.CA != "", Tokens: n.tokens(c), Needs: needs,
		Metrics: n.metrics.Handler(), Console: console.Handler(), Extra: n.extraPaths(), Logger: n.log.With("part", "api"),
	})
	return errors.Join(append(problems, err)...)
}

// extraPaths are the paths beside the API's own: those of the command that runs
// the node, and Go's profiles for whoever holds the token.
func (n *node) extraPaths() map[string]http.Handler {
	profiles := http.NewServeMux()
	profiles.HandleFunc("/debug/pprof/", pprof.Index)
	profiles.HandleFunc("/debug/pprof/profile", pprof.Profile)
	paths := map[string]http.Handler{learnPath: http.HandlerFunc(n.tellLearned), "/debug/pprof/": profiles}
	if n.keys != nil {
		paths[keysPath], paths[keysPath+"/"] = n.keysHandler(), n.keysHandler()
	}
	if n.dns != nil {
		paths[quarantinePath] = n.quarantineHandler()
	}
	paths[fleetPath], paths[certificatesPath] = n.fleetHandler(), n.certificatesHandler()
	maps.Copy(paths, n.extra)
	return paths
}

// listening is what the files say of the node, with the addresses that the command
// line gives in their stead.
func (n *node) listening(settings policies.Node) policies.Node {
	for _, door := range []struct{ said, into *[]string }{
		{&n.nodeOptions.listen.DNS, &settings.Listen.DNS}, {&n.nodeOptions.listen.HTTP, &settings.Listen.HTTP}, {&n.nodeOptions.listen.API, &settings.Listen.API},
	} {
		if len(*door.said) > 0 {
			*door.into = *door.said
		}
	}
	return settings
}

// listen binds every listener, so that an address in use is told before
// anything has begun.
func (n *node) listen() error {
	var problems []error
	if n.dns != nil {
		problems = append(problems, n.dns.Listen())
	}
	if n.http != nil {
		problems = append(problems, n.http.Listen())
	}
	problems = append(problems, n.api.Listen())
	if unclaimed := n.sockets.CloseUnclaimed(); len(unclaimed) > 0 {
		n.log.Warn("sockets were handed over that this configuration does not name: they are closed", "sockets", unclaimed)
	}
	return errors.Join(problems...)
}

// token reads the API's token; a missing file is made, so that there is no
// first start without one.
func (n *node) token(c *configuration) (string, error) {
	if c.Node.TokenFile == "" {
		return "", nil
	}
	token, err := readToken(c.Node.TokenFile)
	if !errors.Is(err, os.ErrNotExist) {
		return token, err
	}
	if n.roles.probe && !n.roles.control && c.Node.ControlToken == "" {
		return "", fmt.Errorf("%w\n    this node sends measurements to control, which knows its own token only: copy control's file to %s", err, c.Node.TokenFile)
	}
	n.log.Info("made a token for the API", "file", c.Node.TokenFile)
	return makeToken(c.Node.TokenFile)
}
