package sif

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/ipc"
)

// onSocket is a sif on a real socket and real files.
func onSocket(t *testing.T, address string) (stop func()) {
	dir := paperCopy(t)
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{
		Files:  conffile.Open(dir, conffile.Options{Holder: "sif"}),
		DatDir: dir, Management: mgmt, Failed: ipc.Failed{Dir: t.TempDir()}, Log: zerolog.Nop(), Hold: 200 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	return func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the sif does not end")
		}
	}
}

// attacks is what a client may do to a sif; each has a connection and time
// until over. An answer that is not one clear error is a fault.
func attacks() map[string]func(c net.Conn, over <-chan struct{}) error {
	return map[string]func(c net.Conn, over <-chan struct{}) error{
		"garbage":         func(c net.Conn, _ <-chan struct{}) error { return garbage(c) },
		"100 MB":          func(c net.Conn, _ <-chan struct{}) error { return huge(c, bytes.Repeat([]byte("x"), 1<<16)) },
		"100 MB of JSON":  func(c net.Conn, _ <-chan struct{}) error { return huge(c, bytes.Repeat([]byte("{},"), 1<<14)) },
		"many small ones": func(c net.Conn, _ <-chan struct{}) error { return costly(c) },
		"half a message":  func(c net.Conn, _ <-chan struct{}) error { return say(c, `{"verb":"A3","ho`) },
		"slow": func(c net.Conn, over <-chan struct{}) error {
			for {
				select {
				case <-over:
					return nil
				case <-time.After(10 * time.Millisecond):
					if err := say(c, "{"); err != nil {
						return err
					}
				}
			}
		},
		"holds and goes":        func(c net.Conn, _ <-chan struct{}) error { return say(c, `{"verb":"hold","host":"M1"}`+"\n") },
		"holds and never reads": neverReads(`{"verb":"hold","host":"M1"}` + "\n" + `{"verb":"A1","host":"M1"}` + "\n"),
		"never reads":           neverReads(strings.Repeat(`{"verb":"A1","host":"M1"}`+"\n", 50)),
		"watches, never reads":  neverReads(strings.Repeat(`{"verb":"watch"}`+"\n", 50)),
	}
}

func say(c net.Conn, text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// garbage wants one error for each line.
func garbage(c net.Conn) error {
	in := bufio.NewReader(c)
	for _, line := range []string{"", "\x00\xff", "[]", "null", "{}", `{"verb":"A9"}`, `{"verb":"A3"}`, `{"verb":"A3","host":"../../etc/passwd"}`,
		`{"verb":7}`, strings.Repeat("[", 60000), `{"verb":"A3","host":"M1"} {"verb":"A3","host":"M1"}`} {
		if err := say(c, line+"\n"); err != nil {
			return err
		}
		answer, err := in.ReadString('\n')
		if err != nil || !strings.Contains(answer, `"ok":false,"error":"cannot`) || len(answer) > 1000 {
			return fmt.Errorf("to %.40q: answer %.200q (%v)", line, answer, err)
		}
	}
	return nil
}

// huge sends 100 MB without an end of line; the sif does not read them all.
func huge(c net.Conn, part []byte) error {
	sent := 0
	for sent < 100<<20 {
		n, err := c.Write(part)
		if sent += n; err != nil {
			break
		}
	}
	answer, _ := io.ReadAll(c)
	if sent > 10<<20 || !strings.Contains(string(answer), "a line is too long") || bytes.Count(answer, []byte("\n")) != 1 {
		return fmt.Errorf("%d bytes taken, answer %.200q", sent, answer)
	}
	return nil
}

// costly sends lines of which little text makes much data.
func costly(c net.Conn) error {
	line := `{"verb":"B4","real":"172.21.14.201","servers":[` + strings.Repeat("{},", 20000) + `{}]}` + "\n"
	in := bufio.NewReader(c)
	for range 5 {
		if err := say(c, line); err != nil {
			return err
		}
		if answer, err := in.ReadString('\n'); err != nil || !strings.Contains(answer, "lacks its host or IP") {
			return fmt.Errorf("answer %.200q (%v)", answer, err)
		}
	}
	return nil
}

// neverReads sends until nothing more is taken.
func neverReads(text string) func(c net.Conn, over <-chan struct{}) error {
	return func(c net.Conn, over <-chan struct{}) error {
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			for say(c, text) == nil {
			}
		}()
		<-over
		c.Close()
		<-gone
		return nil
	}
}

