// Package conf makes a directory with the seven files what pss works on.
package conf

import (
	"context"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/pss/ops"
)

// Files are the seven files for shifts: files that cannot be used are an error,
// and shifts stop.
type Files struct{ *conffile.Dir }

// Hold implements ops.Files.
func (f Files) Hold(ctx context.Context) (ops.Held, error) {
	held, err := f.Dir.Hold(ctx)
	if err != nil {
		return nil, err // not a *conffile.Held that is nil inside an interface
	}
	return held, nil
}

// Rescue is what pss takes a failed server's VIPs through: a file that does
// not parse never stops that (SPEC 3). It reads the last good copy in its place,
// and keeps what the file said, with an alarm, when it writes.
type Rescue struct {
	Dir *conffile.Dir
	Log zerolog.Logger
}

// View implements ops.Files.
func (f Rescue) View(ctx context.Context) (cluster.Tables, error) {
	t, _, err := f.Dir.ViewRescue(ctx) // the cycles tell what is wrong
	return t, err
}

// Update implements ops.Files.
func (f Rescue) Update(ctx context.Context, change func(*cluster.Tables) error) error {
	rejected, err := f.Dir.UpdateRescue(ctx, change)
	f.alarm(rejected)
	return err
}

// Hold implements ops.Files.
func (f Rescue) Hold(ctx context.Context) (ops.Held, error) {
	held, err := f.Dir.HoldRescue(ctx)
	if err != nil {
		return nil, err
	}
	return rescueHeld{held, f}, nil
}

func (f Rescue) alarm(rejected []conffile.Rejected) {
	for _, r := range rejected {
		if r.Kept != "" {
			f.Log.Error().Str("file", r.File).Str("kept", r.Kept).
				Msg("alarm: a file could not be used, its last good copy was written in its place")
		}
	}
}

type rescueHeld struct {
	*conffile.Held
	f Rescue
}

// Close gives the lock back and tells which files were replaced.
func (h rescueHeld) Close() {
	h.Held.Close()
	h.f.alarm(h.Rejected())
}
