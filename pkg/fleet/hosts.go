package fleet

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/command"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/wake"
)

// hosts are the real servers themselves: command templates put them to sleep
// and restart their hypervisor, magic packets wake them.
type hosts struct {
	s    settings.Libvirt
	from netip.Addr // our own address, on the network that carries magic packets
	ping func(context.Context, netip.Addr) error
}

// The look at a host that is told to sleep.
const (
	silencePing  = 300 * time.Millisecond // an answer that takes longer is none
	silenceGap   = 200 * time.Millisecond
	silencePings = 3 // unanswered pings in a row that make silence
)

// WakeReal sends one magic packet.
func (h hosts) WakeReal(_ context.Context, mac cluster.MAC) error { return wake.Send(h.from, mac) }

// RestartHypervisor restarts the virtualization software of real.
func (h hosts) RestartHypervisor(ctx context.Context, real netip.Addr) error {
	if err := h.command(ctx, h.s.RestartCommand, real); err != nil {
		return fmt.Errorf("cannot restart the hypervisor of %v: %v", real, err)
	}
	return nil
}

// SuspendReal has real suspended and returns once it is silent. The command
// may hang by its own success; it is then ended.
func (h hosts) SuspendReal(ctx context.Context, real netip.Addr) error {
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.command(run, h.s.SuspendCommand, real) }()
	silent, err := false, error(nil)
	for finished := ended; !silent && err == nil && ctx.Err() == nil; {
		select {
		case err = <-finished:
			finished, ended = nil, nil
		case <-ctx.Done():
		case <-time.After(silenceGap):
			silent = h.isSilent(ctx, real)
		}
	}
	stop()
	if ended != nil {
		<-ended
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil && !silent {
		return fmt.Errorf("cannot suspend %v: %v", real, err)
	}
	return nil
}

// isSilent reports whether real leaves several pings in a row unanswered.
func (h hosts) isSilent(ctx context.Context, real netip.Addr) bool {
	for range silencePings {
		short, cancel := context.WithTimeout(ctx, silencePing)
		err := h.ping(short, real)
		cancel()
		if err == nil || ctx.Err() != nil {
			return false
		}
	}
	return true
}

// command runs a template for real; its error tells what the command said.
func (h hosts) command(ctx context.Context, template []string, real netip.Addr) error {
	if len(template) == 0 {
		return fmt.Errorf("settings name no command for it")
	}
	stdout, stderr, err := command.Output(ctx, command.Expand(template, "{ip}", real.String()))
	if err != nil {
		return fmt.Errorf("%s: %v: %s", template[0], err, bytes.TrimSpace(append(stdout, stderr...)))
	}
	return nil
}
