//go:build lab

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/harness"
	"pss-msbs/pkg/lab"
)

// room is a lab that is up, seen as its user sees it.
type room struct {
	t   *testing.T
	dir string
}

// busy is a load of the memory that no base could bear for another.
const busy = 78

var groups = []string{"Mail", "Web", "FTP"}

// command runs the lab's own executable.
func (r room) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "../../bin/lab", append([]string{"--dir", r.dir}, args...)...)
}

// up brings the small lab up and waits until nothing of the start is left to do.
func up(t *testing.T) room {
	t.Helper()
	r := room{t, "/var/lib/pss-msbs-lab-test"}
	t.Cleanup(func() {
		if out, err := r.command(context.Background(), "down").CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	cmd := r.command(t.Context(), "up", "--small", "--conf", "../../testdata/paper", "--bin", "../../bin")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("up: %v\n%s", err, out)
	}
	r.load(busy)
	r.within(5*time.Minute, "the start", func() error {
		if n := len(r.lines("pss", "spare server created and saved", time.Time{})); n < 3 {
			return fmt.Errorf("%d spares are saved", n)
		}
		return r.settled("Moderate")
	})
	return r
}

func (r room) load(percent int) {
	r.t.Helper()
	for _, g := range groups {
		if err := lab.Load(r.t.Context(), r.dir, g, percent); err != nil {
			r.t.Fatal(err)
		}
	}
}

// status is what is needed of `pss status --json`.
type status struct {
	Groups   []struct{ Group, Condition string }
	Warnings []string
}

func (r room) status() (s status, err error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	var errs bytes.Buffer
	cmd := r.command(ctx, "run", "pss", "status", "--json")
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("%v: %s", err, errs.Bytes())
	}
	return s, json.Unmarshal(out, &s)
}

// settled is nil when every group is in the condition and nothing is wrong.
func (r room) settled(condition string) error {
	s, err := r.status()
	if err != nil {
		return err
	}
	if len(s.Groups) != len(groups) || len(s.Warnings) > 0 {
		return fmt.Errorf("%d groups, warnings %q", len(s.Groups), s.Warnings)
	}
	if b, err := os.ReadFile(filepath.Join(r.dir, "site/conf/separation.conf")); err != nil || strings.Contains("\n"+string(b), "\nMail") {
		return fmt.Errorf("in separation: %q, %v", b, err)
	}
	for _, g := range s.Groups {
		if g.Condition != condition {
			return fmt.Errorf("%s is %s", g.Group, g.Condition)
		}
	}
	return nil
}

// power is nil when the real servers are as wanted, in order.
func (r room) power(want ...string) error {
	text, err := lab.Power(r.t.Context(), r.dir, "status", "")
	if err != nil {
		return err
	}
	var got []string
	for line := range strings.Lines(text) {
		got = append(got, strings.Fields(line)[2])
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("real servers are %v, want %v", got, want)
	}
	return nil
}

func (r room) within(limit time.Duration, what string, ok func() error) {
	r.t.Helper()
	begin := time.Now()
	for {
		err := ok()
		if err == nil {
			r.t.Logf("%s after %.1f s", what, time.Since(begin).Seconds())
			return
		}
		if time.Since(begin) > limit {
			r.t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// lines are the lines of a program's log with text in them, since a moment.
func (r room) lines(source, text string, since time.Time) (out []harness.Line) {
	b, err := os.ReadFile(filepath.Join(r.dir, "site/log", source+".log"))
	if err != nil {
		return nil
	}
	for s := range strings.Lines(string(b)) {
		l, ok := harness.ParseLine(source, strings.TrimSuffix(s, "\n"))
		if ok && !l.At.Before(since.Truncate(10*time.Millisecond)) && strings.Contains(l.Text, text) {
			out = append(out, l)
		}
	}
	return out
}

// client asks all groups until the returned function is called, which tells
// what became of its questions.
func (r room) client() (stop func() string) {
	r.t.Helper()
	var out bytes.Buffer
	cmd := r.command(context.Background(), "client")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	return func() string {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			r.t.Errorf("client: %v", err)
		}
		return out.String()
	}
}

var (
	tally = regexp.MustCompile(`(?m)^(\w+) +(\d+) asked, (\d+) failed, (\d+) late, longest ([0-9.]+) s$`)
)

// TestRoom plays the paper's evaluation on real guests.
func TestRoom(t *testing.T) {
	r := up(t)
	t.Run("round", func(t *testing.T) { room{t, r.dir}.round() })
	t.Run("Table 5", func(t *testing.T) { room{t, r.dir}.table5() })
}

// round is section 4.2: the load falls, is nearly nothing, and returns, while a
// client of each group asks ten times a second.
func (r room) round() {
	stop := r.client()
	began := time.Now()
	r.load(0)
	r.within(3*time.Minute, "PS1 in every group", func() error {
		if n := len(r.lines("pss", "condition=Light(PS1)", began)); n < len(groups) {
			return fmt.Errorf("%d groups were in PS1", n)
		}
		return nil
	})
	r.within(3*time.Minute, "PS2 in every group", func() error { return r.settled("Light(PS2)") })
	r.within(time.Minute, "RS2 and RS3 asleep", func() error { return r.power("on", "asleep", "asleep") })
	r.load(busy)
	r.within(3*time.Minute, "Moderate in every group", func() error { return r.settled("Moderate") })
	if err := r.power("on", "on", "on"); err != nil {
		r.t.Error(err)
	}
	said := stop()
	for _, l := range r.lines("pss", "shift done", began) {
		r.t.Logf("%s %s", l.At.Format(time.TimeOnly), l.Text)
	}
	r.t.Logf("the client:\n%s", said)
	r.judge(said, len(r.lines("pss", "VIP moved", began)))
}

// judge counts the client's failures. A connection that is open while its VIP
// moves is cut: its server has the address no more, and the next one does not
// know the connection. At this rate that is at most one a move.
func (r room) judge(said string, moves int) {
	r.t.Helper()
	asked, failed := 0, 0
	for _, m := range tally.FindAllStringSubmatch(said, -1) {
		n, _ := strconv.Atoi(m[2]) // digits, by the expression
		f, _ := strconv.Atoi(m[3])
		asked, failed = asked+n, failed+f
	}
	r.t.Logf("%d of %d accesses failed, open while one of %d VIPs moved", failed, asked, moves)
	if asked == 0 || failed > moves {
		r.t.Errorf("%d of %d accesses failed over %d moves", failed, asked, moves)
	}
}
