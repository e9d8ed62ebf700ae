// Package httpserver is the HTTP door: it answers players with a redirect or a
// steering manifest and software with a decision, all from the current snapshot.
//
// In:  HTTP/1.1 requests (RFC 9112), in clear text and over TLS; HTTP/2 and HTTP/3
// over TLS.
// Out:
//
//	GET|HEAD /r/{service}/{path…}?{query}   302 to the chosen endpoint's URL + "/" + path + "?" + query
//	POST …   /r/{service}/{path…}           307 there, for the methods that the service allows beside these
//	GET|HEAD /steer/v1/{service}/{hls|dash} 200 with a steering manifest; ?s= is the viewer's session, ?clones asks for clones
//	GET|HEAD /manifest/v1/{service}/{path…} 200 with the origin's playlist or MPD, made steerable; ?s= as above
//	GET|HEAD /decide/v1/{service}           200 with the ranked endpoints as JSON; ?client=, ?session=, ?explain
//	POST     /decide/v1/                    200 with the same for many services and clients
//	POST     /cmcd/v2/{service}             204; players' events (CTA-5004-B), for Config.Players
//	POST     /beacon/v1/{service}           204; the same of apps, as JSON
//	GET|HEAD /.well-known/acme-challenge/{token}  200 with what Config.Challenge says to a question of its
//	OPTIONS  on all                         204, so that a CORS preflight never meets a redirect
//
// Everything is answered with Cache-Control: no-store and
// Access-Control-Allow-Origin: *, errors too, so that a player in a browser can
// see which error it was.
//
// # Where a redirect may lead
//
// Scheme, host and base path of every Location come from the revision's
// endpoints. The rest of the path and the query are copied as they came, still
// encoded: %2F stays %2F. They are never interpreted, but a path is refused
// (400) when some reader down the line could take it for a step out of the base
// path: dot segments, backslashes and control characters, however often they
// are percent-encoded.
//
// # Who the client is
//
// The socket's peer; when that is a trusted proxy, the rightmost address that
// is not trusted in Forwarded (RFC 7239 §4) or else in X-Forwarded-For. A proxy
// that sets only one of the two must remove the other, since otherwise a client
// can send it. A viewer that sends an id in the header Fairway-Session (on
// /decide: the parameter session) is kept on one endpoint over address changes.
// Without one the client's prefix decides, so that DNS agrees.
//
// # Which Host is answered
//
// Literal addresses, localhost, the hostnames of the revision's services and
// those that the configuration adds. All others get 421 (RFC 9110 §15.5.20):
// a foreign name that points here must not turn us into its redirector.
//
// # Who reads a request
//
// A talker: one goroutine for a connection, which reads the plain GET of a player in
// place and answers it. Over HTTP/1.1 the first request that is not of that kind goes to
// net/http, and the connection with it. Over HTTP/2 (RFC 9113) such a request is handed
// to a goroutine of its own, and the connection stays. All make an answer by guide and
// write its header from fields, so that it is the same; what is in doubt is not the
// talker's.
//
// # Concurrency
//
// The request path loads one snapshot and one access list, each by one atomic
// load, and never waits; only manifests wait for an origin, where none is kept. All methods of Server are safe for concurrent use,
// except that Listen comes before Run and both are called once.
//
// # What it does not do
//
// It never measures, never reads policy text, never connects to anything (manifests
// are fetched by what Config.Fetch gives it), and writes no client address to the log. Health endpoints and metrics are on the
// API listener, not here.
package httpserver
