// Command bench runs the whole system at scale as real processes on the
// emulated fleet: one dbss and sif for each of hundreds of virtual servers, a
// dsrs and sif for each real server, and pss. It measures how late their
// cycles are, what they cost, and, when a full real server dies, how long its
// functions are gone. It exits 1 if a function or a row is lost.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of the four executables")
	flag.StringVar(&o.base, "base", "testdata/paper", "configuration whose settings are taken")
	flag.StringVar(&o.dir, "dir", "", "directory for the files (default: a temporary one on disk, as an operator's are)")
	flag.IntVar(&o.reals, "reals", 6, "real servers")
	flag.IntVar(&o.each, "each", 50, "virtual servers on each real server")
	flag.IntVar(&o.groups, "groups", 10, "service groups")
	flag.Float64Var(&o.speed, "speed", 1, "emulated seconds per second")
	flag.StringVar(&o.profile, "profile", "fast", "timing profile: paper or fast")
	flag.DurationVar(&o.watch, "watch", time.Minute, "emulated time over which the cycles are measured")
	flag.IntVar(&o.slots, "slots", 2, "boot slots")
	flag.IntVar(&o.batch, "batch", 25, "dbss started at a time; 0: all at once, as after a boot of the management server")
	flag.BoolVar(&o.home, "home", true, "wait until every server of the dead real server is back")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || !ok {
		stop()
		os.Exit(1)
	}
}

type options struct {
	bin, base, dir, profile    string
	reals, each, groups, slots int
	batch                      int
	speed                      float64
	watch                      time.Duration
	home                       bool
}
