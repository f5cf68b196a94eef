package main

import (
	"context"
	"fmt"
	"os"

	"pss-msbs/pkg/check"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/handedit"
)

type checkCmd struct{}

// Run prints faults on stdout, warnings on stderr; exit code 2 with a fault.
func (checkCmd) Run(ctx context.Context, d daemon.Dirs) error {
	r, err := check.Dir(ctx, conffile.Open(d.Conf, conffile.Options{Holder: "pss check"}))
	if err != nil {
		return err
	}
	for _, w := range r.Warnings.Sorted() {
		fmt.Fprintf(os.Stderr, "%v\n", w)
	}
	for _, f := range r.Faults.Sorted() {
		fmt.Println(f)
	}
	if len(r.Faults) > 0 {
		return daemon.Usage(fmt.Errorf("cannot use %s: %d faults", d.Conf, len(r.Faults)))
	}
	return nil
}

type editCmd struct {
	File string `arg:"" help:"One of the seven, with or without .conf." placeholder:"FILE"`
}

// Run edits one file; what was typed is kept where it cannot be installed.
func (c editCmd) Run(ctx context.Context, d daemon.Dirs) error {
	name, err := handedit.Name(c.File)
	if err != nil {
		return daemon.Usage(err)
	}
	changed, err := handedit.File(ctx, conffile.Open(d.Conf, conffile.Options{Holder: "pss edit"}), name,
		handedit.Editor(os.Getenv("EDITOR")), handedit.Terminal{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	if err != nil {
		return invalid(err)
	}
	if !changed {
		fmt.Printf("%s: unchanged\n", name)
	}
	return nil
}
