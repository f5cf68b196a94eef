// Package measure is what free and sar print in an emulated guest.
package measure

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"pss-msbs/pkg/sim/spec"
)

// Reading is a server's load at one instant.
type Reading struct {
	MemoryKB int64   // used
	CPU      float64 // percent
	NetKB    float64 // received and sent, KB/s
}

// Command is a measuring command that the emulated guests know.
type Command struct {
	Name     string
	cpu, dev bool // sar -u, sar -n DEV
	interval time.Duration
	count    int
}

// Parse understands `free -k` and `sar [-u] [-n DEV] INTERVAL COUNT`,
// also behind `env NAME=VALUE ...`.
func Parse(argv []string) (Command, error) {
	for len(argv) > 0 && (path.Base(argv[0]) == "env" || strings.Contains(argv[0], "=")) {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return Command{}, fmt.Errorf("no command")
	}
	c := Command{Name: path.Base(argv[0])}
	switch c.Name {
	case "free":
		if !slices.Equal(argv[1:], []string{"-k"}) && len(argv) > 1 {
			return Command{}, fmt.Errorf("free %q: want -k", argv[1:])
		}
		return c, nil
	case "sar":
		return c.sar(argv[1:])
	}
	return Command{}, fmt.Errorf("%s: command not found", c.Name)
}

// Takes is how long it measures.
func (c Command) Takes() time.Duration { return c.interval * time.Duration(c.count) }

func (c Command) sar(args []string) (Command, error) {
	var numbers []int
	for n := 0; n < len(args); n++ {
		switch {
		case args[n] == "-u":
			c.cpu = true
		case args[n] == "-n" && n+1 < len(args) && args[n+1] == "DEV":
			c.dev = true
			n++
		default:
			v, err := strconv.Atoi(args[n])
			if err != nil || v < 1 {
				return c, fmt.Errorf("sar: bad argument %q", args[n])
			}
			numbers = append(numbers, v)
		}
	}
	if len(numbers) != 2 {
		return c, fmt.Errorf("sar: want an interval and a count")
	}
	c.cpu = c.cpu || !c.dev
	c.interval, c.count = time.Duration(numbers[0])*time.Second, numbers[1]
	return c, nil
}

// Print is the command's output as procps 4 and sysstat 12 write it in the C locale.
func (c Command) Print(g spec.GuestSpec, r Reading, now time.Time) []byte {
	var b bytes.Buffer
	if c.Name == "free" {
		printFree(&b, g.MemoryKB, r)
		return b.Bytes()
	}
	fmt.Fprintf(&b, "Linux 6.1.0-28-cloud-amd64 (%s) \t%s \t_x86_64_\t(%d CPU)\n", g.Host, now.Format("01/02/06"), g.Cores)
	if c.cpu {
		c.table(&b, now, []string{"    CPU     %user     %nice   %system   %iowait    %steal     %idle"},
			[]string{fmt.Sprintf("    all%s", columns(r.CPU*0.8, 0, r.CPU*0.2, 0, 0, 100-r.CPU))})
	}
	if c.dev {
		half := r.NetKB / 2
		c.table(&b, now, []string{"    IFACE   rxpck/s   txpck/s    rxkB/s    txkB/s   rxcmp/s   txcmp/s  rxmcst/s   %ifutil"},
			[]string{fmt.Sprintf("       lo%s", columns(0, 0, 0, 0, 0, 0, 0, 0)),
				fmt.Sprintf("     eth0%s", columns(half, half, half, half, 0, 0, 0, half/(g.NetworkMbps*128)*100))})
	}
	return b.Bytes()
}

func (c Command) table(b *bytes.Buffer, now time.Time, head, rows []string) {
	for k := range c.count {
		at := now.Add(-c.interval * time.Duration(c.count-k))
		fmt.Fprintf(b, "\n%-12s%s\n", at.Format("15:04:05"), head[0])
		for _, r := range rows {
			fmt.Fprintf(b, "%-12s%s\n", at.Add(c.interval).Format("15:04:05"), r)
		}
	}
	b.WriteByte('\n')
	if len(rows) > 1 {
		fmt.Fprintf(b, "%-12s%s\n", "Average:", head[0])
	}
	for _, r := range rows {
		fmt.Fprintf(b, "%-12s%s\n", "Average:", r)
	}
}

func columns(v ...float64) string {
	var s []byte
	for _, x := range v {
		text := strconv.AppendFloat(nil, x, 'f', 2, 64)
		s = append(append(s, strings.Repeat(" ", max(0, 10-len(text)))...), text...)
	}
	return string(s)
}

func printFree(b *bytes.Buffer, total int64, r Reading) {
	cache := min(total-r.MemoryKB, total/10)
	free := total - r.MemoryKB - cache
	b.WriteString("               total        used        free      shared  buff/cache   available\n")
	fmt.Fprintf(b, "Mem:    %12d%12d%12d%12d%12d%12d\n", total, r.MemoryKB, free, 1024, cache, total-r.MemoryKB)
	fmt.Fprintf(b, "Swap:   %12d%12d%12d\n", 0, 0, 0)
}
