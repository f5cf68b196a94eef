package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// Campaign is one random course: loads, faults, kill -9, hand edits, trouble
// with disks and replies. Its system, its settings and its schedule are drawn
// from one seed before it begins, so that it can be played again, and a part of
// it alone.
type Campaign struct {
	Seed   uint64
	Script []Command     // nil: drawn from the seed
	Bound  time.Duration // so long after the last fault was healed all is well again; 0 means 20 minutes

	w       *World
	trouble trouble
	broken  map[string]bool // files with a slip in them

	mu   sync.Mutex
	doom map[string]int  // programs that die so many points from now
	hold map[string]hold // programs that are held then
	err  error           // the first that a judge found in between
}

const defaultBound = 20 * time.Minute

// source is one of the independent streams of a seed.
func (c *Campaign) source(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(c.Seed, stream)) }

// Vary changes settings and fleet as the seed wants.
func (c *Campaign) Vary(set *settings.Settings, spec *sim.Spec) {
	rnd := c.source(2)
	set.DBSS.BudgetRecoveries = 1000 // who is left to a human for hours does not converge
	if rnd.IntN(3) == 0 {
		*set = set.WithProfile(settings.Paper)
	}
	if rnd.IntN(2) == 0 {
		set.DSRS.BootSlots = 2 + rnd.IntN(7)
	}
	if rnd.IntN(4) > 0 { // what is measured three times costs three times
		set.Measure.Samples = 1
	}
	if rnd.IntN(2) == 0 {
		set.DBSS.PingInterval = settings.Duration(3 * time.Second)
	}
	c.slow(c.source(6), spec)
	spec.Late = pick(c.source(8), 0, 0, 0.3, 1)
	spec.PartitionSparesClients = rnd.IntN(4) == 0
	if memory := int64(256 << 10); rnd.IntN(2) == 0 { // any host has room for all, or not
		for i := range spec.Guests {
			spec.Guests[i].MemoryKB = memory
		}
	}
}

// Play launches w, lets things go wrong, heals them, and judges.
func (c *Campaign) Play(w *World) error {
	c.w, c.doom, c.hold, c.broken = w, map[string]int{}, map[string]hold{}, map[string]bool{}
	c.trouble = trouble{w: w, rnd: c.source(4)}
	w.Relaunch = c.source(5).IntN(2) == 0
	w.OnPoint, w.Trouble = c.point, &c.trouble
	first, err := w.Tables()
	if err != nil {
		return err
	}
	if c.Script == nil {
		c.Script = Draw(c.source(3), c.source(7), c.source(9), w, first)
	}
	w.disk.Released = c.released
	w.Launch()
	return c.play(first)
}

func (c *Campaign) play(first cluster.Tables) error {
	begun := time.Now()
	for _, e := range c.Script {
		time.Sleep(time.Until(begun.Add(e.At)))
		if err := c.judged(); err != nil {
			return err
		}
		if e.Do[0] == "settle" {
			return c.settle(Rest(e.Do[1]), first)
		}
		c.w.log.add("-", strings.Join(e.Do, " "))
		if err := c.command(e.Do); err != nil {
			c.w.log.add("-", "nothing happens: "+err.Error()) // what runs nowhere cannot fail
		}
	}
	return fmt.Errorf("the schedule does not settle")
}

// settle heals all that lasts, sets the load and waits until all is well: as it
// was at the beginning, or at rest in the conditions of a light load.
func (c *Campaign) settle(how Rest, first cluster.Tables) error {
	if err := c.heal(how); err != nil {
		return err
	}
	well := func() error { return c.w.Rested(how) }
	if how == Home {
		well = func() error { return c.w.Home(first) }
	}
	bound := c.Bound
	if bound == 0 {
		bound = defaultBound
	}
	err := c.w.Await(bound, func() error {
		if err := c.judged(); err != nil {
			return final{err}
		}
		return well()
	})
	if err != nil {
		return fmt.Errorf("not well %v after the last fault: %w", bound, err)
	}
	if err := c.judged(); err != nil {
		return err
	}
	return c.w.log.repeated()
}

