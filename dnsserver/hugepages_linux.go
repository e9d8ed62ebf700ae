package dnsserver

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePages has the kernel back a large slice by pages of 2 MiB, at once. A query looks
// at one place of it and the next at another: with pages of 4 KiB, the processor has
// forgotten where each of them lies, and to find out costs as much as the look itself.
// Where the kernel will not, everything is as before.
func hugePages[T any](slice []T) {
	const page = 2 << 20
	octets := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(slice))), uintptr(cap(slice))*unsafe.Sizeof(*new(T)))
	if len(octets) < 4*page {
		return
	}
	octets = octets[-uintptr(unsafe.Pointer(&octets[0]))%page:]
	octets = octets[:len(octets)/page*page]
	if unix.Madvise(octets, unix.MADV_HUGEPAGE) == nil {
		_ = unix.Madvise(octets, unix.MADV_COLLAPSE) // since Linux 6.1; else it happens in time
	}
}
