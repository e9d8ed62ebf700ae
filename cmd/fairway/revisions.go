package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/policies"
	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/rollout"
	"fairway/steering/store"
)

// revisions is what a control node lets its API do with configurations.
type revisions struct{ *node }

// revisions returns nil where the node does not control.
func (n *node) revisions() api.Revisions {
	if !n.roles.control {
		return nil
	}
	return &revisions{n}
}

// Apply checks files as a reload would, and more: what a node without a DNS door
// would not see. Nothing changes unless all of it is good.
func (r *revisions) Apply(ctx context.Context, q api.ApplyRequest, watch time.Duration) (api.Applied, error) {
	made := store.Revision{Author: q.Author, Reason: q.Reason}
	for _, f := range q.Files {
		made.Files = append(made.Files, store.File{Name: f.Name, Data: f.Data})
	}
	c, findings, err := r.check(made, q.Canary > 0)
	if err != nil {
		return api.Applied{}, err
	}
	made.Hash = c.Revision.Hash
	if why := shrinks(r.config.Load().Revision, c.Revision); why != "" && !q.ConfirmShrink {
		return api.Applied{}, &api.Error{Status: http.StatusConflict, Message: "nothing changed: " + why, Remedy: "if that is meant, apply it with --confirm-shrink"}
	}
	request := rollout.Request{
		Revision: made, Expect: q.Expect, Share: q.Canary, Watch: watch, RevertIf: q.RevertIf, Promote: q.Promote,
	}
	if q.DryRun {
		err := r.rollout.Check(request)
		unchanged := r.rollout.Status().Serving.Hash == made.Hash
		return api.Applied{Revision: r.info(made), DryRun: true, Unchanged: unchanged, Findings: findings, Rollout: *r.state()}, told(err)
	}
	if q.Canary == 0 {
		r.checked.Store(c)
	}
	applied, err := r.done(r.rollout.Apply(ctx, request))
	applied.Findings = findings
	return applied, err
}

// check compiles files and returns the warnings; the error holds every finding.
func (n *node) check(made store.Revision, trial bool) (*configuration, policies.Findings, error) {
	folder := folderOf(n.path)
	c, findings, err := compile(filesOf(made, folder), false)
	findings = slices.Clone(findings)
	add := func(severity policies.Severity, message string) {
		findings = append(findings, policies.Finding{Severity: severity, Message: message, Place: steering.Place{File: below(folder, made.Files[0].Name)}})
	}
	if _, refused := errors.AsType[findingsError](err); err != nil && !refused {
		add(policies.Error, err.Error())
	}
	if c != nil {
		c.stored = true
		findings = append(findings, c.reviewed()...)
		for _, w := range c.warnings {
			add(policies.Warning, w)
		}
		if err := dnsserver.Check(c.layout); err != nil {
			add(policies.Error, err.Error())
		}
		if running := n.config.Load(); nodeSettings(running) != nodeSettings(c) {
			add(policies.Warning, takenUpAnew)
		}
		if trial {
			findings = append(findings, trialFindings(n.config.Load().Revision, c.Revision)...)
		}
	}
	for i := range findings {
		findings[i].Place.File = relativeTo(folder, findings[i].Place.File)
	}
	if findings.Errors() > 0 {
		return nil, nil, &api.Error{
			Status:   http.StatusUnprocessableEntity,
			Message:  fmt.Sprintf("%s: nothing changed, revision %d goes on serving", count(findings.Errors(), "error"), n.rollout.Status().Serving.Number),
			Findings: findings,
		}
	}
	return c, findings, nil
}

// trialFindings tells what of a revision a canary cannot show: the zones and
// hostnames are those of the revision in force until the canary serves everybody.
func trialFindings(main, trial *steering.Revision) policies.Findings {
	var findings policies.Findings
	warn := func(at steering.Place, message string) {
		findings = append(findings, policies.Finding{Place: at, Severity: policies.Warning, Message: message})
	}
	for _, service := range trial.Services {
		before := main.Service(service.Key)
		switch {
		case before == nil:
			warn(service.Place, fmt.Sprintf("service %q is new: it is not there before the canary is promoted", service.Key))
			continue
		case !slices.Equal(before.Hostnames, service.Hostnames):
			warn(service.Place, fmt.Sprintf("service %q: its hostnames change when the canary is promoted", service.Key))
		}
		for _, e := range service.Endpoints {
			if zone := lacking(main, e.Host); zone != "" {
				findings = append(findings, policies.Finding{
					Place: e.Place, Severity: policies.Error,
					Message: fmt.Sprintf("endpoint %s: zone %s has no record of its host %s yet, and a canary changes no records", e.ID, zone, e.Host),
					Remedy:  "apply the record as a whole first, then the endpoint as a canary",
				})
			}
		}
	}
	return findings
}

