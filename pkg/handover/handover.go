package handover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
)

// Leg is the way of one VIP. Nobody may answer for it but those that it is taken
// from and its receiver.
type Leg struct {
	VIP     netip.Addr
	From    []cluster.Guest
	To      cluster.Guest
	Returns bool // its one giver gets it back where the handover is undone
}

// from names the givers.
func (l Leg) from() string {
	var out []string
	for _, g := range l.From {
		out = append(out, g.Host)
	}
	return strings.Join(out, ", ")
}

// Rows are the rows that a handover ends with, and the lock over them.
type Rows interface {
	// Commit makes the rows follow. An error that is cluster.ErrUnknown leaves open
	// whether it did.
	Commit(ctx context.Context) error
	// Look reports whether the rows have followed.
	Look(ctx context.Context) bool
	// Hold takes the lock again. It returns which VIPs each giver serves by the
	// rows, and whether those stand as after the handover.
	Hold(ctx context.Context) (serves []netip.Addr, done bool, err error)
	// Lost reports whether the lock is no longer held.
	Lost() bool
	// Whole is ctx that ends with the hold.
	Whole(ctx context.Context) (context.Context, context.CancelFunc)
}

// Acts is what is done for each leg. Off and LetGo are done once the server will
// not answer for the VIP any more, whether it obeyed or not.
type Acts interface {
	Fit(ctx context.Context, l Leg) error        // with no address changed yet: can the receiver get it?
	Begin(ctx context.Context, legs []Leg) error // before the first address is changed
	Off(ctx context.Context, l Leg) error        // off the giver
	On(ctx context.Context, l Leg) error         // on the receiver
	LetGo(ctx context.Context, l Leg) error      // off the receiver, as it is undone
	Return(ctx context.Context, l Leg) error     // on the giver again
}

// Network says who answers for an address.
type Network interface {
	WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error)
}

// Answers are who answers for which address.
type Answers map[netip.Addr][]cluster.MAC

// Handover is one change of servers.
type Handover struct {
	Network Network
	Clock   clock.Clock
	Legs    []Leg
	Waves   []Set // nil: all at once
	Rows    Rows
	Acts    Acts
	Undo    time.Duration // emulated, for each of the two steps back
	Keeps   bool          // the rows name the receivers already: what was done stays, whatever fails
	Asked   Answers       // what is known already of who answers, under the same hold

	state State
	macs  Answers
	errs  []error // what failed, the first of which is why it is undone
}

// verifies is how often it is asked who answers for a VIP, verifyGap apart.
const (
	verifies  = 3
	verifyGap = 100 * time.Millisecond
)

// ErrNotUndone says that not all could be undone.
var ErrNotUndone = errors.New("cannot undo")

// Run does it all or, undone, nothing. The error says why it was undone, and
// joins what could not be.
func (h *Handover) Run(ctx context.Context) error {
	h.begin()
	for !h.state.Stage.Over() {
		h.step(ctx)
	}
	return h.result()
}

// Advance goes on until the rows are to follow, or all is over; it reports which.
func (h *Handover) Advance(ctx context.Context) (commit bool, err error) {
	h.begin()
	for h.state.Stage != Commit && !h.state.Stage.Over() {
		h.step(ctx)
	}
	return h.state.Stage == Commit, h.result()
}

// Committed ends a handover whose rows were to follow and did, or not, which err says.
func (h *Handover) Committed(ctx context.Context, err error) error {
	h.commit(err)
	for !h.state.Stage.Over() {
		h.step(ctx)
	}
	return h.result()
}

func (h *Handover) begin() {
	h.errs = nil
	if n := len(h.Legs); n > Most {
		h.fail(fmt.Errorf("cannot move %d VIPs at once: at most %d", n, Most))
		h.state.Stage = Undone
		return
	}
	h.state, h.macs = h.shape().Begin(), maps.Clone(h.Asked)
}

func (h *Handover) shape() Shape {
	s := Shape{Waves: h.Waves, Keeps: h.Keeps}
	var all Set
	for i, l := range h.Legs {
		all = all.With(One(i))
		if l.Returns {
			s.Returns = s.Returns.With(One(i))
		}
	}
	if s.Waves == nil && !all.Empty() {
		s.Waves = []Set{all}
	}
	return s
}

func (h *Handover) result() error {
	if len(h.errs) == 0 || h.state.Stage == Done {
		return nil
	}
	return errors.Join(h.errs...)
}

// step does the next stage.
func (h *Handover) step(ctx context.Context) {
	s := h.shape()
	if stage := h.state.Stage; !h.state.Lost && (stage.Forward() || stage == LetGo || stage == Return) && h.Rows.Lost() {
		if stage.Forward() {
			h.fail(errors.New("the lock was lost"))
		}
		h.state = s.Lose(h.state)
		return
	}
	vips := s.VIPs(h.state)
	var o Outcome
	switch h.state.Stage {
	case Ask:
		o.Failed = h.ask(ctx, vips)
	case Off:
		o.Failed = h.each(vips, func(l Leg) error { return h.do(ctx, l, "take %v off %s", l.from(), h.Acts.Off) })
	case On:
		o.Failed = h.each(vips, func(l Leg) error { return h.do(ctx, l, "put %v on %s", l.To.Host, h.Acts.On) })
	case Verify:
		o.Failed = h.each(vips, func(l Leg) error { return h.verify(ctx, l) })
	case Commit:
		h.commit(h.Rows.Commit(ctx))
		return
	case Look:
		o.Done = h.Rows.Look(ctx)
	case LetGo:
		o.Failed = h.back(ctx, vips, func(ctx context.Context, l Leg) error { return h.do(ctx, l, "take %v off %s", l.To.Host, h.Acts.LetGo) })
	case Hold:
		o = h.hold(ctx)
	case Return:
		o.Failed = h.back(ctx, vips, h.giveBack)
	}
	h.state = s.After(h.state, o)
}

