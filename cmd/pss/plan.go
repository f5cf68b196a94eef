package main

import (
	"context"
	"encoding/json"
	"os"

	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/plan"
)

type planCmd struct {
	Want string `help:"Wanted conditions, as Web=PS1,FTP=Moderate; groups not named stay as they are." placeholder:"GROUP=CONDITION,..."`
	JSON bool   `name:"json" help:"Print one array of steps."`
}

// Run prints the plan; a refusal is no failure.
func (c planCmd) Run(ctx context.Context, d daemon.Dirs) error {
	t, err := conffile.Open(d.Conf, conffile.Options{Holder: "pss plan"}).View(ctx)
	if err != nil {
		return invalid(err)
	}
	wants, err := plan.ParseWants(t, c.Want)
	if err != nil {
		return daemon.Usage(err)
	}
	steps := plan.Make(t, homes(d), wants)
	if !c.JSON {
		return steps.WriteText(os.Stdout)
	}
	return json.NewEncoder(os.Stdout).Encode(steps)
}
