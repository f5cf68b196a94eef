package sim

import (
	"context"
	"fmt"
	"net/netip"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/course"
	"pss-msbs/pkg/sim/packet"
	"pss-msbs/pkg/sim/spec"
	"pss-msbs/pkg/sim/world"
)

// machines are the real servers, as PSS and DSRS suspend, wake and mend them.
type machines struct{ *calls }

// SuspendReal suspends a real server to memory and returns once it is silent.
func (r *machines) SuspendReal(ctx context.Context, real netip.Addr) error {
	var done chan error
	err := r.call(ctx, real, r.Spec.Times.Hypervisor, func(h *world.Host) error {
		if h.Management {
			return fmt.Errorf("it is the management server")
		}
		if h.State == spec.Suspending {
			return fmt.Errorf("it is being suspended")
		}
		r.life.Turn(h, spec.Suspending)
		r.judge.BlameBoots(h)
		done = r.launch(operation{on: h, takes: r.Spec.Times.RealSuspend, finish: func() error { return r.asleep(h) }})
		return nil
	})
	if err == nil {
		select {
		case err = <-done:
		case <-ctx.Done():
			err = course.Late(ctx, cluster.ErrHostSilent)
		case <-r.Quit:
			err = course.ErrClosed
		}
	}
	return sayHost(err, "suspend", real)
}

func (r *machines) asleep(h *world.Host) error {
	if h.State != spec.Suspending {
		return errGone
	}
	if h.FailSuspend > 0 {
		h.FailSuspend--
		r.life.Turn(h, spec.Active)
		return fmt.Errorf("suspend failed")
	}
	r.judge.BlameSuspend(h)
	r.life.Turn(h, spec.Suspended)
	return nil
}

// WakeReal sends one magic packet. Like a real one it is not acknowledged.
func (r *machines) WakeReal(ctx context.Context, mac cluster.MAC) error {
	if err := r.Wait(ctx, r.Spec.Times.Ping, cluster.ErrNoAnswer); err != nil {
		return fmt.Errorf("cannot wake %s: %w", mac, err)
	}
	r.Lock()
	defer r.Unlock()
	for _, h := range r.Order {
		if h.MAC != mac || h.Management {
			continue
		}
		if packet.IsLost(r.Luck("magic ", h.Name), r.net.ToHost(h).LossOut) {
			r.Note("wake", h.Name, "", "magic packet for %s lost", h.Name)
			continue
		}
		r.magic(h)
	}
	return nil
}

func (r *machines) magic(h *world.Host) {
	switch {
	case r.net.Cut || h.Partitioned || h.NeverWakes:
		r.Note("wake", h.Name, "", "magic packet for %s not heard", h.Name)
	case h.WolLost > 0:
		h.WolLost--
		r.Note("wake", h.Name, "", "magic packet for %s lost", h.Name)
	case h.State == spec.Suspended:
		r.life.Rise(h, spec.Waking, r.Spec.Times.RealWake)
	case h.State == spec.Off:
		r.life.Rise(h, spec.Booting, r.Spec.Times.RealStart)
	}
}

// RestartHypervisor restarts the virtualization software; guests run on.
func (r *machines) RestartHypervisor(ctx context.Context, real netip.Addr) error {
	return sayHost(r.restartHypervisor(ctx, real), "restart the hypervisor of", real)
}

func (r *machines) restartHypervisor(ctx context.Context, real netip.Addr) error {
	ask := func(do func(*world.Host)) error {
		r.Lock()
		h := r.Hosts[real]
		answers := h != nil && r.net.AnswersPing(h)
		if answers {
			do(h)
		}
		r.Unlock()
		switch {
		case h == nil:
			return fmt.Errorf("no real server %s", real)
		case !answers:
			return r.Hang(ctx, cluster.ErrHostSilent)
		}
		return nil
	}
	if err := ask(r.net.Heard); err != nil {
		return err
	}
	if err := r.Wait(ctx, r.Spec.Times.RestartHypervisor, cluster.ErrHostSilent); err != nil {
		return err
	}
	return ask(func(h *world.Host) { h.Hypervisor, h.Starts, r.Dirty = world.Running, h.Starts+1, true })
}
