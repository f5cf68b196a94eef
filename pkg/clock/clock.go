// Package clock lets every program of an emulated fleet run faster than the
// wall clock: with speed s every duration is divided by s, and Now shows
// emulated time. At speed 1 it is the time package itself, and thus runs in a
// testing/synctest bubble.
package clock

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Clock is emulated time. The zero value is the wall clock.
type Clock struct {
	Epoch time.Time `json:"epoch"` // the instant at which emulated and wall time agree
	Speed float64   `json:"speed"` // emulated seconds per wall second; 0 means 1
	Halt  *Halt     `json:"-"`     // may stop the program whose clock this is; nil: nothing does
}

// Now is the emulated time.
func (c Clock) Now() time.Time {
	now := time.Now()
	if c.Speed == 0 || c.Speed == 1 {
		return now
	}
	return c.Epoch.Add(time.Duration(float64(now.Sub(c.Epoch)) * c.Speed))
}

// Since is the emulated time elapsed since t, itself a value of Now.
func (c Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Wall is how long the emulated duration d takes on the wall clock.
func (c Clock) Wall(d time.Duration) time.Duration {
	if c.Speed == 0 || c.Speed == 1 {
		return d
	}
	return time.Duration(float64(d) / c.Speed)
}

// Emulated is how long the wall clock's d is in emulated time.
func (c Clock) Emulated(d time.Duration) time.Duration {
	if c.Speed == 0 || c.Speed == 1 {
		return d
	}
	return time.Duration(float64(d) * c.Speed)
}

// After is time.After for an emulated duration.
func (c Clock) After(d time.Duration) <-chan time.Time { return c.NewTimer(d).C }

// Timer is a wait that can be given up: one that nobody waits for costs as much
// as any when its time has come.
type Timer struct {
	C    <-chan time.Time // nil, which never comes, in the zero Timer
	wall *time.Timer
}

// NewTimer is time.NewTimer for an emulated duration.
func (c Clock) NewTimer(d time.Duration) Timer {
	if d <= 0 { // see Sleep
		now := make(chan time.Time, 1)
		now <- time.Now()
		return Timer{C: now}
	}
	if c.Halt == nil {
		t := time.NewTimer(c.Wall(d))
		return Timer{t.C, t}
	}
	out := make(chan time.Time, 1)
	return Timer{out, time.AfterFunc(c.Wall(d), func() {
		c.Halt.Pass()
		out <- time.Now()
	})}
}

// Stop ends the wait; what has come already may still be in C.
func (t Timer) Stop() {
	if t.wall != nil {
		t.wall.Stop()
	}
}

// Sleep waits for the emulated duration d or until ctx ends, and returns ctx's error then.
func (c Clock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil { // a select on a timer that has expired crashes Go 1.26 with -race in a synctest bubble
		return ctx.Err()
	}
	t := time.NewTimer(c.Wall(d))
	defer t.Stop()
	defer c.Halt.Pass()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Timeout is context.WithTimeout for an emulated duration.
func (c Clock) Timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.Wall(d))
}

// floor is the least that a call which costs this machine more than a packet
// gets on the wall clock.
const floor = 250 * time.Millisecond

// Limit is Timeout for such a call, however fast an emulated fleet runs.
func (c Clock) Limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	wall := c.Wall(d)
	if c.Speed > 1 {
		wall = max(wall, floor)
	}
	return context.WithTimeout(ctx, wall)
}

// Poll calls ok every interval d until it says true or ctx ends.
func (c Clock) Poll(ctx context.Context, d time.Duration, ok func() bool) error {
	for !ok() {
		if err := c.Sleep(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// File is the name of the published clock in the run directory.
const File = "clock.json"

// Publish writes the clock into the run directory, where the programs of an
// emulated fleet find it: all must agree on what time it is.
func (c Clock) Publish(runDir string) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	tmp := filepath.Join(runDir, File+".tmp")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("cannot publish the clock: %v", err)
	}
	return os.Rename(tmp, filepath.Join(runDir, File))
}

// Load reads the clock that an emulated fleet published; where there is none
// it is the wall clock.
func Load(runDir string) (Clock, error) {
	b, err := os.ReadFile(filepath.Join(runDir, File))
	if os.IsNotExist(err) {
		return Clock{}, nil
	}
	if err != nil {
		return Clock{}, fmt.Errorf("cannot read the clock: %v", err)
	}
	var c Clock
	if err := json.Unmarshal(b, &c); err != nil {
		return Clock{}, fmt.Errorf("cannot read the clock: %v", err)
	}
	return c, c.check()
}

// The speeds of a clock that can be used, and how far it may be from its epoch.
const (
	slowest   = 1e-3
	fastest   = 1e6
	longestGo = 10 * 365 * 24 * time.Hour
)

// check refuses a clock by which waits would be endless, or none.
func (c Clock) check() error {
	if c.Speed == 0 || c.Speed == 1 {
		return nil
	}
	if gone := time.Since(c.Epoch).Abs(); c.Speed < slowest || c.Speed > fastest || float64(gone)*c.Speed > float64(longestGo) {
		return fmt.Errorf("cannot use the clock: speed %g since %v", c.Speed, c.Epoch)
	}
	return nil
}
