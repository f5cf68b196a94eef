package lab

import (
	"bytes"
	"encoding/xml"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unpack reads an archive as the kernel does: names and bodies, in order.
func unpack(t *testing.T, b []byte) (names []string, bodies map[string]string) {
	t.Helper()
	bodies = map[string]string{}
	number := func(s []byte) int {
		n, err := strconv.ParseInt(string(s), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	up := func(n int) int { return (n + 3) &^ 3 }
	for {
		if string(b[:6]) != "070701" {
			t.Fatalf("no entry behind %v: %q", names, b[:6])
		}
		size, length := number(b[6+8*6:6+8*7]), number(b[6+8*11:6+8*12])
		name := string(b[110 : 110+length-1])
		b = b[up(110+length):]
		if name == "TRAILER!!!" {
			return names, bodies
		}
		names, bodies[name] = append(names, name), string(b[:size])
		b = b[up(size):]
	}
}

func TestCPIO(t *testing.T) {
	var b bytes.Buffer
	w := &cpio{w: &b}
	w.file("init", 0o755, []byte("#!/bin/sh\n"))
	for range 2 {
		w.parents("lib/x/y.so")
	}
	w.file("lib/x/y.so", 0o644, []byte("odd"))
	w.file("empty", 0o644, nil)
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	names, bodies := unpack(t, b.Bytes())
	if d := cmp.Diff([]string{"init", "lib", "lib/x", "lib/x/y.so", "empty"}, names); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if bodies["init"] != "#!/bin/sh\n" || bodies["lib/x/y.so"] != "odd" || bodies["empty"] != "" {
		t.Errorf("%q", bodies)
	}
}

func TestDomainXML(t *testing.T) {
	if _, err := kernel(); err != nil {
		t.Skipf("%v", err)
	}
	l := &Lab{plan: Small(), dir: t.TempDir()}
	if err := l.writeDefinitions(); err != nil {
		t.Fatal(err)
	}
	for _, s := range l.plan.Servers {
		b, err := os.ReadFile(filepath.Join(l.dir, "domains", s.Host+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Name    string `xml:"name"`
			Cmdline string `xml:"os>cmdline"`
		}
		if err := xml.Unmarshal(b, &d); err != nil || d.Name != s.Host || !strings.Contains(d.Cmdline, "lab.ip="+s.IP.String()) {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

func TestAttach(t *testing.T) {
	l := &Lab{plan: Small(), dir: t.TempDir(), prefix: "psslab1-"}
	if err := l.writeManifest(); err != nil {
		t.Fatal(err)
	}
	a, err := Attach(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(l.plan, a.plan, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := a.Namespace("RS1"); got != "psslab1-rs1" {
		t.Error(got)
	}
	if _, err := Attach(t.TempDir()); err == nil {
		t.Error("a lab was found where there is none")
	}
}

// TestGuestsAppendToNoFile: what a guest has appended to a file of its disk and not
// flushed when it is killed comes back as zeros. A spare thrown away in its first
// seconds never greeted again, as vsftpd found them in its configuration.
func TestGuestsAppendToNoFile(t *testing.T) {
	scripts, err := recipe.ReadDir("image")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		if s.Name() == "build.sh" { // runs before there is a guest
			continue
		}
		b, err := recipe.ReadFile("image/" + s.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), ">>") {
			t.Errorf("%s appends to a file", s.Name())
		}
	}
}

// TestFillMemory: an order to fill the memory that is given again while it is under
// way fills it once, and nothing of it outlasts the order to let go. A server that
// kept its load kept its group in Moderate.
func TestFillMemory(t *testing.T) {
	dir := t.TempDir()
	free := "#!/bin/sh\necho 'Mem: 100000 10000'\n"
	if err := os.WriteFile(filepath.Join(dir, "free"), []byte(free), 0o755); err != nil {
		t.Fatal(err)
	}
	fill := func(args ...string) *exec.Cmd {
		cmd := exec.Command("image/fill-memory.sh", args...)
		cmd.Env = append(os.Environ(), "FILL_MEMORY="+dir, "PATH="+dir+":"+os.Getenv("PATH"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	want := func(n int, when string) {
		t.Helper()
		if got := fillers(t, dir); len(got) != n {
			t.Errorf("%s %d processes hold memory, want %d", when, len(got), n)
		}
	}
	t.Cleanup(func() {
		for _, pid := range fillers(t, dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	var orders []*exec.Cmd
	for range 4 {
		orders = append(orders, fill("20", "1"))
	}
	for _, o := range orders {
		if err := o.Wait(); err != nil {
			t.Error(err)
		}
	}
	want(1, "after the order")
	for _, o := range [][]string{{"0", "3"}, {"20", "2"}} {
		if err := fill(o...).Wait(); err != nil {
			t.Error(err)
		}
	}
	want(0, "after all")
}

// fillers are the living processes that hold memory on behalf of fill-memory in dir.
func fillers(t *testing.T, dir string) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		cwd, err := os.Readlink(p + "/cwd")
		name, nerr := os.ReadFile(p + "/comm")
		if err != nil || nerr != nil || cwd != dir || strings.TrimSpace(string(name)) != "dd" {
			continue // a dead one has no directory
		}
		if pid, err := strconv.Atoi(filepath.Base(p)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
