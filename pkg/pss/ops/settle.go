package ops

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"pss-msbs/pkg/cluster"
)

// Astray lists the VIPs whose holder is not the server that the operation file
// names, as far as the network tells: servers that do not answer for their own
// address are their monitors' business, and VIPs in separation their owner's.
func (h *Ops) Astray(ctx context.Context, t cluster.Tables) []netip.Addr {
	ctx, cancel := h.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	var mu sync.Mutex
	var out []netip.Addr
	var all sync.WaitGroup
	for _, r := range t.Operation {
		if t.Separation.HasVIP(r.VIP) {
			continue
		}
		all.Go(func() {
			macs, err := h.whoHave(ctx, r.VIP, r.IP)
			if err == nil && len(macs[1]) > 0 && !sameHolder(macs[0], macs[1]) {
				mu.Lock()
				defer mu.Unlock()
				out = append(out, r.VIP)
			}
		})
	}
	all.Wait()
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

func sameHolder(vip, own []cluster.MAC) bool { return len(vip) == 1 && slices.Equal(vip, own) }

// Settle makes reality follow the operation row of vip: under the lock it asks
// again, strips whoever of known else answers for it and puts it back. It tells
// whether there was anything to mend. What is marked stays so: a server that does not
// answer for vip may have it.
func (h *Ops) Settle(ctx context.Context, vip netip.Addr, known []cluster.Guest) (bool, error) {
	held, err := h.Files.Hold(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot mend %v: %w", vip, err)
	}
	defer held.Close()
	ctx, cancel := h.Clock.Timeout(ctx, lockTime)
	defer cancel()
	t := held.Tables()
	_, marked := h.Moving.Get(vip)
	row, ok := t.Holder(vip)
	if !ok || t.Separation.HasVIP(vip) {
		return false, nil
	}
	macs, err := h.whoHave(ctx, vip, row.IP)
	if err != nil || len(macs[1]) == 0 || sameHolder(macs[0], macs[1]) {
		return false, err
	}
	strays, err := h.strays(ctx, known, row, macs[0], macs[1])
	if err == nil {
		err = h.put(ctx, t, vip, strays, row.Guest(), macs)
	}
	if err != nil {
		return false, fmt.Errorf("cannot mend %v: %w", vip, err)
	}
	if !marked {
		h.moved(vip)
	}
	h.Log.Warn().Stringer("vip", vip).Str("on", row.Host).Strs("off", hosts(strays)).Msg("mended: VIP put where the files have it")
	return true, nil
}

func hosts(guests []cluster.Guest) []string {
	out := []string{}
	for _, g := range guests {
		out = append(out, g.Host)
	}
	return out
}

// strays are the servers, other than the row's own, that answer for its VIP
// with one of macs; own are those of the row's own.
func (h *Ops) strays(ctx context.Context, known []cluster.Guest, row cluster.ServerRow, macs, own []cluster.MAC) ([]cluster.Guest, error) {
	others := slices.DeleteFunc(slices.Clone(known), func(g cluster.Guest) bool { return g.Host == row.Host })
	out := h.atMACs(ctx, others, macs)
	strangers := slices.ContainsFunc(macs, func(m cluster.MAC) bool { return !slices.Contains(own, m) })
	if strangers && len(out) == 0 {
		return nil, fmt.Errorf("it is held by %v, which is no server of this system", macs)
	}
	return out, nil
}

// Known lists the guests that may hold a VIP, where they are: those of the
// three files, the backups, and spares wherever they run.
func (h *Ops) Known(ctx context.Context, t cluster.Tables) []cluster.Guest {
	var out []cluster.Guest
	add := func(g cluster.Guest) {
		if !slices.ContainsFunc(out, func(o cluster.Guest) bool { return o.Host == g.Host }) {
			out = append(out, g)
		}
	}
	for _, g := range slices.Concat(t.Operation, t.Separation, t.AccessStop).Guests() {
		add(g)
	}
	for _, s := range h.Data().Servers {
		if s.Backup != "" {
			add(cluster.Guest{Host: s.Backup, IP: s.BackupIP, Real: h.Settings.Management.IP})
		}
	}
	placed, _ := h.Placed(ctx, t) // a real server that does not say has its own monitor
	for _, s := range t.Spares {
		if p, ok := placed[s.Host]; ok {
			add(cluster.Guest{Host: s.Host, IP: s.IP, Real: p.Real})
		}
	}
	return out
}

// Place is where a guest runs, and how.
type Place struct {
	Real  netip.Addr
	State cluster.GuestState
}

// Placed asks every real server that is not asleep which guests are up on it,
// those too that their dsrs has taken out of the files: cut off, they may run
// what they ran. The error joins those of real servers that did not say.
func (h *Ops) Placed(ctx context.Context, t cluster.Tables) (map[string]Place, error) {
	ctx, cancel := h.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	out := map[string]Place{}
	var mu sync.Mutex
	var errs error
	var all sync.WaitGroup
	for _, real := range h.awake(t) {
		all.Go(func() {
			guests, err := h.Fleet.Guests(ctx, real)
			mu.Lock()
			defer mu.Unlock()
			errs = errors.Join(errs, err)
			for _, g := range guests {
				if g.State != cluster.GuestSaved && !g.State.Dead() {
					out[g.Host] = Place{real, g.State}
				}
			}
		})
	}
	all.Wait()
	return out, errs
}

// awake are the real servers that may run something.
func (h *Ops) awake(t cluster.Tables) []netip.Addr {
	out := t.Real.IPs()
	for _, d := range h.Data().Reals {
		if !t.IsAsleep(d.IP) && !slices.Contains(out, d.IP) {
			out = append(out, d.IP)
		}
	}
	return out
}
