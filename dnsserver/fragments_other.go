//go:build !linux

package dnsserver

import "syscall"

// refuseFragments does nothing here: answers of at most 1,232 octets are rarely cut.
func refuseFragments(syscall.Conn) error { return nil }
