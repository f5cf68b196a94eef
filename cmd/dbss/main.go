// Command dbss monitors one virtual server and lets its backup stand in for it
// (paper, Fig. 9(a)).
package main

import (
	"context"
	"os"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dbss/dbssrun"
	"pss-msbs/pkg/monitor"
)

func main() {
	daemon.Main("dbss", func(ctx context.Context) error { return dbssrun.Main(ctx, os.Args[1:], monitor.Real) })
}
