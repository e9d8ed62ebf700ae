//go:build !linux

package dnsserver

import (
	"errors"
	"os"
)

const haveMmsg = false

func listenMmsg(string, []*os.File) (udpSocket, error) { return nil, errors.ErrUnsupported }
