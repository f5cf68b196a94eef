//go:build lab && libvirt_dlopen

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/fleet"
)

// fault is a row of Table 5 that concerns M1 alone, or one like it.
type fault struct {
	name  string
	cause func(*testing.T, fleet.Driver, *Attached)
	stays bool       // M1 keeps its VIP: its daemon is restarted in place
	log   [][]string // messages in the order in which they must appear, side by side with other orders; __ those of the background job
	paper [2]string  // function and target recovered after detection, in seconds
}

// inM1 runs a command in M1 that M1 may not live to answer.
func inM1(argv ...string) func(*testing.T, fleet.Driver, *Attached) {
	return func(t *testing.T, d fleet.Driver, _ *Attached) { _, _ = d.Run(quick(t), m1, argv) }
}

// crash kills M1's QEMU.
func crash(t *testing.T, _ fleet.Driver, l *Attached) {
	b, err := os.ReadFile(filepath.Join(l.dir, "hosts/RS1/run/libvirt/qemu/M1.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The orders of Fig. 13: foreground, backup and background job.
var (
	foreground = []string{"network trouble detected", "re-examined: trouble confirmed", "A3 target server separated",
		"server function recovered", "A4 backup server in operation", "A5 target server recovered", "backup server paused"}
	backup    = []string{"backup server start", "backup server started", "server function recovered"}
	judged    = []string{"__recovery of the target server start", "__target server judged", "__target server normal", "A5 target server recovered"}
	restarted = []string{"__target server judged", "__target server restart", "__target server restarted", "__target server normal"}
)

// faults are caused one after the other. The first is the one of Fig. 13.
var faults = []fault{
	{name: "shutdown", cause: inM1("poweroff", "-f"), log: [][]string{foreground, backup, judged, restarted}, paper: [2]string{"3.09", "38.15"}},
	{name: "restart", cause: inM1("reboot", "-f"), log: [][]string{foreground, backup, judged}, paper: [2]string{"3.12", "8.17"}},
	{name: "crash", cause: crash, log: [][]string{foreground, backup, judged, restarted}, paper: [2]string{"-", "-"}},
	{name: "network cut", cause: inM1("ip", "link", "set", "eth0", "down"), log: [][]string{foreground, backup, judged, restarted}, paper: [2]string{"-", "-"}},
	{name: "service freeze", cause: inM1("killall", "-STOP", "httpd"), log: [][]string{
		{"service trouble detected", "trouble confirmed", "A3 target server separated", "server function recovered", "A4", "A5 target server recovered"}, backup, judged, restarted,
	}, paper: [2]string{"4.41", "19.12"}},
	{name: "service stop", cause: inM1("killall", "httpd"), stays: true, log: [][]string{
		{"service trouble detected", "trouble confirmed", "service program restart", "service program restarted", "target server recovered"},
	}, paper: [2]string{"-", "0.89"}},
}

// result are the times of one fault.
type result struct {
	fault                          fault
	at, detected, function, target time.Time
	gap                            time.Duration
}

// TestTakeover is Fig. 13 on real parts: M1 fails, the real dbss and sif let Mb
// serve its VIP, bring M1 back, give the VIP back and pause Mb.
func TestTakeover(t *testing.T) {
	l := attach(t)
	d := openFleet(t)
	s := newSite(t, l)
	boot(t, d, m1)
	t.Cleanup(func() {
		for _, g := range []cluster.Guest{m1, mb} {
			if err := d.Destroy(context.Background(), g); err != nil {
				t.Error(err)
			}
		}
	})
	s.startDBSS(t, "M1")
	within(t, 60*time.Second, "M1 holds its VIP", func() error { return holder(t.Context(), d, m1, vip1) })

	ctx, cancel := context.WithCancel(t.Context())
	var c client
	var w watch
	var behind sync.WaitGroup
	behind.Go(func() { c.run(ctx, "http://"+vip1.String()+"/") })
	behind.Go(func() { w.run(ctx, d, vip1) })
	var results []result
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) { results = append(results, suffer(t, d, l, s, &c, f)) })
	}
	cancel()
	behind.Wait()
	if len(w.twice) > 0 {
		t.Errorf("%d of %d times two servers answered for %v:\n%s", len(w.twice), w.asked, vip1, strings.Join(w.twice, "\n"))
	}
	printTable(results)
}

