package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/notes"
)

// Wakes is the memory of wakes: wake-IP.json in the state directory.
type Wakes struct {
	Dir   string     // the state directory
	Disk  notes.Disk // where that is; nil: of the operating system
	Clock clock.Clock
}

// Wake is the content of wake-IP.json.
type Wake struct {
	Real netip.Addr `json:"real"`
	// Missed is when the last wake missed its deadline; zero once the real
	// server has answered again. Until then it is not put to sleep.
	Missed time.Time `json:"missed,omitzero"`
	Woken  time.Time `json:"woken,omitzero"`
	// FallsAsleep is when a suspend began whose end nobody has seen.
	FallsAsleep time.Time `json:"fallsAsleep,omitzero"`
	// TookSeconds are the last wakes, the newest last.
	TookSeconds []float64 `json:"tookSeconds,omitempty"`
}

const wakesKept = 20

func (w Wakes) path(real netip.Addr) string {
	return filepath.Join(w.Dir, "wake-"+real.String()+".json")
}

// Woke notes a wake; took is zero for a server that answers again after its
// wake was given up.
func (w Wakes) Woke(real netip.Addr, took time.Duration) error {
	return w.change(real, func(r *Wake) {
		r.Missed, r.Woken = time.Time{}, w.Clock.Now()
		if took > 0 {
			r.TookSeconds = append(r.TookSeconds, took.Seconds())
			r.TookSeconds = r.TookSeconds[max(0, len(r.TookSeconds)-wakesKept):]
		}
	})
}

// Missed notes a wake that missed its deadline.
func (w Wakes) Missed(real netip.Addr) error {
	return w.change(real, func(r *Wake) { r.Missed = w.Clock.Now() })
}

// FallsAsleep notes that a suspend begins.
func (w Wakes) FallsAsleep(real netip.Addr) error {
	return w.change(real, func(r *Wake) { r.FallsAsleep = w.Clock.Now() })
}

// Asleep notes that it has ended well.
func (w Wakes) Asleep(real netip.Addr) error {
	return w.change(real, func(r *Wake) { r.FallsAsleep = time.Time{} })
}

// FellAsleep is how long ago a suspend began whose end nobody has seen, if one did.
func (w Wakes) FellAsleep(real netip.Addr) (ago time.Duration, ok bool) {
	r, err := ReadWake(w.Disk, w.path(real))
	return w.Clock.Since(r.FallsAsleep), err == nil && !r.FallsAsleep.IsZero()
}

// Proved is false from a missed wake until the real server answers again. A
// record that cannot be read does not keep a server awake.
func (w Wakes) Proved(real netip.Addr) bool {
	r, err := ReadWake(w.Disk, w.path(real))
	return err != nil || r.Missed.IsZero()
}

func (w Wakes) change(real netip.Addr, edit func(*Wake)) error {
	r, err := ReadWake(w.Disk, w.path(real))
	if err != nil {
		r = Wake{} // a damaged record is begun anew
	}
	r.Real = real
	edit(&r)
	if err := Write(w.Disk, w.path(real), r); err != nil {
		return fmt.Errorf("cannot remember the wake of %v: %v", real, err)
	}
	return nil
}

// ReadWake reads a wake record from disk, nil for that of the operating system; a
// missing one is empty.
func ReadWake(disk notes.Disk, path string) (Wake, error) {
	var r Wake
	b, err := notes.On(disk).Read(path, notes.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}
