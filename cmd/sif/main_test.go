package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

func started(t *testing.T, d daemon.Dirs, target string) *daemon.Companion {
	t.Helper()
	c, err := daemon.In(d).StartSif(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"help", []string{"--help"}, 0, "never by hand", ""},
		{"no target", nil, 2, "", "sif: cannot read the command line: missing flags: --target"},
		{"unknown flag", []string{"--target", "M1", "--colour"}, 2, "", "sif: cannot read the command line: unknown flag --colour"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs strings.Builder
			cmd := exec.Command(filepath.Join(bin, "sif"), tc.args...)
			cmd.Stdout, cmd.Stderr = &out, &errs
			err := cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != tc.code {
				t.Errorf("exit code %d (%v), want %d", code, err, tc.code)
			}
			if !strings.Contains(out.String(), tc.stdout) || !strings.HasPrefix(errs.String(), tc.stderr) {
				t.Errorf("stdout %q, stderr %q, want %q, %q", &out, &errs, tc.stdout, tc.stderr)
			}
		})
	}
}

func TestTakeoverByTheRealSif(t *testing.T) {
	d := fleetDirs(t)
	started(t, d, "M1")
	c := clientOf(d, "M1")
	mb := &ipc.Server{Host: "Mb", IP: netip.MustParseAddr("172.21.14.61"), Group: "Mail"}
	for _, req := range []ipc.Request{
		{Verb: ipc.A3, Host: "M1"},
		{Verb: ipc.A4, Host: "M1", Backup: mb, Real: netip.MustParseAddr("172.21.14.200")},
	} {
		if _, err := c.Call(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	h, err := c.Hold(t.Context(), ipc.Request{Host: "M1", Backup: mb})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	killed(t, d, "sif") // within the hold; its master starts another
	done, err := h.Call(t.Context(), ipc.Request{Verb: ipc.A5, Host: "M1", Backup: mb, Outcome: ipc.Recovered})
	if err != nil || done.State != cluster.Operating {
		t.Fatalf("A5: %+v, %v", done, err)
	}
	log, err := os.ReadFile(d.LogFile("sif", "M1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, label := range []string{" M1 A3 rows", " M1 A4 rows", " M1 A5 rows"} {
		if !strings.Contains(string(log), label) {
			t.Errorf("the log lacks %q:\n%s", label, log)
		}
	}
}

func TestBackupsAreOnTheManagementServer(t *testing.T) {
	d := fleetDirs(t)
	started(t, d, "M1")
	c := clientOf(d, "M1")
	mb := &ipc.Server{Host: "Mb", IP: netip.MustParseAddr("172.21.14.61"), Group: "Mail"}
	for _, req := range []ipc.Request{{Verb: ipc.A3, Host: "M1"}, {Verb: ipc.A4, Host: "M1", Backup: mb, Real: netip.MustParseAddr("172.21.14.200")}} {
		if _, err := c.Call(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	look, err := c.Call(t.Context(), ipc.Request{Verb: ipc.A1, Host: "Mb"})
	if err != nil || look.Real != "172.21.14.200" {
		t.Errorf("A1 of the backup: real %q, %v", look.Real, err)
	}
}

func TestSifEndsWithItsMaster(t *testing.T) {
	d := fleetDirs(t)
	if _, err := daemon.Start(t.Context(), daemon.Command{Program: "master", Name: "M1", Args: []string{"M1"}, Dirs: d}); err != nil {
		t.Fatal(err)
	}
	if !daemon.Listening(d.SifSocket("M1")) {
		t.Fatal("the master is ready without its sif")
	}
	killed(t, d, "master")
	eventually(t, "the sif of a killed master is gone", func() bool { return len(pidsIn(d)) == 0 })
	if daemon.Listening(d.SifSocket("M1")) {
		t.Error("somebody listens still")
	}
}

func TestSecondSifIsRefused(t *testing.T) {
	d := fleetDirs(t)
	started(t, d, "M1")
	_, err := daemon.Start(t.Context(), daemon.Command{Program: "sif", Name: "M1", Args: []string{"--target", "M1"}, Dirs: d})
	if err == nil || !strings.Contains(err.Error(), "another process does") {
		t.Errorf("a second sif at one socket: %v", err)
	}
}

func TestGarbageAndAHundredClients(t *testing.T) {
	d := fleetDirs(t)
	started(t, d, "M1")
	c := clientOf(d, "M1")
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if i%2 == 0 {
				garbage(t, d.SifSocket("M1"))
				return
			}
			if look, err := c.Call(t.Context(), ipc.Request{Verb: ipc.A1, Host: "M1"}); err != nil || look.State != cluster.Operating {
				t.Errorf("A1: %+v, %v", look, err)
			}
		})
	}
	wg.Wait()
}

// garbage says something that is no request, and something endless.
func garbage(t *testing.T, socket string) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("\x00\xffGET / HTTP/1.1\n")); err != nil {
		t.Error(err)
	}
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "cannot read the request") {
		t.Errorf("garbage was answered %q, %v", line, err)
	}
	_, _ = conn.Write([]byte(strings.Repeat("x", 2*ipc.MaxLine))) // it hangs up midway
	if line, err := r.ReadString('\n'); err == nil && !strings.Contains(line, "longer than") {
		t.Errorf("an endless line was answered %q", line)
	}
}

func TestAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("connecting as another user needs root")
	}
	d := fleetDirs(t)
	started(t, d, "M1")
	for path, mode := range map[string]os.FileMode{filepath.Dir(d.Run): 0o755, d.Run: 0o755, d.SifSocket("M1"): 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	answer := make(chan string)
	go func() { answer <- askAs(65534, d.SifSocket("M1")) }()
	if got := <-answer; !strings.Contains(got, "uid 65534 may not ask") {
		t.Errorf("another user was answered %q", got)
	}
}

// askAs asks as another user, on a thread that ends with its goroutine.
func askAs(uid uintptr, socket string) string {
	runtime.LockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return errno.Error()
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(`{"verb":"A1","host":"M1"}` + "\n"))
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line
}

func msDat() *mgmtdata.Server {
	a := netip.MustParseAddr
	return &mgmtdata.Server{VIP: a("172.21.14.104"), Host: "Ms", IP: a("172.21.14.51"), Group: "Mail", Daemons: []string{"postfix"}, Real: a("172.21.14.201")}
}

func TestSpareRunsUntilSpareStop(t *testing.T) {
	d := fleetDirs(t)
	if err := daemon.In(d).StartSpareSif(t.Context(), "Ms", 0); err != nil {
		t.Fatal(err)
	}
	c := clientOf(d, "Ms")
	if _, err := c.Call(t.Context(), ipc.Request{Verb: ipc.SpareStart, Host: "Ms", Dat: msDat()}); err != nil {
		t.Fatal(err)
	}
	holder, held, err := daemon.In(d).Holder("Ms")
	if err != nil || !held || holder != pidsIn(d)["dbss"] {
		t.Fatalf("spare-start answered before dbss %d monitors: %d, %v, %v", pidsIn(d)["dbss"], holder, held, err)
	}

	first := killed(t, d, "dbss")
	eventually(t, "the sif starts its dbss again", func() bool {
		pid, held, err := daemon.In(d).Holder("Ms")
		return err == nil && held && pid != first
	})
	dbss := pidsIn(d)["dbss"]

	sif := killed(t, d, "sif")
	eventually(t, "the dbss starts another sif", func() bool {
		pid := pidsIn(d)["sif"]
		return pid != 0 && pid != sif && daemon.Listening(d.SifSocket("Ms"))
	})
	if pid := pidsIn(d)["dbss"]; pid != dbss {
		t.Fatalf("dbss %d became %d when its sif died", dbss, pid)
	}

	killed(t, d, "dbss")
	eventually(t, "the sif that adopted starts its dbss again", func() bool {
		pid, held, err := daemon.In(d).Holder("Ms")
		return err == nil && held && pid != dbss
	})
	if _, err := c.Call(t.Context(), ipc.Request{Verb: ipc.SpareStop, Host: "Ms"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "sif and dbss of the spare are gone", func() bool { return len(pidsIn(d)) == 0 })
}

func TestSpareStartReportsWhyDbssDoesNotStart(t *testing.T) {
	d := fleetDirs(t)
	if err := daemon.In(d).StartSpareSif(t.Context(), "Ms", 0); err != nil {
		t.Fatal(err)
	}
	lock, err := daemon.In(d).Lock("Ms") // somebody monitors the spare
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = clientOf(d, "Ms").Call(ctx, ipc.Request{Verb: ipc.SpareStart, Host: "Ms", Dat: msDat()})
	if want := fmt.Sprintf("already monitored by pid %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("spare-start: %v, want %q", err, want)
	}
}
