package pss

import (
	"context"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/pss/hands"
)

// ConfFiles makes a directory with the seven files what pss works on. Files
// that cannot be used are an error: shifts stop.
func ConfFiles(dir *conffile.Dir) Files { return confFiles{dir} }

type confFiles struct{ *conffile.Dir }

// Hold implements hands.Files.
func (f confFiles) Hold(ctx context.Context) (hands.Held, error) {
	held, err := f.Dir.Hold(ctx)
	if err != nil {
		return nil, err // not a *conffile.Held that is nil inside an interface
	}
	return held, nil
}

// RescueFiles is what pss takes a failed server's VIPs through: a file that does
// not parse never stops that (SPEC 3). It reads the last good copy in its place,
// and keeps what the file said, with an alarm, when it writes.
func RescueFiles(dir *conffile.Dir, log zerolog.Logger) hands.Files { return rescueFiles{dir, log} }

type rescueFiles struct {
	dir *conffile.Dir
	log zerolog.Logger
}

func (f rescueFiles) View(ctx context.Context) (cluster.Tables, error) {
	t, _, err := f.dir.ViewRescue(ctx) // the cycles tell what is wrong
	return t, err
}

func (f rescueFiles) Update(ctx context.Context, change func(*cluster.Tables) error) error {
	rejected, err := f.dir.UpdateRescue(ctx, change)
	f.alarm(rejected)
	return err
}

func (f rescueFiles) Hold(ctx context.Context) (hands.Held, error) {
	held, err := f.dir.HoldRescue(ctx)
	if err != nil {
		return nil, err
	}
	return rescueHeld{held, f}, nil
}

func (f rescueFiles) alarm(rejected []conffile.Rejected) {
	for _, r := range rejected {
		if r.Kept != "" {
			f.log.Error().Str("file", r.File).Str("kept", r.Kept).
				Msg("alarm: a file could not be used, its last good copy was written in its place")
		}
	}
}

type rescueHeld struct {
	*conffile.Held
	f rescueFiles
}

func (h rescueHeld) Close() {
	h.Held.Close()
	h.f.alarm(h.Rejected())
}
