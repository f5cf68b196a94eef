package dbss

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// fenceDebt is what a fence still owes.
type fenceDebt string

const (
	noDebt   fenceDebt = "none"
	linkDown fenceDebt = "link down"   // it is to be raised again once the VIPs are stripped
	owed     fenceDebt = "host silent" // the VIPs are to be stripped when the host returns
)

// hostSilentTimeout bounds the attempts to fence behind a host that has been
// silent throughout the re-examination.
const hostSilentTimeout = 500 * time.Millisecond

// startFence makes sure, beside the takeover's other work, that the target
// cannot answer for its VIPs any more.
func (m *Monitor) startFence(ctx context.Context) {
	m.fencing.stop()
	f := fence{m: m, g: m.target(), vips: slices.Clone(m.view.all), p: m.trouble.proof}
	m.fencing = startTask(ctx, func(ctx context.Context) error {
		debt := f.run(ctx)
		m.debt.Store(debt)
		if debt == owed {
			m.log.Warn().Msg(MsgFenceOwed)
		} else {
			m.log.Info().Str("by", f.means).Msg(MsgFenced)
		}
		return nil
	})
}

// fence cuts the old holder off without destroying evidence or a boot under way.
type fence struct {
	m     *Monitor
	g     cluster.Guest
	vips  []netip.Addr // all VIPs of the system: it may have more than it is named for
	p     proof
	means string
}

// run tries the guest agent first, then the link (guests by ssh: a reset).
func (f *fence) run(ctx context.Context) fenceDebt {
	timeout := callTimeout
	if f.p.hostSilent {
		timeout = hostSilentTimeout
	}
	if f.p.dead && f.off(ctx, timeout) {
		return noDebt
	}
	if !f.p.agentDumb && f.try(ctx, timeout, "agent", f.strip) {
		return noDebt
	}
	if f.m.opt.Settings.Guest.Method == "ssh" {
		if f.try(ctx, timeout, "reset", f.reset) {
			return noDebt
		}
	} else if f.try(ctx, timeout, "link", f.cut) {
		return linkDown
	}
	if f.off(ctx, timeout) {
		return noDebt
	}
	return owed
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

func (f *fence) strip(ctx context.Context) error { return f.m.strip(ctx, f.g, f.vips) }
func (f *fence) reset(ctx context.Context) error { return f.m.fleet.Reset(ctx, f.g) }
func (f *fence) cut(ctx context.Context) error   { return f.m.fleet.SetLink(ctx, f.g, false) }

// owes tells whether the old holder may still come back with its VIPs.
func (m *Monitor) owes() bool { return m.debt.Load() == owed }
