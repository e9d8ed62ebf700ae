// Package rollout puts revisions in force and takes them back: apply, canary,
// watch, promote, abort, rollback.
//
// In:  revisions that compiled (from operators, or from the files on disk), and
// once a second the figures of what clients get.
// Out: what is in force, through Node.Enforce and in the store; Status.
//
// # The model
//
// One revision is in force. An applied one wins over the files on disk until
// those change; then the files win. Beside it one revision may be on trial, for a
// share of the clients: the canary. A watch asks a condition of every service in
// every region once a second; when it holds three times in a row the revision is
// taken back: the canary ends, or the parent of the revision in force is restored
// as a new revision. What is in force, the canary and the watch are in the store
// before they take effect, so a restart goes on with them.
//
// # Who wins
//
// Changes come one at a time. Whoever says which revision the change was made
// for gets ErrConflict when another one is in force by then. While something is on
// trial, only its own share can be changed, or it is promoted or aborted; files
// that change on disk end it.
//
// # What it does not do
//
// It reads and compiles no files and measures nothing. A revert works from
// memory when the store cannot be written: getting back is worth more than a
// record of it, and the next start finds the record of before.
//
// All methods are safe for concurrent use.
package rollout
