package lab

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Grey faults: nothing is broken, and everything is slower or less certain.
const (
	lossFault = "loss" // packets lost each way between a host and the switch
	busyFault = "busy" // processors taken by other work
	maxBusy   = 64
)

// lossScript has the packets to and from a host itself, not those of its guests,
// lost with the probability $1; with 0 none is.
const lossScript = `set -e
iptables -w -N LAB_LOSS 2>/dev/null || iptables -w -F LAB_LOSS
iptables -w -C INPUT -i br0 -j LAB_LOSS 2>/dev/null || iptables -w -A INPUT -i br0 -j LAB_LOSS
iptables -w -C OUTPUT -o br0 -j LAB_LOSS 2>/dev/null || iptables -w -A OUTPUT -o br0 -j LAB_LOSS
[ "$1" = 0 ] || iptables -w -A LAB_LOSS -m statistic --mode random --probability "$1" -j DROP
`

// loss has a share of a host's packets lost, "5%" each way; "0%" heals it.
func (r *room) loss(ctx context.Context, share, host string) error {
	probability, err := parseShare(share)
	if err != nil {
		return err
	}
	h, err := r.plan.find(host)
	if err != nil {
		return err
	}
	_, err = run(ctx, "ip", "netns", "exec", r.Namespace(h.Name), "sh", "-c", lossScript, "sh", strconv.FormatFloat(probability, 'f', -1, 64))
	return err
}

// parseShare reads a percentage, with or without its sign, as a probability below 1.
func parseShare(s string) (float64, error) {
	percent, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !(percent >= 0 && percent < 100) {
		return 0, fmt.Errorf("cannot lose %q of the packets: want a percentage below 100", s)
	}
	return percent / 100, nil
}

// work is what keeps processors busy that the room shares.
type work struct {
	mu  sync.Mutex
	end context.CancelFunc // of what runs now
}

// busy has so many processors taken by endless loops, each weighed like a guest
// that serves, as a neighbour's guest would be; 0 ends them.
func (r *room) busy(ctx context.Context, processors string) error {
	n, err := strconv.Atoi(processors)
	if err != nil || n < 0 || n > maxBusy {
		return fmt.Errorf("cannot keep %q processors busy: want a number up to %d", processors, maxBusy)
	}
	r.other.mu.Lock()
	defer r.other.mu.Unlock()
	if r.other.end != nil {
		r.other.end()
	}
	ctx, r.other.end = context.WithCancel(ctx)
	for range n {
		// In a namespace of the room, so that it cannot outlive that.
		cmd := exec.CommandContext(ctx, "ip", "netns", "exec", r.Namespace("switch"), "sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			r.other.end()
			return fmt.Errorf("cannot keep processors busy: %v", err)
		}
		renice(cmd.Process.Pid, guestNice)
		r.work.Go(func() { _ = cmd.Wait() }) // it is killed
	}
	return nil
}
