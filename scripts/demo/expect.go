package main

import (
	"fmt"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/harness"
)

// tally counts the expectations, which are of what must not go wrong, and the
// times that are compared with the paper's, which a busy machine lengthens.
type tally struct {
	held, all        int
	failed           []string
	slower, compared int
}

// beside spells a time and the paper's, and says where ours is slower; either is
// negative or 0 where there is none. comparable is ours where it was measured as
// the paper's was.
func (t *tally) beside(ours, comparable, paper float64) string {
	switch {
	case ours < 0:
		return "-"
	case paper == 0:
		return fmt.Sprintf("%.2f", ours)
	}
	t.compared++
	if comparable <= paper {
		return fmt.Sprintf("%.2f (%.2f)", ours, paper)
	}
	t.slower++
	return fmt.Sprintf("%.2f (%.2f) slower", ours, paper)
}

// expect counts one expectation and prints it if it does not hold.
func (d *demo) expect(what string, ok bool, detail string) {
	d.all++
	if ok {
		d.held++
		return
	}
	d.failed = append(d.failed, what+": "+detail)
	d.say("NOT HELD  %s: %s", what, detail)
}

// close prints the last line.
func (d *demo) close() bool {
	for _, f := range d.failed {
		fmt.Println("not held:", f)
	}
	fmt.Printf("demo: %d of %d times slower than the paper's\n", d.slower, d.compared)
	fmt.Printf("demo: %d of %d expectations held\n", d.held, d.all)
	return d.held == d.all && d.all > 0
}

// watts are the power of the conditions (paper, Table 4).
var watts = map[cluster.Condition]float64{cluster.Moderate: 84, cluster.PS1: 59, cluster.PS2: 34}

// expectWatts waits for the power of a condition.
func (d *demo) expectWatts(c cluster.Condition) {
	want := watts[c]
	err := d.Await(d.ctx, fmt.Sprintf("%g W", want), time.Minute, func() string {
		s, err := d.Status(d.Now())
		if err != nil {
			return err.Error()
		}
		if s.Watts != want {
			return fmt.Sprintf("%g W", s.Watts)
		}
		return ""
	})
	d.expect(fmt.Sprintf("%s draws %g W", c, want), err == nil, fmt.Sprint(err))
}

// expectClient checks the clients' logs since a moment: nothing failed, and no
// answer came later than the client's next access.
func (d *demo) expectClient(during string, since time.Time) (late float64) {
	s, err := d.Status(since)
	if err != nil {
		d.expect("the client's log of "+during, false, err.Error())
		return 0
	}
	for _, c := range s.Clients {
		d.expect(fmt.Sprintf("client of %s during %s is not delayed", c.Group, during), c.Failed == 0 && c.Late == 0,
			fmt.Sprintf("%d of %d failed, %.2f s late", c.Failed, c.Asked, c.Late))
		late = max(late, c.Late)
	}
	return late
}

// expectProcesses checks the process model (SPEC 2): one sif for each dbss and
// dsrs, and for each active spare one whose child is the spare's dbss.
func (d *demo) expectProcesses(spares []string) {
	var bad []string
	if err := d.Await(d.ctx, "the process model", time.Minute, func() string {
		all, err := d.Processes()
		if err != nil {
			return err.Error()
		}
		bad = d.processFaults(all, spares)
		if len(bad) > 0 {
			return bad[0]
		}
		return ""
	}); err != nil {
		bad = append(bad, err.Error())
	}
	d.expect(fmt.Sprintf("one sif for each dbss and dsrs, and for the %d active spares", len(spares)), len(bad) == 0, fmt.Sprint(bad))
}

func (d *demo) processFaults(all []harness.Process, spares []string) []string {
	var bad []string
	sockets := d.sockets()
	find := func(prog, target string) (found []harness.Process) {
		for _, p := range all {
			if p.Program == prog && p.Target() == target {
				found = append(found, p)
			}
		}
		return found
	}
	for _, name := range slices.Concat(servers, reals, spares) {
		prog := "dbss"
		if slices.Contains(reals, name) {
			prog = "dsrs"
		}
		master, sif := find(prog, name), find("sif", name)
		switch {
		case len(master) != 1 || len(sif) != 1:
			bad = append(bad, fmt.Sprintf("%s has %d %s and %d sif", name, len(master), prog, len(sif)))
		case slices.Contains(spares, name) && master[0].Parent != sif[0].PID:
			bad = append(bad, "the dbss of spare "+name+" is not its sif's child")
		case !slices.Contains(spares, name) && sif[0].Parent != master[0].PID:
			bad = append(bad, "the sif of "+name+" is not its monitor's child")
		case !sockets[name]:
			bad = append(bad, "no socket for "+name)
		}
	}
	return bad
}
