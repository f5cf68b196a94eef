package status

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
)

// Write prints the report for an operator.
func (r Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	r.head(t)
	r.tables(t)
	r.brakes(t)
	for _, warning := range r.Warnings {
		fmt.Fprintf(t, "warning: %s\n", warning)
	}
	for _, fault := range r.PSS.Faults {
		fmt.Fprintln(t, fault)
	}
	return t.Flush()
}

func (r Report) head(w io.Writer) {
	fmt.Fprint(w, "GROUP\tCONDITION\tCLASS\tLs %\tLm %\tLc %\tLn %\tACCESSES\tWANT\n")
	for _, g := range r.Groups {
		if !g.Examined {
			fmt.Fprintf(w, "%s\t%s\t%s\t-\t-\t-\t-\t-\t%s\n", g.Group, g.Condition, g.Class, g.Why)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%s\n", g.Group, g.Condition, g.Class, g.Ls, g.Lm, g.Lc, g.Ln, g.Accesses, g.Want)
	}
	fmt.Fprintln(w)
}

func (r Report) tables(w io.Writer) {
	fmt.Fprint(w, "VIP\tGROUP\tHELD BY\tREAL SERVER\tHOME\tIN SEPARATION\n")
	for _, v := range r.VIPs {
		fmt.Fprintf(w, "%v\t%s\t%s\t%s\t%s\t%s\n", v.VIP, v.Group, dash(v.Holder), addr(v.Real), dash(v.Home), dash(v.Separated))
	}
	fmt.Fprint(w, "\nREAL SERVER\tNAME\tSTATE\tWATTS\tSERVERS\n")
	for _, x := range r.Reals {
		fmt.Fprintf(w, "%v\t%s\t%s\t%g\t%s\n", x.Real, dash(x.Host), x.State, x.Watts, dash(strings.Join(x.Servers, " ")))
	}
	fmt.Fprintf(w, "\t\tall\t%g\t\n\n", r.Watts)
	if len(r.Recoveries) > 0 {
		fmt.Fprint(w, "RECOVERY\tGROUP\tSERVED BY\tWORKED ON BY\n")
		for _, x := range r.Recoveries {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Host, x.Group, dash(strings.Join(x.ServedBy, " ")), x.Owner)
		}
		fmt.Fprintln(w)
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}
