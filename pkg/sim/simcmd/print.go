package simcmd

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"

	"pss-msbs/pkg/sim"
)

const clockFormat = "2006-01-02 15:04:05.00"

// printStatus writes st for a reader.
func printStatus(out io.Writer, st sim.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s  %g W  %.3f Wh since %s\n\n", st.Now.Format(clockFormat), st.Watts, st.EnergyWh, st.Since.Format(clockFormat))
	for _, h := range st.Hosts {
		state := string(h.State)
		if h.Partitioned {
			state += ", partitioned"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\thypervisor %s\t%g W\n", h.Name, h.IP, state, h.Hypervisor, h.Watts)
	}
	fmt.Fprintln(w)
	for _, g := range st.Guests {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", g.Host, g.Kind, g.Group, place(g), g.State, join(g.VIPs))
	}
	fmt.Fprintln(w)
	for _, v := range st.VIPs {
		fmt.Fprintf(w, "%s\t%s\t%s\tup: %t\n", v.VIP, v.Group, strings.Join(v.Holders, " "), v.Up)
	}
	fmt.Fprintln(w)
	for _, c := range st.Clients {
		fmt.Fprintf(w, "client of %s\tload %g %%\tasked %d\tfailed %d\tdelayed %d\tlongest %.2f s\n", c.Group, c.Load, c.Asked, c.Failed, c.Delayed, c.Longest)
	}
	printRecord(w, st)
	return w.Flush()
}

func printRecord(w io.Writer, st sim.Status) {
	fmt.Fprintf(w, "\nviolations: %d\nexceptions: %d\nharm: %d\n", len(st.Violations), len(st.Exceptions), len(st.Harms))
	for _, h := range st.Harms {
		fmt.Fprintf(w, "%s\t%s\t%s\n", h.At.Format(clockFormat), h.Kind, h.What)
	}
	for _, h := range st.Unseen {
		fmt.Fprintf(w, "%s\t%s, which nobody could know\t%s\n", h.At.Format(clockFormat), h.Kind, h.What)
	}
	for _, v := range st.Violations {
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.At.Format(clockFormat), v.Kind, v.What)
	}
	for _, x := range st.Exceptions {
		fmt.Fprintf(w, "%s\t%s held by %s\t%.2f s, %.2f s after the first answer\n", x.At.Format(clockFormat), x.VIP, x.What, x.Seconds, x.AfterAnswer)
	}
	for _, e := range st.Timeline {
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.At.Format(clockFormat), e.Kind, e.What)
	}
}

func place(g sim.GuestStatus) string {
	if g.Real.IsValid() {
		return g.Real.String()
	}
	return "-"
}

func join(vips []netip.Addr) string {
	var s []string
	for _, v := range vips {
		s = append(s, v.String())
	}
	return strings.Join(s, " ")
}
