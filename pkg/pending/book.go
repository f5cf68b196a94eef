// Package pending keeps account of the VIPs that a server may have, or still get,
// by a command whose outcome is not known (cluster.ErrUnknown), and is the one
// place where such an outcome is settled: until then the VIP is given to no other
// server.
//
// A guest begins what it is told in turn, and ends each change of its addresses
// within cluster.AddressLimit. So once it has answered anything after the command,
// a list of its addresses that is asked for AddressLimit later is the whole truth.
// Until then a VIP is not off a server because it was taken off, nor because
// nobody answers for it. A server that is cut off, does not run, or was proved to
// be out of reach has the VIP in nobody's way, and is settled when it is back.
package pending

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
)

// ErrPending says that a server may still get a VIP.
var ErrPending = cluster.Unknown(errors.New("the outcome of a command is not known yet"))

// Guests are the servers; every fleet driver is one.
type Guests interface {
	Ping(ctx context.Context, ip netip.Addr) error
	GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error)
	Start(ctx context.Context, g cluster.Guest) error
	Resume(ctx context.Context, g cluster.Guest) error
	Pause(ctx context.Context, g cluster.Guest) error
	Save(ctx context.Context, g cluster.Guest) error
	Restore(ctx context.Context, g cluster.Guest) error
	Reset(ctx context.Context, g cluster.Guest) error
	Destroy(ctx context.Context, g cluster.Guest) error
	SetLink(ctx context.Context, g cluster.Guest, up bool) error
	Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error)
	AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error
	DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error
}

// Book is the servers, with the account. The methods that it has of Guests do what
// those do, but for what is said of each.
type Book struct {
	on  Guests
	clk clock.Clock

	mu     sync.Mutex
	open   map[key]*entry
	jobs   map[string]*entry // of hypervisors, by host
	marks  map[key]time.Time // the last command of another program that was entered
	cut    map[string]bool   // hosts without link
	silent map[string]bool   // hosts that were proved to be out of reach, and not heard since
}

type key struct {
	host string
	vip  netip.Addr
}

// entry is a command that may still come true, until AddressLimit after the first
// answer to a later question.
type entry struct {
	guest cluster.Guest
	since time.Time // later questions count
	heard time.Time // the first answer to one; zero: none yet
}

// hear notes an answer to a question of that time, and reports whether nothing can
// come true any more that the answer does not tell of.
func (e *entry) hear(asked, now time.Time) bool {
	switch {
	case asked.Before(e.since):
		return false
	case e.heard.IsZero():
		e.heard = now
	}
	return !asked.Before(e.heard.Add(cluster.AddressLimit))
}

// New is an account of nothing yet.
func New(on Guests, clk clock.Clock) *Book {
	return &Book{on: on, clk: clk, open: map[key]*entry{}, jobs: map[string]*entry{}, marks: map[key]time.Time{}, cut: map[string]bool{}, silent: map[string]bool{}}
}

// Expect enters that g may get vip by a command that another program gave at that
// time, and reports whether that is so still. Of the same command it need be told but once.
func (b *Book) Expect(g cluster.Guest, vip netip.Addr, given time.Time) (open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := key{g.Host, vip}
	if was, known := b.marks[k]; !known || !was.Equal(given) {
		b.marks[k] = given
		b.open[k] = &entry{guest: g, since: b.clk.Now()}
	}
	return b.open[k] != nil
}

// Told is that what Expect would be told is known: this program gives the command.
func (b *Book) Told(g cluster.Guest, vip netip.Addr, given time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.marks[key{g.Host, vip}] = given
}

// Excuse is for a server that was proved to be out of reach: until it is heard
// again it keeps no other from its VIPs.
func (b *Book) Excuse(g cluster.Guest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent[g.Host] = true
}

// voided forgets g: what boots has no VIP, and none of what it was told before.
func (b *Book) voided(g cluster.Guest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.open {
		if k.host == g.Host {
			delete(b.open, k)
		}
	}
	delete(b.silent, g.Host)
}

// Reset implements Guests.
func (b *Book) Reset(ctx context.Context, g cluster.Guest) error {
	err := b.job(ctx, g, b.on.Reset(ctx, g))
	if err == nil {
		b.voided(g)
	}
	return err
}

// Destroy implements Guests.
func (b *Book) Destroy(ctx context.Context, g cluster.Guest) error {
	err := b.job(ctx, g, b.on.Destroy(ctx, g))
	if err == nil {
		b.voided(g)
		b.linked(g, true)
	}
	return err
}

// SetLink implements Guests.
func (b *Book) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	if up {
		b.linked(g, true)
		return b.on.SetLink(ctx, g, true)
	}
	err := b.job(ctx, g, b.on.SetLink(ctx, g, false))
	if err == nil {
		b.linked(g, false)
	}
	return err
}

func (b *Book) linked(g cluster.Guest, up bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if delete(b.cut, g.Host); !up {
		b.cut[g.Host] = true
	}
}

// IsCut reports whether g was cut off by this program.
func (b *Book) IsCut(g cluster.Guest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cut[g.Host]
}

