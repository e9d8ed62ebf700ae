// Package console is the web page of a node: regions × CDNs per service with
// verdict, latency and share, the overrides, a box that explains one
// client's answer, and what was: verdicts and latencies on a time line, of which any
// moment can be explained.
//
// In:  GET / and GET /console/… .
// Out: one page with its style and scripts, all embedded, from files in page/
// that are served as they are: no build, nothing fetched from elsewhere.
//
// The page uses only the public API of the node that served it, with the token
// from its address (#token=…, which never leaves the browser) or from its own
// form, kept for the tab. Its Content-Security-Policy allows own scripts and
// styles and nothing else, and scripts write text, never markup, so a name in a
// configuration cannot become code.
package console
