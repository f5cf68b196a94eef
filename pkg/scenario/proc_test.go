package scenario

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A sif ends with the dbss that started it, at whatever instant of its start
// that is killed; else its launcher's next one finds the socket taken.
func TestNoSifOutlivesItsMaster(t *testing.T) {
	for after := time.Duration(0); after < 4*startTime; after += startTime / 6 {
		dir := tempDir(t)
		copyConf(t, paper, filepath.Join(dir, "conf"))
		synctest.Test(t, func(t *testing.T) {
			w, err := New(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			p := w.start("dbss M1")
			time.Sleep(after)
			p.Kill()
			time.Sleep(10 * time.Second)
			if s := w.find("sif", "M1"); s != nil {
				t.Errorf("killed after %v: its sif runs on", after)
			}
		})
	}
}
