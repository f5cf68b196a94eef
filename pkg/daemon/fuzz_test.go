package daemon

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// FuzzControl: whatever comes over a control socket, only a request to stop
// stops, and everything else has one error or none.
func FuzzControl(f *testing.F) {
	for _, s := range []string{`{"verb":"stop"}` + "\n", `{"verb":"stop"}`, "stop\n", "{}\n", "null\n", strings.Repeat("x", 5000), `{"verb":"stop","x":[[[[` + "\n", "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		stopped := false
		c := &Control{stop: func() { stopped = true }}
		here, there := net.Pipe()
		var all sync.WaitGroup
		all.Go(func() { c.serve(there); there.Close() })
		all.Go(func() {
			_, _ = here.Write(in)
			if !bytes.Contains(in, []byte("\n")) {
				here.Close() // nothing more comes
			}
		})
		answer, _ := io.ReadAll(io.LimitReader(here, 4096))
		here.Close()
		all.Wait()
		if stopped != strings.Contains(string(answer), `"ok":true`) || stopped && !strings.Contains(string(in), "stop") {
			t.Errorf("%q: stopped %v, answer %q", in, stopped, answer)
		}
	})
}

// FuzzHolder: what a lock file says is a pid, or nobody.
func FuzzHolder(f *testing.F) {
	for _, s := range []string{"", "1\n", "-1", "4194304\n", "99999999999999999999", "12 34", "\x00"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "monitor-M1.lock"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, held, err := In(Dirs{Run: dir}).Holder("M1"); err != nil || held || pid < 0 {
			t.Errorf("%q: pid %d, held %v, %v", text, pid, held, err)
		}
	})
}
