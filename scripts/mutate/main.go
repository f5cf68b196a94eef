// Command mutate proves that the tests are a net: it makes one deliberate
// defect after the other (testdata/mutations), and the test that the defect
// names must fail with it and pass without. The tree is never touched: a defect
// is a changed copy of a file, given to the go command as an overlay. It exits
// 0 only if no defect survives.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "directory of the module")
	flag.StringVar(&o.dir, "dir", "testdata/mutations", "directory of the defects")
	flag.StringVar(&o.tags, "tags", "libvirt_dlopen", "build tags")
	flag.StringVar(&o.only, "run", "", "only the defects whose name matches this `regexp`")
	flag.StringVar(&o.instead.Package, "package", "", "look with the tests of this `package` in place of those that the defects name")
	flag.StringVar(&o.instead.Test, "test", "", "look with the tests that match this `regexp` in place of those that the defects name")
	flag.DurationVar(&o.limit, "timeout", 20*time.Minute, "a test that takes longer hangs, and so has seen the defect")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	survivors, err := prove(ctx, o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if err != nil || survivors > 0 {
		stop()
		os.Exit(1)
	}
}

type options struct {
	root, dir, tags, only string
	instead               Catcher
	limit                 time.Duration
}

// chosen are the defects to make.
func (o options) chosen() ([]Mutation, error) {
	name, err := regexp.Compile(o.only)
	if err != nil {
		return nil, fmt.Errorf("cannot choose defects: %v", err)
	}
	all, err := ReadDir(o.dir)
	if err != nil {
		return nil, err
	}
	var out []Mutation
	for _, m := range all {
		if !name.MatchString(m.Name) {
			continue
		}
		if o.instead != (Catcher{}) {
			m.Catcher = o.instead
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no defect in %s is called %q", o.dir, o.only)
	}
	return out, nil
}
