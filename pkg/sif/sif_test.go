package sif

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

func TestTakeoverAndReturn(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		look := r.call(ctx, ask(ipc.A1, "M1"))
		if look.State != cluster.Operating || look.Real != full("201") || len(look.AllVIPs) != 6 ||
			len(look.VIPs) != 1 || look.VIPs[0] != ip("101") || look.Serving[0].Host != "M1" {
			t.Fatalf("A1: %+v", look)
		}
		a3 := r.call(ctx, ask(ipc.A3, "M1"))
		if a3.State != cluster.Separated || a3.Real != full("201") || len(a3.Active) != 3 {
			t.Fatalf("A3: %+v", a3)
		}
		if look := r.call(ctx, ask(ipc.A2, "M1")); look.State != cluster.Separated || look.Serving[0].Host != "" || look.Failed {
			t.Fatalf("A2: %+v", look)
		}
		r.call(ctx, a4For("M1"))
		r.wantRows(ctx, "op: Mail 200 101 Mb 61\n sep: Mail 201 101 M1 1", "M1", "Mb")
		if look := r.call(ctx, ask(ipc.A1, "Mb")); look.State != cluster.Operating || look.Real != full("200") {
			t.Fatalf("A1 of the backup: %+v", look)
		}
		r.call(ctx, a5(ipc.Moving))
		r.wantRows(ctx, "op: Mail 202 101 Mb 61", "Mb")
		moved := a5(ipc.Moved)
		moved.Real = mgmt
		r.call(ctx, moved) // the migration failed
		r.wantRows(ctx, "op: Mail 200 101 Mb 61", "Mb")
		for range 2 {
			if done := r.call(ctx, a5(ipc.Recovered)); done.State != cluster.Operating {
				t.Fatalf("A5: %+v", done)
			}
		}
		r.wantRows(ctx, "op: Mail 201 101 M1 1", "M1", "Mb")
		r.refused(ctx, a5(ipc.Moving), cluster.Operating, "no separation row left")
	})
}

func full(octet string) string { return ip(octet).String() }

func TestMovingNeedsAnActiveRealServer(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.call(ctx, ask(ipc.A3, "M1"))
		r.call(ctx, a4For("M1"))
		req := a5(ipc.Moving)
		req.Real = ip("209")
		r.refused(ctx, req, cluster.RealOutside, "no active real server")
	})
}

func TestFailedBackupLeavesItsVIPsToPSS(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		failed := ipc.Request{Verb: ipc.A4Failed, Host: "M1", Backup: &mb}
		r.refused(ctx, failed, cluster.Operating, "no separation row")
		r.call(ctx, ask(ipc.A3, "M1"))
		r.call(ctx, a4For("M1"))
		for range 2 {
			r.call(ctx, failed)
		}
		r.wantRows(ctx, "sep: Mail 201 101 M1 1", "M1", "Mb")
		if hosts, err := ipc.FailedBackups(r.run); err != nil || len(hosts) != 1 || hosts[0] != "M1" {
			t.Fatalf("failed backups: %v, %v", hosts, err)
		}
		if look := r.call(ctx, ask(ipc.A1, "M1")); !look.Failed {
			t.Fatalf("A1 does not say that the VIPs are pss's: %+v", look)
		}
		r.call(ctx, ask(ipc.A3, "M1")) // a repeat forgets nothing
		r.refused(ctx, a4For("M1"), cluster.Separated, "are pss's")
		r.edit(ctx, func(t *cluster.Tables) { // pss gives the VIP to M2
			t.Operation = append(t.Operation, cluster.ServerRow{Group: "Mail", Real: ip("202"), VIP: ip("101"), Host: "M2", IP: ip("4")})
		})
		if done := r.call(ctx, a5(ipc.Recovered)); done.State != cluster.AccessStop || done.Serving[0].Host != "M2" {
			t.Fatalf("A5: %+v", done)
		}
		r.wantRows(ctx, "stop: Mail 201 101 M1 1", "M1", "Mb")
		if hosts, _ := ipc.FailedBackups(r.run); len(hosts) != 0 {
			t.Fatalf("failed backups after A5: %v", hosts)
		}
	})
}

