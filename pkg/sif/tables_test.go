package sif

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// Tables are written as in the paper's system, addresses by their last octet:
// "FILE: group real VIP host ip", FILE being op, stop or sep, "real: ip" and
// "asleep: ip".

const subnet = "172.21.14."

func ip(octet string) netip.Addr { return netip.MustParseAddr(subnet + octet) }

func tables(t testing.TB, text string) cluster.Tables {
	t.Helper()
	var out cluster.Tables
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "op:":
			out.Operation = append(out.Operation, row(f))
		case "stop:":
			out.AccessStop = append(out.AccessStop, row(f))
		case "sep:":
			out.Separation = append(out.Separation, row(f))
		case "real:":
			out.Real = append(out.Real, cluster.RealRow{IP: ip(f[1]), MAC: cluster.MAC{5: 1}})
		case "asleep:":
			out.Suspended = append(out.Suspended, cluster.RealRow{IP: ip(f[1]), MAC: cluster.MAC{5: 1}})
		case "spare:":
			out.Spares = append(out.Spares, cluster.SpareRow{Group: f[1], Host: f[2], IP: ip(f[3])})
		default:
			t.Fatalf("bad line %q", line)
		}
	}
	return out
}

func row(f []string) cluster.ServerRow {
	return cluster.ServerRow{Group: f[1], Real: ip(f[2]), VIP: ip(f[3]), Host: f[4], IP: ip(f[5])}
}

func text(t cluster.Tables) string {
	var b strings.Builder
	last := func(a netip.Addr) string { return strings.TrimPrefix(a.String(), subnet) }
	for _, f := range []struct {
		name string
		rows []cluster.ServerRow
	}{{"op", t.Operation}, {"stop", t.AccessStop}, {"sep", t.Separation}} {
		for _, r := range f.rows {
			fmt.Fprintf(&b, "%s: %s %s %s %s %s\n", f.name, r.Group, last(r.Real), last(r.VIP), r.Host, last(r.IP))
		}
	}
	for _, r := range t.Spares {
		fmt.Fprintf(&b, "spare: %s %s %s\n", r.Group, r.Host, last(r.IP))
	}
	for _, r := range t.Real {
		fmt.Fprintf(&b, "real: %s\n", last(r.IP))
	}
	for _, r := range t.Suspended {
		fmt.Fprintf(&b, "asleep: %s\n", last(r.IP))
	}
	return b.String()
}

// clean spells text as text() does.
func clean(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if f := strings.Fields(line); len(f) > 0 {
			b.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	return b.String()
}

var (
	mb   = ipc.Server{Host: "Mb", IP: ip("61"), Group: "Mail"}
	mgmt = ip("200")
)