func (h *Handover) commit(err error) {
	o := Outcome{Unknown: errors.Is(err, cluster.ErrUnknown)}
	if err != nil {
		h.fail(err)
		o.Failed = One(0)
		h.state.Lost = h.state.Lost || h.Rows.Lost()
	}
	h.state = h.shape().After(h.state, o)
}

func (h *Handover) fail(err error) { h.errs = append(h.errs, err) }

// each does the same for every VIP of a set at once; it returns those that failed.
func (h *Handover) each(vips Set, do func(Leg) error) (failed Set) {
	errs := make([]error, len(h.Legs))
	var all sync.WaitGroup
	for i := range vips.All {
		all.Go(func() { errs[i] = do(h.Legs[i]) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			failed = failed.With(One(i))
			h.fail(err)
		}
	}
	return failed
}

// ask asks for all addresses at once.
func (h *Handover) ask(ctx context.Context, vips Set) Set {
	if err := h.find(ctx); err != nil {
		h.fail(err)
		return One(0)
	}
	failed := h.each(vips, func(l Leg) error {
		if err := h.free(l); err != nil {
			return err
		}
		return h.Acts.Fit(ctx, l)
	})
	if !failed.Empty() {
		return failed
	}
	if err := h.Acts.Begin(ctx, h.Legs); err != nil {
		h.fail(err)
		return One(0)
	}
	return Set{}
}

// find asks who answers for the VIPs, and for the addresses of givers and receivers.
func (h *Handover) find(ctx context.Context) error {
	var ips []netip.Addr
	for _, l := range h.Legs {
		ips = append(ips, l.VIP, l.To.IP)
		for _, g := range l.From {
			ips = append(ips, g.IP)
		}
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	ips = slices.DeleteFunc(slices.Compact(ips), func(ip netip.Addr) bool { _, known := h.Asked[ip]; return known })
	macs, errs := make([][]cluster.MAC, len(ips)), make([]error, len(ips))
	var all sync.WaitGroup
	for i, ip := range ips {
		all.Go(func() { macs[i], errs[i] = h.Network.WhoHas(ctx, ip) })
	}
	all.Wait()
	if h.macs == nil {
		h.macs = Answers{}
	}
	for i, ip := range ips {
		if errs[i] != nil {
			return fmt.Errorf("cannot ask who has %v: %w", ip, errs[i])
		}
		h.macs[ip] = macs[i]
	}
	return nil
}

// free refuses a VIP that a third server answers for, and a receiver that does not
// answer for its own address.
func (h *Handover) free(l Leg) error {
	if len(h.macs[l.To.IP]) == 0 {
		return fmt.Errorf("cannot move %v: %s at %v does not answer: %w", l.VIP, l.To.Host, l.To.IP, cluster.ErrNoAnswer)
	}
	may := slices.Clone(h.macs[l.To.IP])
	for _, g := range l.From {
		may = append(may, h.macs[g.IP]...)
	}
	for _, mac := range h.macs[l.VIP] {
		if !slices.Contains(may, mac) {
			return fmt.Errorf("cannot move %v: it is held by %v", l.VIP, mac)
		}
	}
	return nil
}

// verify asks until the receiver alone answers.
func (h *Handover) verify(ctx context.Context, l Leg) (err error) {
	own := h.macs[l.To.IP]
	for range verifies {
		var macs []cluster.MAC
		macs, err = h.Network.WhoHas(ctx, l.VIP)
		switch {
		case err != nil:
			return fmt.Errorf("cannot ask who has %v: %w", l.VIP, err)
		case len(macs) == 1 && slices.Contains(own, macs[0]):
			return nil
		}
		err = fmt.Errorf("cannot verify %v on %s alone: it answers at %v, the VIP at %v", l.VIP, l.To.Host, own, macs)
		if h.Clock.Sleep(ctx, verifyGap) != nil {
			break
		}
	}
	return err
}

// do is one act, and its error.
func (h *Handover) do(ctx context.Context, l Leg, what, host string, act func(context.Context, Leg) error) error {
	if err := act(ctx, l); err != nil {
		return fmt.Errorf("cannot "+what+": %w", l.VIP, host, err)
	}
	return nil
}

// giveBack gives a VIP back to its giver, while the hold lasts.
func (h *Handover) giveBack(ctx context.Context, l Leg) error {
	ctx, cancel := h.Rows.Whole(ctx)
	defer cancel()
	return h.do(ctx, l, "put %v on %s again", l.from(), h.Acts.Return)
}

// back does one step back for every VIP, whether or not ctx has ended.
func (h *Handover) back(ctx context.Context, vips Set, do func(context.Context, Leg) error) Set {
	return h.each(vips, func(l Leg) error {
		ctx, cancel := h.Clock.Limit(context.WithoutCancel(ctx), h.Undo)
		defer cancel()
		if err := do(ctx, l); err != nil {
			return fmt.Errorf("%w: %w", ErrNotUndone, err)
		}
		return nil
	})
}

func (h *Handover) hold(ctx context.Context) (o Outcome) {
	serves, done, err := h.Rows.Hold(context.WithoutCancel(ctx))
	if err != nil {
		h.fail(fmt.Errorf("%w: %w", ErrNotUndone, err))
		o.Failed = One(0)
		return o
	}
	o.Done = done
	for i, l := range h.Legs {
		if slices.Contains(serves, l.VIP) {
			o.Serves = o.Serves.With(One(i))
		}
	}
	return o
}
