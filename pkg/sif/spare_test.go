package sif

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// fakeMonitor is a dbss that ends when the test says.
type fakeMonitor struct {
	dat  mgmtdata.Server
	done chan struct{}
	err  error
}

func newFakeMonitor(dat mgmtdata.Server) *fakeMonitor {
	return &fakeMonitor{dat: dat, done: make(chan struct{})}
}

func (m *fakeMonitor) Done() <-chan struct{} { return m.done }
func (m *fakeMonitor) Err() error            { return m.err }
func (m *fakeMonitor) Stop(context.Context) error {
	close(m.done)
	return nil
}

// end ends the dbss; err nil is an end by intent.
func (m *fakeMonitor) end(err error) {
	m.err = err
	close(m.done)
}

// launcher starts fakeMonitors and remembers them.
type launcher struct {
	mu   sync.Mutex
	err  error // of the next starts
	list []*fakeMonitor
}

func (l *launcher) start(_ context.Context, dat mgmtdata.Server) (Monitor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	l.list = append(l.list, newFakeMonitor(dat))
	return l.list[len(l.list)-1], nil
}

func (l *launcher) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// started are the dbss started so far.
func (l *launcher) started() []*fakeMonitor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

func msDat(real string) *mgmtdata.Server {
	return &mgmtdata.Server{VIP: ip("104"), Host: "Ms", IP: ip("51"), Group: "Mail", Daemons: []string{"postfix"}, Real: ip(real)}
}

// spareRig serves a spare's sif; ended tells that Serve has returned.
func spareRig(t *testing.T, adopted *fakeMonitor, f func(ctx context.Context, r *rig, l *launcher, ended func() bool)) {
	inBubble(t, func(ctx context.Context, r *rig) {
		l := &launcher{}
		r.opt.Spare = &Spare{Start: l.start, Log: r.opt.Log}
		if adopted != nil {
			adopted.done = make(chan struct{}) // of this bubble
			r.opt.Spare.Adopted, r.opt.Spare.Dat = adopted, &adopted.dat
		}
		mem := ipc.NewMemListener()
		r.mu.Lock()
		r.l = mem
		r.mu.Unlock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := New(r.opt).Serve(ctx, mem); err != nil {
				t.Errorf("Serve: %v", err)
			}
		}()
		f(ctx, r, l, func() bool {
			synctest.Wait()
			select {
			case <-done:
				return true
			default:
				return false
			}
		})
	})
}

func startSpare(dat *mgmtdata.Server) ipc.Request {
	return ipc.Request{Verb: ipc.SpareStart, Host: "Ms", Dat: dat}
}

func TestSpareStartAndStop(t *testing.T) {
	spareRig(t, nil, func(ctx context.Context, r *rig, l *launcher, ended func() bool) {
		for range 2 { // a repeat starts nothing
			r.call(ctx, startSpare(msDat("201")))
		}
		if len(l.started()) != 1 || l.started()[0].dat.Host != "Ms" {
			t.Fatalf("started %d dbss", len(l.started()))
		}
		r.call(ctx, startSpare(msDat("202"))) // on another real server now
		if len(l.started()) != 2 || l.started()[1].dat.Real != ip("202") {
			t.Fatalf("other data did not restart the dbss: %d starts", len(l.started()))
		}
		<-l.started()[0].done
		if ended() {
			t.Fatal("the sif ended while its dbss runs")
		}
		r.call(ctx, ipc.Request{Verb: ipc.SpareStop, Host: "Ms"})
		<-l.started()[1].done
		if !ended() {
			t.Fatal("the sif did not end after spare-stop")
		}
	})
}

func TestSpareStartThatFailsSaysWhy(t *testing.T) {
	spareRig(t, nil, func(ctx context.Context, r *rig, l *launcher, ended func() bool) {
		l.fail(errors.New("Ms.dat:3: bad IP address"))
		_, err := r.client.Call(ctx, startSpare(msDat("201")))
		if err == nil || !strings.Contains(err.Error(), "bad IP address") {
			t.Fatalf("spare-start: %v", err)
		}
		l.fail(nil)
		time.Sleep(time.Minute)
		if len(l.started()) != 0 || ended() {
			t.Fatal("a refused spare-start left a dbss, or ended the sif")
		}
		r.call(ctx, startSpare(msDat("201")))
	})
}

func TestSparesDbssIsRestarted(t *testing.T) {
	spareRig(t, nil, func(ctx context.Context, r *rig, l *launcher, ended func() bool) {
		r.call(ctx, startSpare(msDat("201")))
		l.started()[0].end(errors.New("signal: killed"))
		time.Sleep(restartPause / 2)
		if synctest.Wait(); len(l.started()) != 1 {
			t.Fatal("restarted before the pause")
		}
		l.fail(errors.New("not yet"))
		time.Sleep(3 * restartPause)
		l.fail(nil)
		time.Sleep(restartPause)
		if synctest.Wait(); len(l.started()) != 2 {
			t.Fatalf("%d starts, want a second one", len(l.started()))
		}
		l.started()[1].end(nil)
		if !ended() {
			t.Fatal("the sif outlived a dbss that ended as it meant to")
		}
	})
}

func TestAdoptedDbssIsFollowed(t *testing.T) {
	old := newFakeMonitor(*msDat("201"))
	spareRig(t, old, func(ctx context.Context, r *rig, l *launcher, ended func() bool) {
		r.call(ctx, startSpare(msDat("201"))) // pss was restarted and asks again
		if len(l.started()) != 0 {
			t.Fatal("a second dbss beside the adopted one")
		}
		old.end(errors.New("died"))
		time.Sleep(2 * restartPause)
		if synctest.Wait(); len(l.started()) != 1 || l.started()[0].dat.Real != ip("201") || ended() {
			t.Fatal("the adopted dbss was not started again with its data")
		}
	})
}
