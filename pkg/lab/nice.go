package lab

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// In a machine room the management server, every real server and the client have
// processors of their own. Here they share a few, and the room is to measure the
// programs: those go first, then the hypervisors that answer them, guests that
// serve, whoever asks those (ClientNice, as nice counts), and last what boots. All
// of them go before whatever else the machine does, which would only add its own
// delays to the room's.
const (
	programNice  = -18
	libvirtdNice = -12
	guestNice    = -8
	ClientNice   = -6
	bootNice     = -4

	niceGap   = 100 * time.Millisecond // between looks at guests
	detachGap = time.Second            // between looks at programs
)

// keepNice has everybody wait for those that go before, until ctx ends.
func (r *room) keepNice(ctx context.Context) {
	guests, programs := map[int]int{}, map[int]int{}
	var looked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(niceGap):
		}
		settle(guests, r.guestNices())
		if time.Since(looked) >= detachGap {
			looked = time.Now()
			settle(programs, r.detachedNices(ctx))
		}
	}
}

// settle makes niceness what is wanted, by pid, where it is not.
func settle(is, want map[int]int) {
	for pid, nice := range want {
		if was, known := is[pid]; !known || was != nice {
			renice(pid, nice)
		}
	}
	clear(is)
	maps.Copy(is, want)
}

func (r *room) guestNices() map[int]int {
	want := map[int]int{}
	for _, s := range r.plan.Servers {
		if _, pid, err := r.whereabouts(s.Host); err == nil {
			want[pid] = guestNice
			if r.boots(s.Host) {
				want[pid] = bootNice
			}
		}
	}
	return want
}

// detachedNices are those of programs that lead a session of their own: the kernel
// may weigh sessions, and a new one begins with no weight of its own.
func (r *room) detachedNices(ctx context.Context) map[int]int {
	want := map[int]int{}
	pids, err := pidsIn(ctx, r.Namespace(management))
	if err != nil {
		return want
	}
	for _, pid := range pids {
		const session = 3
		name, stat := processStat(pid)
		if slices.Contains(productPrograms, name) && len(stat) > session && stat[session] == strconv.Itoa(pid) {
			want[pid] = programNice
		}
	}
	return want
}

// renice renices every thread of a process, and its session. One that has ended is none.
func renice(pid, nice int) {
	weigh(pid, nice)
	tasks, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if err != nil {
		return
	}
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, tid, nice)
		}
	}
}

// weigh renices the session of a process, which is what the kernel weighs first
// where it groups processes by session.
func weigh(pid, nice int) {
	file := filepath.Join("/proc", strconv.Itoa(pid), "autogroup") // not there without such groups
	_ = os.WriteFile(file, []byte(strconv.Itoa(nice)), 0)
}
