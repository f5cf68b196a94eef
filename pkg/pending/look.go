package pending

import (
	"context"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
)

// presence is what is known of a server that does not obey.
type presence int

const (
	runs  presence = iota // or may
	rests                 // paused or saved: it keeps what it has
	away                  // out of reach: the network does not reach its real server, nor the hypervisor
	gone                  // off, or it boots: it has no VIP
)

// The look at a server: how long it may take, how often it is pinged, and how late this
// program may be at that.
const (
	lookTime = 500 * time.Millisecond
	lookGap  = 150 * time.Millisecond
	lookLate = 100 * time.Millisecond
)

// look asks the hypervisor, and the network where that is silent. A guest that has
// lost its agent seems to boot, and answers pings. What a program does not hear that
// is held up itself proves nothing.
func (b *Book) look(ctx context.Context, g cluster.Guest) presence {
	ctx, cancel := b.clk.Timeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	guest, real, held := b.pinged(ctx, g.IP), b.pinged(ctx, g.Real), b.heldUp(ctx)
	state, err := b.GuestState(ctx, g)
	switch {
	case err != nil && !<-guest && !<-real && !<-held:
		return away
	case state == cluster.GuestPaused, state == cluster.GuestSaved:
		return rests
	case err == nil && state.Dead(), state == cluster.GuestBooting && !<-guest:
		return gone
	}
	return runs
}

// Away reports whether g is out of reach, which then is its excuse.
func (b *Book) Away(ctx context.Context, g cluster.Guest) bool {
	is := b.look(ctx, g) == away
	if is {
		b.Excuse(g)
	}
	return is
}

// Rests reports whether g is out of reach, paused or saved: what it has is in nobody's
// way for now.
func (b *Book) Rests(ctx context.Context, g cluster.Guest) bool {
	is := b.look(ctx, g)
	return is == rests || is == away
}

// Gone reports whether g has no VIP, for it is off, or boots.
func (b *Book) Gone(ctx context.Context, g cluster.Guest) bool { return b.look(ctx, g) == gone }

// unheard reports whether nobody answers at a real server.
func (b *Book) unheard(ctx context.Context, real netip.Addr) bool {
	ctx, cancel := b.clk.Timeout(ctx, lookTime)
	defer cancel()
	held := b.heldUp(ctx)
	return !<-b.pinged(ctx, real) && !<-held
}

// heldUp reports, when ctx ends, whether this program was late meanwhile: it was
// stopped, or got too little processor.
func (b *Book) heldUp(ctx context.Context) <-chan bool {
	held := make(chan bool, 1)
	go func() {
		late, is := lookGap+max(lookLate, b.clk.Emulated(lookLate)), false
		for ctx.Err() == nil {
			at := b.clk.Now()
			_ = b.clk.Sleep(ctx, lookGap)
			is = is || b.clk.Since(at) > late
		}
		held <- is
	}()
	return held
}

// pinged reports whether ip answers before ctx ends.
func (b *Book) pinged(ctx context.Context, ip netip.Addr) <-chan bool {
	answers := make(chan bool, 1)
	go func() {
		for b.on.Ping(ctx, ip) != nil {
			if b.clk.Sleep(ctx, lookGap) != nil {
				answers <- false
				return
			}
		}
		answers <- true
	}()
	return answers
}
