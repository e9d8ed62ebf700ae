//go:build !linux

package dnsserver

// hugePages is for kernels that take such advice.
func hugePages[T any]([]T) {}
