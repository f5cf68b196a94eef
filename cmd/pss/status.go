package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/pss/status"
)

type statusCmd struct {
	JSON bool `name:"json" help:"Print one object."`
}

// Run prints how the system stands. Files with faults are shown as far as they
// can be read, the faults beside them, and make the exit code 2.
func (c statusCmd) Run(ctx context.Context, d daemon.Dirs) error {
	in, err := gather(ctx, d)
	if err != nil {
		return err
	}
	r := status.Make(in)
	if err := c.print(r); err != nil {
		return fmt.Errorf("cannot print the status: %w", err)
	}
	if n := len(r.PSS.Faults); n > 0 {
		return daemon.Usage(fmt.Errorf("cannot use %s: %d faults", d.Conf, n))
	}
	return nil
}

func (c statusCmd) print(r status.Report) error {
	if !c.JSON {
		return r.Write(os.Stdout)
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
