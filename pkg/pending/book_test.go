package pending

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
)

var (
	rs1 = netip.MustParseAddr("172.21.14.201")
	m1  = cluster.Guest{Host: "M1", IP: netip.MustParseAddr("172.21.14.1"), Real: rs1}
	m2  = cluster.Guest{Host: "M2", IP: netip.MustParseAddr("172.21.14.4"), Real: netip.MustParseAddr("172.21.14.202")}
	vip = netip.MustParseAddr("172.21.14.101")
)

var errRefused = errors.New("refused")

// fleet is two servers. hang has the commands for a server end with their deadlines
// and come true later; hang < 0: they never do.
type fleet struct {
	t      *testing.T
	mu     sync.Mutex
	has    map[string][]netip.Addr
	hang   map[string]time.Duration
	fails  map[string]error // by host: nothing of it answers
	state  map[string]cluster.GuestState
	pinged map[netip.Addr]bool
}

// play runs do with a book on two servers that run.
func play(t *testing.T, do func(t *testing.T, f *fleet, b *Book)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{t: t, has: map[string][]netip.Addr{}, hang: map[string]time.Duration{}, fails: map[string]error{},
			state: map[string]cluster.GuestState{"M1": cluster.GuestRunning, "M2": cluster.GuestRunning}, pinged: map[netip.Addr]bool{}}
		do(t, f, New(f, clock.Clock{}))
		time.Sleep(time.Minute) // nothing is left under way
	})
}

// within bounds a call.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func (f *fleet) command(ctx context.Context, g cluster.Guest, change func()) error {
	do := func() { f.mu.Lock(); defer f.mu.Unlock(); change() }
	late, hangs := f.hang[g.Host]
	switch {
	case f.fails[g.Host] != nil:
		return f.fails[g.Host]
	case !hangs:
		do()
		return nil
	}
	<-ctx.Done()
	if late >= 0 {
		time.AfterFunc(late, do)
	}
	return cluster.Unknown(cluster.ErrAgentSilent)
}

func (f *fleet) Ping(ctx context.Context, ip netip.Addr) error {
	if f.pinged[ip] {
		return nil
	}
	<-ctx.Done()
	return cluster.ErrNoAnswer
}

func (f *fleet) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	switch f.state[g.Host] {
	case "hangs":
		<-ctx.Done()
		return "", ctx.Err()
	case "":
		return "", cluster.ErrHostSilent
	}
	return f.state[g.Host], nil
}

func (f *fleet) job(ctx context.Context, g cluster.Guest) error { return f.command(ctx, g, func() {}) }

func (f *fleet) Start(ctx context.Context, g cluster.Guest) error   { return f.job(ctx, g) }
func (f *fleet) Resume(ctx context.Context, g cluster.Guest) error  { return f.job(ctx, g) }
func (f *fleet) Pause(ctx context.Context, g cluster.Guest) error   { return f.job(ctx, g) }
func (f *fleet) Save(ctx context.Context, g cluster.Guest) error    { return f.job(ctx, g) }
func (f *fleet) Restore(ctx context.Context, g cluster.Guest) error { return f.job(ctx, g) }

func (f *fleet) Reset(ctx context.Context, g cluster.Guest) error {
	return f.command(ctx, g, func() { f.has[g.Host] = nil })
}

func (f *fleet) Destroy(ctx context.Context, g cluster.Guest) error {
	return f.command(ctx, g, func() { f.has[g.Host], f.state[g.Host] = nil, cluster.GuestOff })
}

func (f *fleet) SetLink(ctx context.Context, g cluster.Guest, _ bool) error {
	return f.command(ctx, g, func() {})
}

func (f *fleet) Addrs(_ context.Context, g cluster.Guest) ([]netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.has[g.Host]), f.fails[g.Host]
}

func (f *fleet) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return f.command(ctx, g, func() { f.has[g.Host] = append(f.has[g.Host], vip) })
}

