package scenario

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inWorld plays with the paper's system two minutes after its launch.
func inWorld(t *testing.T, do func(t *testing.T, w *World, p *points)) {
	t.Helper()
	dir := tempDir(t)
	copyConf(t, paper, filepath.Join(dir, "conf"))
	synctest.Test(t, func(t *testing.T) {
		w, err := New(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		p := watch(w)
		w.Launch()
		time.Sleep(2 * time.Minute)
		do(t, w, p)
	})
}

// points are when a program was at each of its points.
type points struct {
	mu sync.Mutex
	at map[string][]time.Time
}

func watch(w *World) *points {
	p := &points{at: map[string][]time.Time{}}
	w.OnPoint = func(proc *Proc, _ Point) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.at[proc.who] = append(p.at[proc.who], time.Now())
	}
	return p
}

// within is how many points a program had between two times.
func (p *points) within(who string, from, to time.Time) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.at[who] {
		if t.After(from) && t.Before(to) {
			n++
		}
	}
	return n
}

func run(t *testing.T, w *World, command string) {
	t.Helper()
	if err := w.command(strings.Fields(command)); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

// A stopped program does nothing, says nothing and answers nobody; others go on.
func TestStoppedProgramDoesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World, p *points) {
		begin := time.Now()
		run(t, w, "stop dbss M1 for 20s")
		run(t, w, "fault vm-crash M1")
		time.Sleep(60 * time.Second)
		end := begin.Add(20 * time.Second)
		if n := p.within("dbss M1", begin, end); n > 0 {
			t.Errorf("a stopped dbss was at %d points", n)
		}
		if p.within("dbss M1", end.Add(-time.Nanosecond), end.Add(2*time.Second)) == 0 || p.within("dbss W1", begin, end) == 0 {
			t.Error("it does not go on afterwards, or others do not meanwhile")
		}
		w.log.mu.Lock()
		defer w.log.mu.Unlock()
		for _, l := range w.log.lines {
			if l.who == "dbss M1" && l.at.After(begin) && l.at.Before(end) {
				t.Errorf("a stopped dbss says %q", l.text)
			}
		}
	})
}

// A dbss whose sif is stopped cannot ask it anything.
func TestStoppedSifAnswersNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World, _ *points) {
		run(t, w, "stop sif M1 for 30s")
		begin := time.Now()
		run(t, w, "fault vm-crash M1")
		time.Sleep(29 * time.Second)
		if tables, err := w.Tables(); err != nil || len(tables.Separation) > 0 {
			t.Errorf("separated by a stopped sif: %v, %v", tables.Separation, err)
		}
		for len(w.Model.Holders(w.dats.Servers[w.dirs.Dat("M1")].VIP)) == 0 && time.Since(begin) < 3*time.Minute {
			time.Sleep(time.Second)
		}
		if time.Since(begin) >= 3*time.Minute {
			t.Error("nobody took over afterwards")
		}
	})
}

// A stopped program dies by kill -9, not by SIGTERM, and its launcher starts another.
func TestStoppedProgramCanBeKilled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World, _ *points) {
		p := w.find("dbss", "M1")
		run(t, w, "stop dbss M1 for 10m")
		p.cancel()
		time.Sleep(time.Minute)
		select {
		case <-p.ended:
			t.Error("a stopped program ended by itself")
		default:
		}
		run(t, w, "kill dbss M1")
		time.Sleep(10 * time.Second)
		if next := w.find("dbss", "M1"); next == nil || next == p {
			t.Error("no other dbss was started")
		}
	})
}

// A starved program does less, and goes on doing it.
func TestStarvedProgramIsSlow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World, p *points) {
		time.Sleep(30 * time.Second)
		begin := time.Now()
		run(t, w, "starve all for 30s")
		time.Sleep(time.Minute)
		fast, slow := 0, 0
		for _, proc := range w.Running() {
			fast += p.within(proc.who, begin.Add(-30*time.Second), begin)
			slow += p.within(proc.who, begin, begin.Add(30*time.Second))
		}
		if slow == 0 || slow > fast*9/10 {
			t.Errorf("%d points while starved, %d before", slow, fast)
		}
		w.goOn()
	})
}

func TestHoldsOfWhatDoesNotRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World, _ *points) {
		for _, command := range []string{"stop dbss M9 for 1s", "starve nobody for 1s", "stop dbss M1 for long", "path M1 loss", "path M1 loss much",
			"path M1 for 1s", "path M9 loss 5", "path M1 speed 5", "fault vm-stall M1 for 1s says off"} {
			if w.command(strings.Fields(command)) == nil {
				t.Errorf("%s: done", command)
			}
		}
		for _, command := range []string{"path M1 loss 5 delay 1ms jitter 300ms for 1s", "path hypervisor:RS1 loss-out 5 loss-back 10", "fault vm-stall M1 for 1s says paused",
			"fault overload W1 for 1s", "starve pss for 1s"} {
			run(t, w, command)
		}
	})
}
