package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// line is one line of the table: a rule in a row's world.
type line struct {
	row, who string
	open     bool // no target is set
	tally    tally
	found    map[fault]times
}

const title = `%[1]s
One target with two services, watched for %[2]g server-years a row and rule without any fault, and then through %[3]d faults of each
kind, in virtual time (seed %[4]d; the numbers are the same on every machine).

alarms  trouble was told and the backup made ready, and nothing came of it; each until the target was well again
false   takeovers of a target that had no fault
harm    those of them in which a client that came just then would have been answered within its patience of %[5]v
then    seconds from the fault to the takeover, median/99 %%, - never, > not within %[6]v: crash (its hypervisor knows it after
        0.1 s), shutdown (known after 0.13 to 0.25 s), cut (the network of the guest alone), freeze of the kernel, of one service
fast, paper: the profiles of this system. The rest in the same world and run: keepalived at the backup (3 adverts and the skew of
priority 100 missed, adverts of 1 s and of 0.1 s, one way), Pacemaker (monitors every 10 s, waits 20 s for this very greeting).

`

const head = "%-15s %-16s %7s %7s %7s  %11s %11s %11s %11s %11s\n"

// printHead prints what the table means.
func printHead(w io.Writer, command string, o options) {
	fmt.Fprintf(w, title, command, o.years, o.faults, o.seed, patience, longest)
	fmt.Fprintf(w, head, "", "", "alarms", "false", "harm", "crash", "shutdown", "cut", "freeze", "service")
}

func (l *line) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-15s %-16s %7d %7d %7d ", l.row, l.who, l.tally.Alarms, l.tally.False, l.tally.Harm)
	for _, f := range faults {
		fmt.Fprintf(&b, " %11s", l.found[f])
	}
	for _, w := range l.tally.Why {
		b.WriteString("\n    " + w)
	}
	return b.String()
}

// String is median and 99 %.
func (t times) String() string {
	if len(t) == 0 {
		return "-"
	}
	if t.quantile(0) == never {
		return "-"
	}
	return seconds(t.quantile(0.5)) + "/" + seconds(t.quantile(0.99))
}

func seconds(d time.Duration) string {
	if d == never {
		return fmt.Sprintf(">%.0f", longest.Seconds())
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}

// printFoot says what each row's world is.
func printFoot(w io.Writer, played []row) {
	fmt.Fprintln(w)
	for _, r := range played {
		if r.about != "" {
			fmt.Fprintf(w, "%-15s %s\n", r.name, r.about)
		}
	}
	fmt.Fprint(w, `
A stopped program wakes with its timers expired and what came meanwhile in its sockets; which it sees first is luck. A question
whose deadline has passed meanwhile is answered all the same or given up, by luck too. Half of the stops come between the
decision to ask and the asking. keepalived reads its sockets before its timers, so it sees the adverts first. Requests to the
hypervisor and its agent, and greetings, go over TCP: they get later by loss (SYN after 1, 3, 7 s; data after 0.2, 0.6, 1.4 s).
`)
}
