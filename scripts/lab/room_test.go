//go:build lab

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/harness"
	"pss-msbs/pkg/lab"
)

// room is a lab that is up, seen as its user sees it.
type room struct {
	t   report
	dir string
}

// in is the room in one of the test's parts.
func (r room) in(t *testing.T) room { return room{report{t, r.t.faults}, r.dir} }

// report is a test whose faults are told once more at its end, since a log of
// half an hour lies between.
type report struct {
	*testing.T
	faults *[]string
}

func (r report) Errorf(format string, args ...any) {
	r.Helper()
	*r.faults = append(*r.faults, r.Name()+": "+fmt.Sprintf(format, args...))
	r.T.Errorf(format, args...)
}

func (r report) Fatalf(format string, args ...any) {
	r.Helper()
	r.Errorf(format, args...)
	r.FailNow()
}

func (r report) tell() {
	for _, f := range *r.faults {
		fmt.Println("FAILED", f)
	}
}

var (
	small = flag.Bool("small", false, "guests that only greet, for who works on the tests")
	use   = flag.String("use", "", "directory of a lab that is up, and stays up, for who works on the tests")
	runs  = flag.Int("runs", 1, "cause every trouble so often, and print medians")
)

// busy is a load of the memory that no base could bear for another.
const busy = 60

var groups = []string{"Mail", "Web", "FTP"}

// labDir is where the tests have their lab.
const labDir = "/var/lib/pss-msbs-lab-test"

// command runs the lab's own executable.
func (r room) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "../../bin/lab", append([]string{"--dir", r.dir}, args...)...)
}

// up brings the lab up and waits until nothing of the start is left to do.
func up(t *testing.T) room {
	t.Helper()
	told := report{t, &[]string{}}
	t.Cleanup(told.tell)
	if *use != "" {
		return room{told, *use}
	}
	r := room{told, labDir}
	t.Cleanup(func() {
		if out, err := r.command(context.Background(), "down").CombinedOutput(); err != nil {
			told.Errorf("down: %v\n%s", err, out)
		}
	})
	cmd := r.command(t.Context(), "up", "--small="+strconv.FormatBool(*small), "--conf", "../../testdata/paper", "--bin", "../../bin")
	if out, err := cmd.CombinedOutput(); err != nil {
		told.Fatalf("up: %v\n%s", err, out)
	}
	r.within(2*time.Minute, "the normal state", func() error { return r.settled("Moderate") })
	r.within(5*time.Minute, "its spare servers", func() error { return r.spared("Ms", "Ws", "Fs") })
	out, err := r.command(t.Context(), "greet").CombinedOutput()
	if t.Logf("through the load balancer:\n%s", out); err != nil {
		told.Errorf("greet: %v", err)
	}
	return r
}

// spared is nil when the spare servers have been created: until then a shift that
// wants one waits, and their boots take processor time from all others.
func (r room) spared(spares ...string) error {
	for _, s := range spares {
		if len(r.lines("pss", "spare server created and saved spare="+s+" ", time.Time{})) == 0 {
			return fmt.Errorf("%s is still being created", s)
		}
	}
	return nil
}

func (r room) load(percent int) {
	r.t.Helper()
	for _, g := range groups {
		if err := lab.Load(r.t.Context(), r.dir, g, percent); err != nil {
			r.t.Fatalf("%v", err)
		}
	}
}

// group is a group's condition, and what its servers use.
type group struct {
	Group, Condition string
	Servers          []struct {
		Host            string
		MemKB, MaxMemKB int
	}
}

// status is what is needed of `pss status --json`.
type status struct {
	PSS      struct{ PID int }
	Groups   []group
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

// start starts one of the lab's own commands, which the returned function
// interrupts; it returns what the command said.
func (r room) start(args ...string) (stop func() []byte) {
	r.t.Helper()
	var out bytes.Buffer
	cmd := r.command(context.Background(), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("%v", err)
	}
	end := sync.OnceValue(func() []byte {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			r.t.Errorf("%v: %v\n%s", args, err, out.Bytes())
		}
		return out.Bytes()
	})
	r.t.Cleanup(func() { _ = end() }) // also where the test fails meanwhile
	return end
}
