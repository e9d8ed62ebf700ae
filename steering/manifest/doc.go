// Package manifest makes multivariant playlists (HLS, RFC 8216bis) and MPDs (DASH,
// ISO/IEC 23009-1) steerable: every variant on every pathway, a steering server,
// and the pathways in the order of a decision, for players that cannot steer.
//
// In:  a manifest as the origin has it, where it lies below an endpoint's base
// URL, the pathways with their base URLs, the steering server.
// Out: the manifest with these, or an Error that tells why it cannot be had.
//
// What it does not know stays as it is, byte for byte: tags, attributes, elements,
// comments, white space, line ends. Media playlists are refused; they and the
// segments are never touched.
//
// # HLS
//
// Each variant and each I-frame variant is repeated for each pathway, with
// PATHWAY-ID, an absolute URI and a STABLE-VARIANT-ID; all of the first pathway
// come first. Audio, video and subtitle groups are repeated likewise, under a
// name of their own in each pathway but the first, since a player must find the
// renditions of a pathway in the groups that its variants name. Closed captions
// lie in the video and are left alone. A steering tag that was there is replaced.
// Variables that the playlist defines are filled in where a URI has them; session data,
// session keys and image playlists, which are the same for all pathways, get an absolute
// URI, on the first one where it was relative.
//
// # DASH
//
// The MPD's own BaseURL elements are replaced by one for each pathway, with
// serviceLocation, and ContentSteering behind them asks the steering server before
// playback starts. Location and PatchLocation are removed: a live player is to refresh the
// MPD where it got it, whole. BaseURLs further down stay when they are relative; absolute ones
// would lead past the pathways, and are refused.
//
// It is pure, and safe for concurrent use.
package manifest
