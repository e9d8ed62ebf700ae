//go:build !linux

package dnsserver

import "errors"

const haveMmsg = false

func listenMmsg(string) (udpSocket, error) { return nil, errors.ErrUnsupported }
