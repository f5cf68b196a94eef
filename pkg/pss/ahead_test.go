package pss_test

import (
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
)

// One server at twice 28 % would be moderate at once: the groups stay in PS1, and
// are told why once; by the published rules they went PS1, PS2, Moderate.
func TestLooksBeforeTheShift(t *testing.T) {
	moderate := func(r *rig) { light(r); r.class(func(c *settings.Class) { c.Moderate = 35 }) }
	play(t, "", moderate, func(r *rig) {
		r.load(28)
		r.start()
		r.reach(cluster.PS1, 3*time.Minute)
		time.Sleep(10 * time.Minute)
		if n := strings.Count(r.log.String(), `"why":"would be moderate: 42 %"`); !r.in(cluster.PS1) || n != 3 {
			r.Errorf("refused %d times: %s\n%s", n, r.describe(), r.log)
		}
	})
}

// A group whose survivors would be overloaded keeps the empty real server awake.
func TestKeepsARealServerForAFailure(t *testing.T) {
	strict := func(r *rig) { noPS2(r); r.class(func(c *settings.Class) { c.FailureLoad = 40 }) }
	play(t, "", strict, func(r *rig) {
		r.load(28)
		r.start()
		r.until(3*time.Minute, "PS1", func() bool { return r.in(cluster.PS1) })
		time.Sleep(5 * time.Minute)
		if len(r.tables().Suspended) != 0 || r.logged("no real server is suspended") != 1 {
			r.Errorf("told %d times: %s\n%s", r.logged("no real server is suspended"), r.describe(), r.log)
		}
		r.load(10)
		r.until(time.Minute, "sleep", func() bool { return len(r.tables().Suspended) == 1 })
	})
}
