package ops

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
)

// Take gives a VIP that stands only in separation, and is pss's, to a server of
// its group. Its monitor has fenced the server that failed, so nobody may
// answer for it; somebody who does makes Take fail.
func (h *Ops) Take(ctx context.Context, group string, vip netip.Addr, to cluster.Guest, ready *Ready) error {
	begun := h.Clock.Now()
	if err := ready.Wait(ctx); err != nil {
		return fmt.Errorf("cannot give %v to %s: %w", vip, to.Host, err)
	}
	held, err := h.Rescue.Hold(ctx)
	if err != nil {
		return fmt.Errorf("cannot give %v to %s: %w", vip, to.Host, err)
	}
	defer held.Close()
	if err := h.take(ctx, held, vip, to); err != nil {
		return fmt.Errorf("cannot give %v to %s: %w", vip, to.Host, err)
	}
	h.Log.Warn().Str("group", group).Stringer("vip", vip).Str("to", to.Host).
		Stringer("took", h.Took(begun)).Msg("VIP taken from a failed server")
	return nil
}

// Retire throws away a spare that failed and ends its monitor; it is created
// anew.
func (h *Ops) Retire(ctx context.Context, s cluster.SpareRow, t cluster.Tables) error {
	if err := h.idle(ctx, s.Host); err != nil {
		return fmt.Errorf("cannot retire spare %s: %w", s.Host, err)
	}
	placed, err := h.Placed(ctx, t)
	p, found := placed[s.Host]
	if found || err == nil { // else its dbss strips it once its real server answers
		err = h.Monitors.Stop(ctx, s.Host)
	}
	if !found && err == nil {
		p, found, err = h.comesUp(ctx, s.Host, t)
	}
	if found && err == nil {
		err = h.Discard(ctx, cluster.Guest{Host: s.Host, IP: s.IP, Real: p.Real})
	}
	if err == nil {
		err = h.forget(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("cannot retire spare %s: %w", s.Host, err)
	}
	h.Log.Warn().Str("spare", s.Host).Msg("failed spare server thrown away")
	return nil
}

// comesUp reports where a spare runs after all, whose monitor has just ended: what
// that told a hypervisor may come true a little later.
func (h *Ops) comesUp(ctx context.Context, host string, t cluster.Tables) (p Place, found bool, err error) {
	for ended := h.Clock.Now(); ; {
		asked := h.Clock.Now()
		placed, err := h.Placed(ctx, t)
		if p, found := placed[host]; found || err != nil || asked.Sub(ended) >= cluster.AddressLimit {
			return p, found, err
		}
		if err := h.Clock.Sleep(ctx, comesGap); err != nil {
			return Place{}, false, err
		}
	}
}

// comesGap is how often hypervisors are asked for what may come up.
const comesGap = 500 * time.Millisecond

// forget takes a spare that stands in no trouble out of the set of those whose
// VIPs are pss's, under the lock as every change of the set.
func (h *Ops) forget(ctx context.Context, s cluster.SpareRow) error {
	held, err := h.Files.Hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	if held.Tables().Separation.Has(s.Host) {
		return edits.ErrRecovery
	}
	return h.Forget(s.Host)
}
