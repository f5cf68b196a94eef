// Package clustertest writes tables of the seven files in short, for tests:
// as in the paper's system, addresses by their last octet, a line
// "FILE: group real VIP host ip", FILE being op, stop or sep, "real: ip",
// "asleep: ip" or "spare: group host ip".
package clustertest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pss-msbs/pkg/cluster"
)

const subnet = "172.21.14."

// IP is the address of the paper's network with that last octet.
func IP(octet string) netip.Addr { return netip.MustParseAddr(subnet + octet) }

// Tables reads tables; a line of another shape ends the test.
func Tables(t testing.TB, text string) cluster.Tables {
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
			out.Real = append(out.Real, cluster.RealRow{IP: IP(f[1]), MAC: cluster.MAC{5: 1}})
		case "asleep:":
			out.Suspended = append(out.Suspended, cluster.RealRow{IP: IP(f[1]), MAC: cluster.MAC{5: 1}})
		case "spare:":
			out.Spares = append(out.Spares, cluster.SpareRow{Group: f[1], Host: f[2], IP: IP(f[3])})
		default:
			t.Fatalf("bad line %q", line)
		}
	}
	return out
}

func row(f []string) cluster.ServerRow {
	return cluster.ServerRow{Group: f[1], Real: IP(f[2]), VIP: IP(f[3]), Host: f[4], IP: IP(f[5])}
}

// Text spells the rows as Tables reads them.
func Text(t cluster.Tables) string {
	var b strings.Builder
	last := func(a netip.Addr) string { return strings.TrimPrefix(a.String(), subnet) }
	for _, f := range []struct {
		name string
		rows cluster.Rows
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

// Clean spells text as Text does: without blank lines or indents.
func Clean(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if f := strings.Fields(line); len(f) > 0 {
			b.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	return b.String()
}
