package ops_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// A shift marks the VIPs that it moves for as long as the files and the servers
// may differ.
func TestMovesAreMarked(t *testing.T) {
	for _, c := range []struct {
		name string
		fail []string // calls
		left []netip.Addr
		on   []string // who may have them
	}{
		{name: "done"},
		{name: "undone", fail: []string{"AddVIP M1"}},
		{name: "the new holder does not let go", fail: []string{"commit", "DelVIP M1"}, left: []netip.Addr{ip(104)}, on: []string{"M1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(w *world) {
				for _, call := range c.fail {
					w.fail[call] = true
				}
				if err := w.Change(w.ctx, mail(), nil); (err != nil) != (len(c.fail) > 0) {
					w.Errorf("error %v", err)
				}
				left, err := w.Moving.All()
				if err != nil || !slices.Equal(ipc.VIPsOf(left), c.left) {
					w.Errorf("marked %v (%v), want %v", left, err, c.left)
				}
				var on []string
				for _, m := range left {
					for _, g := range m.On {
						on = append(on, g.Host)
					}
				}
				if !slices.Equal(on, c.on) {
					w.Errorf("they may be on %v, want %v", on, c.on)
				}
			})
		})
	}
}

// A pss that is killed leaves the VIP on its receiver, and the mark; by then the
// VIP may be in separation, or still in operation where it was.
func TestUnmark(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*cluster.Tables)
		held []string // by whom, in the end
	}{
		"in separation": {func(t *cluster.Tables) {
			i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.VIP == ip(104) })
			t.Separation = append(t.Separation, t.Operation[i])
			t.Operation = slices.Delete(t.Operation, i, i+1)
		}, nil},
		"in operation on the receiver": {func(t *cluster.Tables) {
			i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.VIP == ip(104) })
			t.AccessStop = append(t.AccessStop, t.Operation[i])
			t.Operation[i].Host, t.Operation[i].IP, t.Operation[i].Real = m1.Host, m1.IP, m1.Real
		}, []string{"M1"}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(w *world) {
				mark := ipc.Move{VIP: ip(104), On: []cluster.Guest{m1, m2}, Given: time.Now()}
				w.ok(w.Moving.Add(mark))
				w.ok(w.model.DelVIP(w.ctx, m2, ip(104)))
				w.ok(w.model.AddVIP(w.ctx, m1, ip(104)))
				w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { c.edit(t); return nil }))
				_, err := w.Unmark(w.ctx, mark, w.Known(w.ctx, w.tables()))
				w.ok(err)
				if got := w.model.Holders(ip(104)); !slices.Equal(got, c.held) {
					w.Errorf("104 is held by %v, want %v", got, c.held)
				}
				if _, marked := w.Moving.Get(ip(104)); marked {
					w.Error("the mark is still there")
				}
			})
		})
	}
}

// A server that was cut off with the VIP of a move answers for nothing: it is stripped
// and reconnected all the same, when the VIP is where the files have it.
func TestFinishReconnects(t *testing.T) {
	play(t, func(w *world) {
		w.stopped()
		w.ok(w.model.DelVIP(w.ctx, m2, ip(104)))
		w.ok(w.model.AddVIP(w.ctx, m1, ip(104)))
		w.ok(w.model.SetLink(w.ctx, m1, false))
		w.ok(w.Moving.Add(ipc.Move{VIP: ip(104), On: []cluster.Guest{m1}, Given: time.Now()}))
		w.finishMarks()
		w.ok(w.model.Ping(w.ctx, m1.IP))
		if got := w.model.Holders(ip(104)); !slices.Equal(got, []string{"M2"}) {
			w.Errorf("104 is held by %v", got)
		}
		if has, err := w.model.Addrs(w.ctx, m1); err != nil || slices.Contains(has, ip(104)) {
			w.Errorf("M1 has %v, %v", has, err)
		}
		if left, err := w.Moving.All(); err != nil || len(left) > 0 {
			w.Errorf("marked: %v, %v", left, err)
		}
	})
}
