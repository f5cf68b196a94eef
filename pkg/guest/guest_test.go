package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pss-msbs/pkg/cluster"
)

var (
	m1  = cluster.Guest{Host: "M1", IP: netip.MustParseAddr("172.21.14.1")}
	vip = netip.MustParseAddr("172.21.14.101")
)

// fakeAgent answers agent commands from a script of programs.
type fakeAgent struct {
	mu       sync.Mutex
	programs map[string]execStatus // by first word and arguments
	takes    time.Duration         // from guest-exec until a program has ended
	started  []string              // command lines; a pid is an index
	ends     []time.Time
	other    []string // other commands
	clock    time.Time
	err      error
}

func (f *fakeAgent) AgentCommand(_ context.Context, _ cluster.Guest, command string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return "", f.err
	}
	var c struct {
		Execute   string
		Arguments struct {
			Path string
			Arg  []string
			PID  int
		}
	}
	if err := json.Unmarshal([]byte(command), &c); err != nil {
		return "", err
	}
	switch c.Execute {
	case "guest-exec":
		f.started = append(f.started, strings.Join(append([]string{c.Arguments.Path}, c.Arguments.Arg...), " "))
		f.ends = append(f.ends, time.Now().Add(f.takes))
		return fmt.Sprintf(`{"return":{"pid":%d}}`, len(f.started)-1), nil
	case "guest-exec-status":
		pid := c.Arguments.PID
		s := f.programs[f.started[pid]]
		s.Exited = !time.Now().Before(f.ends[pid])
		b, err := json.Marshal(s)
		return `{"return":` + string(b) + `}`, err
	}
	if c.Execute == "guest-get-time" {
		return fmt.Sprintf(`{"return":%d}`, f.clock.UnixNano()), nil
	}
	f.other = append(f.other, command)
	return `{"return":{}}`, nil
}

func commandsOn(f *fakeAgent) *Commands {
	return New(Agent{Channel: f}, Options{
		Interface: "eth0", Restart: []string{"systemctl", "restart", "{daemon}"},
		Announce:  []string{"arping", "-U", "-c", "1", "-I", "{interface}", "{vip}"},
		Announce6: []string{"ndptool", "-t", "na", "-U", "-i", "{interface}", "-T", "{vip}", "send"},
		Now:       func() time.Time { return time.Unix(10, 500) },
	})
}

func TestRunKeepsArgumentsApart(t *testing.T) {
	for _, argv := range [][]string{{"echo", "a b", "$(reboot)", ";", "'"}} {
		f := &fakeAgent{programs: map[string]execStatus{strings.Join(argv, " "): {Out: []byte("said")}}}
		out, err := commandsOn(f).Run(t.Context(), m1, argv)
		if string(out) != "said" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	}
}

func TestRunErrors(t *testing.T) {
	silent := fmt.Errorf("off: %w", cluster.ErrAgentSilent)
	for _, c := range []struct {
		name string
		f    *fakeAgent
		want string
		is   error
	}{
		{"exit code", &fakeAgent{programs: map[string]execStatus{"false": {ExitCode: 3, Err: []byte(" no way\n")}}}, "exit code 3 no way", nil},
		{"signal", &fakeAgent{programs: map[string]execStatus{"false": {Signal: 15}}}, "signal 15", nil},
		{"killed by timeout", &fakeAgent{programs: map[string]execStatus{"false": {Signal: 9}}}, "took too long", cluster.ErrAgentSilent},
		{"killed in a shell", &fakeAgent{programs: map[string]execStatus{"false": {ExitCode: 137}}}, "took too long", cluster.ErrAgentSilent},
		{"out of time", &fakeAgent{programs: map[string]execStatus{"false": {ExitCode: 124}}}, "took too long", cluster.ErrAgentSilent},
		{"agent", &fakeAgent{err: silent}, "off", cluster.ErrAgentSilent},
	} {
		_, err := commandsOn(c.f).Run(t.Context(), m1, []string{"false"})
		if err == nil || !strings.Contains(err.Error(), c.want) || (c.is != nil && !errors.Is(err, c.is)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A command ends with its context, here and in the guest: there after whole
// seconds, one at least.
func TestRunEndsWithItsContext(t *testing.T) {
	for limit, seconds := range map[time.Duration]string{2 * time.Second: "2", 2001 * time.Millisecond: "3", 300 * time.Millisecond: "1"} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeAgent{takes: time.Hour}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			begin := time.Now()
			_, err := commandsOn(f).Run(ctx, m1, []string{"sleep", "9"})
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cluster.ErrAgentSilent) || !errors.Is(err, cluster.ErrUnknown) || time.Since(begin) != limit {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
			if want := []string{"timeout -s KILL " + seconds + " sleep 9"}; !slices.Equal(f.started, want) {
				t.Errorf("started %q, want %q", f.started, want)
			}
		})
	}
}

