package ops

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// mark notes, under the lock, that VIPs are about to be moved. One that an earlier
// move may still bring to a server that runs is not.
func (h *Ops) mark(ctx context.Context, vips ...netip.Addr) error {
	var marks []ipc.Move
	for _, vip := range vips {
		old, _ := h.Moving.Get(vip)
		on, err := h.still(ctx, old)
		if err != nil {
			return err
		}
		marks = append(marks, ipc.Move{VIP: vip, On: on, Given: h.Clock.Now()})
	}
	return h.Moving.Add(marks...)
}

// still are the servers of a mark that have its VIP, or may when they run on.
func (h *Ops) still(ctx context.Context, m ipc.Move) (on []cluster.Guest, err error) {
	for _, g := range m.On {
		h.Fleet.Expect(g, m.VIP, m.Given)
		has := h.Fleet.IsCut(g) || h.Fleet.Rests(ctx, g)
		if !has {
			if has, err = h.Fleet.Settle(ctx, g, m.VIP); err != nil {
				return nil, fmt.Errorf("%s may still get %v: %w", g.Host, m.VIP, err)
			}
		}
		if has {
			on = append(on, g)
		}
	}
	return on, nil
}

// give gives a marked VIP to g, which the mark names from then on.
func (h *Ops) give(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	m, _ := h.Moving.Get(vip)
	m.VIP, m.Given = vip, h.Clock.Now()
	m.On = append(slices.DeleteFunc(m.On, func(o cluster.Guest) bool { return o.Host == g.Host }), g)
	for _, o := range m.On {
		h.Fleet.Told(o, vip, m.Given)
	}
	if err := h.Moving.Add(m); err != nil {
		return err
	}
	return h.Fleet.AddVIP(ctx, g, vip)
}

// given reports whether the mark of vip names g: a pss has begun to give it vip.
func (h *Ops) given(g cluster.Guest, vip netip.Addr) bool {
	m, _ := h.Moving.Get(vip)
	return m.Names(g.Host)
}

// giveUp destroys what serves nothing and has said nothing since it was given a VIP,
// for as long as a server must that counts as frozen, on a real server with time to
// spare. Nobody else looks after it, and others wait for what it has.
func (h *Ops) giveUp(ctx context.Context, t cluster.Tables, m ipc.Move) error {
	if h.Clock.Since(m.Given) < h.Settings.DBSS.FreezeDeadline.D() {
		return nil
	}
	var errs []error
	for _, g := range m.On {
		if t.Serves(g.Host) {
			continue
		}
		if err := h.speaks(ctx, g); err != nil && h.discardable(ctx, g) == nil {
			h.Log.Warn().Str("server", g.Host).Stringer("vip", m.VIP).Err(err).Msg("server that may still get a VIP destroyed")
			errs = append(errs, h.Discard(ctx, g))
		}
	}
	return errors.Join(errs...)
}

// speaks is nil where the agent of g answers.
func (h *Ops) speaks(ctx context.Context, g cluster.Guest) error {
	ctx, cancel := h.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	_, err := h.Fleet.Addrs(ctx, g)
	return err
}

// settled is nil once it is known of every server of a mark whether it has the VIP.
func (h *Ops) settled(ctx context.Context, m ipc.Move) error {
	errs := make([]error, len(m.On))
	var all sync.WaitGroup
	for i, g := range m.On {
		h.Fleet.Expect(g, m.VIP, m.Given)
		all.Go(func() {
			if _, err := h.Fleet.Settle(ctx, g, m.VIP); err != nil {
				errs[i] = fmt.Errorf("%s may still get %v: %w", g.Host, m.VIP, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// moved takes the marks of VIPs off that are where the files say; one that stays
// is looked at in the next cycle.
func (h *Ops) moved(vips ...netip.Addr) {
	if err := h.Moving.Remove(vips...); err != nil {
		h.Log.Warn().Err(err).Msg("mark of a moved VIP stays")
	}
}

// finishTime bounds the wait for the servers of a mark.
const finishTime = 2 * cluster.AddressLimit

// finishAll ends moves that could neither be done nor undone under the lock, as
// far as that is possible at once; the next cycle looks at the others.
func (h *Ops) finishAll(ctx context.Context, t cluster.Tables, vips []netip.Addr) {
	for _, vip := range vips {
		if m, marked := h.Moving.Get(vip); marked && ctx.Err() == nil {
			_, _ = h.Finish(ctx, t, m)
		}
	}
}

// Finish ends a move that pss was killed in, or that it could not end: it waits
// until no server of its mark can get the VIP late any more, puts the VIP where the
// files have it, and takes the mark off. It reports whether there was anything to mend.
func (h *Ops) Finish(ctx context.Context, t cluster.Tables, m ipc.Move) (mended bool, err error) {
	if mended, err = h.finish(ctx, t, m); err != nil {
		err = fmt.Errorf("cannot end the move of %v: %w", m.VIP, err)
	}
	return mended, err
}

func (h *Ops) finish(ctx context.Context, t cluster.Tables, m ipc.Move) (mended bool, err error) {
	for _, g := range m.On {
		if h.Fleet.Away(ctx, g) {
			return false, fmt.Errorf("%s may get it once its real server is back", g.Host)
		}
	}
	known := h.Known(ctx, t) // not under the lock: a real server may be slow to say
	for i, g := range m.On {
		if n := slices.IndexFunc(known, func(k cluster.Guest) bool { return k.Host == g.Host }); n >= 0 {
			m.On[i] = known[n] // where it is by now
		}
	}
	short, cancel := h.Clock.Timeout(ctx, finishTime)
	defer cancel()
	if err := h.settled(short, m); err != nil {
		return false, errors.Join(err, h.giveUp(ctx, t, m))
	}
	if mended, err = h.Settle(ctx, m.VIP, known); err != nil {
		return false, err
	}
	m, _ = h.Moving.Get(m.VIP) // Settle may have given it
	off, err := h.Unmark(ctx, m, known)
	return mended || len(off) > 0, err
}
