package pss_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/sim"
)

// A spare that dies while it serves: its VIP goes at once to the server of the
// group that has fewest, the group to Moderate, and the spare is created anew.
func TestSpareDies(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.start()
		r.reach(cluster.PS1, 3*time.Minute)
		r.inject(sim.VMCrash, "Fs")
		r.abandon("Fs")
		r.load(80, "Web", "Mail")
		if took := r.until(10*time.Second, "106 served", func() bool { return r.holder(106) != "" }); took > 3*time.Second {
			r.Errorf("served again after %v", took)
		}
		if got := r.holder(106); got != "F1" {
			r.Errorf("106 went to %s", got)
		}
		r.reach(cluster.Moderate, 3*time.Minute)
		r.spares()
		if t := r.tables(); len(t.Separation) > 0 || len(ipcFailed(r)) > 0 {
			r.Errorf("left over: %v %v", t.Separation, ipcFailed(r))
		}
	})
}

// In PS2 only Fs serves FTP; when it dies nothing serves and no spare is free:
// the first home that wakes takes both VIPs, then the group is Moderate.
func TestLoneSpareDies(t *testing.T) {
	play(t, "", light, func(r *rig) {
		r.start()
		r.reach(cluster.PS2, 5*time.Minute)
		if got := []string{r.holder(103), r.holder(106)}; !slices.Equal(got, []string{"Fs", "Fs"}) {
			r.Fatal(r.describe())
		}
		r.inject(sim.VMCrash, "Fs")
		r.abandon("Fs")
		if took := r.until(time.Minute, "FTP served", func() bool { return r.holder(103) != "" && r.holder(106) != "" }); took > 12*time.Second {
			r.Errorf("served again after %v", took)
		}
		r.until(time.Minute, "FTP Moderate", func() bool {
			return r.holder(103) == "F1" && r.holder(106) == "F2" && r.condition("FTP") == cluster.Moderate
		})
	})
}

// A4-failed: the VIP goes to the other server of the group, never to a backup,
// and the home server stays in separation, its monitor's to recover.
func TestBackupFails(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.load(80)
		r.start()
		r.spares()
		r.inject(sim.VMCrash, "M1")
		r.abandon("M1")
		r.until(3*time.Second, "101 served", func() bool { return r.holder(101) == "M2" })
		if rows := r.tables().Separation.Of("M1"); len(rows) != 1 {
			r.Errorf("separation rows of M1: %v", rows)
		}
		r.ok(r.model.Start(r.ctx, r.guest("M1")))
		r.until(time.Minute, "M1 answers", func() bool { return r.model.Greet(r.ctx, ip(1), "postfix") == nil })
		r.giveBack("M1", "")
		r.until(time.Minute, "101 at home", func() bool { return r.holder(101) == "M1" && r.consistent() == nil })
	})
}

// In PS2 W1 alone serves Web; when it fails and its backup does not come up,
// Ws, which stands in access stop on a host asleep, serves on the awake base.
func TestSpareInAccessStopHelps(t *testing.T) {
	play(t, "", light, func(r *rig) {
		r.start()
		r.reach(cluster.PS2, 5*time.Minute)
		r.until(time.Minute, "RS2 and RS3 asleep", func() bool { return len(r.tables().Suspended) == 2 && r.consistent() == nil })
		if rows := r.tables().AccessStop.Of("Ws"); len(rows) == 0 || r.holder(105) != "W1" {
			r.Fatal(r.describe())
		}
		r.inject(sim.VMCrash, "W1")
		r.abandon("W1")
		if took := r.until(time.Minute, "Web served", func() bool { return r.holder(102) == "Ws" && r.holder(105) == "Ws" }); took > 3*time.Second {
			r.Errorf("served again after %v", took)
		}
		r.until(time.Minute, "W2 at home", func() bool { return r.holder(105) == "W2" && r.condition("Web") == cluster.Moderate })
		r.ok(r.model.Start(r.ctx, r.guest("W1")))
		r.until(time.Minute, "W1 answers", func() bool { return r.model.Greet(r.ctx, ip(2), "httpd") == nil })
		r.giveBack("W1", "")
		r.until(time.Minute, "102 at home", func() bool { return r.holder(102) == "W1" && r.consistent() == nil })
	})
}

// Ws stands in access stop and is lost, as with the real server it ran on: it is
// created again, for the next shift wants it.
func TestSpareLostInAccessStop(t *testing.T) {
	play(t, "", light, func(r *rig) {
		r.start()
		r.reach(cluster.PS2, 5*time.Minute)
		r.until(time.Minute, "RS2 and RS3 asleep", func() bool { return len(r.tables().Suspended) == 2 && r.consistent() == nil })
		rows := r.tables().AccessStop.Of("Ws")
		ws := r.guest("Ws").On(rs1)
		r.ok(r.model.Restore(r.ctx, ws))
		r.ok(r.model.Destroy(r.ctx, ws))
		r.until(5*time.Minute, "Ws at rest", func() bool {
			st, err := r.model.GuestState(r.ctx, ws)
			return err == nil && st == cluster.GuestSaved
		})
		if !slices.Equal(rows, r.tables().AccessStop.Of("Ws")) {
			r.Error(r.describe())
		}
	})
}

// A typo in a file does not keep pss from serving a failed spare's VIP.
func TestSpareDiesBesideATypo(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.start()
		r.reach(cluster.PS1, 3*time.Minute)
		r.inject(sim.VMCrash, "Fs")
		r.toSeparation("Fs")
		file := filepath.Join(r.dir, "state.conf")
		good, err := os.ReadFile(file)
		r.ok(err)
		r.ok(os.WriteFile(file, append(good, "Mail nonsense\n"...), 0o644))
		r.ok(ipc.Failed{Dir: filepath.Join(r.dir, "run")}.Add("Fs"))
		r.until(15*time.Second, "106 on F1", func() bool { return slices.Equal(r.model.Holders(ip(106)), []string{"F1"}) })
		kept, err := filepath.Glob(file + ".rejected-*")
		if err != nil || len(kept) != 0 && !strings.Contains(r.log.String(), "alarm") {
			r.Errorf("kept %v, %v", kept, err)
		}
		r.ok(os.WriteFile(file, good, 0o644))
		r.until(2*time.Minute, "FTP Moderate", func() bool { return r.holder(106) == "F2" && r.consistent() == nil })
	})
}

func ipcFailed(r *rig) []string {
	hosts, err := ipc.FailedBackups(filepath.Join(r.dir, "run"))
	r.ok(err)
	return hosts
}
