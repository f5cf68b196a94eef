package pss

import (
	"context"

	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/pss/hands"
)

// ConfFiles makes a directory with the seven files what pss works on.
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
