// Package freeport finds ports for the programs that tests start.
//
// A port that the kernel gives for ":0" is one of those that it also gives to
// clients, so it may be a client's by the time that a daemon binds it: about once
// in some hundred starts on a busy machine. These ports lie below that range, and
// each process looks among its own hundred.
package freeport