func (f *fleet) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return f.command(ctx, g, func() {
		f.has[g.Host] = slices.DeleteFunc(f.has[g.Host], func(a netip.Addr) bool { return a == vip })
	})
}

func (f *fleet) list(host string) []netip.Addr {
	out, _ := f.Addrs(f.t.Context(), cluster.Guest{Host: host})
	return out
}

// lose gives vip to m1 without an answer: it comes true late after the deadline of a second.
func (f *fleet) lose(b *Book, late time.Duration) {
	f.t.Helper()
	f.hang["M1"] = late
	if err := b.AddVIP(within(f.t, time.Second), m1, vip); !errors.Is(err, cluster.ErrUnknown) {
		f.t.Errorf("a command that hangs: %v", err)
	}
	delete(f.hang, "M1")
}

// A VIP that was taken off is off once nothing can bring it back, and what came
// meanwhile is taken off again.
func TestTakenOffForGood(t *testing.T) {
	for _, late := range []time.Duration{-1, 0, 500 * time.Millisecond, cluster.AddressLimit - time.Millisecond} {
		play(t, func(t *testing.T, f *fleet, b *Book) {
			f.lose(b, late)
			if err := b.DelVIP(within(t, time.Second), m1, vip); !errors.Is(err, ErrPending) {
				t.Errorf("late by %v: taken off at once: %v", late, err)
			}
			begun := time.Now()
			if err := b.DelVIP(within(t, 3*time.Second), m1, vip); err != nil {
				t.Errorf("late by %v: %v", late, err)
			}
			time.Sleep(time.Minute)
			if took := time.Since(begun) - time.Minute; took > cluster.AddressLimit || len(f.list("M1")) > 0 {
				t.Errorf("late by %v: after %v M1 has %v", late, took, f.list("M1"))
			}
			if err := b.AddVIP(within(t, time.Second), m2, vip); err != nil {
				t.Error(err)
			}
		})
	}
}

// Nobody else gets the VIP before; until then it stands in the list.
func TestGivenToNobody(t *testing.T) {
	play(t, func(t *testing.T, f *fleet, b *Book) {
		f.lose(b, 1900*time.Millisecond)
		if err := b.AddVIP(within(t, time.Second), m2, vip); !errors.Is(err, ErrPending) {
			t.Errorf("given to M2: %v", err)
		}
		if list, err := b.Addrs(t.Context(), m1); err != nil || !slices.Contains(list, vip) {
			t.Errorf("M1 has %v, %v", list, err)
		}
		time.Sleep(cluster.AddressLimit)
		if err := b.AddVIP(within(t, time.Second), m2, vip); err == nil || errors.Is(err, ErrPending) {
			t.Errorf("M1 has it, and M2 is given it: %v", err)
		}
		if err := b.DelVIP(within(t, time.Second), m1, vip); err != nil {
			t.Error(err)
		}
		if err := b.AddVIP(within(t, time.Second), m2, vip); err != nil {
			t.Error(err)
		}
	})
}

