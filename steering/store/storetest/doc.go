// Package storetest is the suite that every store.Store passes: one test per
// clause of the contract in package store.
package storetest
