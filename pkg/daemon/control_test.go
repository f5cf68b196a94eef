package daemon

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Who asks for nonsense leaves nothing behind, and who asks for the end after
// that is heard.
func TestHostileControl(t *testing.T) {
	d := Dirs{Run: t.TempDir()}
	stopped := make(chan struct{})
	var once sync.Once
	c, err := In(d).ServeControl("dbss", "M1", func() { once.Do(func() { close(stopped) }) })
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, text := range []string{"", "garbage\n", `{"verb":"start"}` + "\n", strings.Repeat("x", 1<<20), `{"verb":"st`} {
		for range 20 {
			all.Go(func() {
				conn, err := net.Dial("unix", d.ControlSocket("dbss", "M1"))
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, text)
				_ = conn.(*net.UnixConn).CloseWrite()
				answer, _ := io.ReadAll(conn)
				if strings.Contains(string(answer), "true") {
					t.Errorf("%.20q: %s", text, answer)
				}
			})
		}
	}
	all.Wait()
	c.mu.Lock()
	kept := len(c.conns)
	c.mu.Unlock()
	if kept > 0 {
		t.Errorf("%d connections are kept", kept)
	}
	asked := make(chan error, 1)
	go func() { asked <- Stop(t.Context(), d, "dbss", "M1") }()
	<-stopped
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-asked; err != nil {
		t.Error(err)
	}
}
