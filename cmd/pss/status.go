package main

import (
	"context"
	"encoding/json"
	"os"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/pss/status"
)

type statusCmd struct {
	JSON bool `name:"json" help:"Print one object."`
}

// Run prints how the system stands. Files with faults are shown as far as they
// can be read, the faults beside them.
func (c statusCmd) Run(ctx context.Context, d daemon.Dirs) error {
	in, err := gather(ctx, d)
	if err != nil {
		return err
	}
	r := status.Make(in)
	if !c.JSON {
		return r.Write(os.Stdout)
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
