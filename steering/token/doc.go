// Package token makes the tokens by which CDNs let a viewer in: Akamai EdgeAuth
// 2.0, CloudFront with canned and custom policies, Fastly's and Cloudflare's
// token in the query, and Common Access Tokens (CTA-5007).
//
// In:  a scheme with its keys, the URL that a viewer is sent to, who the viewer
// is, the time.
// Out: the same URL with a token, or the findings in the scheme.
//
// A Signer is safe for concurrent use, and no URL is changed but by the token at
// its end: what a CDN must see stays as it is, byte for byte.
//
// # What a token covers
//
// Relative segment URIs do not inherit the query of their playlist. A token that
// covers one path therefore lets a viewer have the playlist and nothing else,
// unless the CDN turns it into a cookie. Cover says which: the Exact path, its
// Directory with everything below, or a fixed Prefix. Fastly and Cloudflare know
// exact paths only. A token before the path, in place of the query, is inherited by
// relative URIs; the CDN must know that form.
//
// # Keys
//
// A scheme has several keys, each with an id and the time from which it signs.
// The newest one whose time has come signs; the CDN goes on accepting the others
// until they are taken off its list. To rotate: add the new key everywhere with a
// time to come, give it to the CDN, and remove the old one when its last token
// has run out.
//
// It fetches nothing and logs nothing; keys never appear in an error.
package token