// A clock, a reading: every command of a caller with a deadline is bounded.
func TestEveryCommandIsBounded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	f := &fakeAgent{}
	c := commandsOn(f)
	_ = c.SetClock(ctx, m1)
	_, _ = c.Addrs(ctx, m1)
	_ = c.DelVIP(ctx, m1, vip)
	_, _ = Measure(ctx, c, m1)
	if len(f.started) < 4 {
		t.Errorf("started %q", f.started)
	}
	for _, line := range f.started {
		if !strings.HasPrefix(line, "timeout -s KILL 3 ") && !strings.HasPrefix(line, "timeout -s KILL 2 ip ") {
			t.Errorf("not bounded: %q", line)
		}
	}
}

func TestAgentRefusal(t *testing.T) {
	if err := decodeReturn([]byte(`{"error":{"class":"GenericError","desc":"not today"}}`), nil); err == nil || !strings.Contains(err.Error(), "not today") {
		t.Error(err)
	}
	if err := decodeReturn([]byte(`{"return"`), nil); err == nil {
		t.Error("half an answer was taken")
	}
}

func TestVIPCommands(t *testing.T) {
	vip6 := netip.MustParseAddr("fd14::101")
	listing := execStatus{Out: []byte("2: eth1    inet 172.21.14.101/24 scope global eth1\\ \n")}
	failed := execStatus{ExitCode: 2}
	for _, c := range []struct {
		name     string
		programs map[string]execStatus
		do       func(*Commands) error
		want     []string
		bad      bool
	}{
		{name: "add", do: func(c *Commands) error { return c.AddVIP(t.Context(), m1, vip) },
			want: []string{"timeout -s KILL 2 ip addr replace 172.21.14.101/32 dev eth0", "timeout -s KILL 3 arping -U -c 1 -I eth0 172.21.14.101"}},
		{name: "add IPv6", do: func(c *Commands) error { return c.AddVIP(t.Context(), m1, vip6) },
			want: []string{"timeout -s KILL 2 ip addr replace fd14::101/128 dev eth0 nodad", "timeout -s KILL 3 ndptool -t na -U -i eth0 -T fd14::101 send"}},
		{name: "add fails", bad: true, do: func(c *Commands) error { return c.AddVIP(t.Context(), m1, vip) },
			programs: map[string]execStatus{"timeout -s KILL 2 ip addr replace 172.21.14.101/32 dev eth0": failed},
			want:     []string{"timeout -s KILL 2 ip addr replace 172.21.14.101/32 dev eth0"}},
		{name: "announce fails", bad: true, do: func(c *Commands) error { return c.Announce(t.Context(), m1, vip) },
			programs: map[string]execStatus{"timeout -s KILL 3 arping -U -c 1 -I eth0 172.21.14.101": failed},
			want:     []string{"timeout -s KILL 3 arping -U -c 1 -I eth0 172.21.14.101"}},
		{name: "remove", do: func(c *Commands) error { return c.DelVIP(t.Context(), m1, vip) },
			want: []string{"timeout -s KILL 2 ip addr del 172.21.14.101/32 dev eth0"}},
		{name: "remove what is not there", do: func(c *Commands) error { return c.DelVIP(t.Context(), m1, vip) },
			programs: map[string]execStatus{"timeout -s KILL 2 ip addr del 172.21.14.101/32 dev eth0": failed},
			want:     []string{"timeout -s KILL 2 ip addr del 172.21.14.101/32 dev eth0", "timeout -s KILL 2 ip -o addr"}},
		{name: "remove what was put by hand", do: func(c *Commands) error { return c.DelVIP(t.Context(), m1, vip) },
			programs: map[string]execStatus{"timeout -s KILL 2 ip addr del 172.21.14.101/32 dev eth0": failed, "timeout -s KILL 2 ip -o addr": listing},
			want:     []string{"timeout -s KILL 2 ip addr del 172.21.14.101/32 dev eth0", "timeout -s KILL 2 ip -o addr", "timeout -s KILL 2 ip addr del 172.21.14.101/24 dev eth1"}},
		{name: "remove what stays", bad: true, do: func(c *Commands) error { return c.DelVIP(t.Context(), m1, vip) },
			programs: map[string]execStatus{"timeout -s KILL 2 ip addr del 172.21.14.101/32 dev eth0": failed, "timeout -s KILL 2 ip -o addr": listing, "timeout -s KILL 2 ip addr del 172.21.14.101/24 dev eth1": failed},
			want:     []string{"timeout -s KILL 2 ip addr del 172.21.14.101/32 dev eth0", "timeout -s KILL 2 ip -o addr", "timeout -s KILL 2 ip addr del 172.21.14.101/24 dev eth1"}},
		{name: "restart", do: func(c *Commands) error { return c.RestartDaemon(t.Context(), m1, "httpd") }, want: []string{"timeout -s KILL 30 systemctl restart httpd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeAgent{programs: c.programs}
			cmds := commandsOn(f)
			err := c.do(cmds)
			_ = cmds.Close()
			if (err != nil) != c.bad {
				t.Error(err)
			}
			if d := cmp.Diff(c.want, f.started); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A VIP whose announcement failed is there all the same: whoever is told of the
// failure must not give it to another. One that was refused is not.
func TestOutcomeOfAddVIP(t *testing.T) {
	for command, unknown := range map[string]bool{
		"timeout -s KILL 2 ip addr replace 172.21.14.101/32 dev eth0": false,
		"timeout -s KILL 3 arping -U -c 1 -I eth0 172.21.14.101":      true,
	} {
		c := commandsOn(&fakeAgent{programs: map[string]execStatus{command: {ExitCode: 2}}})
		if err := c.AddVIP(t.Context(), m1, vip); err == nil || errors.Is(err, cluster.ErrUnknown) != unknown {
			t.Errorf("%s fails: %v", command, err)
		}
		_ = c.Close()
	}
}

// An arping that stays for a second after its frame has left holds nobody up,
// and is waited for all the same.
func TestAnnounceDoesNotWaitForArping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeAgent{takes: time.Second}
		c := commandsOn(f)
		begin := time.Now()
		if err := c.Announce(t.Context(), m1, vip); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != announceGrace {
			t.Errorf("took %v", took)
		}
		_ = c.Close()
		if took := time.Since(begin); took < time.Second {
			t.Errorf("nobody waited: %v", took)
		}
	})
}

// A clock is set by a program, as guest-set-time stops the agent for a second;
// one that is right is left alone.
func TestSetClock(t *testing.T) {
	const exact, whole = "date -u -s @10.000000500", "date -u -s @10"
	fails := execStatus{ExitCode: 1}
	for name, c := range map[string]struct {
		there    time.Time
		programs map[string]execStatus
		started  []string
		agent    []string
	}{
		"right": {there: time.Unix(10, 2e8)},
		"late":  {there: time.Unix(2, 0), started: []string{exact}},
		"early": {there: time.Unix(11, 0), started: []string{exact}},
		"whole": {there: time.Unix(2, 0), programs: map[string]execStatus{exact: fails}, started: []string{exact, whole}},
		"not by date": {
			there: time.Unix(2, 0), programs: map[string]execStatus{exact: fails, whole: fails}, started: []string{exact, whole},
			agent: []string{`{"arguments":{"time":10000000500},"execute":"guest-set-time"}`},
		},
	} {
		f := &fakeAgent{programs: c.programs, clock: c.there}
		if err := commandsOn(f).SetClock(t.Context(), m1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(f.started, c.started) || !slices.Equal(f.other, c.agent) {
			t.Errorf("%s: started %q, the agent was asked %q", name, f.started, f.other)
		}
	}
}

func TestMeasure(t *testing.T) {
	f := &fakeAgent{programs: map[string]execStatus{
		"free -k":             {Out: captured(t, "free-procps-4.0.2.txt")},
		"sar -u -n DEV 1 1":   {Out: captured(t, "sar-sysstat-12.6.1-one.txt")},
		"something different": {},
	}}
	got, err := Measure(t.Context(), commandsOn(f), m1)
	want := Reading{MemoryKB: 324608, MaxMemoryKB: 24684092, CPU: 100, NetworkKBs: 286.67}
	if err != nil || !cmp.Equal(got, want, near) {
		t.Errorf("%+v, %v", got, err)
	}
	f.programs["sar -u -n DEV 1 1"] = execStatus{Out: []byte("sar: command not found")}
	if _, err := Measure(t.Context(), commandsOn(f), m1); err == nil {
		t.Error("a guest without sar was measured")
	}
}

// TestSSH has a script play ssh: it runs what follows "--" by a shell, as the
// remote side does.
func TestSSH(t *testing.T) {
	fake := filepath.Join(t.TempDir(), "ssh")
	script := "#!/bin/sh\n[ \"$1\" = root@172.21.14.1 ] || exit 255\nshift 2\nexec sh -c \"$*\"\n"
	if err := os.WriteFile(fake, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c := New(SSH{Command: []string{fake, "root@{ip}", "--"}}, Options{})
	out, err := c.Run(t.Context(), m1, []string{"printf", "%s|", "a b", "it's", "$(reboot)", `"`, "*"})
	if want := `a b|it's|$(reboot)|"|*|`; string(out) != want || err != nil {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
	if _, err := c.Run(t.Context(), m1, []string{"sh", "-c", "echo why >&2; exit 4"}); err == nil || !strings.Contains(err.Error(), "exit code 4 why") || errors.Is(err, cluster.ErrAgentSilent) {
		t.Errorf("a failing command: %v", err)
	}
	other := cluster.Guest{Host: "F1", IP: netip.MustParseAddr("172.21.14.3")}
	if _, err := c.Run(t.Context(), other, []string{"true"}); !errors.Is(err, cluster.ErrAgentSilent) {
		t.Errorf("a guest that ssh does not reach: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Run(ctx, m1, []string{"sleep", "60"}); err == nil {
		t.Error("a command outlasted its context")
	}
}

// The remote side ends a command, too, with the timeout of this machine.
func TestSSHBound(t *testing.T) {
	s := SSH{Command: []string{"sh", "-c", `exec sh -c "$*"`, "ssh"}}
	wait, err := s.Start(t.Context(), m1, []string{"sleep", "60"}, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := wait(t.Context()); !errors.Is(err, cluster.ErrAgentSilent) || time.Since(begin) > 30*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}
