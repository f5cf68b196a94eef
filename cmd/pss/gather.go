package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"strings"

	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/pss/pssrun"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/pss/status"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/startup"
)

// gather reads all that status tells from.
func gather(ctx context.Context, d daemon.Dirs) (status.Input, error) {
	in := status.Input{}
	set, setErr := settings.Read(d.Settings())
	if setErr != nil {
		in.Faults = append(in.Faults, lines(setErr)...)
		set = settings.Default()
		set.Fleet.Driver = ""
	}
	clk, err := startup.Clock(d, set)
	if err != nil {
		return in, err
	}
	snap, faults, err := conffile.Open(d.Conf, conffile.Options{Clock: clk, Holder: "pss status"}).Snapshot(ctx)
	if err != nil {
		return in, err
	}
	for _, f := range faults.Sorted() {
		in.Faults = append(in.Faults, f.String())
	}
	in.Now, in.Tables, in.Settings = clk.Now(), snap.Tables, set
	if in.Data, err = pssrun.Data(d.Conf); err != nil && !errors.Is(err, fs.ErrNotExist) { // then all seven are missing
		in.Faults = append(in.Faults, lines(err)...)
	}
	base := &startup.Base{Env: daemon.In(d), Settings: set}
	base.Clock = clk
	in.Brakes = brakes(base)
	moving, err := base.Moves().All()
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // no state directory: nothing moves
		in.Faults = append(in.Faults, lines(err)...)
	}
	in.Moving = moving
	return in, local(&in, d)
}

// brakes is what the monitors doubt and what they have left.
func brakes(base *startup.Base) status.Brakes {
	var out status.Brakes
	fault := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // no run directory: no doubts
			out.Faults = append(out.Faults, lines(err)...)
		}
	}
	board, ledger := base.Board(), base.Resets()
	doubts, err := board.Read()
	fault(err)
	out.Doubts, out.Storm = doubts, board.Brake.Judge(doubts, board.Fleet(), base.Clock.Now())
	left, due, err := ledger.Left()
	fault(err)
	out.Resets = status.Resets{Left: left, Limit: ledger.Limit, Window: ledger.Window.Seconds(), Due: due}
	return out
}

// lines are the faults in err, one FILE:LINE: message each.
func lines(err error) []string {
	return strings.Split(strings.TrimSpace(err.Error()), "\n")
}

// local fills in what the programs keep on the management server.
func local(in *status.Input, d daemon.Dirs) error {
	in.Running = daemon.Listening(d.ControlSocket("pss", ""))
	switch last, err := record.ReadLastCycle(nil, d.Run); {
	case err == nil:
		in.Last = &last
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	in.Failed, _ = ipc.FailedBackups(d.Run) // no run directory: none
	in.Monitored = func(host string) bool {
		held, err := daemon.In(d).Monitored(host)
		return held && err == nil
	}
	in.Budget = func(host string) status.Budget {
		r, err := budget.Read(nil, d.Budget(host))
		return status.Budget{Exhausted: err == nil && r.Exhausted, Until: r.Until}
	}
	in.Wake = func(real netip.Addr) record.Wake {
		r, _ := record.ReadWake(nil, d.Wake(real.String())) // damaged: as if it had never slept
		return r
	}
	return nil
}
