// Package filestore is the store that needs no other service: a folder.
//
//	DIR/                    0700
//	  lock                  held by the one writer; tells its pid and since when
//	  revisions/0000000007.json
//	  inforce.json          and inforce.json.1, .2: which revision serves
//	  overrides.json        and overrides.json.1, .2: the two before it
//	  state.json            and state.json.1, .2; where it is large, what has changed
//	  state.journal         since then
//	  values/FOLDER/NAME.json   what other parts keep
//	  audit.jsonl           one line per change of an override
//
// In and out: as package store says. Every file but the last begins with a line
// "fairway-store 1 sha256 HEX LENGTH"; the rest is JSON of that many bytes. To
// look into one: tail -n +2 state.json.
//
// # Writing
//
// A file is written beside its place, synced, renamed into place, and the folder
// synced, so a crash leaves the old one or the new one. The old one is kept as
// .1 by a hard link first, so that the name never points nowhere. Errors (disk
// full, read-only) are returned and leave the old file standing.
//
// # Reading
//
// A file whose length or sum is wrong is stepped over, and Options.Warn told;
// the next older sound one counts. Only when none is left is that an error.
//
// # Processes
//
// One process at a time may write: Open with Options.Writer takes a lock with
// flock(2), which the kernel lets go of with the process, so kill -9 leaves
// nothing to clean up. Any number may read at the same time, without a lock.
// Watch looks at the identity (inode, size, time of change) of five files five
// times a second. inotify would save those few system calls and cost a
// dependency, a limit per user that operators meet, and silence on network file
// systems.
//
// # Limits
//
// flock and rename must work as on a local file system; NFS before version 4
// will not do. audit.jsonl grows without bound, a few hundred bytes for every
// drain; rotate it by renaming it.
package filestore
