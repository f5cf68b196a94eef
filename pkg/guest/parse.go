package guest

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ParseFree reads `free -k`: memory in use, caches not counted, and all there is, in KB.
// procps before 3.3.10 counts caches as used and corrects it in a line of its own.
func ParseFree(out []byte) (used, total int64, err error) {
	const old = "-/+ buffers/cache:"
	var header []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		switch {
		case slices.Contains(f, "total") && slices.Contains(f, "used"):
			header = f
		case len(f) > 0 && f[0] == "Mem:":
			if total, err = kilobytes(header, f[1:], "total"); err != nil {
				return 0, 0, err
			}
			if used, err = kilobytes(header, f[1:], "used"); err != nil {
				return 0, 0, err
			}
		case strings.HasPrefix(strings.TrimSpace(line), old):
			f = strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), old))
			if used, err = kilobytes([]string{"used", "free"}, f, "used"); err != nil {
				return 0, 0, err
			}
		}
	}
	if total <= 0 || used < 0 || used > total {
		return 0, 0, fmt.Errorf("cannot read the output of free: %d KB of %d KB used", used, total)
	}
	return used, total, nil
}

func kilobytes(header, row []string, column string) (int64, error) {
	i := slices.Index(header, column)
	if i < 0 || i >= len(row) {
		return 0, fmt.Errorf("cannot read the output of free: no column %q", column)
	}
	n, err := strconv.ParseInt(row[i], 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("cannot read the output of free: bad number %q", row[i])
	}
	return n, nil
}

// ParseSarCPU reads the CPU part of `sar -u`: the share of time, in percent,
// that all cores together were not idle.
func ParseSarCPU(out []byte) (float64, error) {
	t, err := lastTable(string(out), "CPU")
	if err != nil {
		return 0, err
	}
	idle, err := t.number("all", "%idle")
	if err != nil {
		return 0, err
	}
	if idle > 100 {
		return 0, fmt.Errorf("cannot read the output of sar: %g%% idle", idle)
	}
	return 100 - idle, nil
}

// ParseSarNet reads the network part of `sar -n DEV`: what all interfaces but
// the loopback received and sent, in KB/s.
func ParseSarNet(out []byte) (float64, error) {
	t, err := lastTable(string(out), "IFACE")
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for name := range t.rows {
		if name == "lo" {
			continue
		}
		v, err := t.traffic(name)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// sarTable is one table of sar. Its columns are counted from the right, since
// the time in front is one word or, with AM and PM, two.
type sarTable struct {
	columns []string
	rows    map[string][]string
}

// lastTable finds the last table whose first column is label: sar ends with the
// averages.
func lastTable(out, label string) (sarTable, error) {
	var t sarTable
	open := false
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if i := slices.Index(f, label); i >= 0 {
			t = sarTable{columns: f[i+1:], rows: map[string][]string{}}
			open = true
			continue
		}
		open = open && len(f) > 0
		if n := len(f) - len(t.columns); open && n > 0 {
			t.rows[f[n-1]] = f[n:]
		}
	}
	if t.rows == nil {
		return t, fmt.Errorf("cannot read the output of sar: no table of %s", label)
	}
	return t, nil
}

// number is one cell; some locales write a decimal comma.
func (t sarTable) number(row, column string) (float64, error) {
	i := slices.Index(t.columns, column)
	cells, ok := t.rows[row]
	if i < 0 || !ok {
		return 0, fmt.Errorf("cannot read the output of sar: no %s of %s", column, row)
	}
	v, err := strconv.ParseFloat(strings.Replace(cells[i], ",", ".", 1), 64)
	if err != nil || v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("cannot read the output of sar: bad number %q", cells[i])
	}
	return v, nil
}

// traffic is what an interface received and sent in KB/s; sysstat before
// version 8 counted bytes.
func (t sarTable) traffic(name string) (float64, error) {
	unit, rx, tx := 1.0, "rxkB/s", "txkB/s"
	if slices.Contains(t.columns, "rxbyt/s") {
		unit, rx, tx = 1024, "rxbyt/s", "txbyt/s"
	}
	in, err := t.number(name, rx)
	if err != nil {
		return 0, err
	}
	out, err := t.number(name, tx)
	return (in + out) / unit, err
}

// Address is an address of a guest's interface, as `ip -o addr` prints it.
type Address struct {
	Interface string
	Prefix    netip.Prefix
	Host      bool // of scope host or link, which nobody reaches from elsewhere
}

// ParseAddrs reads `ip -o addr`, of iproute2 or busybox.
func ParseAddrs(out []byte) ([]Address, error) {
	var all []Address
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		i := slices.IndexFunc(f, func(w string) bool { return w == "inet" || w == "inet6" })
		if i < 2 || i+1 >= len(f) {
			continue // a link line, or a blank one
		}
		p, err := parsePrefix(f[i+1])
		if err != nil {
			return nil, fmt.Errorf("cannot read the output of ip: bad address %q", f[i+1])
		}
		scope := slices.Index(f, "scope")
		local := scope > 0 && scope+1 < len(f) && (f[scope+1] == "host" || f[scope+1] == "link")
		all = append(all, Address{Interface: f[1], Prefix: p, Host: local})
	}
	return all, nil
}

// parsePrefix reads an address with or (point to point, or a single host) without a prefix length.
func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	return netip.PrefixFrom(a, a.BitLen()), err
}
