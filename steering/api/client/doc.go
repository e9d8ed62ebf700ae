// Package client speaks to the control API of a Fairway node, for the command
// line and for probes that push measurements.
//
// In:  typed requests.
// Out: typed answers, or an error that says what the operator can do: an
// *api.Error where the node answered, ErrUnreachable where none did. Both work
// with errors.Is and the sentinels of package api.
//
// A Client is safe for concurrent use. It follows no redirects, so its token
// goes to no other place than the one it was made for.
package client
