package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"pss-msbs/pkg/cluster"
)

// etherWake is the type of an Ethernet frame with a magic packet.
const etherWake = 0x0842

// hearMagic calls heard with the MAC of each magic packet that reaches the
// switch, until ctx ends.
func (l *Lab) hearMagic(ctx context.Context, heard func(cluster.MAC)) error {
	fd, err := openIn(l.Namespace("switch"))
	if err != nil {
		return fmt.Errorf("cannot listen for magic packets: %v", err)
	}
	defer unix.Close(fd)
	frame := make([]byte, 256)
	for ctx.Err() == nil {
		n, _, err := unix.Recvfrom(fd, frame, 0)
		switch err {
		case nil:
			if mac, ok := magic(frame[:n]); ok {
				heard(mac)
			}
		case unix.EAGAIN, unix.EINTR:
		default:
			return fmt.Errorf("cannot listen for magic packets: %v", err)
		}
	}
	return nil
}

// magic finds the MAC that a magic packet repeats 16 times, behind six bytes of
// ones and the frame's header.
func magic(frame []byte) (mac cluster.MAC, ok bool) {
	const header = 14
	ones := bytes.Repeat([]byte{0xff}, len(mac))
	if len(frame) < header+17*len(mac) || !bytes.HasPrefix(frame[header:], ones) {
		return mac, false
	}
	rest := frame[header+len(ones):]
	copy(mac[:], rest)
	return mac, bytes.HasPrefix(rest, bytes.Repeat(mac[:], 16))
}

// openIn opens a packet socket in a network namespace. A socket stays where it
// was made; the thread that went there ends.
func openIn(ns string) (int, error) {
	type result struct {
		fd  int
		err error
	}
	opened := make(chan result)
	go func() {
		runtime.LockOSThread()
		fd, err := openHere(ns)
		opened <- result{fd, err}
	}()
	r := <-opened
	return r.fd, r.err
}

func openHere(ns string) (int, error) {
	f, err := os.Open(filepath.Join("/run/netns", ns))
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return -1, err
	}
	return packetSocket(etherWake)
}

// packetSocket hears the frames of a type; reading from it waits 200 ms at most.
func packetSocket(etherType uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(etherType>>8|etherType<<8))
	if err != nil {
		return -1, err
	}
	wait := unix.NsecToTimeval(int64(200 * time.Millisecond))
	return fd, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
}
