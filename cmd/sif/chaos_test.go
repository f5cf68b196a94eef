package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// Six monitors take over and give back, each through a sif of its own that is
// killed again and again: nothing is refused, and at the end every server
// stands where it stood.
func TestKilledSifsLoseNothing(t *testing.T) {
	d := fleetDirs(t)
	before := operation(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var monitors, killers sync.WaitGroup
	done := make(chan struct{})
	alive := 20 * time.Millisecond // a sif is given several times what it needs to start
	for _, row := range before {
		began := time.Now()
		started(t, d, row.Host)
		alive = max(alive, 3*time.Since(began))
		monitors.Go(func() {
			for range 5 {
				if err := takeOverAndGiveBack(ctx, d, row.Host); err != nil {
					t.Errorf("%s: %v", row.Host, err)
				}
			}
		})
	}
	killers.Go(func() {
		for kills := 0; ; kills++ {
			select {
			case <-done:
				if kills == 0 {
					t.Error("no sif was killed")
				}
				return
			case <-time.After(alive):
				kill(pidsIn(d)["sif"])
			}
		}
	})
	monitors.Wait()
	close(done)
	killers.Wait()
	if after := operation(t, d); !slices.Equal(before, after) {
		t.Errorf("before\n%v\nafter\n%v", before, after)
	}
}

func operation(t *testing.T, d daemon.Dirs) cluster.Rows {
	t.Helper()
	tab, err := conffile.Open(d.Conf, conffile.Options{}).View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(tab.Separation)+len(tab.AccessStop) > 0 {
		t.Errorf("left behind: separation %v, access stop %v", tab.Separation, tab.AccessStop)
	}
	slices.SortFunc(tab.Operation, cluster.ServerRow.Compare)
	return tab.Operation
}

// takeOverAndGiveBack is A3, A4, hold and A5 of one dbss. A hold that was lost
// before its A5 is taken again, as dbss does.
func takeOverAndGiveBack(ctx context.Context, d daemon.Dirs, host string) error {
	dat, err := mgmtdata.ReadServer(d.Dat(host))
	if err != nil {
		return err
	}
	c := clientOf(d, host)
	backup := &ipc.Server{Host: dat.Backup, IP: dat.BackupIP, Group: dat.Group}
	a5 := ipc.Request{Verb: ipc.A5, Host: host, Backup: backup, Outcome: ipc.Recovered}
	for _, req := range []ipc.Request{
		{Verb: ipc.A3, Host: host},
		{Verb: ipc.A4, Host: host, Backup: backup, Real: netip.MustParseAddr("172.21.14.200")},
	} {
		if _, err := c.Call(ctx, req); err != nil {
			return err
		}
	}
	h, err := c.Hold(ctx, ipc.Request{Host: host, Backup: backup})
	if err != nil {
		return err
	}
	defer h.Close()
	look, err := h.Call(ctx, a5)
	if err != nil {
		return err
	}
	if look.State != cluster.Operating {
		return fmt.Errorf("%s is %s after A5", host, look.State)
	}
	return nil
}
