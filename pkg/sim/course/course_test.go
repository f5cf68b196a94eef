package course_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/sim/course"
)

// What is due at one instant is done in the order in which it was put on the
// agenda, each at its own time, and conclusions are drawn after each change.
func TestOrderOfTheAgenda(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		c := course.New(clock.Clock{}, func() { got = append(got, "concluded") })
		add := func(name string, change bool) func() {
			return func() { got, c.Dirty = append(got, name+" "+c.Now.Sub(c.Begun).String()), change }
		}
		c.Begin(func() {})
		c.Lock()
		c.After(2*time.Second, add("late", false))
		c.After(time.Second, add("first", true))
		c.After(time.Second, add("second", false))
		c.Unlock()
		time.Sleep(3 * time.Second)
		c.Lock()
		want := []string{"concluded", "first 1s", "concluded", "second 1s", "late 2s"}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		c.Unlock()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
