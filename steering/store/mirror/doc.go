// Package mirror copies what one fleet's store holds into the store of another
// region, so that the edges there read from near.
//
// In:  a store to read, which tells of changes; a store to fill, which nobody else
// writes meanwhile. Out: the second holds what the first does, number by number:
// revisions with their files, what is in force, overrides with their log, values,
// and decisions, these as small changes where that store knows such.
//
// # What it promises
//
//   - One direction: the first store is only read.
//   - What was written of operators' intent is read back and compared.
//   - It keeps nothing of its own, so it goes on wherever it was ended: what is
//     there already is not sent again.
//   - A first store in which nothing is in force, or whose decisions are older than
//     those of the second, empties and reverts nothing: it says so and waits.
//   - Whoever may write is the second store's affair: when that refuses, since
//     another leads there, Run ends.
//
// A second store that has decided by itself for a while, and so has other numbers, is
// brought back: what is in force gets the next version there, and decisions that are
// newer by their date replace those of before, whatever their number.
package mirror
