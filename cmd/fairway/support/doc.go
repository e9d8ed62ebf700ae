// Package support packs what a node tells of itself for somebody who shall find out
// what is wrong, without what that person must not have.
//
// In:  texts under names, and the secrets that are known.
// Out: a compressed archive in which nothing that is or looks like a secret is left,
// with a page on what is in it, what was taken out and what could not be had.
package support
