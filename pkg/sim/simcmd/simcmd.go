// Package simcmd holds the commands of `pss fleet`: the emulated fleet as a
// process of its own, and its controls.
package simcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/remote"
)

// Env is what every command needs; bind it for kong.
type Env struct {
	Dirs daemon.Dirs
	Out  io.Writer
}

// Fleet is the command line of `pss fleet`.
type Fleet struct {
	Serve  Serve  `cmd:"" help:"Run the emulated fleet until SIGTERM."`
	Fault  Fault  `cmd:"" help:"Make something go wrong."`
	Heal   Heal   `cmd:"" help:"Take back the lasting faults of a target."`
	Load   Load   `cmd:"" help:"Set the load on a group's servers."`
	Status Status `cmd:"" help:"Show the emulated fleet and what happened in it."`
	Mark   Mark   `cmd:"" help:"Print the emulated time, for status --since."`
}

// Fault is `pss fleet fault KIND TARGET`.
type Fault struct {
	Kind   string        `arg:"" help:"One of ${fault_kinds}."`
	Target string        `arg:"" help:"A server (M1, M1:postfix), a real server (RS1 or its address) or management. path: also hypervisor:RS1, references or the address of one."`
	For    time.Duration `help:"Heal after this emulated time." placeholder:"DURATION"`
	Delay  time.Duration `help:"slow-calls: added to each call. path: each way." placeholder:"DURATION"`
	Loss   float64       `help:"path: percent of packets lost each way." placeholder:"PERCENT"`
	Out    float64       `name:"loss-out" help:"path: percent lost on the way to the target." placeholder:"PERCENT"`
	Back   float64       `name:"loss-back" help:"path: percent lost on the way from it." placeholder:"PERCENT"`
	Jitter time.Duration `help:"path: added to the delay each way, at random up to so much." placeholder:"DURATION"`
	Paused bool          `help:"vm-stall: the hypervisor says that the server is paused."`
}

// Fault is what the command line says.
func (f *Fault) Fault() sim.Fault {
	out := sim.Fault{Kind: f.Kind, Target: f.Target, For: f.For}
	if f.Kind == sim.BadPath {
		lost := func(percent float64) float64 { return (f.Loss + percent) / 100 }
		out.Path = sim.Path{LossOut: lost(f.Out), LossBack: lost(f.Back), Delay: f.Delay, Jitter: f.Jitter}
	} else {
		out.Delay = f.Delay
	}
	if f.Paused {
		out.Says = cluster.GuestPaused
	}
	return out
}

// Vars are kong variables of the help texts.
func Vars() map[string]string {
	return map[string]string{
		"fault_kinds": strings.Join(sim.FaultKinds(), " "),
		"fleet_load":  strconv.Itoa(sim.DefaultLoad),
	}
}

// Run injects the fault.
func (f *Fault) Run(ctx context.Context, e Env) error {
	if !slices.Contains(sim.FaultKinds(), f.Kind) {
		return daemon.Usage(fmt.Errorf("cannot inject %q: want one of %s", f.Kind, strings.Join(sim.FaultKinds(), " ")))
	}
	return e.with(func(c *remote.Client) error {
		return c.Inject(ctx, f.Fault())
	})
}

// Heal is `pss fleet heal TARGET`.
type Heal struct {
	Target string `arg:"" help:"What was given to fault."`
}

// Run heals the target.
func (h *Heal) Run(ctx context.Context, e Env) error {
	return e.with(func(c *remote.Client) error { return c.Heal(ctx, h.Target) })
}

// Load is `pss fleet load GROUP PERCENT`.
type Load struct {
	Group    string        `arg:"" help:"The service group, or all."`
	Percent  float64       `arg:"" help:"Memory, CPU and network load of a server for each VIP it holds."`
	Accesses float64       `help:"Client accesses per second, besides the one client's." placeholder:"N"`
	Over     time.Duration `help:"Reach it within this emulated time." placeholder:"DURATION"`
}

// Run sets the load.
func (l *Load) Run(ctx context.Context, e Env) error {
	if l.Percent < 0 || l.Percent > 100 || l.Accesses < 0 || l.Over < 0 {
		return daemon.Usage(errors.New("cannot set the load: want 0 to 100 percent, and no negative accesses or time"))
	}
	return e.with(func(c *remote.Client) error {
		groups := []string{l.Group}
		if l.Group == "all" {
			s, err := c.Status(ctx, sim.Query{})
			if err != nil {
				return err
			}
			groups = groups[:0]
			for _, g := range s.Clients {
				groups = append(groups, g.Group)
			}
		}
		for _, g := range groups {
			if err := c.SetLoad(ctx, g, l.Percent, l.Accesses, l.Over); err != nil {
				return err
			}
		}
		return nil
	})
}

// Mark is `pss fleet mark`.
type Mark struct{}

// Run prints the emulated time.
func (*Mark) Run(ctx context.Context, e Env) error {
	return e.with(func(c *remote.Client) error {
		s, err := c.Status(ctx, sim.Query{})
		if err == nil {
			_, err = fmt.Fprintln(e.Out, s.Now.Format(time.RFC3339Nano))
		}
		return err
	})
}

// Status is `pss fleet status`.
type Status struct {
	JSON     bool   `help:"As one JSON object."`
	Since    string `help:"Count from then on: a time as mark prints it, or a duration ago." placeholder:"TIME"`
	Timeline bool   `help:"With everything that happened."`
}

// Run prints the fleet's state.
func (s *Status) Run(ctx context.Context, e Env) error {
	return e.with(func(c *remote.Client) error {
		since, err := s.since(ctx, c)
		if err != nil {
			return err
		}
		st, err := c.Status(ctx, sim.Query{Since: since, Timeline: s.Timeline})
		if err != nil {
			return err
		}
		if s.JSON {
			enc := json.NewEncoder(e.Out)
			enc.SetIndent("", "  ")
			return enc.Encode(st)
		}
		return printStatus(e.Out, st)
	})
}

func (s *Status) since(ctx context.Context, c *remote.Client) (time.Time, error) {
	if s.Since == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s.Since); err == nil {
		st, err := c.Status(ctx, sim.Query{})
		return st.Now.Add(-d), err
	}
	t, err := time.Parse(time.RFC3339Nano, s.Since)
	if err != nil {
		return t, daemon.Usage(fmt.Errorf("cannot read --since %q: want a time as mark prints it, or a duration", s.Since))
	}
	return t, nil
}

// with calls do on the fleet that is being served.
func (e Env) with(do func(*remote.Client) error) error {
	set, err := settings.Read(e.Dirs.Settings())
	if err != nil {
		return daemon.Invalid(err)
	}
	clk, err := clock.Load(e.Dirs.Run)
	if err != nil {
		return err
	}
	c, err := remote.Dial(socket(set, e.Dirs), clk)
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close())
}

func socket(s settings.Settings, d daemon.Dirs) string {
	if s.Fleet.Socket != "" {
		return s.Fleet.Socket
	}
	return d.FleetSocket()
}

// removeClock takes the published clock away with the fleet that runs by it.
func removeClock(runDir string) error {
	if err := os.Remove(filepath.Join(runDir, clock.File)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("cannot remove the published clock: %v", err)
	}
	return nil
}