// suffer causes one fault in the normal state and follows it until the normal
// state is back.
func suffer(t *testing.T, d fleet.Driver, l *Attached, s site, c *client, f fault) result {
	normal := func() error { return isNormal(t, d, s) }
	within(t, 90*time.Second, "normal state before", normal)
	within(t, 10*time.Second, "M1 serves", func() error { _, err := c.first("M1", time.Now().Add(-time.Second)); return err })
	r := result{fault: f, at: time.Now()}
	f.cause(t, d, l)
	within(t, 60*time.Second, "trouble is detected", func() (err error) {
		r.detected, err = s.logged("trouble detected", r.at)
		return err
	})
	if !f.stays {
		within(t, 60*time.Second, "Mb serves", func() error { return c.served("Mb", r.at, &r.function) })
		if err := holder(t.Context(), d, mb, vip1); err != nil {
			t.Errorf("while Mb serves: %v", err)
		}
	}
	within(t, 180*time.Second, "M1 is recovered", func() error {
		from, err := s.logged("target server recovered", r.at)
		if err != nil {
			return err
		}
		return c.served("M1", from, &r.target)
	})
	within(t, 60*time.Second, "normal state after", normal)
	r.gap = c.longestGap(r.at, r.target)
	s.checkLog(t, r.at, f.log)
	return r
}

// isNormal is nil when M1 alone holds its VIP, Mb is paused, and the files say so.
func isNormal(t *testing.T, d fleet.Driver, s site) error {
	if err := isState(t, d, mb, cluster.GuestPaused); err != nil {
		return err
	}
	if err := holder(t.Context(), d, m1, vip1); err != nil {
		return err
	}
	return s.wantFiles()
}

func isState(t *testing.T, d fleet.Driver, g cluster.Guest, want cluster.GuestState) error {
	state, err := d.GuestState(quick(t), g)
	if err == nil && state != want {
		err = fmt.Errorf("%s is %s", g.Host, state)
	}
	return err
}

// checkLog fails unless the log since at has the messages, each order for itself.
func (s site) checkLog(t *testing.T, at time.Time, orders [][]string) {
	t.Helper()
	lines, err := s.since(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the log since the fault:\n%s", strings.Join(lines, "\n"))
	for _, order := range orders {
		i := 0
		for _, want := range order {
			message, background := strings.CutPrefix(want, "__")
			n := slices.IndexFunc(lines[i:], func(l string) bool {
				return strings.Contains(l, message) && strings.HasPrefix(l, "__") == background
			})
			if n < 0 {
				t.Errorf("the log does not say %q behind its line %d", want, i)
				break
			}
			i += n + 1
		}
	}
}

func printTable(results []result) {
	fmt.Printf("\nM1 fails; seconds       detected | function recovered       | target recovered         | longest time\n")
	fmt.Printf("%-22s fr. fault | fr. fault  fr. det. paper | fr. fault  fr. det. paper | without answer\n", "fault")
	for _, r := range results {
		if r.target.IsZero() {
			continue // it failed
		}
		function := [2]string{"-", "-"}
		if !r.function.IsZero() {
			function = [2]string{seconds(r.function.Sub(r.at)), seconds(r.function.Sub(r.detected))}
		}
		fmt.Printf("%-22s %9s | %9s %9s %5s | %9s %9s %5s | %s\n", r.fault.name, seconds(r.detected.Sub(r.at)),
			function[0], function[1], r.fault.paper[0], seconds(r.target.Sub(r.at)), seconds(r.target.Sub(r.detected)), r.fault.paper[1], seconds(r.gap))
	}
	fmt.Println()
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) }
