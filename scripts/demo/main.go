// Command demo plays the paper's evaluation (section 4) with the real
// executables as separate processes on the emulated fleet: start, light load
// (PS1), no accesses (PS2), load again, and the six faults of Table 5 in
// Moderate and in PS1, with a client of each group asking every second
// through the load balancer. It exits 0 only if every expectation held.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of the four executables")
	flag.StringVar(&o.conf, "conf", "testdata/paper", "configuration of the paper's system")
	flag.StringVar(&o.profile, "profile", "paper", "timing profile: paper or fast")
	flag.Float64Var(&o.speed, "speed", 20, "emulated seconds per second")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	held, err := play(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	if err != nil || !held {
		stop()
		os.Exit(1)
	}
}

type options struct {
	bin, conf, profile string
	speed              float64
}
