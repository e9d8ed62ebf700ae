// Package handover lets listening sockets outlive a process: the next one, of
// another version, serves the same sockets, and no packet and no connection is
// lost between the two.
//
// In:  sockets that systemd opened (sd_listen_fds(3)), or that the process
// before this one handed over; those that this process binds.
// Out: a successor, started with all of them.
//
// # How
//
// The old process starts the new one with its sockets inherited, and a pipe
// either way. Both go through three steps:
//
//	new  "prepared"   everything is compiled and opened, nothing is read yet
//	old  "go"         what only one process may hold is let go of
//	new  "serving"    the new process answers; the old one retires
//
// Until the last step the old process serves as before, and for as long as
// neither has said it, a successor that fails costs nothing. The sockets are the
// same ones of the kernel throughout, with the same queues: what waits in them is
// read by whichever process comes first.
//
// # What it does not do
//
// It keeps no state and knows no protocol: what else the two processes share is
// the caller's affair. A socket that the new configuration no longer names is
// closed by both.
package handover
