package main

import (
	"context"
	"fmt"
	"os"

	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/replay"
	"pss-msbs/pkg/settings"
)

type replayCmd struct {
	Trace string `required:"" help:"CSV: time,host,mem_kb,cpu_percent,net_kb_s,accesses." placeholder:"T.csv"`
	JSON  bool   `name:"json" help:"Print one object a cycle, then the summary."`
}

// Run replays a trace from the files as they are now.
func (c replayCmd) Run(ctx context.Context, d daemon.Dirs) error {
	set, err := settings.Read(d.Settings())
	if err != nil {
		return invalid(err)
	}
	t, err := conffile.Open(d.Conf, conffile.Options{Holder: "pss replay"}).View(ctx)
	if err != nil {
		return invalid(err)
	}
	f, err := os.Open(c.Trace)
	if err != nil {
		return daemon.Usage(fmt.Errorf("cannot read the trace: %v", err))
	}
	defer f.Close()
	trace, err := replay.ReadTrace(c.Trace, f)
	if err != nil {
		return invalid(err)
	}
	out := replay.Run(replay.Input{Tables: t, Settings: set, Homes: homes(d), Backups: backups(d)}, trace)
	if c.JSON {
		return out.WriteJSON(os.Stdout)
	}
	return out.WriteText(os.Stdout)
}
