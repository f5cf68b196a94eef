// Package dsrsrun is a running dsrs: what its monitor is made of.
package dsrsrun

import (
	"context"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dsrs"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/monitor"
	"pss-msbs/pkg/startup"
)

const description = `dsrs monitors the real server that RS.dat describes (4 lines: IP, host, MAC, virtual servers),
wakes it when it is down, and gives its virtual servers their VIPs back.`

var data = monitor.Data[mgmtdata.Real]{Program: "dsrs", Read: mgmtdata.ReadReal, Format: mgmtdata.FormatReal,
	Host: func(r mgmtdata.Real) string { return r.Host }}

// Main is dsrs with these arguments.
func Main(ctx context.Context, args []string, at monitor.Place) error {
	var f monitor.Flags
	if _, err := daemon.Parse("dsrs", description, &f, args); err != nil {
		return err
	}
	return data.Main(ctx, f, at, func(ctx context.Context, base *startup.Base, target mgmtdata.Real) error {
		return monitor.Program{Base: base, Fleet: at.Fleet,
			Work: func(ctx context.Context, sif *ipc.Client, driver fleet.Driver) (idle bool, err error) {
				own := local{base}
				return false, dsrs.New(dsrs.Deps{Data: target, Settings: base.Settings, Clock: base.Clock, Log: base.Log,
					Sif: sif, Fleet: driver, Monitors: own, Servers: own, Limits: own,
					Resets: base.Resets(), Ready: base.Ready}).Run(ctx)
			}}.Run(ctx)
	})
}
