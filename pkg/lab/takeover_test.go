//go:build lab && libvirt_dlopen

package lab

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/fleet"
)

// files are the configuration of the takeover: one mail group would want more
// daemons than a busybox has, so M1 serves the web.
var files = map[string]string{
	"operation.conf":       "Web  172.21.14.201  172.21.14.101  M1  172.21.14.1\n",
	"access-stop.conf":     "",
	"separation.conf":      "",
	"spare-server.conf":    "",
	"real-server.conf":     "172.21.14.201  02:00:00:00:0e:c9\n",
	"suspension-real.conf": "",
	"state.conf":           "Web  Moderate  172.21.14.201\n",
	"M1.dat":               "172.21.14.101\nM1\n172.21.14.1\nWeb\nhttpd\nMb\n172.21.14.61\n172.21.14.201\n",
	"Mb.dat":               "\nMb\n172.21.14.61\nWeb\nhttpd\n\n\n\n",
	"RS1.dat":              "172.21.14.201\nRS1\n02:00:00:00:0e:c9\nM1\n",
}

const settingsFile = `profile = "fast"

[fleet]
driver = "libvirt"

[management]
ip = "172.21.14.200"

[network]
references = ["172.21.14.210"]

[group.Web]
type = "CPU_NET"

[libvirt]
uri = %q
management_uri = "qemu+tcp://172.21.14.200/system"
definition = %q
save_path = %q

[guest]
restart_command = ["restart-daemon", "{daemon}"]
`

// site is a set of directories with the programs that run on them.
type site struct {
	bin, conf, run, state, log string
}

// newSite writes the configuration of the programs under test.
func newSite(t *testing.T, l *Attached) site {
	t.Helper()
	// A socket's path must be short, so not t.TempDir.
	root, err := os.MkdirTemp("", "pss-site-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	s := site{bin: filepath.Join(l.dir, "bin"), conf: root + "/conf", run: root + "/run", state: root + "/state", log: root + "/log"}
	if err := os.Mkdir(s.conf, 0o755); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"settings.toml": fmt.Sprintf(settingsFile, l.URI(), l.Definition(), l.SavePath())}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(s.conf, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s site) command(program string, args ...string) *exec.Cmd {
	args = append([]string{"--conf", s.conf, "--run", s.run, "--state", s.state, "--log", s.log}, args...)
	return exec.Command(filepath.Join(s.bin, program), args...)
}

// startDBSS starts dbss as a launcher would, and ends it with the test.
func (s site) startDBSS(t *testing.T, name string) {
	t.Helper()
	cmd := s.command("dbss", filepath.Join(s.conf, name+".dat"))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			t.Error("dbss does not end when told to")
			_ = cmd.Process.Kill()
			<-ended
		}
		t.Logf("what dbss said:\n%s", out.String())
	})
}

// answer is what a client got at the VIP.
type answer struct {
	at  time.Time
	who string // the server that answered, empty: nobody
}

// client asks for a page at the VIP again and again.
type client struct {
	mu      sync.Mutex
	answers []answer
}

func (c *client) run(ctx context.Context, url string) {
	h := http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		who := ""
		if r, err := h.Get(url); err == nil {
			b, _ := io.ReadAll(io.LimitReader(r.Body, 64))
			_ = r.Body.Close()
			who = strings.TrimSpace(string(b))
		}
		c.mu.Lock()
		c.answers = append(c.answers, answer{time.Now(), who})
		c.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// first is the first answer of who after t.
func (c *client) first(who string, t time.Time) (answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.answers {
		if a.who == who && a.at.After(t) {
			return a, nil
		}
	}
	n := len(c.answers)
	return answer{}, fmt.Errorf("%s has not answered; the last of %d answers is %v", who, n, c.answers[max(0, n-1):])
}

// longestGap is the longest time without an answer between a and b.
func (c *client) longestGap(a, b time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, longest := a, time.Duration(0)
	for _, x := range c.answers {
		if x.who != "" && x.at.After(a) && x.at.Before(b) {
			longest = max(longest, x.at.Sub(last))
			last = x.at
		}
	}
	return longest
}

// watch asks by ARP who holds the VIP. Two answers to one question may come
// from before and after a move; two holders answer the next question too.
type watch struct {
	mu    sync.Mutex
	asked int
	twice []string
}

func (w *watch) run(ctx context.Context, d fleet.Driver, vip netip.Addr) {
	for ctx.Err() == nil {
		macs, err := d.WhoHas(ctx, vip)
		if err == nil && len(macs) > 1 {
			again, _ := d.WhoHas(ctx, vip)
			if slices.Contains(again, macs[0]) {
				w.note(fmt.Sprintf("%s: %v, then %v", time.Now().Format(time.StampMilli), macs, again))
			}
		}
		w.mu.Lock()
		w.asked++
		w.mu.Unlock()
	}
}

func (w *watch) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.twice = append(w.twice, what)
}

// wantFiles fails unless the configuration is as it was in the beginning.
func (s site) wantFiles() error {
	for name, want := range files {
		b, err := os.ReadFile(filepath.Join(s.conf, name))
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".conf") && !slices.Equal(rows(string(b)), rows(want)) {
			return fmt.Errorf("%s is %q, want %q", name, b, want)
		}
	}
	return nil
}

// rows are the lines of a configuration file that say something.
func rows(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, strings.Join(f, " "))
		}
	}
	return out
}

