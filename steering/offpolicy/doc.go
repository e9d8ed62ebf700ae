// Package offpolicy estimates how clients would have fared under another policy,
// from a log of what they were told, with what probability, and what came of it.
//
// In:  Trials: what a client was told and how likely that was, what it met with
// (the reward), and what the other policy would have told clients like it.
// Out: a Report: the mean reward as it was and as it would have been, by four
// estimators, each with a confidence interval, and whether the log can tell who is
// better.
//
// # The estimators
//
// With π the other policy, p the logged probability, r the reward, and ρ = π(told)/p:
//
//   - IPS, inverse propensity scoring (Horvitz and Thompson, 1952): the mean of ρ·r.
//     Right on average, and wild where ρ is large.
//   - SNIPS (Swaminathan and Joachims, "The Self-Normalized Estimator for
//     Counterfactual Learning", NIPS 2015): Σρ·r / Σρ. Calmer, with a bias that
//     vanishes as the log grows.
//   - DM, the direct method: what a model q of the rewards says of all that π would
//     tell. Calm, and as wrong as the model.
//   - DR, doubly robust (Dudík, Langford and Li, ICML 2011): DM, corrected by Σρ·(r−q) / Σρ.
//     Right where the model or the probabilities are; this one decides.
//
// The model is the mean reward of an endpoint among clients that are alike, drawn
// towards its mean among wider and wider circles of them where there were few. What
// it says of a client never depends on the client's own reward (cross-fitting).
//
// # Confidence
//
// Intervals come from resampling units, not trials: all trials of a client network
// are decided by one hash, so they are no independent evidence. The model is not
// fitted anew for each resample.
//
// # What it cannot know
//
//   - What was never tried. Where π tells what the log's policy hardly ever told,
//     nothing corrects the model. Report.Unsupported says how much of π that is.
//   - What more clients do to a CDN. A reward is taken to depend on one's own
//     endpoint alone, so a policy that fills an endpoint up looks as good as one
//     that does not.
//   - Other days. The intervals are about the clients and hours of the log.
//
// Everything is a function of its arguments; chance comes from Options.Seed.
package offpolicy
