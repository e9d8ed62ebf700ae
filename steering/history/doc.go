// Package history keeps what a control node knew and decided, minute by minute, in
// a bounded ring of files.
//
// In:  Entries: a State each minute (verdicts with their figures over the last
// minute, overrides, splits), and every change of a verdict with its evidence as it
// happens.
// Out: the entries between two times, and the State that held at a time.
//
// # On disk
//
// A folder of segments, named by the time of their first entry; a new one begins
// with each hour and each start. A segment is frames, one for each entry:
//
//	4 octets   length of what follows the checksum, big endian
//	4 octets   its CRC-32C
//	           JSON, compressed by zstd
//
// The oldest segments are removed when all together pass MaxBytes or are older than
// Keep. A frame that is cut off or does not match its checksum ends its segment for
// readers; nothing is ever written behind it, so a crash costs the entry that was
// being written. Frames are not flushed to the disk one by one: a machine that loses
// power may lose the last half minute.
//
// # When the disk is full
//
// Append fails, and the caller goes on. What was written in part is cut off again, and
// the oldest segment is given up for the next try.
//
// # Concurrency
//
// Append belongs to one goroutine. Between and At may be called by others meanwhile.
package history