// holder is nil when g alone answers for vip.
func holder(ctx context.Context, d fleet.Driver, g cluster.Guest, vip netip.Addr) error {
	own, err := d.WhoHas(ctx, g.IP)
	if err != nil {
		return err
	}
	got, err := d.WhoHas(ctx, vip)
	if err == nil && (len(got) != 1 || !slices.Equal(own, got)) {
		err = fmt.Errorf("%v is at %v, %s at %v", vip, got, g.Host, own)
	}
	return err
}

// TestTakeover is Fig. 13 on real parts: M1 is shut down, the real dbss and sif
// let Mb serve its VIP, start M1 again, give the VIP back and pause Mb.
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
	within(t, 60*time.Second, "Mb is paused", func() error { return isState(t, d, mb, cluster.GuestPaused) })

	ctx, cancel := context.WithCancel(t.Context())
	var c client
	var w watch
	var behind sync.WaitGroup
	behind.Go(func() { c.run(ctx, "http://"+vip1.String()+"/") })
	behind.Go(func() { w.run(ctx, d, vip1) })
	t.Cleanup(behind.Wait)
	t.Cleanup(cancel)
	within(t, 10*time.Second, "M1 serves", func() error { _, err := c.first("M1", time.Time{}); return err })

	fault := time.Now()
	_, _ = d.Run(quick(t), m1, []string{"poweroff", "-f"}) // its agent is gone before it can answer
	within(t, 60*time.Second, "Mb serves", func() error { _, err := c.first("Mb", fault); return err })
	recovered, _ := c.first("Mb", fault)
	if err := holder(t.Context(), d, mb, vip1); err != nil {
		t.Errorf("while Mb serves: %v", err)
	}
	within(t, 180*time.Second, "M1 serves again", func() error { _, err := c.first("M1", recovered.at); return err })
	back, _ := c.first("M1", recovered.at)
	within(t, 30*time.Second, "Mb is paused again", func() error { return isState(t, d, mb, cluster.GuestPaused) })
	within(t, 30*time.Second, "files", s.wantFiles)
	if err := holder(t.Context(), d, m1, vip1); err != nil {
		t.Errorf("in the end: %v", err)
	}
	cancel()
	behind.Wait()
	if len(w.twice) > 0 {
		t.Errorf("%d of %d times two servers answered for %v:\n%s", len(w.twice), w.asked, vip1, strings.Join(w.twice, "\n"))
	}
	report(t, s, fault, recovered.at, back.at, c.longestGap(fault, back.at))
}

func isState(t *testing.T, d fleet.Driver, g cluster.Guest, want cluster.GuestState) error {
	state, err := d.GuestState(quick(t), g)
	if err == nil && state != want {
		err = fmt.Errorf("%s is %s", g.Host, state)
	}
	return err
}

// steps are the log messages of Fig. 13 in the order in which they must appear;
// those of the background job run beside the others.
var steps = [][]string{
	{"network trouble detected", "re-examined: trouble confirmed", "A3 target server separated", "server function recovered", "A4 backup server in operation", "A5 target server recovered", "backup server paused"},
	{"backup server start", "backup server started", "server function recovered"},
	{"recovery of the target server start", "target server judged", "target server restart", "target server restarted", "target server normal", "A5 target server recovered"},
}

// report checks the log and prints the times of the takeover.
func report(t *testing.T, s site, fault, recovered, back time.Time, gap time.Duration) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.log, "dbss-M1.log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := since(string(b), fault)
	t.Logf("the log since the fault:\n%s", strings.Join(lines, "\n"))
	for _, order := range steps {
		i := 0
		for _, want := range order {
			n := slices.IndexFunc(lines[i:], func(l string) bool { return strings.Contains(l, want) })
			if n < 0 {
				t.Errorf("the log does not say %q after line %d", want, i)
				break
			}
			i += n + 1
		}
	}
	for _, l := range lines {
		if strings.Contains(l, "judged") != strings.HasPrefix(l, "__") && strings.Contains(l, "judged") {
			t.Errorf("no line of a background job: %s", l)
		}
	}
	detected, err := timeOf(lines, "trouble detected")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\ntakeover of M1 after its shutdown (seconds)      from the fault  from detection  paper, from detection\n")
	row := func(what string, at time.Time, paper string) {
		fmt.Printf("  %-44s %12.2f %15.2f   %s\n", what, at.Sub(fault).Seconds(), at.Sub(detected).Seconds(), paper)
	}
	row("trouble detected", detected, "")
	row("server function recovered (client's view)", recovered, "3.09")
	row("target server recovered (client's view)", back, "38.15")
	fmt.Printf("  %-44s %12.2f\n\n", "longest time without an answer", gap.Seconds())
}

// since are the log lines from t on.
func since(log string, t time.Time) []string {
	var out []string
	for line := range strings.Lines(log) {
		if at, err := lineTime(line); err == nil && !at.Before(t.Truncate(10*time.Millisecond)) {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out
}

func lineTime(line string) (time.Time, error) {
	line = strings.TrimPrefix(line, "__")
	const layout = "2006-01-02 15:04:05.00"
	return time.ParseInLocation(layout, line[:min(len(layout), len(line))], time.Local)
}

func timeOf(lines []string, message string) (time.Time, error) {
	for _, l := range lines {
		if strings.Contains(l, message) {
			return lineTime(l)
		}
	}
	return time.Time{}, fmt.Errorf("the log does not say %q", message)
}
