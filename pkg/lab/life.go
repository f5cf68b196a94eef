package lab

import (
	"fmt"
	"os"
	"strings"
)

// What a guest says on its console whenever it boots, and when it has started its
// daemons.
const (
	bootMark = "lab: boot"
	upMark   = "lab: up"
)

// Life tells two runs of a guest apart: it changes when the guest is reset,
// restarts, or is started anew, whoever did that.
type Life struct {
	PID   int // of its QEMU
	Boots int // in this QEMU
}

// Life is the life that a guest lives now.
func (l *Lab) Life(guest string) (Life, error) {
	_, pid, err := l.whereabouts(guest)
	if err != nil {
		return Life{}, err
	}
	b, err := os.ReadFile(l.console(guest))
	if err != nil {
		return Life{}, fmt.Errorf("cannot tell how often %s has booted: %v", guest, err)
	}
	return Life{PID: pid, Boots: strings.Count(string(b), bootMark)}, nil
}

// boots reports whether a guest is booting. One restored from a file is not: it has
// said nothing in this QEMU yet.
func (l *Lab) boots(guest string) bool {
	b, err := os.ReadFile(l.console(guest))
	return err == nil && strings.LastIndex(string(b), bootMark) > strings.LastIndex(string(b), upMark)
}