// heal takes back all that lasts.
func (c *Campaign) heal(how Rest) error {
	c.w.log.add("-", "heal all")
	c.mu.Lock()
	clear(c.doom)
	clear(c.hold)
	c.mu.Unlock()
	c.trouble.end()
	c.w.goOn()
	for _, file := range sortedKeys(c.broken) {
		if err := c.command([]string{"mend", file}); err != nil {
			return err
		}
	}
	for _, target := range append([]string{"management", "references"}, c.w.everyone()...) {
		if err := c.w.Model.Heal(target); err != nil {
			return err
		}
	}
	if how == Home {
		return c.w.load("all", []string{"80", "5"})
	}
	for _, g := range c.w.groups() { // light even where one server has all
		if err := c.w.Model.SetLoad(g, 20/float64(c.w.vips(g)), 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// vips is how many VIPs a group has.
func (w *World) vips(group string) int {
	n := 0
	for _, d := range w.dats.Servers {
		if d.Group == group && !d.IsBackup() {
			n++
		}
	}
	return n
}

// judged is what the judges found so far.
func (c *Campaign) judged() error {
	if err := errors.Join(c.w.violated(), c.w.harmed()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// released judges the files after a transaction, before anybody else sees them.
func (c *Campaign) released() {
	if c.w.disk.Pending() {
		return // nobody reads them before the transaction is finished
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.w.judgeFiles(c.broken); err != nil {
		if c.err == nil {
			c.err = fmt.Errorf("%.2f: %w", time.Since(c.w.log.began).Seconds(), err)
			c.w.log.add("-", "judge: "+err.Error())
		}
	}
}

// command makes one thing happen.
func (c *Campaign) command(f []string) error {
	switch f[0] {
	case "doom":
		c.mu.Lock()
		defer c.mu.Unlock()
		n := 0
		if _, err := fmt.Sscan(f[len(f)-1], &n); err != nil {
			return err
		}
		c.doom[strings.Join(f[1:len(f)-1], " ")] = n
		return nil
	case "stop", "starve":
		if n := len(f); n > 5 && f[n-4] == "at" {
			return c.holdAt(f)
		}
	case "break", "mend":
		c.slip(f[1], f[0] == "break")
	case "disk", "replies", "clock":
		return c.trouble.command(f)
	case "fault":
		if f[1] == sim.SlowCalls {
			d, err := time.ParseDuration(f[len(f)-1])
			return errors.Join(err, c.w.Model.Inject(sim.Fault{Kind: f[1], Target: f[2], For: d, Delay: slowCall}))
		}
	}
	return c.w.command(f)
}

// slowCall is what a slow hypervisor adds to a call: a strip of three calls
// still ends within its deadline.
const slowCall = 100 * time.Millisecond

// slip notes that a hand edit went wrong, or was taken back.
func (c *Campaign) slip(file string, wrong bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wrong {
		c.broken[file] = true
	} else {
		delete(c.broken, file)
	}
}

// point kills who is doomed.
func (c *Campaign) point(p *Proc, at Point) {
	c.mu.Lock()
	if len(c.doom)+len(c.hold) == 0 {
		c.mu.Unlock()
		return
	}
	n, doomed := c.doom[p.who]
	die := doomed && n <= 1
	if doomed {
		c.doom[p.who] = n - 1
	}
	held := c.heldNow(p.who)
	if die {
		delete(c.doom, p.who)
	}
	c.mu.Unlock()
	if held.d > 0 {
		c.w.log.add("-", fmt.Sprintf("%s %s at %+v for %v", held.how, p.who, at, held.d))
		p.hold(held.how, held.d)
	}
	if die {
		c.w.log.add("-", fmt.Sprintf("kill %s at %+v", p.who, at))
		p.Kill()
	}
}