func TestRealServerOutAndBack(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		b := ipc.Request{Verb: ipc.B1, Host: "RS1", Real: ip("201")}
		if look := r.call(ctx, b); look.State != cluster.RealActive || len(look.Placed) != 6 || len(look.Orphans) != 0 {
			t.Fatalf("B1: %+v", look)
		}
		for _, h := range []string{"M1", "W1"} {
			r.call(ctx, ask(ipc.A3, h))
		}
		r.call(ctx, a4For("M1"))
		b.Verb = ipc.B3
		for range 2 {
			if out := r.call(ctx, b); out.State != cluster.RealOutside || len(out.Active) != 2 {
				t.Fatalf("B3: %+v", out)
			}
		}
		if look := r.call(ctx, ask(ipc.A1, "M1")); look.Real != "out" {
			t.Fatalf("A1: real %q, want out", look.Real)
		}
		b.Verb = ipc.B2
		if look := r.call(ctx, b); cmp.Diff([]string{"M1", "W1"}, look.Orphans) != "" {
			t.Fatalf("B2: %+v", look)
		}
		b.Verb = ipc.B4
		b.Servers = []ipc.Restored{
			{Target: ipc.Server{Host: "M1", IP: ip("1")}, Backup: &mb},
			{Target: ipc.Server{Host: "X9", IP: ip("9")}},
		}
		r.refused(ctx, b, cluster.NotInFiles, "X9 has no separation row left")
		r.wantRows(ctx, "op: Mail 200 101 Mb 61\n sep: Mail 201 101 M1 1", "M1", "Mb") // all or nothing
		b.Servers[1].Target = ipc.Server{Host: "W1", IP: ip("2")}
		for range 2 {
			if back := r.call(ctx, b); back.State != cluster.RealActive || len(back.Active) != 3 {
				t.Fatalf("B4: %+v", back)
			}
		}
		r.wantRows(ctx, "op: Mail 201 101 M1 1\n op: Web 201 102 W1 2", "M1", "W1", "Mb")
		tab, err := r.files.View(ctx)
		if err != nil || tab.Real[2].MAC.String() != "00:00:00:00:00:01" {
			t.Fatalf("the MAC did not come back from the .dat: %v, %v", tab.Real, err)
		}
	})
}

func TestSuspendedRealServerIsLeftAlone(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.edit(ctx, func(t *cluster.Tables) {
			t.Suspended, t.Real = t.Real[2:], t.Real[:2]
		})
		for _, v := range []ipc.Verb{ipc.B3, ipc.B4} {
			r.refused(ctx, ipc.Request{Verb: v, Host: "RS3", Real: ip("203")}, cluster.RealAsleep, "is suspended")
		}
	})
}

func TestOwnedServersAreNoOrphans(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.opt.Monitored = func(host string) (bool, error) {
			if host == "W1" {
				return false, errors.New("the lock file cannot be read")
			}
			return host == "M1", nil
		}
		r.serve(ctx)
		for _, h := range []string{"M1", "W1"} {
			r.call(ctx, ask(ipc.A3, h))
		}
		if look := r.call(ctx, ipc.Request{Verb: ipc.B1, Real: ip("201")}); len(look.Orphans) != 0 {
			t.Fatalf("orphans %v: M1 has an owner, and nobody knows of W1's", look.Orphans)
		}
	})
}

// A .dat that names a home server as backup must not make its rows the target's.
func TestAHomeServerIsNoBackup(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.call(ctx, ask(ipc.A3, "M1"))
		for _, host := range []string{"W1", "Ms"} {
			other := &ipc.Server{Host: host, IP: ip("2"), Group: "Web"}
			for _, req := range []ipc.Request{
				{Verb: ipc.A4, Host: "M1", Backup: other, Real: mgmt},
				{Verb: ipc.A4Failed, Host: "M1", Backup: other},
				{Verb: ipc.A5, Host: "M1", Backup: other, Outcome: ipc.Recovered},
				{Verb: ipc.B4, Real: ip("201"), Servers: []ipc.Restored{{Target: ipc.Server{Host: "M1", IP: ip("1")}, Backup: other}}},
			} {
				r.refused(ctx, req, "", host+" is no backup")
			}
		}
		r.wantRows(ctx, "op: Web 201 102 W1 2\n sep: Mail 201 101 M1 1", "M1", "W1")
	})
}
