// Command dsrs monitors one real server and brings it and its virtual servers
// back (paper, Fig. 9(b)).
package main

import (
	"context"
	"os"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dsrs/dsrsrun"
	"pss-msbs/pkg/monitor"
)

func main() {
	daemon.Main("dsrs", func(ctx context.Context) error { return dsrsrun.Main(ctx, os.Args[1:], monitor.Real) })
}
