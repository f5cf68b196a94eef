package dbss_test

import (
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestTable5 has a row for each trouble of a virtual server in Table 5, and
// others that an operator meets, in both profiles, 5 s into a monitoring
// interval as in the paper.
func TestTable5(t *testing.T) {
	for _, c := range []struct {
		name, fault      string
		fast, paper      time.Duration // at most: function recovered after detection
		target, targetP  time.Duration // at most: target recovered after detection, fast and paper
		faultToRecovered time.Duration // fast, at most, 0: not asked
		heal             time.Duration // when it is healed, 0: never
	}{
		{name: "service freeze", fault: sim.ServiceFreeze, fast: 4410 * time.Millisecond, paper: 4410 * time.Millisecond, target: 23 * time.Second, targetP: 23 * time.Second},
		{name: "restart", fault: sim.VMRestart, fast: time.Second, paper: 3120 * time.Millisecond, target: 15 * time.Second, targetP: 17 * time.Second},
		{name: "shutdown", fault: sim.VMShutdown, fast: time.Second, paper: 3090 * time.Millisecond, target: 38 * time.Second, targetP: 38150 * time.Millisecond, faultToRecovered: 3 * time.Second},
		{name: "crash", fault: sim.VMCrash, fast: time.Second, paper: 3100 * time.Millisecond, target: 38 * time.Second, targetP: 38150 * time.Millisecond},
		{name: "network cut", fault: sim.NetworkCut, fast: time.Second, paper: 3500 * time.Millisecond, target: 20 * time.Second, targetP: 25 * time.Second, heal: 3 * time.Second},
		{name: "kernel freeze", fault: sim.VMFreeze, fast: 7 * time.Second, paper: 7 * time.Second, target: 25 * time.Second, targetP: 25 * time.Second},
	} {
		for profile, most := range map[settings.Profile][2]time.Duration{settings.Fast: {c.fast, c.target}, settings.Paper: {c.paper, c.targetP}} {
			t.Run(c.name+" "+string(profile), func(t *testing.T) {
				play(t, profile, func(r *rig) {
					r.rested("M1")
					time.Sleep(5 * time.Second)
					r.fault(c.fault, "M1")
					fault := time.Now()
					back := r.logged("M1", dbss.MsgFunctionRecovered, 40*time.Second)
					if d := time.Since(fault); profile == settings.Fast && c.faultToRecovered > 0 && d > c.faultToRecovered {
						t.Errorf("function recovered %s after the fault, want at most %s", d, c.faultToRecovered)
					}
					if d := r.field(back, "after_detection"); d > most[0] {
						t.Log(r.log.String())
						t.Errorf("function recovered after %s, want at most %s", d, most[0])
					}
					if !r.serves("Mb", 101) {
						t.Errorf("%v hold the VIP, want Mb", r.model.Holders(ip(101)))
					}
					if c.heal > 0 {
						time.Sleep(c.heal)
						r.heal("M1")
					}
					target := r.logged("M1", dbss.MsgTargetRecovered, 3*time.Minute)
					if d := r.field(target, "after_detection"); d > most[1] {
						t.Log(r.log.String())
						t.Errorf("target recovered after %s, want at most %s", d, most[1])
					}
					t.Logf("function %s, target %s after detection", r.field(back, "after_detection"), r.field(target, "after_detection"))
					r.logged("M1", dbss.MsgBackupPaused, time.Minute)
					if !r.serves("M1", 101) || !row(r.tables().Operation, 101, "M1") {
						t.Errorf("%v hold the VIP, want M1", r.model.Holders(ip(101)))
					}
					if st, _ := r.state("Mb"); st != cluster.GuestPaused {
						t.Errorf("the backup is %s, want it paused", st)
					}
				})
			})
		}
	}
}

// TestServiceStop is Table 5's "Service program stop": the daemon is restarted
// in the server, nothing moves.
func TestServiceStop(t *testing.T) {
	for _, profile := range []settings.Profile{settings.Fast, settings.Paper} {
		t.Run(string(profile), func(t *testing.T) {
			play(t, profile, func(r *rig) {
				r.rested("M1")
				time.Sleep(5 * time.Second)
				r.fault(sim.ServiceStop, "M1:postfix")
				line := r.logged("M1", dbss.MsgTargetRecovered, 20*time.Second)
				if d := r.field(line, "after_detection"); d > 890*time.Millisecond {
					t.Errorf("service back after %s, want at most 0.89s", d)
				}
				if !r.serves("M1", 101) || r.log.find("M1", dbss.MsgSeparated) != "" {
					t.Error("the VIP moved for a stopped service")
				}
				r.logged("M1", dbss.MsgBackupPaused, time.Minute)
			})
		})
	}
}

// TestFigure13 is the log of a shutdown, as the operator reads it.
func TestFigure13(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("F1")
		time.Sleep(5 * time.Second)
		r.fault(sim.VMShutdown, "F1")
		r.logged("F1", dbss.MsgTargetRecovered, time.Minute)
		r.logged("F1", dbss.MsgBackupPaused, time.Minute)
		want := `network trouble detected
backup server start server=Fb
re-examined: trouble confirmed trouble=network
A3 target server separated real=172.21.14.202
target server fenced by=hypervisor
__recovery of the target server start
__target server judged state=off
__target server restart
backup server started server=Fb
server function recovered vips=172.21.14.103
A4 backup server in operation
__target server restarted
__target server normal
A5 target server recovered trouble=network
normal state
backup server paused server=Fb
`
		if got := r.log.messages("F1"); got != want {
			t.Errorf("log of F1:\n%s\nwant:\n%s", got, want)
		}
	})
}
