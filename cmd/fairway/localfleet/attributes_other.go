//go:build !linux

package localfleet

import "syscall"

// attributes has a process outlive Ctrl-C, which goes to the group in the
// foreground, so that the Fleet ends it in order.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
