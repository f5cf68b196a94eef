package dbss

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/task"
)

// fenceDebt is what a fence still owes.
type fenceDebt string

const (
	noDebt   fenceDebt = "none"
	linkDown fenceDebt = "link down"   // it is to be raised again once the VIPs are stripped
	owed     fenceDebt = "host silent" // the VIPs are to be stripped when the host returns
	unfenced fenceDebt = "not fenced"  // its host is not silent: the target may be answering for its VIPs
)

const (
	// silentTimeout bounds the last attempt to fence behind a host that was
	// silent throughout the re-examination; the background job goes on trying.
	silentTimeout = 200 * time.Millisecond
	// muteTimeout is the same where only the hypervisor was silent, and how long
	// the link may take of a target that the network does not reach.
	muteTimeout = time.Second
	// agentTimeout is how long a quick means may take before the next is tried, while
	// clients wait; on a processor of its own it takes some tens of milliseconds.
	agentTimeout = 300 * time.Millisecond
)

// startFence makes sure, beside the takeover's other work, that the target
// cannot answer for its VIPs any more.
func (c *care) startFence(ctx context.Context, p proof, known bool) {
	c.fencing.Stop()
	f := fence{m: c, g: c.target(), named: c.view.of(""), vips: slices.Clone(c.view.all), p: p}
	c.fencing = task.Start(ctx, func(ctx context.Context) error {
		if !known {
			f.p.hostSilent = f.silent(ctx)
		}
		debt := f.run(ctx)
		c.debt.Store(debt)
		if debt == owed || debt == unfenced { // nobody answers for its VIPs, or the takeover waits
			c.fleet.Excuse(f.g)
		}
		switch debt {
		case owed:
			c.log.Warn().Msg(MsgFenceOwed)
		case unfenced:
			c.log.Warn().Msg(MsgNotFenced)
		default:
			c.log.Info().Str("by", f.means).Msg(MsgFenced)
		}
		return nil
	})
}

// fence cuts the old holder off without destroying evidence or a boot under way.
type fence struct {
	m     *care
	g     cluster.Guest
	named []netip.Addr // the VIPs that the files name it for
	vips  []netip.Addr // all VIPs of the system: it may have more
	p     proof
	means string
}

// run fences the target. A host that falls silent meanwhile keeps nobody waiting
// any longer than one that was silent before.
func (f *fence) run(ctx context.Context) fenceDebt {
	if f.p.hostSilent {
		return f.once(ctx, silentTimeout, owed)
	}
	answering, giveUp := context.WithCancel(ctx)
	watch := task.Start(answering, func(ctx context.Context) error {
		for !f.silent(ctx) {
			if err := f.m.clk.Sleep(ctx, silentPoll); err != nil {
				return err
			}
		}
		giveUp()
		return nil
	})
	defer watch.Stop()
	defer giveUp()
	debt := f.answering(answering)
	if debt == unfenced && f.silent(answering) { // at once, where that was given up
		return owed
	}
	return debt
}

// answering tries the guest agent first, then the link (guests by ssh: a reset). A
// target that the network does not reach has nothing to lose by its link, which
// is the quicker fence.
func (f *fence) answering(ctx context.Context) fenceDebt {
	if f.p.dead && f.off(ctx, agentTimeout) {
		return noDebt
	}
	if f.p.unreached && !f.p.mute && !f.m.opt.Settings.Guest.BySSH() && f.try(ctx, muteTimeout, "link", f.cut) {
		return linkDown
	}
	if !f.p.agentSilent && f.try(ctx, agentTimeout, "agent", f.strip) {
		return noDebt
	}
	if f.p.mute {
		return f.once(ctx, muteTimeout, unfenced)
	}
	return f.once(ctx, cluster.CallLimit, unfenced)
}

// once is run where nobody has answered who could do it: everything at the same
// time and not for long, since the clients wait. otherwise is what is owed after that.
func (f *fence) once(ctx context.Context, limit time.Duration, otherwise fenceDebt) fenceDebt {
	other := *f
	state := task.Start(ctx, func(ctx context.Context) error {
		if !other.off(ctx, limit) {
			return cluster.ErrHostSilent
		}
		return nil
	})
	debt := f.force(ctx, limit)
	switch {
	case debt != unfenced:
		state.Stop()
		return debt
	case state.Wait(ctx) == nil:
		f.means = other.means
		return noDebt
	}
	return otherwise
}

// force is the fence that needs no agent.
func (f *fence) force(ctx context.Context, timeout time.Duration) fenceDebt {
	if f.m.opt.Settings.Guest.BySSH() {
		if f.try(ctx, timeout, "reset", f.reset) {
			return noDebt
		}
	} else if f.try(ctx, timeout, "link", f.cut) {
		return linkDown
	}
	return unfenced
}

// silent reports whether neither the real server nor its hypervisor nor the
// target answers.
func (f *fence) silent(ctx context.Context) bool {
	ctx, cancel := f.m.clk.Timeout(ctx, f.m.set.PingTimeout.D())
	defer cancel()
	looks := []func() error{
		func() error { return f.m.fleet.Ping(ctx, f.g.IP) },
		func() error { _, err := f.m.fleet.GuestState(ctx, f.g); return err },
	}
	if f.g.Real.IsValid() {
		looks = append(looks, func() error { return f.m.fleet.Ping(ctx, f.g.Real) })
	}
	answers := make(chan error, len(looks))
	for _, look := range looks {
		go func() { answers <- look() }()
	}
	for range looks {
		if <-answers == nil {
			return false
		}
	}
	return true
}

func (f *fence) try(ctx context.Context, timeout time.Duration, means string, do func(context.Context) error) bool {
	ctx, cancel := f.m.clk.Timeout(ctx, timeout)
	defer cancel()
	f.means = means
	return do(ctx) == nil
}

// off: a server that does not run holds nothing, and has nothing when it boots.
func (f *fence) off(ctx context.Context, timeout time.Duration) bool {
	return f.try(ctx, timeout, "hypervisor", func(ctx context.Context) error {
		st, err := f.m.fleet.GuestState(ctx, f.g)
		if err == nil && !st.Dead() {
			err = cluster.ErrNoAnswer
		}
		return err
	})
}

// strip takes off what the target is named for while it asks what else it has.
func (f *fence) strip(ctx context.Context) error {
	off := task.Start(ctx, func(ctx context.Context) error { return f.m.takeOff(ctx, f.g, f.named) })
	defer off.Stop()
	has, err := f.m.fleet.Addrs(ctx, f.g)
	if err = errors.Join(err, off.Wait(ctx)); err != nil {
		return err
	}
	return f.m.takeOff(ctx, f.g, without(common(has, f.vips), f.named))
}

func (f *fence) reset(ctx context.Context) error { return f.m.fleet.Reset(ctx, f.g) }
func (f *fence) cut(ctx context.Context) error   { return f.m.fleet.SetLink(ctx, f.g, false) }

// owes reports whether the old holder may still come back with its VIPs.
func (d *debts) owes() bool {
	debt := d.debt.Load()
	return debt == owed || debt == unfenced
}