// peak watches how much memory is in use at most, until stopped.
func peak() (stop func() (grown uint64)) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, most := m.HeapAlloc, atomic.Uint64{}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.Tick(5 * time.Millisecond); ; {
			select {
			case <-over:
				return
			case <-tick:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapAlloc))
			}
		}
	}()
	return func() uint64 {
		close(over)
		<-done
		return most.Load() - min(base, most.Load())
	}
}

// A hundred clients at once do their worst: the sif needs little memory, says
// one clear error where there is one to say, and its own dbss is served within
// the deadline of its calls.
func TestHostileClients(t *testing.T) {
	const (
		clients = 100
		bound   = 64 << 20 // bytes
		course  = 3 * time.Second
	)
	socket := filepath.Join(t.TempDir(), "sif.sock")
	defer onSocket(t, socket)()
	used := peak()
	over := make(chan struct{})
	var all sync.WaitGroup
	var names []string
	for name := range attacks() {
		names = append(names, name)
	}
	for i := range clients {
		name := names[i%len(names)]
		all.Go(func() {
			for attacked := false; !attacked || name == "holds and goes" && open(over); attacked = true {
				if err := attack(socket, name, over); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	slowest, calls := ownDBSS(t, socket, course)
	close(over)
	all.Wait()
	grown := used()
	t.Logf("%d calls of its own dbss, the slowest took %v; %d MB of memory", calls, slowest, grown>>20)
	if grown > bound {
		t.Errorf("%d MB of memory, want at most %d", grown>>20, bound>>20)
	}
}

func open(over <-chan struct{}) bool {
	select {
	case <-over:
		return false
	case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
		return true
	}
}

func attack(socket, name string, over <-chan struct{}) error {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	return attacks()[name](c, over)
}

// ownDBSS does what a dbss does, again and again: look, hold, and give the hold back.
func ownDBSS(t *testing.T, socket string, course time.Duration) (slowest time.Duration, calls int) {
	client := ipc.NewClient(ipc.DialUnix(socket), "dbss", clock.Clock{})
	timed := func(call func(ctx context.Context) error) {
		begun := time.Now()
		if err := call(t.Context()); err != nil {
			t.Errorf("its own dbss: %v", err)
		}
		calls++
		slowest = max(slowest, time.Since(begun))
	}
	for end := time.Now().Add(course); time.Now().Before(end); {
		timed(func(ctx context.Context) error {
			_, err := client.Call(ctx, ask(ipc.A1, "M1"))
			return err
		})
		timed(func(ctx context.Context) error {
			h, err := client.Hold(ctx, ipc.Request{Host: "M1", Backup: &mb})
			if err != nil {
				return err
			}
			_ = h.Release(ctx) // the hold is short here, and may have ended
			return nil
		})
	}
	return slowest, calls
}

// Another user is told that it may not ask, and gets nothing done.
func TestHostilePeer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	address := fmt.Sprintf("@sif-hostile-%d", os.Getpid()) // no file, so no file mode keeps it out
	defer onSocket(t, address)()
	c := asNobody(t, func() (net.Conn, error) { return net.Dial("unix", address) })
	defer c.Close()
	_ = say(c, `{"verb":"A3","host":"M1"}`+"\n") // the sif may have hung up
	answer, _ := bufio.NewReader(c).ReadString('\n')
	if answer != `{"ok":false,"error":"uid 65534 may not ask this sif"}`+"\n" {
		t.Errorf("answer %q", answer)
	}
	r, err := ipc.NewClient(ipc.DialUnix(address), "dbss", clock.Clock{}).Call(t.Context(), ask(ipc.A1, "M1"))
	if err != nil || r.State != cluster.Operating {
		t.Errorf("its own dbss: %+v, %v", r, err)
	}
}

// asNobody connects with another effective uid, which is what the kernel tells
// the other end. The uid is that of one thread.
func asNobody(t *testing.T, dial func() (net.Conn, error)) net.Conn {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody, same = 65534, ^uintptr(0)
	become := func(uid uintptr) error {
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, same, uid, same); e != 0 {
			return e
		}
		return nil
	}
	if err := become(nobody); err != nil {
		t.Fatal(err)
	}
	c, err := dial()
	if err := errors.Join(err, become(0)); err != nil {
		t.Fatal(err)
	}
	return c
}