// A command that was refused was not done, and one that ended well is known.
func TestKnownOutcomes(t *testing.T) {
	play(t, func(t *testing.T, f *fleet, b *Book) {
		f.fails["M1"] = errRefused
		if err := b.AddVIP(t.Context(), m1, vip); !errors.Is(err, errRefused) {
			t.Error(err)
		}
		if err := b.AddVIP(within(t, time.Second), m2, vip); err != nil {
			t.Errorf("M1 has refused it: %v", err)
		}
		begun := time.Now()
		if err := b.DelVIP(within(t, time.Second), m2, vip); err != nil || time.Since(begun) > 0 {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}

// What is known of a server that does not answer decides.
func TestEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		make func(f *fleet, b *Book)
		free bool
	}{
		"it runs":       {func(*fleet, *Book) {}, false},
		"it is cut off": {func(f *fleet, b *Book) { _ = b.SetLink(f.t.Context(), m1, false) }, true},
		"its link is up again": {func(f *fleet, b *Book) {
			_ = b.SetLink(f.t.Context(), m1, false)
			_ = b.SetLink(f.t.Context(), m1, true)
		}, false},
		"it was destroyed":           {func(f *fleet, b *Book) { _ = b.Destroy(f.t.Context(), m1) }, true},
		"it was reset":               {func(f *fleet, b *Book) { _ = b.Reset(f.t.Context(), m1) }, true},
		"it has crashed":             {func(f *fleet, _ *Book) { f.state["M1"] = cluster.GuestCrashed }, true},
		"it is paused":               {func(f *fleet, _ *Book) { f.state["M1"] = cluster.GuestPaused }, true},
		"it boots":                   {func(f *fleet, _ *Book) { f.state["M1"] = cluster.GuestBooting }, true},
		"it has lost its agent":      {func(f *fleet, _ *Book) { f.state["M1"], f.pinged[m1.IP] = cluster.GuestBooting, true }, false},
		"its real server is silent":  {func(f *fleet, _ *Book) { f.state["M1"] = "" }, true},
		"only its hypervisor is":     {func(f *fleet, _ *Book) { f.state["M1"], f.pinged[rs1] = "", true }, false},
		"it was proved out of reach": {func(_ *fleet, b *Book) { b.Excuse(m1) }, true},
		"and was heard since": {func(f *fleet, b *Book) {
			b.Excuse(m1)
			delete(f.fails, "M1")
			_, _ = b.Addrs(f.t.Context(), m1)
			f.fails["M1"] = errRefused
		}, false},
		"another program gave it too": {func(_ *fleet, b *Book) { b.Expect(m1, vip, time.Now()) }, false},
	} {
		play(t, func(t *testing.T, f *fleet, b *Book) {
			f.lose(b, -1)
			f.fails["M1"] = cluster.ErrAgentSilent
			if name != "it runs" {
				delete(f.fails, "M1")
			}
			c.make(f, b)
			f.fails["M1"] = cluster.ErrAgentSilent
			if err := b.AddVIP(within(t, 10*time.Second), m2, vip); (err == nil) != c.free {
				t.Errorf("%s: M2 is given it: %v", name, err)
			}
		})
	}
}

// What another program has begun counts from when it is told of it, once.
func TestExpect(t *testing.T) {
	play(t, func(t *testing.T, f *fleet, b *Book) {
		given := time.Now()
		if !b.Expect(m1, vip, given) {
			t.Error("it is known at once")
		}
		if has, err := b.Settle(t.Context(), m1, vip); has || err != nil || time.Since(given) != cluster.AddressLimit {
			t.Errorf("after %v M1 has it: %v, %v", time.Since(given), has, err)
		}
		if b.Expect(m1, vip, given) {
			t.Error("the same command counts twice")
		}
		if !b.Expect(m1, vip, given.Add(time.Second)) {
			t.Error("a later command does not count")
		}
		b.Told(m2, vip, given)
		if b.Expect(m2, vip, given) {
			t.Error("a command of our own counts as unknown")
		}
	})
}

// A server that a job of its hypervisor may still stop gets no VIP.
func TestQuiet(t *testing.T) {
	play(t, func(t *testing.T, f *fleet, b *Book) {
		begun := time.Now()
		if err := b.job(t.Context(), m1, cluster.Unknown(errRefused)); !errors.Is(err, errRefused) {
			t.Error(err)
		}
		if err := b.AddVIP(within(t, time.Second), m1, vip); !errors.Is(err, ErrPending) || len(f.list("M1")) > 0 {
			t.Errorf("given to one that is about to be stopped: %v", err)
		}
		if err := b.AddVIP(within(t, 3*time.Second), m1, vip); err != nil || time.Since(begun) < cluster.AddressLimit {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		f.state["M2"] = ""
		_ = b.job(t.Context(), m2, cluster.Unknown(errRefused))
		if err := b.Quiet(within(t, time.Minute), m2); !errors.Is(err, ErrPending) {
			t.Errorf("nobody has heard its hypervisor: %v", err)
		}
		if err := b.job(t.Context(), m2, errRefused); !errors.Is(err, errRefused) {
			t.Error(err)
		}
	})
}

// What was told to run on another real server must not once it runs here.
func TestQuietElsewhere(t *testing.T) {
	there := m2.On(rs1)
	for name, c := range map[string]struct {
		state  cluster.GuestState // there, some seconds later
		host   bool               // that real server answers pings
		refuse bool
	}{
		"it comes up there":            {cluster.GuestRunning, true, true},
		"it does not":                  {cluster.GuestOff, true, false},
		"its hypervisor does not say":  {"", true, true},
		"that real server is silent":   {"", false, false},
		"it is there as a saved image": {cluster.GuestSaved, true, false},
	} {
		play(t, func(t *testing.T, f *fleet, b *Book) {
			_ = b.job(t.Context(), there, cluster.Unknown(errRefused))
			f.state["M2"], f.pinged[rs1] = c.state, c.host
			if err := b.Quiet(within(t, time.Minute), m2); (err != nil) != c.refuse {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// A real server on which a job may come true yet is asked about it until it cannot.
func TestSettled(t *testing.T) {
	play(t, func(t *testing.T, f *fleet, b *Book) {
		_ = b.job(t.Context(), m2.On(rs1), cluster.Unknown(errRefused))
		if b.Settled(t.Context(), rs1) || !b.Settled(t.Context(), m2.Real) {
			t.Error("the job counts elsewhere, or not at all")
		}
		time.Sleep(cluster.AddressLimit)
		if !b.Settled(t.Context(), rs1) {
			t.Error("the job counts after an answer that tells of it")
		}
	})
}

// The hypervisor of a real server that sleeps is not waited for: the time under the
// lock is short.
func TestQuietWhileAnotherSleeps(t *testing.T) {
	for _, awake := range []bool{false, true} {
		play(t, func(t *testing.T, f *fleet, b *Book) {
			_ = b.job(t.Context(), m2.On(rs1), cluster.Unknown(errRefused))
			f.state["M2"], f.pinged[rs1] = "hangs", awake
			begun := time.Now()
			err := b.Quiet(within(t, 3*time.Second), m2)
			if waited := time.Since(begun); (err != nil) != awake || !awake && waited > time.Second {
				t.Errorf("awake %t: %v after %v", awake, err, waited)
			}
		})
	}
}

// Whatever a hypervisor was told counts until its outcome is known.
func TestEveryJobCounts(t *testing.T) {
	for name, job := range map[string]func(*Book, context.Context, cluster.Guest) error{
		"start": (*Book).Start, "resume": (*Book).Resume, "restore": (*Book).Restore, "pause": (*Book).Pause,
		"save": (*Book).Save, "reset": (*Book).Reset, "destroy": (*Book).Destroy,
	} {
		play(t, func(t *testing.T, f *fleet, b *Book) {
			f.hang["M1"] = -1
			if err := job(b, within(t, time.Second), m1); !errors.Is(err, cluster.ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
			delete(f.hang, "M1")
			if err := b.AddVIP(within(t, time.Second), m1, vip); !errors.Is(err, ErrPending) {
				t.Errorf("given to one that is about to %s: %v", name, err)
			}
		})
	}
}

// Who hears nobody because it gets too little processor itself has not proved anything.
func TestStarvedProvesNothing(t *testing.T) {
	for name, starved := range map[string]bool{"sound": false, "starved": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, f *fleet, _ *Book) {
				halt := &clock.Halt{}
				b := New(f, clock.Clock{Halt: halt})
				f.state["M1"] = "" // its hypervisor says nothing
				if starved {
					halt.Starve(time.Minute, func() time.Duration { return 300 * time.Millisecond })
				}
				if away := b.Away(t.Context(), m1); away == starved {
					t.Errorf("away: %t", away)
				}
				if silent := b.unheard(t.Context(), rs1); silent == starved {
					t.Errorf("real server unheard: %t", silent)
				}
			})
		})
	}
}
