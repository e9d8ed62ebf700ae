// Package api is the control API of a node: HTTP and JSON for operators, for
// probes that push measurements, for Prometheus and for health checks.
//
//	GET    /api/v1/status                   what the node knows and does: Status
//	GET    /api/v1/explain?service=&client= one decision with everything behind it: steering.Explanation
//	GET    /api/v1/revision                 the configuration in force, with its files: Revision
//	GET    /api/v1/state                    health, overrides and decisions at one moment: State
//	GET    /api/v1/queries                  a sample of what client networks asked: Queries
//	GET    /api/v1/overrides                the overrides in force: Overrides
//	POST   /api/v1/overrides                drain or force: OverrideRequest → steering.Override
//	DELETE /api/v1/overrides?target=        lift them; also region=, service=, kind=: Overrides
//	DELETE /api/v1/overrides/{id}           lift one: Overrides
//	GET    /api/v1/revisions                those that are kept, and what is in force: RevisionList
//	POST   /api/v1/revisions                put files in force, or on trial: ApplyRequest → Applied
//	GET    /api/v1/revisions/{n}            one with its files: Revision
//	POST   /api/v1/revisions/{n}/rollback   put an earlier one in force, 0 = the parent: By → Applied
//	POST   /api/v1/canary/promote|abort     end a trial: By → Applied
//	POST   /api/v1/measurements             the measurement inlet: Batch, gzip accepted → Accepted
//	GET    /api/v1/assignment?vantage=&after=&wait=  what a vantage is to measure: Assigned
//	GET    /api/v1/usage                    what each provider carries, beside its contract: Usage
//	POST   /api/v1/usage                    what providers carried: UsageReport, gzip accepted → UsageTaken
//	GET    /metrics /healthz /readyz        text, without a token
//	GET    /                                the console, without a token
//
// In:  a Control, which the wiring fills, and requests over TCP.
// Out: JSON. Whatever is not a success is an Error with a remedy in it.
//
// # Who may
//
// With a token, everything under /api/ and the extra paths need
// "Authorization: Bearer TOKEN" (RFC 6750 §2.1). Without one the server binds
// to loopback only, and since a page in the operator's own browser could still
// reach it there, it also refuses names that it was not given (DNS rebinding),
// writes from other origins, and writes that are not application/json.
//
// # What it promises
//
// It logs no client addresses. Bodies, decompressed bodies, headers and times
// are bounded; a panic costs one request. It keeps no state and judges
// nothing: Control does what can be done, and Describe shows a snapshot as it
// is. All of it is safe for concurrent use, and so must Control be.
package api
