package conffile

import (
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/lockedfile"
)

// coarse is a disk whose clock ticks as slowly as many do.
type coarse struct{ lockedfile.Disk }

const tick = 10 * time.Millisecond

func (c coarse) Stamp(name string) (lockedfile.Stamp, error) {
	s, err := c.Disk.Stamp(name)
	s.Mtime, s.Ctime = s.Mtime.Truncate(tick), s.Ctime.Truncate(tick)
	return s, err
}

// Two changes within one tick, of the same length, leave the same stamp: the
// second one is seen all the same.
func TestViewSeesChangesWithinATick(t *testing.T) {
	dir := paper(t)
	d := Open(dir, Options{Disk: coarse{Open(dir, Options{}).store.Disk()}})
	text := read(t, paperDir, State)
	other := strings.Replace(text, "201  172.21.14.202", "202  172.21.14.201", 1)
	alike := 0
	for range 500 {
		before := map[bool]stamps{}
		for _, swapped := range []bool{false, true} {
			write(t, dir, State, map[bool]string{false: text, true: other}[swapped])
			before[swapped] = d.stamps()
			got, err := d.View(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if is := got.State[0].Bases[0] == ip("202"); is != swapped {
				t.Fatal("an old view")
			}
		}
		if before[false] == before[true] {
			alike++
		}
		if alike == 10 {
			return
		}
	}
	t.Errorf("only %d of 500 changes looked alike", alike)
}
