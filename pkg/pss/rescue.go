package pss

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// rescueAll gives the VIPs that no backup takes (a server without backup
// failed, or A4-failed) to other servers of their groups, each group for
// itself and waiting for no other, and stops spares that failed. It tells
// whether a VIP that nobody serves may become pss's at any moment: A4-failed
// changes none of the files that are watched.
func (s *System) rescueAll(ctx context.Context) (soon bool) {
	t, err := s.opt.Rescue.View(ctx)
	if err != nil {
		return false // the cycles tell
	}
	abandoned, err := s.opt.Abandoned()
	if s.said.once("abandoned", err, "failed servers not known") {
		return false
	}
	for _, row := range t.State {
		rows := t.Separation.InGroup(row.Group).Where(func(r cluster.ServerRow) bool { return t.LeftToPSS(r.VIP, abandoned) })
		if len(rows) == 0 {
			s.startsAnew(t, row.Group)
			continue
		}
		if !s.rescues.claim(row.Group) {
			continue
		}
		s.jobs.Go(func() {
			defer s.rescues.release(row.Group)
			s.rescue(ctx, row.Group, rows)
		})
	}
	s.retire(ctx, abandoned)
	return slices.ContainsFunc(t.Separation, func(r cluster.ServerRow) bool {
		return len(t.Unserved(r.Group)) > 0 && !slices.Contains(abandoned, r.Host)
	})
}

// rescue serves the VIPs of one group again, wherever that is possible, and has
// the group go to Moderate.
func (s *System) rescue(ctx context.Context, group string, rows cluster.Rows) {
	s.forced.add(group)
	err := s.placeAll(ctx, group, rows.VIPs())
	if ctx.Err() != nil {
		return
	}
	if !errors.Is(err, errRests) { // else what was said last is still so
		s.said.once("rescue "+group, err, "VIPs served by nobody")
	}
	s.settleNow(ctx, nil)
}

// placeAll gives the VIPs one by one to the server of the group with fewest; if
// none serves, to a free spare on an awake base; else to the first home that wakes.
func (s *System) placeAll(ctx context.Context, group string, vips []netip.Addr) error {
	var errs error
	for i, vip := range vips {
		t, err := s.opt.Rescue.View(ctx)
		if err != nil {
			return err
		}
		if err = s.placeOnServing(ctx, t, group, vip); err == nil {
			continue
		}
		if len(s.serving(t, group)) > 0 {
			errs = errors.Join(errs, err)
			continue // they serve, but did not take it: it is tried again
		}
		noSpare := s.placeOnSpare(ctx, t, group, vip)
		if noSpare == nil {
			continue
		}
		if noHome := s.placeAtHome(ctx, t, group, vips[i:]); noHome != nil {
			return errors.Join(errs, err, noSpare, noHome)
		}
		return errs
	}
	return errs
}

func (s *System) placeOnServing(ctx context.Context, t cluster.Tables, group string, vip netip.Addr) error {
	errs := fmt.Errorf("no server of %s serves", group)
	for _, g := range s.serving(t, group) {
		err := s.take(ctx, group, vip, g)
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, err)
	}
	return errs
}

// serving are the home servers and spares that serve group, those with fewest
// VIPs first; never a backup, which holds only its target's VIPs.
func (s *System) serving(t cluster.Tables, group string) []cluster.Guest {
	data := s.serverData()
	out := slices.DeleteFunc(t.Operation.InGroup(group).Guests(), func(g cluster.Guest) bool {
		return data.IsBackup(g.Host) || t.Separation.Has(g.Host)
	})
	state, _ := t.StateOf(group)
	rank := func(g cluster.Guest) int {
		if i := slices.Index(state.Bases, g.Real); i >= 0 {
			return i
		}
		return len(state.Bases)
	}
	slices.SortFunc(out, func(a, b cluster.Guest) int {
		return cmp.Or(cmp.Compare(len(t.Operation.Of(a.Host)), len(t.Operation.Of(b.Host))),
			cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Host, b.Host))
	})
	return out
}

// take gives a VIP that nobody serves to g, if its services answer.
func (s *System) take(ctx context.Context, group string, vip netip.Addr, g cluster.Guest) error {
	short, cancel := s.opt.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	if err := s.ops.Greets(short, g, group); err != nil {
		return fmt.Errorf("cannot give %v to %s: %w", vip, g.Host, err)
	}
	return s.ops.Take(ctx, group, vip, g, nil)
}

// errRests says that a spare could not be started a while ago and is tried again later.
var errRests = errors.New("a spare that could not be started rests")

// The pauses of a spare that cannot be started for a VIP that nobody serves;
// the rescue itself looks several times a second.
const (
	firstRest   = time.Second
	longestWait = loadedPause
)

// startOf names the start of a spare for the pauses.
func startOf(spare string) string { return "start " + spare }

