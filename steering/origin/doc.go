// Package origin fetches small texts, such as multivariant playlists and MPDs,
// from a set of origins, for many who ask at once.
//
// In:  the base URLs of the origins in order, a path below them.
// Out: the text, or why no origin has it.
//
// # Failover
//
// Origins are asked in order, the next when one fails: no connection, no answer
// in time, a status of 5xx or 429. One that failed goes behind the others for some
// seconds. A text that an origin says it does not have (404, 410) is not asked for
// elsewhere: origins of one pool have the same.
//
// # Cache
//
// A text is kept for as long as the caller says, and for as much longer as it
// says while no origin answers (stale-if-error, RFC 5861 §4). Asked again, an
// origin hears of what we have (RFC 9110 §13.1). Those who ask for the same text
// at the same time share one fetch, which goes on when one of them leaves.
// Failures are kept for a second, so that a dead origin is not asked by every
// player. The memory is bounded.
//
// # Where it connects to
//
// To hosts that the configuration names and no others: a redirect is followed only
// to one of the same set of origins. An origin that is named by an address is
// believed; a name must not lead to this machine, to its link (where clouds keep
// their metadata) or to many. No proxy of the environment is used, no cookie is
// kept, and answers are bounded in size and time.
package origin