// Addrs lists what g has, and the VIPs that it may still get.
func (b *Book) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	asked := b.clk.Now()
	has, err := b.on.Addrs(ctx, g)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.silent, g.Host)
	for k, e := range b.open {
		switch {
		case k.host != g.Host:
		case e.hear(asked, b.clk.Now()):
			delete(b.open, k)
		case !slices.Contains(has, k.vip):
			has = append(has, k.vip)
		}
	}
	return has, nil
}

// AddVIP gives vip to g, unless another server may have it or get it, or g may yet
// be paused, destroyed or cut off.
func (b *Book) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	if err := b.Quiet(ctx, g); err != nil {
		return fmt.Errorf("cannot give %v to %s: %w", vip, g.Host, err)
	}
	if err := b.Free(ctx, g, vip); err != nil {
		return err
	}
	err := b.on.AddVIP(ctx, g, vip)
	if isUnknown(ctx, err) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.open[key{g.Host, vip}] = &entry{guest: g, since: b.clk.Now()}
	}
	return err
}

// isUnknown reports whether a command that ended with err may have an effect yet.
func isUnknown(ctx context.Context, err error) bool {
	return err != nil && (errors.Is(err, cluster.ErrUnknown) || ctx.Err() != nil)
}

// Free is nil once no server beside g may have vip by a late command, or get it. It
// waits for that for some seconds.
func (b *Book) Free(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	for _, o := range b.others(g, vip) {
		if err := b.Lacks(ctx, o, vip); err != nil {
			return fmt.Errorf("cannot give %v to %s: %w", vip, g.Host, err)
		}
	}
	return nil
}

// others are the servers beside g that may have vip or get it, and would answer.
func (b *Book) others(g cluster.Guest, vip netip.Addr) []cluster.Guest {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []cluster.Guest
	for k, e := range b.open {
		if k.vip == vip && k.host != g.Host && !b.cut[k.host] && !b.silent[k.host] {
			out = append(out, e.guest)
		}
	}
	return out
}

// DelVIP takes vip off g. It returns nil once no older command can bring it back,
// and ErrPending where ctx does not leave the time to wait for that.
func (b *Book) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	asked := b.clk.Now()
	if err := b.on.DelVIP(ctx, g, vip); err != nil {
		return err
	}
	b.off(g, vip, asked)
	waited, err := b.outlast(ctx, g, vip)
	if err != nil || !waited {
		return err
	}
	has, err := b.Settle(ctx, g, vip)
	if err == nil && has { // for the last time
		err = b.on.DelVIP(ctx, g, vip)
	}
	return err
}

// off notes that vip was taken off g by a command that was given at that time.
func (b *Book) off(g cluster.Guest, vip netip.Addr, asked time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.silent, g.Host)
	k := key{g.Host, vip}
	if e := b.open[k]; e != nil && e.hear(asked, b.clk.Now()) {
		delete(b.open, k)
	}
}

// outlast waits until what may come late has come; it reports whether there was
// anything to wait for.
func (b *Book) outlast(ctx context.Context, g cluster.Guest, vip netip.Addr) (waited bool, err error) {
	wait, open := b.left(g, vip)
	if !open {
		return false, nil
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= b.clk.Wall(wait) {
		return false, fmt.Errorf("cannot tell whether %s gets %v: %w", g.Host, vip, ErrPending)
	}
	return true, b.clk.Sleep(ctx, wait)
}

// left is for how long vip may still come to g.
func (b *Book) left(g cluster.Guest, vip netip.Addr) (wait time.Duration, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.open[key{g.Host, vip}]
	switch {
	case e == nil:
		return 0, false
	case e.heard.IsZero():
		return 0, true
	}
	return max(0, cluster.AddressLimit-b.clk.Since(e.heard)), true
}

// Settle tells, once that is certain, whether g has vip. One that does not run has
// none, unless it may get it as soon as it does.
func (b *Book) Settle(ctx context.Context, g cluster.Guest, vip netip.Addr) (has bool, err error) {
	for waited := true; waited; {
		list, err := b.Addrs(ctx, g)
		if err != nil && b.without(ctx, g, vip) {
			return false, nil
		}
		if err == nil {
			waited, err = b.outlast(ctx, g, vip)
		}
		if err != nil {
			return false, err
		}
		has = slices.Contains(list, vip)
	}
	return has, nil
}

// without reports of a server that does not answer whether it surely has not vip.
func (b *Book) without(ctx context.Context, g cluster.Guest, vip netip.Addr) bool {
	switch b.look(ctx, g) {
	case gone:
		b.voided(g)
		return true
	case rests: // it was stripped before
		_, open := b.left(g, vip)
		return !open
	}
	return false
}

// lacksTime bounds the wait of who gives a VIP to one server for another.
const lacksTime = cluster.AddressLimit + time.Second

// Lacks is nil once it is certain that g does not answer for vip, and will not:
// it has it not, or does not run, or is out of reach. Whoever has a server run on,
// or hears it again, takes off what it must not have.
func (b *Book) Lacks(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	if b.look(ctx, g) != runs {
		return nil
	}
	ctx, cancel := b.clk.Timeout(ctx, lacksTime)
	defer cancel()
	has, err := b.Settle(ctx, g, vip)
	if err == nil && has {
		err = fmt.Errorf("%s has it", g.Host)
	}
	return err
}
