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

[dbss]
budget_recoveries = 100 # every fault of the tests is one

[group.Web]
type = "CPU_NET"

[libvirt]
uri = %q
management_uri = "qemu+tcp://172.21.14.200/system"
definition = %q
save_path = %q

[guest]
restart_command = ["lab-daemon", "restart", "{daemon}"]
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

// served sets at to the first answer of who after from.
func (c *client) served(who string, from time.Time, at *time.Time) error {
	a, err := c.first(who, from)
	*at = a.at
	return err
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

// since are the lines of dbss's log from t on.
func (s site) since(t time.Time) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(s.log, "dbss-M1.log"))
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if at, err := lineTime(line); err == nil && !at.Before(t.Truncate(10*time.Millisecond)) {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out, nil
}

func lineTime(line string) (time.Time, error) {
	line = strings.TrimPrefix(line, "__")
	const layout = "2006-01-02 15:04:05.00"
	return time.ParseInLocation(layout, line[:min(len(layout), len(line))], time.Local)
}

// logged is when dbss first said something, from t on.
func (s site) logged(message string, t time.Time) (time.Time, error) {
	lines, err := s.since(t)
	if err != nil {
		return time.Time{}, err
	}
	for _, l := range lines {
		if strings.Contains(l, message) {
			return lineTime(l)
		}
	}
	return time.Time{}, fmt.Errorf("the log does not say %q", message)
}