// startsAnew lets the spares of a group that is served be tried at once when it
// is not the next time.
func (s *System) startsAnew(t cluster.Tables, group string) {
	for _, spare := range t.Spares {
		if spare.Group == group {
			s.pauses.Clear(startOf(spare.Host))
		}
	}
}

// placeOnSpare starts a free spare on an awake base for vip.
func (s *System) placeOnSpare(ctx context.Context, t cluster.Tables, group string, vip netip.Addr) error {
	var errs error
	awake := s.awake(t)
	for _, spare := range t.Spares {
		base := awake.Berth(spare)
		if spare.Group != group || !base.IsValid() {
			continue
		}
		if s.pauses.Waits(startOf(spare.Host), s.opt.Clock.Now()) {
			errs = errors.Join(errs, errRests)
			continue
		}
		if !s.spares.claim(spare.Host) {
			continue
		}
		err := s.startFor(ctx, group, vip, cluster.Guest{Host: spare.Host, IP: spare.IP, Real: base}, spare)
		s.spares.release(spare.Host)
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, err)
	}
	return errors.Join(errs, errors.New("no free spare, or no base is awake"))
}

// startFor starts one spare and gives it vip; one that fails rests, longer each time.
func (s *System) startFor(ctx context.Context, group string, vip netip.Addr, g cluster.Guest, spare cluster.SpareRow) error {
	what := startOf(spare.Host)
	ready, err := s.ops.StartSpare(ctx, spare, g.Real)
	if err != nil {
		s.pauses.Failed(what, s.opt.Clock.Now(), firstRest, longestWait)
		return err
	}
	defer ready.Close()
	if err = s.ops.Take(ctx, group, vip, g, ready); err != nil {
		s.pauses.Failed(what, s.opt.Clock.Now(), firstRest, longestWait)
		return err
	}
	s.pauses.Clear(what)
	return nil
}

// placeAtHome wakes the real servers of the group's home servers in parallel;
// the first that is ready takes the VIPs. The others go on waking: Moderate
// needs them.
func (s *System) placeAtHome(ctx context.Context, t cluster.Tables, group string, vips []netip.Addr) error {
	homes := t.AccessStop.InGroup(group).Where(func(r cluster.ServerRow) bool {
		return !t.IsSpare(r.Host) && t.RealStanding(r.Real) != cluster.RealOutside // its dsrs brings that back
	}).Guests()
	errs := make([]error, len(homes))
	done := make(chan int, len(homes))
	for i, g := range homes {
		s.jobs.Go(func() { errs[i] = s.wakeHome(ctx, group, g); done <- i })
	}
	for range homes {
		if i := <-done; errs[i] == nil { // every waker ends with ctx
			return s.takeAll(ctx, t, group, vips, homes[i])
		}
	}
	return errors.Join(errors.New("no home server is left"), errors.Join(errs...))
}

// wakeHome wakes the real server of a home server and returns once that answers.
func (s *System) wakeHome(ctx context.Context, group string, g cluster.Guest) error {
	if err := s.power.WakeNow(ctx, g.Real); err != nil {
		return err
	}
	ready, err := s.ops.Ready(ctx, g, group)
	if err != nil {
		return err
	}
	defer ready.Close()
	return ready.Wait(ctx)
}

// takeAll gives all VIPs to a home server in access stop, its own first: the
// row that names its home VIP is then never without it.
func (s *System) takeAll(ctx context.Context, t cluster.Tables, group string, vips []netip.Addr, g cluster.Guest) error {
	own := t.Homes(s.serverData().Homes())
	vips = slices.SortedStableFunc(slices.Values(vips), func(a, b netip.Addr) int {
		return cmp.Compare(btoi(own[a].Host != g.Host), btoi(own[b].Host != g.Host))
	})
	var errs error
	for _, vip := range vips {
		errs = errors.Join(errs, s.ops.Take(ctx, group, vip, g, nil))
	}
	return errs
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// retire stops the spares that failed and whose VIPs others serve by now; they
// are created anew.
func (s *System) retire(ctx context.Context, abandoned []string) {
	t, err := s.opt.Files.View(ctx)
	if err != nil {
		return
	}
	for _, spare := range t.Spares {
		if !slices.Contains(abandoned, spare.Host) || t.Rows().Has(spare.Host) || !s.spares.claim(spare.Host) {
			continue
		}
		err := s.ops.Retire(ctx, spare, t)
		s.spares.release(spare.Host)
		switch what := "retire " + spare.Host; {
		case ctx.Err() != nil:
		case !errors.Is(err, cluster.ErrHostSilent):
			s.said.once(what, err, "failed spare server not stopped")
		case s.said.News(what, "waits"):
			s.opt.Log.Info().Str("spare", spare.Host).Msg("failed spare server is stopped once its real server answers")
		}
	}
}
