package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// Campaign is one random course of ten minutes: loads, faults, kill -9, hand
// edits, all drawn from one seed, so that a course can be played again.
type Campaign struct {
	Events int           // so many things go wrong
	Course time.Duration // within so long
	Bound  time.Duration // and so long after the last was healed all is well again

	rnd    *rand.Rand
	w      *World
	broken string // file with a slip in it

	mu    sync.Mutex
	doom  string // the program that dies at the point ...
	count int    // ... so many points from now
}

// NewCampaign draws from seed.
func NewCampaign(seed uint64) *Campaign {
	return &Campaign{Events: 25, Course: 10 * time.Minute, Bound: 25 * time.Minute, rnd: rand.New(rand.NewPCG(seed, 2))}
}

// Vary changes settings as the seed wants.
func (c *Campaign) Vary(set *settings.Settings, _ *sim.Spec) {
	set.DBSS.BudgetRecoveries = 1000 // who is left to a human for hours does not converge
	if c.rnd.IntN(3) == 0 {
		*set = set.WithProfile(settings.Paper)
	}
}

// Play launches w, lets things go wrong, heals them, and judges.
func (c *Campaign) Play(w *World) error {
	c.w = w
	w.Relaunch = c.rnd.IntN(2) == 0
	w.OnPoint = c.point
	first, err := w.Tables()
	if err != nil {
		return err
	}
	w.Launch()
	c.wait(time.Duration(c.rnd.IntN(180)) * time.Second) // some begin before the backups are there
	for range c.Events {
		c.event()
		if err := c.wait(time.Duration(c.rnd.Int64N(int64(2 * c.Course / time.Duration(c.Events))))); err != nil {
			return err
		}
	}
	if err := c.heal(); err != nil {
		return err
	}
	if err := w.Await(c.Bound, func() error { return w.Home(first) }); err != nil {
		return fmt.Errorf("not home %v after the last fault: %v", c.Bound, err)
	}
	return w.Judge()
}

// wait lets d pass, judging.
func (c *Campaign) wait(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		if c.broken != "" {
			continue
		}
		if err := c.w.Judge(); err != nil {
			return err
		}
	}
	return nil
}

func pick[T any](c *Campaign, of ...T) T { return of[c.rnd.IntN(len(of))] }

// event makes one thing happen.
func (c *Campaign) event() {
	switch n := c.rnd.IntN(100); {
	case n < 35:
		c.guest()
	case n < 55:
		c.host()
	case n < 58:
		c.inject(sim.NetworkLost, "management")
	case n < 78:
		c.kill()
	case n < 83:
		c.typo()
	default:
		c.load()
	}
}

// inject makes a fault, at times a lasting one; one of what runs nowhere is none.
func (c *Campaign) inject(kind, target string) {
	lasting := time.Duration(1+c.rnd.IntN(90)) * time.Second
	f := sim.Fault{Kind: kind, Target: target, Delay: 300 * time.Millisecond}
	switch kind {
	case sim.NetworkCut, sim.AgentDead, sim.RealFreeze, sim.Partition, sim.NetworkLost, sim.SlowCalls, sim.WakeNever:
		f.For = lasting
	case sim.HypervisorStop, sim.HypervisorFreeze:
		if c.rnd.IntN(2) == 0 {
			f.For = lasting
		}
	}
	if c.w.Model.Inject(f) == nil {
		c.say("fault %s %s for %v", kind, target, f.For)
	}
}

func (c *Campaign) say(format string, a ...any) { c.w.log.add("-", fmt.Sprintf(format, a...)) }

func (c *Campaign) guest() {
	var all []string
	st, err := c.w.Model.Status(c.w.ctx, sim.Query{Since: time.Now()})
	if err != nil {
		return
	}
	for _, g := range st.Guests {
		if !slices.Contains(all, g.Host) {
			all = append(all, g.Host)
		}
	}
	c.inject(pick(c, sim.ServiceStop, sim.ServiceFreeze, sim.VMRestart, sim.VMShutdown, sim.VMCrash, sim.VMFreeze, sim.NetworkCut,
		sim.AgentDead, sim.BootFail, sim.RestoreFail, sim.MigrateFail), pick(c, all...))
}

func (c *Campaign) host() {
	c.inject(pick(c, sim.RealRestart, sim.RealShutdown, sim.RealFreeze, sim.Partition, sim.HypervisorStop, sim.HypervisorFreeze,
		sim.SlowCalls, sim.WakeLost, sim.WakeNever, sim.SuspendFail), pick(c, c.w.reals()...))
}

// kill kills a program now, or at one of its next points.
func (c *Campaign) kill() {
	victim := pick(c, c.names()...)
	if c.rnd.IntN(2) == 0 {
		c.mu.Lock()
		c.doom, c.count = victim, 1+c.rnd.IntN(60)
		c.mu.Unlock()
		return
	}
	if c.w.Kill(victim) == nil {
		c.say("kill %s", victim)
	}
}

// names are the programs that run.
func (c *Campaign) names() []string {
	var out []string
	for _, p := range c.w.Running() {
		out = append(out, p.who())
	}
	out = append(out, "pss", "pss") // there is but one, and many dbss
	slices.Sort(out)
	return out
}

// point kills who is doomed.
func (c *Campaign) point(p *Proc, at Point) {
	c.mu.Lock()
	if c.doom != p.who() {
		c.mu.Unlock()
		return
	}
	c.count--
	die := c.count == 0
	if die {
		c.doom = ""
	}
	c.mu.Unlock()
	if die {
		c.say("kill %s at %+v", p.who(), at)
		p.Kill()
	}
}

// typo breaks a file by hand for a while.
func (c *Campaign) typo() {
	if c.broken != "" {
		c.mend()
		return
	}
	c.broken = pick(c, "operation.conf", "separation.conf", "access-stop.conf", "state.conf")
	c.edit(func(text string) string { return text + slip })
	c.say("break %s", c.broken)
}

func (c *Campaign) mend() {
	c.edit(func(text string) string { return strings.ReplaceAll(text, slip, "") })
	c.say("mend %s", c.broken)
	c.broken = ""
}

func (c *Campaign) edit(change func(string) string) {
	if b, err := c.w.disk.ReadFile(c.broken); err == nil {
		c.w.disk.WriteFile(c.broken, []byte(change(string(b))))
	}
}

func (c *Campaign) load() {
	percent, accesses := pick(c, 15.0, 15, 15, 40, 80), pick(c, 0.0, 0, 5)
	if c.rnd.IntN(2) == 0 {
		_ = c.w.load("all", []string{fmt.Sprint(percent), fmt.Sprint(accesses)})
		c.say("load all %g %g", percent, accesses)
		return
	}
	g := pick(c, c.w.groups()...)
	_ = c.w.Model.SetLoad(g, percent, accesses, 0)
	c.say("load %s %g %g", g, percent, accesses)
}

// heal takes back all that lasts, and wants every server.
func (c *Campaign) heal() error {
	c.mu.Lock()
	c.doom = ""
	c.mu.Unlock()
	if c.broken != "" {
		c.mend()
	}
	c.say("heal all")
	st, err := c.w.Model.Status(c.w.ctx, sim.Query{Since: time.Now()})
	if err != nil {
		return err
	}
	targets := append([]string{"management"}, c.w.reals()...)
	for _, g := range st.Guests {
		targets = append(targets, g.Host)
	}
	for _, target := range targets {
		if err := c.w.Model.Heal(target); err != nil {
			return err
		}
	}
	return c.w.load("all", []string{"80", "5"})
}
