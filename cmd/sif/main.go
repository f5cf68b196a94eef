// Command sif is the system interface between one master and the seven PSS
// files (paper, section 3.3). It is started by dbss, dsrs and pss, never by hand.
package main

import (
	"context"
	"os"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/sif/sifrun"
)

func main() {
	daemon.Main("sif", func(ctx context.Context) error { return sifrun.Main(ctx, os.Args[1:], sifrun.Real) })
}
