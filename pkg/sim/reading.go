package sim

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The readings of a server that does nothing.
const (
	idleMemory = 6.0 // percent
	idleCPU    = 0.5 // percent
	idleNetKB  = 0.2 // KB/s
)

// reading is a server's load at one instant.
type reading struct {
	memoryKB int64   // used
	cpu      float64 // percent
	netKB    float64 // received and sent, KB/s
}

// reading of a guest: the CPU and network of every VIP that it holds add up,
// its memory is that of one. Held: m.mu.
func (pc *pace) reading(i *instance) reading {
	d, n := pc.demands[i.Group], float64(len(i.vips))
	mem, cpu, net := idleMemory, idleCPU, idleNetKB
	if d != nil && n > 0 {
		p := d.percent(pc.now)
		rated := 2 * i.NetworkMbps * 128
		mem, cpu, net = max(mem, p), max(cpu, min(100, n*p)), max(net, min(rated, n*p/100*rated))
	}
	if i.overloaded {
		cpu = 100
	}
	return reading{memoryKB: int64(mem / 100 * float64(i.MemoryKB)), cpu: cpu, netKB: net}
}

// command is a measuring command that the emulated guests know.
type command struct {
	name     string
	cpu, dev bool // sar -u, sar -n DEV
	interval time.Duration
	count    int
}

func (c command) takes() time.Duration { return c.interval * time.Duration(c.count) }

// parseCommand understands `free -k` and `sar [-u] [-n DEV] INTERVAL COUNT`,
// also behind `env NAME=VALUE ...`.
func parseCommand(argv []string) (command, error) {
	for len(argv) > 0 && (path.Base(argv[0]) == "env" || strings.Contains(argv[0], "=")) {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return command{}, fmt.Errorf("no command")
	}
	c := command{name: path.Base(argv[0])}
	switch c.name {
	case "free":
		if !slices.Equal(argv[1:], []string{"-k"}) && len(argv) > 1 {
			return command{}, fmt.Errorf("free %q: want -k", argv[1:])
		}
		return c, nil
	case "sar":
		return c.sar(argv[1:])
	}
	return command{}, fmt.Errorf("%s: command not found", c.name)
}

func (c command) sar(args []string) (command, error) {
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

// print is the command's output as procps 4 and sysstat 12 write it in the C locale.
func (c command) print(g GuestSpec, r reading, now time.Time) []byte {
	var b bytes.Buffer
	if c.name == "free" {
		printFree(&b, g.MemoryKB, r)
		return b.Bytes()
	}
	fmt.Fprintf(&b, "Linux 6.1.0-28-cloud-amd64 (%s) \t%s \t_x86_64_\t(%d CPU)\n", g.Host, now.Format("01/02/06"), g.Cores)
	if c.cpu {
		c.table(&b, now, []string{"    CPU     %user     %nice   %system   %iowait    %steal     %idle"},
			[]string{fmt.Sprintf("    all%s", columns(r.cpu*0.8, 0, r.cpu*0.2, 0, 0, 100-r.cpu))})
	}
	if c.dev {
		half := r.netKB / 2
		c.table(&b, now, []string{"    IFACE   rxpck/s   txpck/s    rxkB/s    txkB/s   rxcmp/s   txcmp/s  rxmcst/s   %ifutil"},
			[]string{fmt.Sprintf("       lo%s", columns(0, 0, 0, 0, 0, 0, 0, 0)),
				fmt.Sprintf("     eth0%s", columns(half, half, half, half, 0, 0, 0, half/(g.NetworkMbps*128)*100))})
	}
	return b.Bytes()
}

func (c command) table(b *bytes.Buffer, now time.Time, head, rows []string) {
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

func printFree(b *bytes.Buffer, total int64, r reading) {
	cache := min(total-r.memoryKB, total/10)
	free := total - r.memoryKB - cache
	b.WriteString("               total        used        free      shared  buff/cache   available\n")
	fmt.Fprintf(b, "Mem:    %12d%12d%12d%12d%12d%12d\n", total, r.memoryKB, free, 1024, cache, total-r.memoryKB)
	fmt.Fprintf(b, "Swap:   %12d%12d%12d\n", 0, 0, 0)
}
