//go:build lab

package main

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/harness"
	"pss-msbs/pkg/lab"
)

var calm = flag.Duration("calm", 10*time.Minute, "how long each part of TestCalm lasts")

// TestCalm: the programs leave sound servers alone, however slow, lossy or busy
// everything is.
func TestCalm(t *testing.T) {
	r := up(t)
	t.Run("loss", func(t *testing.T) { r.in(t).loss("5%") })
	t.Run("accesses", func(t *testing.T) { r.in(t).unharmed(10) })
	t.Run("busy", func(t *testing.T) { r.in(t).busy(runtime.NumCPU()) })
	t.Run("held", func(t *testing.T) { r.in(t).held() })
}

// loss has packets of the management server lost each way.
func (r room) loss(share string) {
	lose := func(share string) {
		if err := lab.Lose(r.t.Context(), r.dir, share, "management"); err != nil {
			r.t.Fatalf("%v", err)
		}
	}
	lose(share)
	began := time.Now()
	r.unharmed(1)
	lost := r.lost()
	r.t.Logf("%d packets were lost in %v", lost, time.Since(began).Round(time.Second))
	if perMinute := float64(lost) / time.Since(began).Minutes(); perMinute < 30 {
		r.t.Errorf("%.0f packets were lost a minute: not what was asked for", perMinute)
	}
	lose("0%")
	if again := r.lost(); again != 0 {
		r.t.Errorf("%d packets were lost at 0 %%", again)
	}
}

var dropped = regexp.MustCompile(`(?m)^ *(\d+) +\d+ DROP `)

// lost is how many packets the management server lost under the present fault.
func (r room) lost() (n int) {
	r.t.Helper()
	out, err := r.command(r.t.Context(), "run", "iptables", "-w", "-n", "-v", "-x", "-L", "LAB_LOSS").Output()
	if err != nil {
		r.t.Errorf("lost packets: %v", err)
	}
	for _, m := range dropped.FindAllSubmatch(out, -1) {
		packets, _ := strconv.Atoi(string(m[1])) // digits, by the expression
		n += packets
	}
	return n
}

// busy has processors taken by other work.
func (r room) busy(processors int) {
	take := func(n int) {
		if err := lab.Busy(r.t.Context(), r.dir, n); err != nil {
			r.t.Fatalf("%v", err)
		}
	}
	take(processors)
	idle := idleTime(r.t.T)
	r.unharmed(1)
	share := (idleTime(r.t.T) - idle).Seconds() / (*calm).Seconds() / float64(processors)
	r.t.Logf("the processors were idle for %.1f %% of the time", 100*share)
	if share > 0.1 {
		r.t.Errorf("the processors were idle for %.0f %% of the time: they were not busy", 100*share)
	}
	take(0)
}

// idleTime is how long all processors have been idle since the machine started.
func idleTime(t *testing.T) time.Duration {
	t.Helper()
	b, err := os.ReadFile("/proc/uptime")
	f := strings.Fields(string(b))
	if err != nil || len(f) != 2 {
		t.Fatalf("%q, %v", b, err)
	}
	seconds, err := strconv.ParseFloat(f[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// held has each server held up by its hypervisor in turn, for 1 to 4 seconds.
func (r room) held() {
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			home := homes[n%len(homes)]
			r.hold(home, time.Duration(1+n%4)*time.Second)
			select {
			case <-stop:
				return
			case <-time.After(holdGap):
			}
		}
	}()
	defer func() { // also where the test fails meanwhile
		close(stop)
		<-done
	}()
	r.unharmed(1)
}

// holdGap is the time between two servers that are held up.
const holdGap = 10 * time.Second

func (r room) hold(server string, how time.Duration) {
	if err := lab.Fault(r.t.Context(), r.dir, "vm-hold", server); err != nil {
		r.t.Errorf("%v", err)
	}
	r.await(how)
	if err := lab.Fault(r.t.Context(), r.dir, "vm-release", server); err != nil {
		r.t.Errorf("%v", err)
	}
}

// homes are the servers that have work.
var homes = []string{"M1", "W1", "F1", "M2", "W2", "F2"}

// unharmed lets the calm last, with so many accesses a second to each group, and
// fails if a server was taken over or reset meanwhile.
func (r room) unharmed(rate int) {
	r.t.Helper()
	r.within(recoverLimit, "the normal state", func() error { return r.settled("Moderate") })
	before, began := r.lives(), time.Now()
	witness := r.witnessing(rate)
	r.await(*calm)
	w := witness()
	r.t.Logf("the client:\n%s", w.said)
	w.single(r, false)
	if want := int((*calm).Seconds()*float64(rate)) * len(groups); w.asked < want/2 {
		r.t.Errorf("the client asked %d times only, not %d: it had no processor", w.asked, want)
	}
	after := r.lives()
	for _, h := range homes {
		if before[h] != after[h] {
			r.t.Errorf("%s was reset: its life was %+v, is %+v", h, before[h], after[h])
		}
	}
	r.noTakeover(began)
}

// lives are those of the servers, whatever the programs say of them.
func (r room) lives() map[string]lab.Life {
	r.t.Helper()
	l, err := lab.Attach(r.dir)
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	all := map[string]lab.Life{}
	for _, h := range homes {
		if all[h], err = l.Life(h); err != nil {
			r.t.Errorf("%v", err)
		}
	}
	return all
}

// What monitors say when they act on a server, not just think about it or have its
// backup stand ready.
var acts = regexp.MustCompile(`(target|virtual) server (separated|fenced|restart\b)|backup server in operation|real server restart\b|(service program|virtualization software) restart\b`)

// alarms are what they say when they think about it.
var alarms = regexp.MustCompile(`trouble (detected|gone|is not believed)|re-examined|overloaded|may not be reset|waits for others|backup server start\b`)

// noTakeover fails for every act of a monitor since then, and counts its alarms.
func (r room) noTakeover(since time.Time) {
	r.t.Helper()
	counts := map[string]int{}
	for _, source := range r.monitors() {
		for _, l := range r.lines(source, "", since) {
			switch {
			case acts.MatchString(l.Text):
				r.t.Errorf("%s acted: %s %s", source, l.At.Format(time.TimeOnly), l.Text)
			case alarms.MatchString(l.Text):
				counts[source+": "+alarm(l)]++
			}
		}
	}
	if len(counts) == 0 {
		r.t.Logf("no alarm")
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		r.t.Logf("%4d times %s", counts[what], what)
	}
}

// alarm is a line without its particulars.
func alarm(l harness.Line) string {
	words := slices.DeleteFunc(strings.Fields(l.Text), func(w string) bool { return strings.Contains(w, "=") })
	return strings.Join(words, " ")
}

// monitors are the sources of the programs' logs but pss.
func (r room) monitors() (all []string) {
	files, err := filepath.Glob(filepath.Join(r.dir, "site/log/d*s*-*.log"))
	if err != nil || len(files) == 0 {
		r.t.Fatalf("no logs: %v", err)
	}
	for _, f := range files {
		all = append(all, strings.TrimSuffix(filepath.Base(f), ".log"))
	}
	return all
}