// lacking returns our own zone that a host lies in without being there; empty
// when all is well.
func lacking(r *steering.Revision, host string) string {
	for _, z := range r.Zones {
		if host == "" || host != z.Name && !strings.HasSuffix(host, "."+z.Name) {
			continue
		}
		for _, record := range z.Records {
			parent, wildcard := strings.CutPrefix(record.Name, "*.")
			if record.Name == host || wildcard && strings.HasSuffix(host, "."+parent) ||
				record.Type == dns.TypeNS && strings.HasSuffix(host, "."+record.Name) {
				return ""
			}
		}
		return z.Name
	}
	return ""
}

// Rollback puts an earlier revision in force again.
func (r *revisions) Rollback(ctx context.Context, number uint64, by api.By) (api.Applied, error) {
	return r.done(r.rollout.Rollback(ctx, number, by.Author, by.Reason))
}

// Promote has the canary serve everybody.
func (r *revisions) Promote(ctx context.Context, by api.By) (api.Applied, error) {
	return r.done(r.rollout.Promote(ctx, by.Author, by.Reason))
}

// Abort ends the canary.
func (r *revisions) Abort(ctx context.Context, by api.By) (api.Applied, error) {
	return r.done(r.rollout.Abort(ctx, by.Author, by.Reason))
}

// done gives an outcome as the API tells it. What is in force now is good,
// whatever may be wrong with the files on disk.
func (r *revisions) done(o rollout.Outcome, err error) (api.Applied, error) {
	if err != nil {
		return api.Applied{}, told(err)
	}
	if r.rollout.Status().InForce.Applied {
		r.reloaded(nil, "", "")
	}
	return api.Applied{Revision: r.info(o.Revision), Unchanged: o.Unchanged, Rollout: *r.state()}, nil
}

// told gives an error of the rollout or the store in the API's terms.
func told(err error) error {
	e := &api.Error{Status: http.StatusInternalServerError}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrDeposed):
		return deposed(err)
	case errors.Is(err, store.ErrConflict):
		e.Status, e.Remedy = http.StatusConflict, "look at what is in force (fairway revisions, fairway diff), and decide again"
	case errors.Is(err, rollout.ErrNoCanary):
		return &api.Error{Status: http.StatusNotFound, Message: "no revision is on trial", Remedy: "put one on trial with: fairway apply PATH --canary 5%"}
	case errors.Is(err, store.ErrNotFound):
		e.Status, e.Remedy = http.StatusNotFound, "see fairway revisions for those that are kept"
	case errors.Is(err, rollout.ErrInvalid):
		e.Status = http.StatusBadRequest
	case errors.Is(err, store.ErrReadOnly):
		e.Status, e.Remedy = http.StatusServiceUnavailable, "the node's data folder cannot be written: mend that and restart the node"
	}
	e.Message = err.Error()
	return e
}

// Revisions lists those that are kept.
func (r *revisions) Revisions(ctx context.Context) (api.RevisionList, error) {
	kept, err := r.rollout.Revisions(ctx)
	if err != nil {
		return api.RevisionList{}, told(err)
	}
	list := api.RevisionList{Rollout: *r.state()}
	for _, k := range kept {
		list.Revisions = append(list.Revisions, r.info(k))
	}
	return list, nil
}

// Revision returns one with its files.
func (r *revisions) Revision(ctx context.Context, number uint64) (api.Revision, error) {
	kept, err := r.rollout.Revision(ctx, number)
	if err != nil {
		return api.Revision{}, told(err)
	}
	revision := api.Revision{RevisionInfo: r.info(kept), Files: []api.File{}}
	for _, f := range kept.Files {
		revision.Files = append(revision.Files, api.File{Name: f.Name, Data: f.Data})
	}
	return revision, nil
}

func (n *node) info(r store.Revision) api.RevisionInfo {
	info := api.RevisionInfo{
		Number: r.Number, Hash: r.Hash, Author: r.Author, Reason: r.Reason, Created: r.Created, Parent: r.Parent, Restores: r.Restores,
	}
	s := n.rollout.Status()
	switch {
	case r.Number == 0: // not stored
	case r.Number == s.Serving.Number:
		info.State = api.StateInForce
	case s.Canary != nil && r.Number == s.Canary.Number:
		info.State = api.StateCanary
	}
	return info
}

// state is what is in force as the API tells it; nil where the node does not
// control.
func (n *node) state() *api.Rollout {
	if n.rollout == nil {
		return nil
	}
	s := n.rollout.Status()
	state := &api.Rollout{InForce: n.info(s.Serving), Source: api.SourceFile}
	if s.InForce.Applied {
		state.Source = api.SourceApplied
	}
	if s.Canary != nil {
		state.Canary = &api.CanaryRollout{Revision: n.info(*s.Canary), Share: s.InForce.Canary.Share}
	}
	if w := s.InForce.Watch; w != nil {
		state.Watch = &api.WatchRollout{
			Revision: w.Revision, Began: w.Began, Until: w.Until, RevertIf: w.RevertIf, Promote: w.Promote,
			Strikes: s.Strikes, Worst: api.NewWatchedFigures(s.Worst),
		}
	}
	if e := s.InForce.Ended; e != nil {
		state.Ended = &api.EndedRollout{Revision: e.Revision, How: string(e.How), Detail: e.Detail, By: e.By, At: e.At}
	}
	return state
}
